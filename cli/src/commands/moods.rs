//! Moods: logged and listed.

use alcove_sdk::{Alcove, Mood, Query};

use super::Context;
use super::journal::{Shown, short};
use crate::dates;
use crate::failure::Result;
use crate::out::Style;

pub(super) async fn log(alcove: &Alcove, c: &Context<'_>, mood: Mood) -> Result {
    let id = alcove.moods().add(mood).await?;
    c.out.answer(&serde_json::json!({ "id": id }), || {
        format!("Logged: {}", c.out.style(Style::Name, short(id)))
    });
    Ok(())
}

pub(super) async fn list(alcove: &Alcove, c: &Context<'_>) -> Result {
    let moods = alcove.moods().list(Query::default().limit(30)).await?;
    let shown: Vec<(String, Mood, Shown<Mood>)> =
        moods.into_iter().map(|mood| (short(mood.id), mood.value.clone(), Shown::from(mood))).collect();
    let json: Vec<&Shown<Mood>> = shown.iter().map(|(_, _, shown)| shown).collect();
    c.out.answer(&json, || {
        if shown.is_empty() {
            return "No moods. `alcove mood 4` logs one.".into();
        }
        let lines = shown.iter().map(|(id, mood, _)| {
            let (id, when) =
                (c.out.style(Style::Name, id), c.out.style(Style::Faint, dates::show(&mood.when)));
            format!("{id}  {when}  {}", describe(mood))
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

/// A mood in a line.
pub(super) fn describe(mood: &Mood) -> String {
    let dots = usize::from(mood.score.min(mood.scale));
    let rest = usize::from(mood.scale) - dots;
    let scale = if mood.scale <= 10 {
        format!("{}{}", "●".repeat(dots), "○".repeat(rest))
    } else {
        format!("{} of {}", mood.score, mood.scale)
    };
    let emotions = mood.emotions.iter().cloned().collect::<Vec<_>>().join(", ");
    let triggers = mood.triggers.iter().cloned().collect::<Vec<_>>().join(", ");
    let parts = [scale, emotions, triggers, mood.note.clone()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}
