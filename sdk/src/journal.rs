//! Journal entries.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::records::Record;
use crate::time::When;

/// What somebody wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// When it is about.
    pub when: When,
    /// A title, if it has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The text.
    #[serde(default)]
    pub body: String,
    /// How it felt, in a word or an emoji of the app's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mood: Option<String>,
    /// Tags.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// The prompt that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Where it was written, in the user's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

impl JournalEntry {
    /// An entry with a text.
    #[must_use]
    pub fn new(when: When, body: impl Into<String>) -> Self {
        Self {
            when,
            title: String::new(),
            body: body.into(),
            mood: None,
            tags: BTreeSet::new(),
            prompt: None,
            place: None,
        }
    }
}

impl Record for JournalEntry {
    const KIND: &'static str = "journal";
    const PROSE: &'static [&'static str] = &["title", "body"];
    const SETS: &'static [&'static str] = &["tags"];
}
