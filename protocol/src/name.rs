//! Login names, normalised the same way everywhere.
//!
//! The server keeps only a keyed hash of a name, so two spellings of one name must become the same bytes before they are
//! hashed, on every platform: Unicode NFKC, lower case, NFKC again, no white space around.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

use crate::limits::LOGIN_NAME_LEN_MAX;

/// A login name in its normal form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LoginName(String);

/// Why a text is not a login name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoginNameError {
    /// Nothing is left of it.
    #[error("a login name cannot be empty")]
    Empty,
    /// Too long.
    #[error("a login name has at most {LOGIN_NAME_LEN_MAX} bytes")]
    TooLong,
    /// It contains a control character or white space.
    #[error("a login name cannot contain control characters or white space")]
    Character,
}

impl LoginName {
    /// Brings a text into the normal form.
    ///
    /// # Errors
    /// When it cannot be a login name.
    pub fn parse(text: &str) -> Result<Self, LoginNameError> {
        // Normal forms may be longer than what was typed, but not by so much that this cut would matter.
        if text.len() > 4 * LOGIN_NAME_LEN_MAX {
            return Err(LoginNameError::TooLong);
        }
        let name: String = text.trim().nfkc().collect::<String>().to_lowercase().nfkc().collect();
        if name.is_empty() {
            return Err(LoginNameError::Empty);
        }
        if name.len() > LOGIN_NAME_LEN_MAX {
            return Err(LoginNameError::TooLong);
        }
        if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(LoginNameError::Character);
        }
        Ok(Self(name))
    }

    /// The normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LoginName {
    type Error = LoginNameError;

    fn try_from(text: String) -> Result<Self, LoginNameError> {
        Self::parse(&text)
    }
}

impl From<LoginName> for String {
    fn from(name: LoginName) -> Self {
        name.0
    }
}

/// Names are not for logs.
impl std::fmt::Debug for LoginName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginName([hidden])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_name_are_one_name() {
        let table = [
            (" Anna ", "anna"),
            ("ANNA@Example.org", "anna@example.org"),
            ("Zo\u{eb}", "zo\u{eb}"),
            ("Zoe\u{308}", "zo\u{eb}"),
            ("ａｎｎａ", "anna"),
            ("Straße", "straße"),
            ("ﬁona", "fiona"),
        ];
        for (typed, normal) in table {
            assert_eq!(LoginName::parse(typed).unwrap().as_str(), normal);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert_eq!(LoginName::parse("  "), Err(LoginNameError::Empty));
        assert_eq!(LoginName::parse("a b"), Err(LoginNameError::Character));
        assert_eq!(LoginName::parse("a\0b"), Err(LoginNameError::Character));
        assert!(LoginName::parse(&"a".repeat(LOGIN_NAME_LEN_MAX)).is_ok());
        assert_eq!(LoginName::parse(&"a".repeat(LOGIN_NAME_LEN_MAX + 1)), Err(LoginNameError::TooLong));
        assert_eq!(LoginName::parse(&"ﷺ".repeat(100_000)), Err(LoginNameError::TooLong));
        assert_eq!(format!("{:?}", LoginName::parse("anna")), "Ok(LoginName([hidden]))");
    }

    proptest! {
        #[test]
        fn the_normal_form_is_its_own(text: String) {
            if let Ok(name) = LoginName::parse(&text) {
                prop_assert_eq!(LoginName::parse(name.as_str()), Ok(name));
            }
        }
    }
}
