//! What stands inside a record: a kind, fields, how each merges, when each was edited, and what lost.
//!
//! It is one CBOR map that explains itself, so that an app can merge, index and keep records of kinds and with fields that
//! only a newer app knows. Two fields have a meaning for every kind: `when` (a [`When`](crate::When)) and `tags` (a set of texts).

use std::collections::BTreeMap;

pub use ciborium::Value;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::stamp::Stamp;

/// Fields of a record by name.
pub type Fields = BTreeMap<String, Value>;

/// How concurrent changes of a field become one. A field without a rule is taken whole from the later edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// A text that people write: merged by line and word.
    Prose,
    /// An array of values without order: what either side added is there, what either removed is not.
    Set,
}

/// A value that lost against a concurrent edit. It is kept until the user clears it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// The field.
    pub field: String,
    /// What it would have been.
    pub value: Value,
    /// When that was edited.
    pub stamp: Stamp,
}

/// The content of a record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// What kind of thing it is: `journal`, `mood`, or a name of the app's own.
    pub kind: String,
    /// Which one of its kind, for a record of which there is one for each key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What it says.
    #[serde(default)]
    pub fields: Fields,
    /// How its fields merge.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, Rule>,
    /// When its fields were edited; a field that was removed has a stamp too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stamps: BTreeMap<String, Stamp>,
    /// What lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
    /// What a newer app wrote beside all this.
    #[serde(flatten)]
    pub newer: Fields,
}

/// What the index needs of a record, read without keeping the rest.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Head {
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) fields: IndexedFields,
    #[serde(default)]
    pub(crate) stamps: LatestStamp,
}

/// The two fields that mean the same for every kind. What is not of their form is no reason to refuse a record.
#[derive(Debug, Default)]
pub(crate) struct IndexedFields {
    pub(crate) unix_ms: Option<i64>,
    pub(crate) tags: Vec<String>,
}

/// The latest of a map of stamps.
#[derive(Debug, Default)]
pub(crate) struct LatestStamp(pub(crate) Stamp);

impl Envelope {
    /// Reads the content of a record.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_bytes(content: &[u8]) -> Result<Self> {
        from_cbor(content).ok_or_else(|| Error::Corrupt("a record that is none".into()))
    }

    /// As it is sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        to_cbor(self)
    }

    /// The latest edit of any field.
    #[must_use]
    pub fn edited(&self) -> Stamp {
        self.stamps.values().max().copied().unwrap_or_default()
    }
}

impl Head {
    pub(crate) fn from_bytes(content: &[u8]) -> Option<Self> {
        from_cbor(content)
    }
}

impl<'de> Deserialize<'de> for IndexedFields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = IndexedFields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of fields")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<IndexedFields, A::Error> {
                let mut fields = IndexedFields::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "when" => fields.unix_ms = unix_ms(&map.next_value()?),
                        "tags" => fields.tags = texts(map.next_value()?),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl<'de> Deserialize<'de> for LatestStamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = LatestStamp;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of stamps")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<LatestStamp, A::Error> {
                let mut latest = Stamp::default();
                while let Some((IgnoredAny, stamp)) = map.next_entry()? {
                    latest = latest.max(stamp);
                }
                Ok(LatestStamp(latest))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn unix_ms(when: &Value) -> Option<i64> {
    let entries = when.as_map()?;
    let (_, value) = entries.iter().find(|(name, _)| name.as_text() == Some("unix_ms"))?;
    i64::try_from(value.as_integer()?).ok()
}

fn texts(value: Value) -> Vec<String> {
    let items = value.into_array().unwrap_or_default();
    items.into_iter().filter_map(|item| item.into_text().ok()).collect()
}

/// Writes what our own types hold: only maps with text keys, which CBOR can always write.
pub(crate) fn to_cbor(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A Vec takes every byte, and none of our types refuses to be written.
    let written = ciborium::into_writer(value, &mut bytes);
    debug_assert!(written.is_ok());
    bytes
}

/// Reads exactly one value.
pub(crate) fn from_cbor<T: DeserializeOwned>(mut bytes: &[u8]) -> Option<T> {
    let value = ciborium::de::from_reader_with_recursion_limit(&mut bytes, 64).ok()?;
    bytes.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Envelope {
        let when = Value::Map(vec![("unix_ms".into(), 5.into()), ("offset_min".into(), 0.into())]);
        let fields = [
            ("when".to_owned(), when),
            ("tags".to_owned(), Value::Array(vec!["rain".into(), 3.into(), "sea".into()])),
            ("body".to_owned(), "text".into()),
        ];
        Envelope {
            kind: "journal".into(),
            fields: fields.into(),
            rules: [("body".to_owned(), Rule::Prose)].into(),
            stamps: [("body".to_owned(), Stamp(9, 1, 2)), ("when".to_owned(), Stamp(3, 0, 2))].into(),
            newer: [("colour".to_owned(), Value::Bytes(vec![1, 2]))].into(),
            ..Envelope::default()
        }
    }

    #[test]
    fn an_envelope_reads_back_with_what_only_a_newer_app_knows() {
        let bytes = sample().to_bytes();
        assert_eq!(Envelope::from_bytes(&bytes).unwrap(), sample());
        let head = Head::from_bytes(&bytes).unwrap();
        assert_eq!(
            (head.kind.as_str(), head.fields.unix_ms, head.stamps.0),
            ("journal", Some(5), Stamp(9, 1, 2))
        );
        assert_eq!(head.fields.tags, ["rain", "sea"]);
    }

    #[test]
    fn a_strange_time_is_no_reason_to_refuse_a_record() {
        let mut strange = sample();
        strange.fields.insert("when".into(), "yesterday".into());
        strange.fields.insert("tags".into(), Value::Null);
        let head = Head::from_bytes(&strange.to_bytes()).unwrap();
        assert_eq!((head.fields.unix_ms, head.fields.tags.len()), (None, 0));
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_panic(bytes: Vec<u8>, at in 0_usize..200, byte: u8) {
            drop(Envelope::from_bytes(&bytes));
            drop(Head::from_bytes(&bytes));
            let mut altered = sample().to_bytes();
            let at = at % altered.len();
            altered[at] = byte;
            drop(Envelope::from_bytes(&altered));
            prop_assert!(Envelope::from_bytes(&altered[..at]).is_err());
        }
    }
}
