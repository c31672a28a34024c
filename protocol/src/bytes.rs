//! Byte strings and ids: native in CBOR, base64url without padding in JSON.

use std::fmt;

use alcove_crypto::ids;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A byte string of any length.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// An id, hash or other value of fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wire<T>(pub T);

/// What has a fixed number of bytes.
pub trait Fixed: Sized {
    /// The bytes.
    fn to_slice(&self) -> &[u8];
    /// From bytes, if they are as many as it takes.
    fn from_slice(bytes: &[u8]) -> Option<Self>;
}

impl<const N: usize> Fixed for [u8; N] {
    fn to_slice(&self) -> &[u8] {
        self
    }

    fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}

macro_rules! fixed {
    ($($name:ident)*) => {$(
        impl Fixed for ids::$name {
            fn to_slice(&self) -> &[u8] {
                self.as_bytes()
            }

            fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self::new)
            }
        }

        impl From<ids::$name> for Wire<ids::$name> {
            fn from(id: ids::$name) -> Self {
                Self(id)
            }
        }
    )*};
}
fixed!(AccountId DeviceId SpaceId SlotId EnrolmentId RecordHash CommitHash Head AccountStateHash);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Self)
    }
}

impl<T: Fixed> Serialize for Wire<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.0.to_slice(), serializer)
    }
}

impl<'de, T: Fixed> Deserialize<'de> for Wire<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserialize(deserializer)?;
        T::from_slice(&bytes)
            .map(Self)
            .ok_or_else(|| D::Error::invalid_length(bytes.len(), &"another length"))
    }
}

fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    } else {
        serializer.serialize_bytes(bytes)
    }
}

fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(TextVisitor)
    } else {
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("base64url without padding")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Other("text"), &self))
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Vec<u8>, A::Error> {
        Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self))
    }
}
