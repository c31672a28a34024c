//! Three-way merge of a record: a pure function of base, local, remote and the time.
//!
//! History is linear, so this is all there is: what changed on one side takes that side; what changed on both is merged by
//! its rule, and every value that loses is kept in the record's own `conflicts`. An edit beats a concurrent deletion.
//! Nothing that anybody typed disappears, and nothing that was deleted comes back unless it was edited meanwhile.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use alcove_crypto::space::record::CONTENT_LEN_MAX;

use crate::envelope::{Conflict, Envelope, Rule, Value, to_cbor};
use crate::stamp::Stamp;

mod text;

/// What becomes of a record that changed on both sides.
#[derive(Clone, Debug, PartialEq)]
pub enum Merged {
    /// The remote side says it all: nothing is left to send.
    Remote,
    /// The local side stands, as it is.
    Local,
    /// Both, in one record.
    Both(Box<Envelope>),
    /// Both, but one record cannot hold them: the remote side stays where it is, the local one moves to a slot of its own.
    Apart,
}

/// Merges a record of which both sides have changed since `base`; nothing stands for a record that does not exist.
#[must_use]
pub fn merge(
    base: Option<&Envelope>,
    local: Option<&Envelope>,
    remote: Option<&Envelope>,
    now_ms: u64,
) -> Merged {
    let (local, remote) = match (local, remote) {
        (None, _) => return Merged::Remote,
        (Some(_), None) => return Merged::Local,
        (Some(local), Some(remote)) => (local, remote),
    };
    if local.kind != remote.kind || local.key != remote.key {
        return Merged::Apart;
    }
    let nothing = Envelope::default();
    let merged = both(base.unwrap_or(&nothing), local, remote, now_ms);
    if merged == *remote {
        Merged::Remote
    } else if to_cbor(&merged).len() > CONTENT_LEN_MAX {
        Merged::Apart
    } else {
        Merged::Both(Box::new(merged))
    }
}

fn both(base: &Envelope, local: &Envelope, remote: &Envelope, now_ms: u64) -> Envelope {
    let mut merged = remote.clone();
    merged.rules.extend(local.rules.iter().filter(|(name, _)| !remote.rules.contains_key(*name)).map(owned));
    let names: BTreeSet<&String> =
        [base, local, remote].iter().flat_map(|side| side.fields.keys().chain(side.stamps.keys())).collect();
    let mut lost = Vec::new();
    for name in names {
        let stamp = |side: &Envelope| side.stamps.get(name).copied().unwrap_or_default();
        let field = Field {
            base: base.fields.get(name),
            local: local.fields.get(name),
            remote: remote.fields.get(name),
            rule: merged.rules.get(name).copied(),
            local_is_later: stamp(local).compare(&stamp(remote), now_ms) == Ordering::Greater,
        };
        let outcome = field.merge();
        let changed_by = match outcome.side {
            Side::Local => stamp(local),
            Side::Remote => stamp(remote),
            Side::Both => stamp(local).max(stamp(remote)),
        };
        set(&mut merged.fields, name, outcome.value);
        set(&mut merged.stamps, name, (changed_by != Stamp::default()).then_some(changed_by));
        let loser = if field.local_is_later { stamp(remote) } else { stamp(local) };
        lost.extend(outcome.lost.map(|value| Conflict { field: name.clone(), value, stamp: loser }));
    }
    merged.conflicts = conflicts(base, local, remote, lost, &merged);
    for (name, value) in &local.newer {
        // Of what only a newer app understands, what one side alone changed is kept, and the rest is the later edit's.
        let (was, theirs) = (base.newer.get(name), remote.newer.get(name));
        let local_is_later = local.edited().compare(&remote.edited(), now_ms) == Ordering::Greater;
        if theirs.is_none_or(|theirs| was == Some(theirs) || (was != Some(value) && local_is_later)) {
            merged.newer.insert(name.clone(), value.clone());
        }
    }
    merged
}

/// One field of the three versions.
struct Field<'a> {
    base: Option<&'a Value>,
    local: Option<&'a Value>,
    remote: Option<&'a Value>,
    rule: Option<Rule>,
    local_is_later: bool,
}

/// What becomes of a field.
struct Outcome {
    value: Option<Value>,
    side: Side,
    lost: Option<Value>,
}

enum Side {
    Local,
    Remote,
    Both,
}

impl Field<'_> {
    fn merge(&self) -> Outcome {
        let take = |side, value: Option<&Value>| Outcome { value: value.cloned(), side, lost: None };
        if self.local == self.remote {
            return take(Side::Both, self.local);
        }
        if self.local == self.base {
            return take(Side::Remote, self.remote);
        }
        if self.remote == self.base {
            return take(Side::Local, self.local);
        }
        let (local, remote) = match (self.local, self.remote) {
            // Here too an edit beats a deletion.
            (None, remote) => return take(Side::Remote, remote),
            (local, None) => return take(Side::Local, local),
            (Some(local), Some(remote)) => (local, remote),
        };
        match (self.rule, local, remote) {
            (Some(Rule::Set), Value::Array(local), Value::Array(remote)) => {
                let base = self.base.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let value = Some(Value::Array(set_of(base, local, remote)));
                Outcome { value, side: Side::Both, lost: None }
            }
            (Some(Rule::Prose), Value::Text(local_text), Value::Text(remote_text)) => {
                let base = self.base.and_then(Value::as_text).unwrap_or_default();
                let text = text::merge(base, local_text, remote_text, self.local_is_later);
                let loser = if self.local_is_later { remote } else { local };
                let lost = text.conflicts.then(|| loser.clone());
                Outcome { value: Some(Value::Text(text.merged)), side: Side::Both, lost }
            }
            _ if self.local_is_later => {
                Outcome { lost: Some(remote.clone()), ..take(Side::Local, Some(local)) }
            }
            _ => Outcome { lost: Some(local.clone()), ..take(Side::Remote, Some(remote)) },
        }
    }
}

/// What is in the remote set, without what we removed, with what we added.
fn set_of(base: &[Value], local: &[Value], remote: &[Value]) -> Vec<Value> {
    let removed = |value: &Value| base.contains(value) && !local.contains(value);
    let added = local.iter().filter(|value| !base.contains(value));
    let mut merged: Vec<Value> = Vec::new();
    for value in remote.iter().filter(|value| !removed(value)).chain(added) {
        if !merged.contains(value) {
            merged.push(value.clone());
        }
    }
    merged
}

/// What lost before and was cleared by neither side, and what lost now.
fn conflicts(
    base: &Envelope,
    local: &Envelope,
    remote: &Envelope,
    lost: Vec<Conflict>,
    merged: &Envelope,
) -> Vec<Conflict> {
    let same = |a: &Conflict, b: &Conflict| a.field == b.field && a.value == b.value;
    let has = |side: &Envelope, conflict: &Conflict| side.conflicts.iter().any(|other| same(other, conflict));
    let cleared = |side: &Envelope, conflict: &Conflict| has(base, conflict) && !has(side, conflict);
    let kept = remote.conflicts.iter().filter(|conflict| !cleared(local, conflict));
    let added =
        local.conflicts.iter().filter(|conflict| !has(remote, conflict) && !cleared(remote, conflict));
    let mut all: Vec<Conflict> = kept.chain(added).cloned().collect();
    for conflict in lost {
        let is_there = merged.fields.get(&conflict.field) == Some(&conflict.value);
        if !is_there && !all.iter().any(|other| same(other, &conflict)) {
            all.push(conflict);
        }
    }
    all
}

fn set<T>(map: &mut std::collections::BTreeMap<String, T>, name: &str, value: Option<T>) {
    match value {
        Some(value) => drop(map.insert(name.to_owned(), value)),
        None => drop(map.remove(name)),
    }
}

fn owned<K: Clone, V: Clone>((key, value): (&K, &V)) -> (K, V) {
    (key.clone(), value.clone())
}

#[cfg(test)]
mod tests;
