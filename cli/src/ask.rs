//! Questions to whoever sits at the terminal. Without one, passwords come from a file that was named, and nothing is assumed.

use std::collections::VecDeque;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::{Failure, Result};

/// Where answers come from.
pub(crate) struct Ask {
    lines: Option<VecDeque<Zeroizing<String>>>,
}

impl Ask {
    pub(crate) fn new(password_file: Option<&Path>) -> Result<Self> {
        let Some(path) = password_file else { return Ok(Self { lines: None }) };
        let mut text = Zeroizing::new(String::new());
        if path == Path::new("-") {
            std::io::stdin().read_to_string(&mut text)?;
        } else {
            std::fs::File::open(path)?.read_to_string(&mut text)?;
        }
        Ok(Self { lines: Some(text.lines().map(|line| Zeroizing::new(line.to_owned())).collect()) })
    }

    /// A password, a passphrase, or a recovery code.
    pub(crate) fn secret(&mut self, question: &str) -> Result<Zeroizing<String>> {
        if let Some(lines) = &mut self.lines {
            return lines
                .pop_front()
                .ok_or_else(|| Failure::say(format!("the password file has no line for: {question}")));
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::say(format!(
                "{question}: there is no terminal to ask at; use --password-file"
            )));
        }
        Ok(Zeroizing::new(rpassword::prompt_password(format!("{question}: "))?))
    }

    /// A new secret, typed twice.
    pub(crate) fn new_secret(&mut self, question: &str) -> Result<Zeroizing<String>> {
        let first = self.secret(question)?;
        if self.lines.is_none() && self.secret("Once more")? != first {
            return Err(Failure::say("they are not the same; nothing was changed"));
        }
        Ok(first)
    }

    /// Whether somebody can be asked.
    pub(crate) fn has_terminal(&self) -> bool {
        self.lines.is_none() && std::io::stdin().is_terminal()
    }
}

/// A line that everybody may see.
pub(crate) fn line(question: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::say(format!("{question}: there is no terminal to ask at")));
    }
    eprint!("{question}: ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Yes or no; without a terminal it is no.
pub(crate) fn yes(question: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    let answer = line(&format!("{question} [y/N]"))?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}
