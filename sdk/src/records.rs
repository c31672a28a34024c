//! Typed collections over one store of records.
//!
//! A kind is a name and a type that serde can write as a map. Reading and writing never touch the network; a write is durable
//! when it returns. Fields that this version of a type does not know survive its edits.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use alcove_crypto::ids::SlotId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::alcove::Alcove;
use crate::changes::Changes;
use crate::envelope::{Conflict, Envelope, Fields, Rule, Value};
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::local::Tx;
use crate::model::Row;
use crate::stamp::Stamp;

/// Kinds of the SDK's own, which no app may use.
pub(crate) const OWN_KINDS: &str = "alcove.";

/// A record's id: the same on every device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub(crate) SlotId);

/// A type of which records are made.
pub trait Record: Serialize + DeserializeOwned + Send + 'static {
    /// Name of the kind; never to be changed.
    const KIND: &'static str;
    /// Fields that hold what people write: merged by line and word.
    const PROSE: &'static [&'static str] = &[];
    /// Fields that hold sets.
    const SETS: &'static [&'static str] = &[];

    /// Says why this value must not be stored.
    ///
    /// # Errors
    /// When it breaks a rule of its kind.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<T> {
    /// Its id.
    pub id: RecordId,
    /// What it says.
    pub value: T,
    /// What lost against concurrent edits, until it is [cleared](Records::clear_conflicts).
    pub conflicts: Vec<Conflict>,
    /// Whether the server has it as it is.
    pub synced: bool,
    /// Whether it is proven to be the newest that the server has; not so while a first sync is under way.
    pub proven: bool,
}

/// Which records, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Not before this instant.
    pub from_ms: Option<i64>,
    /// Not after this instant.
    pub until_ms: Option<i64>,
    /// Only with this tag.
    pub tag: Option<String>,
    /// The oldest first; otherwise the newest.
    pub oldest_first: bool,
    /// Leaves out so many.
    pub skip: usize,
    /// At most so many.
    pub limit: usize,
}

/// The records of one kind.
pub struct Records<T> {
    alcove: Alcove,
    kind: PhantomData<fn() -> T>,
}

impl Default for Query {
    fn default() -> Self {
        Self { from_ms: None, until_ms: None, tag: None, oldest_first: false, skip: 0, limit: usize::MAX }
    }
}

impl Query {
    /// Of this time, in milliseconds since 1970, both ends included.
    #[must_use]
    pub fn between(self, from_ms: i64, until_ms: i64) -> Self {
        Self { from_ms: Some(from_ms), until_ms: Some(until_ms), ..self }
    }

    /// With this tag.
    #[must_use]
    pub fn tagged(self, tag: impl Into<String>) -> Self {
        Self { tag: Some(tag.into()), ..self }
    }

    /// At most so many.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }
}

impl<T: Record> Records<T> {
    pub(crate) fn new(alcove: &Alcove) -> Self {
        Self { alcove: alcove.clone(), kind: PhantomData }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When it breaks a rule, is too large, or cannot be stored.
    pub async fn add(&self, value: T) -> Result<RecordId> {
        let after = written(&value)?;
        self.alcove
            .edit(move |tx, stamp| {
                let slot = SlotId::make(&mut rand::rng());
                let mut envelope = Envelope { kind: T::KIND.into(), ..Envelope::default() };
                apply::<T>(&mut envelope, &Fields::new(), after, stamp);
                tx.put(&slot, &envelope)?;
                Ok(RecordId(slot))
            })
            .await
    }

    /// Adds many records in one transaction: all or none.
    ///
    /// # Errors
    /// As [`Records::add`].
    pub async fn add_all(&self, values: Vec<T>) -> Result<Vec<RecordId>> {
        let all = values.iter().map(written).collect::<Result<Vec<_>>>()?;
        self.alcove
            .edit(move |tx, stamp| {
                let mut ids = Vec::with_capacity(all.len());
                for after in all {
                    let slot = SlotId::make(&mut rand::rng());
                    let mut envelope = Envelope { kind: T::KIND.into(), ..Envelope::default() };
                    apply::<T>(&mut envelope, &Fields::new(), after, stamp);
                    tx.put(&slot, &envelope)?;
                    ids.push(RecordId(slot));
                }
                Ok(ids)
            })
            .await
    }

    /// A record; nothing if there is none.
    ///
    /// # Errors
    /// When it is of another kind, or cannot be read.
    pub async fn get(&self, id: RecordId) -> Result<Option<Stored<T>>> {
        self.alcove.read(move |model| model.row(id).map(|row| stored(id, row)).transpose()).await
    }

    /// The records that a query finds. Those that this version of the type cannot read are left out; see
    /// [`Alcove::unreadable`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self, query: Query) -> Result<Vec<Stored<T>>> {
        self.alcove
            .read(move |model| {
                let ids = model.find(T::KIND, &query);
                Ok(ids.filter_map(|id| stored(id, model.row(id)?).ok()).collect())
            })
            .await
    }

    /// How many records a query finds.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn count(&self, query: Query) -> Result<usize> {
        self.alcove.read(move |model| Ok(model.count(T::KIND, &query))).await
    }

    /// All tags, with how many records have each.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn tags(&self) -> Result<BTreeMap<String, usize>> {
        self.alcove.read(|model| Ok(model.tags(T::KIND))).await
    }

    /// Changes a record; gives what it says now.
    ///
    /// # Errors
    /// [`Error::NotFound`], or as [`Records::add`].
    pub async fn update(
        &self,
        id: RecordId,
        change: impl FnOnce(&mut T) + Send + 'static,
    ) -> Result<Stored<T>> {
        self.edit_envelope(id, move |envelope, stamp| {
            let mut value: T = read_fields(&envelope.fields)?;
            let before = written(&value)?;
            change(&mut value);
            let after = written(&value)?;
            apply::<T>(envelope, &before, after, stamp);
            Ok(())
        })
        .await
    }

    /// Replaces what a record says.
    ///
    /// # Errors
    /// As [`Records::update`].
    pub async fn replace(&self, id: RecordId, value: T) -> Result<Stored<T>> {
        self.update(id, move |old| *old = value).await
    }

    /// Forgets what lost against concurrent edits: the user has seen it.
    ///
    /// # Errors
    /// As [`Records::update`].
    pub async fn clear_conflicts(&self, id: RecordId) -> Result<Stored<T>> {
        self.edit_envelope(id, |envelope, _| {
            envelope.conflicts.clear();
            Ok(())
        })
        .await
    }

    async fn edit_envelope(
        &self,
        id: RecordId,
        change: impl FnOnce(&mut Envelope, Stamp) -> Result<()> + Send + 'static,
    ) -> Result<Stored<T>> {
        self.alcove
            .edit(move |tx, stamp| {
                let mut envelope = own::<T>(tx, id)?;
                let before = envelope.clone();
                // Later than what this very record says, even if another process wrote that a moment ago.
                let stamp = stamp.max(envelope.edited().next(0, stamp.2));
                change(&mut envelope, stamp)?;
                if envelope != before {
                    tx.put(&id.0, &envelope)?;
                }
                Ok(())
            })
            .await?;
        self.get(id).await?.ok_or(Error::NotFound)
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// [`Error::NotFound`], or when it cannot be stored.
    pub async fn delete(&self, id: RecordId) -> Result<()> {
        self.alcove
            .edit(move |tx, _| {
                own::<T>(tx, id)?;
                tx.delete(&id.0)
            })
            .await
    }

    /// The one record for a key, such as the progress of one program; nothing if there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn one(&self, key: &str) -> Result<Option<Stored<T>>> {
        let key = key.to_owned();
        self.alcove
            .read(move |model| {
                let keys = &model.session().keys;
                let id = RecordId(keys.keyring.name_key.singleton_slot(&keys.space, T::KIND, &key));
                model.row(id).map(|row| stored(id, row)).transpose()
            })
            .await
    }

    /// Sets the one record for a key. Two devices that do so offline make the same record, and it merges.
    ///
    /// # Errors
    /// As [`Records::add`].
    pub async fn set_one(&self, key: &str, value: T) -> Result<RecordId> {
        let (key, after) = (key.to_owned(), written(&value)?);
        self.alcove.edit(move |tx, stamp| set_one::<T>(tx, &key, after, stamp)).await
    }

    /// Changes as they happen.
    #[must_use]
    pub fn observe(&self) -> Changes {
        self.alcove.observe_kind(Some(T::KIND.to_owned()))
    }
}

fn set_one<T: Record>(tx: &Tx<'_>, key: &str, after: Fields, stamp: Stamp) -> Result<RecordId> {
    put_one::<T>(tx, &tx.session.keys, key, after, stamp)
}

/// Sets the one record for a key, in the space of these keys.
pub(crate) fn put_one<T: Record>(
    tx: &Tx<'_>,
    keys: &Keys,
    key: &str,
    after: Fields,
    stamp: Stamp,
) -> Result<RecordId> {
    let slot = keys.keyring.name_key.singleton_slot(&keys.space, T::KIND, key);
    let found = if keys.space == tx.session.keys.space { tx.envelope(&slot)? } else { None };
    let mut envelope = found.clone().unwrap_or_else(|| Envelope {
        kind: T::KIND.into(),
        key: Some(key.to_owned()),
        ..Envelope::default()
    });
    let before = match read_fields::<T>(&envelope.fields) {
        Ok(value) => fields_of(&value)?,
        Err(_) => Fields::new(),
    };
    let stamp = stamp.max(envelope.edited().next(0, stamp.2));
    apply::<T>(&mut envelope, &before, after, stamp);
    if found.as_ref() != Some(&envelope) {
        tx.put_with(keys, &slot, &envelope)?;
    }
    Ok(RecordId(slot))
}

/// A record of this kind, or nothing that may be touched.
fn own<T: Record>(tx: &Tx<'_>, id: RecordId) -> Result<Envelope> {
    let envelope = tx.envelope(&id.0)?.ok_or(Error::NotFound)?;
    if envelope.kind == T::KIND { Ok(envelope) } else { Err(other_kind::<T>(&envelope.kind)) }
}

fn other_kind<T: Record>(found: &str) -> Error {
    Error::Invalid(format!("a record of kind {found}, not {}", T::KIND))
}

fn stored<T: Record>(id: RecordId, row: &Row) -> Result<Stored<T>> {
    if &*row.kind != T::KIND {
        return Err(other_kind::<T>(&row.kind));
    }
    let envelope = Envelope::from_bytes(&row.content)?;
    Ok(Stored {
        id,
        value: read_fields(&envelope.fields)?,
        conflicts: envelope.conflicts,
        synced: !row.unsent && !row.preview,
        proven: !row.preview,
    })
}

/// The fields of a value that an app may store.
fn written<T: Record>(value: &T) -> Result<Fields> {
    if T::KIND.starts_with(OWN_KINDS) {
        return Err(Error::Invalid(format!("kinds that begin with {OWN_KINDS} are not for apps")));
    }
    value.check().map_err(Error::Invalid)?;
    fields_of(value)
}

/// The fields of a value. What is null is not there.
pub(crate) fn fields_of<T: Record>(value: &T) -> Result<Fields> {
    let Ok(Value::Map(entries)) = Value::serialized(value) else {
        return Err(Error::Invalid("a record is a map of fields".into()));
    };
    let named = entries.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| {
        let name = name.into_text().map_err(|_| Error::Invalid("fields have names".into()))?;
        Ok((name, value))
    });
    named.collect()
}

pub(crate) fn read_fields<T: Record>(fields: &Fields) -> Result<T> {
    let entries = fields.iter().map(|(name, value)| (Value::Text(name.clone()), value.clone()));
    let value = Value::Map(entries.collect());
    value.deserialized().map_err(|error| Error::Invalid(format!("a {} of another version: {error}", T::KIND)))
}

/// Writes what is different. Fields that the type does not know are in neither, and stay.
fn apply<T: Record>(envelope: &mut Envelope, before: &Fields, after: Fields, stamp: Stamp) {
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        envelope.fields.remove(name);
        envelope.stamps.insert(name.clone(), stamp);
    }
    for (name, value) in after {
        if before.get(&name) == Some(&value) && envelope.fields.contains_key(&name) {
            continue;
        }
        let rule = [(T::PROSE, Rule::Prose), (T::SETS, Rule::Set)];
        let rule = rule.iter().find(|(names, _)| names.contains(&name.as_str()));
        if let Some((_, rule)) = rule {
            envelope.rules.insert(name.clone(), *rule);
        }
        envelope.stamps.insert(name.clone(), stamp);
        envelope.fields.insert(name, value);
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is no id of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has 32 hexadecimal digits")]
pub struct BadRecordId;

impl FromStr for RecordId {
    type Err = BadRecordId;

    fn from_str(text: &str) -> Result<Self, BadRecordId> {
        if text.len() != 32 || !text.is_ascii() {
            return Err(BadRecordId);
        }
        let mut bytes = [0; 16];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| BadRecordId)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| BadRecordId)?;
        }
        Ok(Self(SlotId::new(bytes)))
    }
}

impl Serialize for RecordId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
