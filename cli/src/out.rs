//! What is printed: for people in colour on a terminal, plain in a pipe, as JSON for programs.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use serde::Serialize;

use crate::failure::Failure;

/// Where answers go, and in which form.
pub(crate) struct Out {
    form: Form,
    beside: Beside,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Json,
    Plain,
    Colour,
}

/// What is said beside the answer, on the standard error.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Beside {
    Nothing,
    Notes,
    NotesAndProgress,
}

/// A style of text.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    /// What matters.
    Strong,
    /// What is there for completeness.
    Faint,
    /// What is good.
    Good,
    /// What needs attention.
    Alert,
    /// Tags and ids.
    Name,
}

impl Out {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let form = if json {
            Form::Json
        } else if std::io::stdout().is_terminal() && !plain {
            Form::Colour
        } else {
            Form::Plain
        };
        let beside = if json || quiet {
            Beside::Nothing
        } else if std::io::stderr().is_terminal() {
            Beside::NotesAndProgress
        } else {
            Beside::Notes
        };
        Self { form, beside }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// The answer: text for people, or the value for programs.
    pub(crate) fn answer(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        let line = if self.is_json() {
            serde_json::to_string_pretty(value).unwrap_or_else(|error| error.to_string())
        } else {
            text()
        };
        print(&line);
    }

    /// One item of an answer that goes on: a line of JSON for programs.
    pub(crate) fn item(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        let line = if self.is_json() {
            serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
        } else {
            text()
        };
        print(&line);
    }

    /// Something beside the answer, for people only.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        if self.beside >= Beside::Notes {
            eprintln!("{}", text.as_ref());
        }
    }

    /// Replaces the line of the progress, on a terminal.
    pub(crate) fn progress(&self, text: &str) {
        if self.beside == Beside::NotesAndProgress {
            eprint!("\r\x1b[K{text}");
        }
    }

    pub(crate) fn end_progress(&self) {
        if self.beside == Beside::NotesAndProgress {
            eprint!("\r\x1b[K");
        }
    }

    pub(crate) fn style(&self, style: Style, text: impl std::fmt::Display) -> String {
        let code = match style {
            Style::Strong => "1",
            Style::Faint => "2",
            Style::Good => "32",
            Style::Alert => "31",
            Style::Name => "36",
        };
        if self.form == Form::Colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    /// Says why it failed.
    pub(crate) fn fail(&self, failure: &Failure) -> ExitCode {
        if self.is_json() {
            let value = serde_json::json!({ "error": failure.to_string(), "code": failure.code() });
            print(&value.to_string());
        } else {
            eprintln!("alcove: {failure}");
            if let Some(advice) = failure.advice() {
                eprintln!("{advice}");
            }
        }
        ExitCode::FAILURE
    }
}

/// Prints a line. A pipe that was closed has read enough.
pub(crate) fn print(text: &str) {
    if writeln!(std::io::stdout(), "{}", text.trim_end()).is_err() {
        std::process::exit(0);
    }
}
