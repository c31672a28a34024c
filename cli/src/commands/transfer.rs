//! Everything out, and back in.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use alcove_sdk::{Alcove, Exported, Query};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Context;
use crate::args::Format;
use crate::dates;
use crate::failure::{Failure, Result};
use crate::out::print;

/// The file.
#[derive(Serialize, Deserialize)]
pub(super) struct Export {
    /// Version of this format.
    alcove_export: u32,
    records: Vec<Exported>,
}

const VERSION: u32 = 1;

pub(super) fn as_json(records: Vec<Exported>) -> Result<String> {
    let export = Export { alcove_export: VERSION, records };
    serde_json::to_string_pretty(&export)
        .map_err(|error| Failure::say(format!("this cannot be JSON: {error}")))
}

pub(super) async fn export(
    alcove: &Alcove,
    c: &Context<'_>,
    format: Format,
    file: Option<PathBuf>,
) -> Result {
    let records = alcove.export().await?;
    let count = records.len();
    let text = match format {
        Format::Json => as_json(records)?,
        Format::Markdown => markdown(alcove).await?,
    };
    let Some(path) = file else {
        print(&text);
        return Ok(());
    };
    write_private(&path, &text)?;
    c.out.answer(&json!({ "records": count, "file": path }), || {
        format!("{count} records are in {}. Whoever has that file can read them.", path.display())
    });
    Ok(())
}

pub(super) fn write_private(path: &Path, text: &str) -> Result {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file =
        options.open(path).map_err(|error| Failure::say(format!("{}: {error}", path.display())))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

async fn markdown(alcove: &Alcove) -> Result<String> {
    let entries = alcove.journal().list(Query { oldest_first: true, ..Query::default() }).await?;
    let mut text = String::from("# Journal\n");
    for entry in entries {
        let value = entry.value;
        let title = if value.title.is_empty() { dates::show(&value.when) } else { value.title };
        let tags: Vec<_> = value.tags.iter().map(|tag| format!("#{tag}")).collect();
        let parts = [
            dates::show(&value.when),
            value.place.unwrap_or_default(),
            value.mood.unwrap_or_default(),
            tags.join(" "),
        ];
        let line: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        text += &["\n## ", &title, "\n\n*", &line.join(" · "), "*\n\n", &value.body, "\n"].concat();
    }
    Ok(text)
}

pub(super) async fn import(alcove: &Alcove, c: &Context<'_>, file: &Path) -> Result {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        let mut opened = std::fs::File::open(file)
            .map_err(|error| Failure::say(format!("{}: {error}", file.display())))?;
        opened.read_to_string(&mut text)?;
    }
    let export: Export = serde_json::from_str(&text)
        .map_err(|error| Failure::say(format!("{} is no export of alcove: {error}", file.display())))?;
    if export.alcove_export != VERSION {
        return Err(Failure::say(format!(
            "this is an export of version {}; a newer alcove reads it",
            export.alcove_export
        )));
    }
    let imported = alcove.import(export.records).await?;
    c.out.answer(&imported, || {
        format!("{} records were added; {} were here already.", imported.added, imported.kept)
    });
    Ok(())
}
