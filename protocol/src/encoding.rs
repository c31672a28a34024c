//! Bodies: CBOR or JSON from the same types, bounded and strict.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::limits::NESTING_MAX;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// What the SDK speaks.
    Cbor,
    /// What people and curl speak.
    Json,
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Longer than this request may be.
    #[error("the body has {found} bytes, at most {allowed} are allowed")]
    TooLarge {
        /// Its length.
        found: usize,
        /// The limit.
        allowed: usize,
    },
    /// Not this encoding, or not this type: an unknown or missing field, a wrong length, bytes after the end.
    #[error("the body is not what this request takes")]
    Malformed,
}

impl Encoding {
    /// The encoding that a media type names; parameters are ignored.
    #[must_use]
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        [Self::Cbor, Self::Json]
            .into_iter()
            .find(|encoding| essence.eq_ignore_ascii_case(encoding.media_type()))
    }

    /// The media type that names it.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Cbor => "application/cbor",
            Self::Json => "application/json",
        }
    }

    /// Writes a body. All our types can be written in both encodings.
    ///
    /// # Panics
    /// Never, for the types of this crate.
    #[must_use]
    pub fn encode(self, body: &impl Serialize) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Cbor => ciborium::into_writer(body, &mut out).expect("a Vec takes every byte"),
            Self::Json => serde_json::to_writer(&mut out, body).expect("our types have text keys only"),
        }
        out
    }

    /// Reads a body of at most `len_max` bytes.
    ///
    /// # Errors
    /// When it is longer, or anything but exactly one value of this type.
    pub fn decode<T: DeserializeOwned>(self, body: &[u8], len_max: usize) -> Result<T, DecodeError> {
        if body.len() > len_max {
            return Err(DecodeError::TooLarge { found: body.len(), allowed: len_max });
        }
        match self {
            Self::Cbor => {
                let mut rest = body;
                let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, NESTING_MAX)
                    .map_err(|_| DecodeError::Malformed)?;
                if rest.is_empty() { Ok(value) } else { Err(DecodeError::Malformed) }
            }
            // serde_json's own limit of nesting is 128.
            Self::Json => serde_json::from_slice(body).map_err(|_| DecodeError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spaces::PushRequest;

    #[test]
    fn media_types_are_read_as_servers_write_them() {
        assert_eq!(Encoding::from_media_type("application/cbor"), Some(Encoding::Cbor));
        assert_eq!(Encoding::from_media_type("Application/JSON; charset=utf-8"), Some(Encoding::Json));
        assert_eq!(Encoding::from_media_type("text/plain"), None);
        assert_eq!(Encoding::from_media_type(""), None);
    }

    #[test]
    fn limits_are_exact() {
        let body = Encoding::Json.encode(&vec![1_u8, 2, 3]);
        assert!(Encoding::Json.decode::<Vec<u8>>(&body, body.len()).is_ok());
        let refused = Encoding::Json.decode::<Vec<u8>>(&body, body.len() - 1);
        assert_eq!(refused, Err(DecodeError::TooLarge { found: 7, allowed: 6 }));
    }

    #[test]
    fn nesting_and_trailing_bytes_are_refused() {
        let deep_cbor = [vec![0x81; 100_000], vec![0]].concat();
        let deep_json = "[".repeat(100_000);
        for (encoding, body) in [(Encoding::Cbor, deep_cbor), (Encoding::Json, deep_json.into_bytes())] {
            assert_eq!(encoding.decode::<PushRequest>(&body, usize::MAX), Err(DecodeError::Malformed));
        }
        for encoding in [Encoding::Cbor, Encoding::Json] {
            let body = [encoding.encode(&7_u64), vec![0]].concat();
            assert_eq!(encoding.decode::<u64>(&body, usize::MAX), Err(DecodeError::Malformed));
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_panic(body: Vec<u8>) {
            for encoding in [Encoding::Cbor, Encoding::Json] {
                prop_assert!(encoding.decode::<PushRequest>(&body, usize::MAX).is_err());
            }
        }
    }
}
