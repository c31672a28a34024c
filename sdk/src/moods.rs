//! Moods.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::records::Record;
use crate::time::When;

/// How somebody felt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mood {
    /// When.
    pub when: When,
    /// How well, from 1 to `scale`.
    pub score: u8,
    /// The best score of the app's scale.
    pub scale: u8,
    /// Names of emotions.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub emotions: BTreeSet<String>,
    /// How strong, from 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intensity: Option<u8>,
    /// What brought it about.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub triggers: BTreeSet<String>,
    /// A note.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Tags.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
}

impl Mood {
    /// A score on a scale.
    #[must_use]
    pub fn new(when: When, score: u8, scale: u8) -> Self {
        Self {
            when,
            score,
            scale,
            emotions: BTreeSet::new(),
            intensity: None,
            triggers: BTreeSet::new(),
            note: String::new(),
            tags: BTreeSet::new(),
        }
    }
}

impl Record for Mood {
    const KIND: &'static str = "mood";
    const PROSE: &'static [&'static str] = &["note"];
    const SETS: &'static [&'static str] = &["emotions", "triggers", "tags"];

    fn check(&self) -> Result<(), String> {
        if self.scale < 2 || !(1..=self.scale).contains(&self.score) {
            return Err(format!("a score of {} on a scale from 1 to {}", self.score, self.scale));
        }
        match self.intensity {
            Some(intensity @ 101..) => Err(format!("an intensity of {intensity}, of at most 100")),
            _ => Ok(()),
        }
    }
}
