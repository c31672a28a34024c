use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::envelope::Fields;

const NOW: u64 = 1_790_000_000_000;

/// A record with texts in fields, each edited at this second.
fn record(fields: &[(&str, Value, u64)]) -> Envelope {
    Envelope {
        kind: "journal".into(),
        fields: fields.iter().map(|(name, value, _)| ((*name).to_owned(), value.clone())).collect(),
        rules: [("body".to_owned(), Rule::Prose), ("tags".to_owned(), Rule::Set)].into(),
        stamps: fields.iter().map(|(name, _, s)| ((*name).to_owned(), Stamp(NOW + s, 0, 1))).collect(),
        ..Envelope::default()
    }
}

fn tags(tags: &[&str]) -> Value {
    Value::Array(tags.iter().map(|tag| (*tag).into()).collect())
}

fn fields_of(merged: Merged) -> (Fields, Vec<(String, Value)>) {
    let Merged::Both(merged) = merged else { panic!("{merged:?}") };
    let conflicts = merged.conflicts.into_iter().map(|conflict| (conflict.field, conflict.value));
    (merged.fields, conflicts.collect())
}

#[test]
fn fields_merge_each_by_its_rule() {
    let base = record(&[("title", "day".into(), 0), ("score", 3.into(), 0), ("tags", tags(&["a", "b"]), 0)]);
    // what, local, remote, field, merged, lost
    let table = [
        (
            "different fields",
            record(&[("title", "our day".into(), 1), ("score", 3.into(), 0)]),
            record(&[("title", "day".into(), 0), ("score", 9.into(), 2)]),
            "title",
            Some("our day".into()),
            None,
        ),
        (
            "the later scalar",
            record(&[("score", 4.into(), 5)]),
            record(&[("score", 5.into(), 2)]),
            "score",
            Some(4.into()),
            Some(5.into()),
        ),
        (
            "a scalar from the far future is older",
            record(&[("score", 4.into(), 5)]),
            record(&[("score", 5.into(), 1_000_000_000_000)]),
            "score",
            Some(4.into()),
            Some(5.into()),
        ),
        (
            "sets",
            record(&[("tags", tags(&["a", "ours"]), 1)]),
            record(&[("tags", tags(&["b", "a", "theirs"]), 2)]),
            "tags",
            Some(tags(&["a", "theirs", "ours"])),
            None,
        ),
        (
            "an edited field beats a removed one",
            record(&[("score", 4.into(), 1)]),
            record(&[("title", "x".into(), 9)]),
            "score",
            Some(4.into()),
            None,
        ),
    ];
    for (what, local, remote, field, value, lost) in table {
        let (fields, conflicts) = fields_of(merge(Some(&base), Some(&local), Some(&remote), NOW));
        assert_eq!(fields.get(field), value.as_ref(), "{what}");
        assert_eq!(
            conflicts.iter().find(|(name, _)| name == field).map(|(_, value)| value),
            lost.as_ref(),
            "{what}"
        );
    }
}

#[test]
fn an_edit_beats_a_deletion_and_deletions_agree() {
    let (base, edited) = (record(&[("score", 1.into(), 0)]), record(&[("score", 2.into(), 1)]));
    assert_eq!(merge(Some(&base), None, Some(&edited), NOW), Merged::Remote);
    assert_eq!(merge(Some(&base), Some(&edited), None, NOW), Merged::Local);
    assert_eq!(merge(Some(&base), None, None, NOW), Merged::Remote);
}

#[test]
fn what_lost_is_kept_once_and_stays_cleared() {
    let base = record(&[("score", 1.into(), 0)]);
    let (local, remote) = (record(&[("score", 2.into(), 1)]), record(&[("score", 3.into(), 2)]));
    let Merged::Both(merged) = merge(Some(&base), Some(&local), Some(&remote), NOW) else { panic!() };
    assert_eq!(merged.conflicts.len(), 1);
    // The same merge again, on another device, adds nothing.
    assert_eq!(merge(Some(&base), Some(&local), Some(&merged), NOW), Merged::Remote);
    assert_eq!(merge(Some(&remote), Some(&merged), Some(&merged), NOW), Merged::Remote);
    // Cleared on one side, edited on the other: it stays cleared.
    let cleared = Envelope { conflicts: vec![], ..(*merged).clone() };
    let edited = Envelope { fields: [("score".to_owned(), 9.into())].into(), ..(*merged).clone() };
    let (_, conflicts) = fields_of(merge(Some(&merged), Some(&cleared), Some(&edited), NOW));
    assert_eq!(conflicts, []);
}

#[test]
fn fields_that_only_a_newer_app_knows_survive() {
    let base = record(&[("score", 1.into(), 0)]);
    let mut remote = record(&[("score", 1.into(), 0), ("aura", "green".into(), 3)]);
    remote.newer.insert("layer".into(), 7.into());
    remote.rules.insert("aura".into(), Rule::Prose);
    let local = record(&[("score", 2.into(), 5)]);
    let Merged::Both(merged) = merge(Some(&base), Some(&local), Some(&remote), NOW) else { panic!() };
    assert_eq!(merged.fields["aura"], "green".into());
    assert_eq!((merged.newer["layer"].clone(), merged.rules["aura"]), (7.into(), Rule::Prose));
}

#[test]
fn what_one_record_cannot_hold_stays_apart() {
    let text = |c: char| Value::Text(std::iter::repeat_n(c, CONTENT_LEN_MAX / 2 + 1000).collect());
    let (local, remote) = (record(&[("title", text('a'), 1)]), record(&[("title", text('b'), 2)]));
    assert_eq!(merge(None, Some(&local), Some(&remote), NOW), Merged::Apart);
    let other = Envelope { kind: "mood".into(), ..Envelope::default() };
    assert_eq!(merge(None, Some(&other), Some(&remote), NOW), Merged::Apart);
}

/// What a device does to the one record of the simulation.
#[derive(Clone, Debug)]
enum Step {
    /// Inserts a word of its own at this place of the body.
    Write {
        device: usize,
        at: usize,
    },
    Tag {
        device: usize,
        tag: u8,
    },
    Score {
        device: usize,
        score: i64,
    },
    Delete {
        device: usize,
    },
    Sync {
        device: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let device = 0..5_usize;
    let step = prop_oneof![
        4 => (device.clone(), 0..40_usize).prop_map(|(device, at)| Step::Write { device, at }),
        1 => (device.clone(), 0..4_u8).prop_map(|(device, tag)| Step::Tag { device, tag }),
        1 => (device.clone(), 0..100_i64).prop_map(|(device, score)| Step::Score { device, score }),
        1 => device.clone().prop_map(|device| Step::Delete { device }),
        4 => device.prop_map(|device| Step::Sync { device }),
    ];
    proptest::collection::vec(step, 0..80)
}

#[derive(Clone, Default)]
struct Device {
    base: Option<Envelope>,
    local: Option<Envelope>,
    seen: usize,
}

/// A server that knows one record, as a line of versions.
struct World {
    server: Vec<Option<Envelope>>,
    devices: Vec<Device>,
    now: u64,
    typed: BTreeMap<String, bool>,
}

impl World {
    fn edit(&mut self, device: usize, change: impl FnOnce(&mut Envelope, Stamp)) {
        self.now += 1;
        let stamp = Stamp(self.now, 0, device as u64);
        let mut record = self.devices[device].local.clone().unwrap_or_else(|| record(&[]));
        change(&mut record, stamp);
        self.devices[device].local = Some(record);
    }

    /// Pulls, merges, pushes: what the engine does, for one slot.
    fn sync(&mut self, at: usize) {
        let device = &mut self.devices[at];
        let newest = self.server.last().cloned().flatten();
        if device.seen + 1 != self.server.len() {
            device.seen = self.server.len() - 1;
            if device.local == device.base {
                device.local.clone_from(&newest);
            } else if newest != device.base {
                match merge(device.base.as_ref(), device.local.as_ref(), newest.as_ref(), self.now) {
                    Merged::Remote => device.local.clone_from(&newest),
                    Merged::Local => {}
                    Merged::Both(merged) => device.local = Some(*merged),
                    Merged::Apart => panic!("small records fit"),
                }
            }
            device.base = newest;
        }
        if device.local != device.base {
            self.server.push(device.local.clone());
            device.seen = self.server.len() - 1;
            device.base.clone_from(&device.local);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// With any interleaving of edits on five devices, all converge, and every word that anybody typed is still somewhere
    /// unless the record was deleted by somebody who had read it.
    #[test]
    fn all_converge_and_nothing_typed_is_lost(steps in steps()) {
        let mut world = World {
            server: vec![None],
            devices: vec![Device::default(); 5],
            now: NOW,
            typed: BTreeMap::new(),
        };
        for step in steps {
            match step {
                Step::Write { device, at } => {
                    let word = format!("word{}of{device}", world.typed.len());
                    world.typed.insert(word.clone(), true);
                    world.edit(device, |record, stamp| {
                        let text = record.fields.get("body").and_then(Value::as_text).unwrap_or_default();
                        let mut words: Vec<&str> = text.split_whitespace().collect();
                        words.insert(at % (words.len() + 1), &word);
                        let lines = words.chunks(3).map(|line| line.join(" ")).collect::<Vec<_>>().join("\n");
                        record.fields.insert("body".into(), lines.into());
                        record.stamps.insert("body".into(), stamp);
                    });
                }
                Step::Tag { device, tag } => world.edit(device, |record, stamp| {
                    record.fields.insert("tags".into(), tags(&[["a", "b", "c", "d"][usize::from(tag)]]));
                    record.stamps.insert("tags".into(), stamp);
                }),
                Step::Score { device, score } => world.edit(device, |record, stamp| {
                    record.fields.insert("score".into(), score.into());
                    record.stamps.insert("score".into(), stamp);
                }),
                Step::Delete { device } => {
                    // What stood there was read and deleted: that is meant.
                    let gone = format!("{:?}", world.devices[device].local);
                    world.typed.iter_mut().for_each(|(word, kept)| *kept &= !gone.contains(word.as_str()));
                    world.devices[device].local = None;
                }
                Step::Sync { device } => world.sync(device),
            }
        }
        for _ in 0..2 {
            (0..5).for_each(|device| world.sync(device));
        }
        let newest = world.server.last().cloned().flatten();
        for device in &world.devices {
            prop_assert_eq!(&device.local, &newest);
        }
        let everywhere = format!("{newest:?}");
        for (word, kept) in &world.typed {
            prop_assert!(!kept || everywhere.contains(word.as_str()), "{} is lost in {}", word, everywhere);
        }
    }
}
