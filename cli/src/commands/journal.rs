//! Entries: written, listed, shown, edited, deleted, found.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Read as _};

use alcove_sdk::{Alcove, JournalEntry, Mood, Query, Record as _, RecordId, Records, Stored, When};
use serde::Serialize;

use super::Context;
use crate::args::EntryArgs;
use crate::dates;
use crate::editor;
use crate::failure::{Failure, Result};
use crate::out::{Out, Style};

/// How much of an id is shown.
const ID_SHOWN: usize = 8;
/// How much of a text is shown in a list.
const LINE_MAX: usize = 72;

/// A record as JSON.
#[derive(Serialize)]
pub(super) struct Shown<T> {
    id: RecordId,
    #[serde(flatten)]
    value: T,
    synced: bool,
    proven: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<alcove_sdk::envelope::Conflict>,
}

impl<T> From<Stored<T>> for Shown<T> {
    fn from(stored: Stored<T>) -> Self {
        let Stored { id, value, conflicts, synced, proven } = stored;
        Self { id, value, synced, proven, conflicts }
    }
}

pub(super) fn short(id: RecordId) -> String {
    id.to_string()[..ID_SHOWN].to_owned()
}

pub(super) async fn write(
    alcove: &Alcove,
    c: &mut Context<'_>,
    args: EntryArgs,
    at: Option<String>,
    text: &[String],
) -> Result {
    let when = at.as_deref().map_or_else(|| Ok(dates::now()), dates::parse)?;
    let body = match text {
        [] if std::io::stdin().is_terminal() => editor::edit("")?,
        [] => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
        words => words.join(" "),
    };
    if body.trim().is_empty() {
        return Err(Failure::say("there is no text; nothing was written"));
    }
    let mut entry = JournalEntry::new(when, body.trim_end());
    fill(&mut entry, args);
    let id = alcove.journal().add(entry).await?;
    c.out.answer(&serde_json::json!({ "id": id }), || {
        format!("Written: {}", c.out.style(Style::Name, short(id)))
    });
    Ok(())
}

fn fill(entry: &mut JournalEntry, args: EntryArgs) {
    let EntryArgs { title, mood, tags, place } = args;
    if let Some(title) = title {
        entry.title = title;
    }
    entry.mood = mood.or(entry.mood.take());
    entry.place = place.or(entry.place.take());
    if !tags.is_empty() {
        entry.tags = tags.into_iter().collect();
    }
}

pub(super) async fn list(
    alcove: &Alcove,
    c: &Context<'_>,
    from: Option<String>,
    to: Option<String>,
    tag: Option<String>,
    limit: usize,
) -> Result {
    let from_ms = from.map(|day| dates::day(&day)).transpose()?.map(|(start, _)| start);
    let until_ms = to.map(|day| dates::day(&day)).transpose()?.map(|(_, end)| end);
    let query = Query { from_ms, until_ms, tag, limit, ..Query::default() };
    let entries = alcove.journal().list(query).await?;
    let shown: Vec<Shown<JournalEntry>> = entries.into_iter().map(Shown::from).collect();
    c.out.answer(&shown, || {
        if shown.is_empty() {
            return "No entries. `alcove write` one.".into();
        }
        shown.iter().map(|entry| line(c.out, entry)).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

/// An entry in one line.
pub(super) fn line(out: &Out, entry: &Shown<JournalEntry>) -> String {
    let value = &entry.value;
    let text = if value.title.is_empty() { &value.body } else { &value.title };
    let mut words = vec![
        out.style(Style::Name, short(entry.id)),
        out.style(Style::Faint, dates::show(&value.when)),
        first_line(text),
    ];
    words.extend(value.tags.iter().map(|tag| out.style(Style::Name, format!("#{tag}"))));
    if !entry.conflicts.is_empty() {
        words.push(out.style(Style::Alert, "(edited on two devices)"));
    }
    if !entry.proven {
        words.push(out.style(Style::Alert, "(still being fetched)"));
    }
    words.join("  ")
}

pub(super) fn first_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let mut shown: String = line.chars().take(LINE_MAX).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    shown
}

pub(super) async fn show(alcove: &Alcove, c: &Context<'_>, id: &str, clear: bool) -> Result {
    let journal = alcove.journal();
    let id = find(&journal, id).await?;
    let entry = if clear { Some(journal.clear_conflicts(id).await?) } else { journal.get(id).await? };
    let shown = Shown::from(entry.ok_or(alcove_sdk::Error::NotFound)?);
    c.out.answer(&shown, || full(c.out, &shown));
    Ok(())
}

fn full(out: &Out, entry: &Shown<JournalEntry>) -> String {
    let value = &entry.value;
    let mut head = vec![out.style(Style::Faint, dates::show(&value.when))];
    head.extend(value.place.iter().map(|place| out.style(Style::Faint, place)));
    head.extend(value.mood.iter().cloned());
    head.extend(value.tags.iter().map(|tag| out.style(Style::Name, format!("#{tag}"))));
    let mut text = head.join("  ");
    if !value.title.is_empty() {
        text = format!("{}\n{text}", out.style(Style::Strong, &value.title));
    }
    text = format!("{text}\n\n{}", value.body);
    for conflict in &entry.conflicts {
        let lost = conflict.value.as_text().map_or_else(|| format!("{:?}", conflict.value), str::to_owned);
        let head = format!("Another device wrote this as the {}:", conflict.field);
        text = format!("{text}\n\n{}\n{lost}", out.style(Style::Alert, head));
    }
    text
}

pub(super) async fn edit(
    alcove: &Alcove,
    c: &Context<'_>,
    id: &str,
    args: EntryArgs,
    text: &[String],
) -> Result {
    let journal = alcove.journal();
    let id = find(&journal, id).await?;
    let entry = journal.get(id).await?.ok_or(alcove_sdk::Error::NotFound)?;
    let only_fields =
        args.title.is_some() || args.mood.is_some() || args.place.is_some() || !args.tags.is_empty();
    let body = match text {
        [] if only_fields => entry.value.body,
        [] => editor::edit(&entry.value.body)?.trim_end().to_owned(),
        words => words.join(" "),
    };
    journal
        .update(id, move |entry| {
            entry.body = body;
            fill(entry, args);
        })
        .await?;
    c.out.answer(&serde_json::json!({ "id": id }), || {
        format!("Saved: {}", c.out.style(Style::Name, short(id)))
    });
    Ok(())
}

pub(super) async fn delete(alcove: &Alcove, c: &Context<'_>, id: &str) -> Result {
    let id = if let Ok(id) = find(&alcove.journal(), id).await {
        alcove.journal().delete(id).await?;
        id
    } else {
        let id = find(&alcove.moods(), id).await?;
        alcove.moods().delete(id).await?;
        id
    };
    c.out.answer(&serde_json::json!({ "id": id }), || {
        format!("Deleted: {}", c.out.style(Style::Name, short(id)))
    });
    Ok(())
}

/// A record by the start of its id.
async fn find<T: alcove_sdk::Record>(records: &Records<T>, start: &str) -> Result<RecordId> {
    let start = start.trim().to_lowercase();
    let all = records.list(Query::default()).await?;
    let mut found = all.into_iter().map(|record| record.id).filter(|id| id.to_string().starts_with(&start));
    match (found.next(), found.next()) {
        (Some(id), None) if !start.is_empty() => Ok(id),
        (Some(_), Some(_)) => {
            Err(Failure::say(format!("more than one id begins with {start:?}; write more of it")))
        }
        _ => Err(alcove_sdk::Error::NotFound.into()),
    }
}

/// Something that a search has found.
#[derive(Serialize)]
struct Found {
    id: RecordId,
    kind: String,
    when: Option<When>,
    text: String,
}

pub(super) async fn search(alcove: &Alcove, c: &Context<'_>, words: &str) -> Result {
    let mut found = Vec::new();
    for (kind, id) in alcove.search(words, 200).await? {
        let (when, text) = if kind == JournalEntry::KIND {
            let Some(entry) = alcove.journal().get(id).await? else { continue };
            (Some(entry.value.when), format!("{} {}", entry.value.title, around(&entry.value.body, words)))
        } else if kind == Mood::KIND {
            let Some(mood) = alcove.moods().get(id).await? else { continue };
            (Some(mood.value.when.clone()), super::moods::describe(&mood.value))
        } else {
            (None, String::new())
        };
        found.push(Found { id, kind, when, text: text.trim().to_owned() });
    }
    let seen: BTreeSet<_> = found.iter().map(|found| &found.kind).collect();
    let several = seen.len() > 1;
    c.out.answer(&found, || {
        if found.is_empty() {
            return "Nothing was found.".into();
        }
        let lines = found.iter().map(|found| {
            let when = found.when.as_ref().map(dates::show).unwrap_or_default();
            let kind = if several { format!("{}  ", found.kind) } else { String::new() };
            let (id, when) = (c.out.style(Style::Name, short(found.id)), c.out.style(Style::Faint, when));
            format!("{id}  {when}  {kind}{}", found.text)
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

/// The line in which the first of the words stands.
fn around(text: &str, words: &str) -> String {
    let word = words.split_whitespace().next().unwrap_or_default().to_lowercase();
    first_line(text.lines().find(|line| line.to_lowercase().contains(&word)).unwrap_or(text))
}
