//! Backups of SQLite. PostgreSQL has better tools of its own, and we say which.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Failure, print};
use crate::config::{Config, DatabaseUrl};
use crate::store::files;

const POSTGRES: &str = "\
The database is PostgreSQL: back it up with its own tools, which see one consistent moment while the server runs.
  pg_dump --format=custom --file=alcove.dump \"$DATABASE_URL\"
  pg_restore --clean --if-exists --dbname=\"$DATABASE_URL\" alcove.dump
For point-in-time recovery, pg_basebackup with WAL archiving. The secrets are not in the database: keep a copy of their file apart.";

pub(super) async fn backup(config: &Config, to: &Path) -> Result<(), Failure> {
    let DatabaseUrl::Sqlite(path) = &config.database.url else { return print(POSTGRES) };
    if to.exists() {
        return Err(Failure::Refused(format!("{} exists already; a backup replaces nothing", to.display())));
    }
    files::backup(path, to).await?;
    print(&format!(
        "The backup is {}.\nThe secrets in {} are not in it. Keep a copy of them in another place: a backup without them cannot be \
         used, and whoever has both can guess at passwords.",
        to.display(),
        config.secrets.file.display()
    ))
}

pub(super) async fn restore(config: &Config, from: &Path) -> Result<(), Failure> {
    let DatabaseUrl::Sqlite(path) = &config.database.url else { return print(POSTGRES) };
    files::check(from).await?;
    if path.exists() && !files::is_unused(path).await? {
        let what = format!("{} is in use: stop the server first", path.display());
        return Err(Failure::Refused(what));
    }
    let kept = put_in_place(from, path).map_err(Failure::io("the backup cannot be put in place"))?;
    let kept = kept.map(|kept| format!("\nWhat was there before is {}.", kept.display())).unwrap_or_default();
    print(&format!(
        "The backup is restored to {}.{kept}\nDevices notice, and give back by themselves what they have and the backup lacks. Accounts \
         that were founded since come back only while registration is open, or registration.readmit is true.\nAccounts that were \
         deleted since are in it again.",
        path.display()
    ))
}

/// Copies, makes durable, and swaps: at every moment one whole database lies there.
fn put_in_place(from: &Path, path: &Path) -> std::io::Result<Option<PathBuf>> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let fresh = with(".restoring");
    fs::copy(from, &fresh)?;
    fs::File::open(&fresh)?.sync_all()?;
    let kept = with(".before-restore");
    let existed = path.exists();
    if existed {
        fs::rename(path, &kept)?;
        // They belong to what was there, which was closed in good order or is what the operator replaces.
        for ending in ["-wal", "-shm"] {
            if with(ending).exists() {
                let mut name = kept.as_os_str().to_owned();
                name.push(ending);
                fs::rename(with(ending), PathBuf::from(name))?;
            }
        }
    }
    fs::rename(&fresh, path)?;
    Ok(existed.then_some(kept))
}
