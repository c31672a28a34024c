//! A text in the user's editor: in a file that only they can read, in memory where there is such storage, and wiped after.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Result};

/// Opens a text in the editor; gives it back as it was left.
pub(crate) fn edit(text: &str) -> Result<String> {
    let folder = tempfile::Builder::new().prefix("alcove-").tempdir_in(storage())?;
    let path = folder.path().join("entry.md");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).read(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    drop(file);
    let edited = run(&path).and_then(|()| Ok(std::fs::read_to_string(&path)?));
    // An editor may have written a new file in its place, or copies beside it.
    let mut wiped = Ok(());
    for entry in std::fs::read_dir(folder.path())?.flatten() {
        wiped = wiped.and(wipe(&entry.path()));
    }
    wiped?;
    folder.close()?;
    edited
}

fn run(path: &Path) -> Result {
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
        .unwrap_or_else(|| if cfg!(windows) { "notepad".into() } else { "vi".into() });
    // As shells do: `code --wait` is a program and an argument.
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = Command::new(program).args(words).arg(path).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::say(format!("{editor} ended with an error; nothing was saved"))),
        Err(error) => Err(Failure::say(format!("{editor} cannot be started: {error}; set EDITOR"))),
    }
}

/// Memory, if there is a folder that is.
fn storage() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let memory = runtime.into_iter().chain([PathBuf::from("/dev/shm")]).find(|folder| folder.is_dir());
    memory.unwrap_or_else(std::env::temp_dir)
}

fn wipe(path: &Path) -> Result {
    let Ok(mut file) = std::fs::OpenOptions::new().write(true).open(path) else { return Ok(()) };
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    std::io::copy(&mut std::io::repeat(0).take(len), &mut file)?;
    file.sync_all()?;
    std::fs::remove_file(path)?;
    Ok(())
}
