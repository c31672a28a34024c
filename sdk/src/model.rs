//! The model: everything that people wrote, opened, in memory, with its indexes.
//!
//! It is brought up to date from the store, whoever wrote there: this process, another one, or a sync. So there is one way in,
//! and what an observer is told is what a reader sees.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use alcove_crypto::ids::SlotId;
use rusqlite::Connection;

use crate::changes::{Change, What};
use crate::envelope::Head;
use crate::error::Result;
use crate::keys::Session;
use crate::local::{self, Local, records};
use crate::records::{Query, RecordId};
use crate::stamp::Stamp;

/// The model, with the connection from which it is kept up to date.
pub(crate) struct Model {
    local: Local,
    reader: Connection,
    /// What SQLite counts on when anybody else has written.
    data_version: Option<i64>,
    /// The newest local change that is in here.
    seen: i64,
    generation: i64,
    session: Arc<Session>,
    rows: HashMap<SlotId, Row>,
    kinds: BTreeMap<Arc<str>, Kind>,
    latest: Stamp,
    /// Records that are no records of ours, or of a form that only a newer app knows.
    unreadable: BTreeSet<SlotId>,
}

/// A record in memory.
pub(crate) struct Row {
    pub(crate) kind: Arc<str>,
    pub(crate) content: Box<[u8]>,
    pub(crate) unsent: bool,
    /// Shown ahead of its proof, during a first sync.
    pub(crate) preview: bool,
    when: i64,
}

#[derive(Default)]
struct Kind {
    by_time: BTreeSet<(i64, SlotId)>,
    by_tag: HashMap<Box<str>, BTreeSet<(i64, SlotId)>>,
}

impl Model {
    /// Reads and opens all records.
    pub(crate) fn load(local: &Local) -> Result<Self> {
        let reader = local.reader()?;
        let session = Arc::new(local::read_session(&reader, local.sealer())?);
        let mut model = Self {
            local: local.clone(),
            data_version: None,
            seen: -1,
            generation: local::generation(&reader)?,
            reader,
            session,
            rows: HashMap::new(),
            kinds: BTreeMap::new(),
            latest: Stamp::default(),
            unreadable: BTreeSet::new(),
        };
        model.refresh()?;
        Ok(model)
    }

    /// Takes over what was written since, by whomever; gives what is different.
    pub(crate) fn refresh(&mut self) -> Result<Vec<Change>> {
        // Asked before reading: what is written in between is read again, rather than missed.
        let version = self.reader.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if self.data_version == Some(version) {
            return Ok(Vec::new());
        }
        let generation = local::generation(&self.reader)?;
        if generation != self.generation {
            let before = self.session.keys.space;
            self.session = Arc::new(local::read_session(&self.reader, self.local.sealer())?);
            self.generation = generation;
            if self.session.keys.space != before {
                // Everything was sealed anew for another space.
                self.seen = -1;
            }
        }
        let (mut changed, mut seen) = (Vec::new(), self.seen);
        records::changed_after(&self.reader, self.seen, |record| {
            seen = seen.max(record.change);
            changed.push(record);
            Ok(())
        })?;
        let mut changes = Vec::new();
        if self.seen == -1 && !self.rows.is_empty() {
            let kept: BTreeSet<SlotId> = changed.iter().map(|record| record.slot).collect();
            let gone: Vec<SlotId> = self.rows.keys().filter(|slot| !kept.contains(slot)).copied().collect();
            for slot in &gone {
                changes.extend(self.remove(slot));
            }
        }
        for record in changed {
            changes.extend(self.take(record));
        }
        self.seen = seen;
        self.data_version = Some(version);
        Ok(changes)
    }

    fn take(&mut self, record: records::Changed) -> Option<Change> {
        let slot = record.slot;
        let Some((epoch, sealed)) = record.live else { return self.remove(&slot) };
        let opened = records::open_bytes(&self.session.keys, &slot, epoch, &sealed);
        let Some((content, head)) =
            opened.ok().and_then(|content| Head::from_bytes(&content).map(|head| (content, head)))
        else {
            self.remove(&slot);
            self.unreadable.insert(slot);
            return None;
        };
        self.insert(slot, content, head, record.unsent, false)
    }

    fn insert(
        &mut self,
        slot: SlotId,
        content: Vec<u8>,
        head: Head,
        unsent: bool,
        preview: bool,
    ) -> Option<Change> {
        let before = self.rows.get(&slot);
        let what = match before {
            None => What::Added,
            Some(row) if *row.content != *content || row.preview != preview => What::Updated,
            Some(row) if row.unsent != unsent => What::Synced,
            Some(_) => return None,
        };
        if before.is_some() {
            self.remove(&slot);
        }
        self.unreadable.remove(&slot);
        self.latest = self.latest.max(head.stamps.0);
        let kind: Arc<str> = match self.kinds.get_key_value(head.kind.as_str()) {
            Some((kind, _)) => Arc::clone(kind),
            None => head.kind.as_str().into(),
        };
        let when = head.fields.unix_ms.unwrap_or(head.stamps.0.0.cast_signed());
        let index = self.kinds.entry(Arc::clone(&kind)).or_default();
        index.by_time.insert((when, slot));
        for tag in head.fields.tags {
            index.by_tag.entry(tag.into()).or_default().insert((when, slot));
        }
        let row = Row { kind: Arc::clone(&kind), content: content.into(), unsent, preview, when };
        self.rows.insert(slot, row);
        Some(Change { kind, id: RecordId(slot), what })
    }

    fn remove(&mut self, slot: &SlotId) -> Option<Change> {
        self.unreadable.remove(slot);
        let row = self.rows.remove(slot)?;
        let at = (row.when, *slot);
        let index = self.kinds.get_mut(&row.kind)?;
        index.by_time.remove(&at);
        let tags = Head::from_bytes(&row.content).map(|head| head.fields.tags).unwrap_or_default();
        for tag in tags {
            if let Some(set) = index.by_tag.get_mut(tag.as_str()) {
                set.remove(&at);
                if set.is_empty() {
                    index.by_tag.remove(tag.as_str());
                }
            }
        }
        Some(Change { kind: row.kind, id: RecordId(*slot), what: What::Deleted })
    }

    /// Shows records ahead of their proof; what the store knows already stays as it is.
    pub(crate) fn preview(&mut self, records: Vec<(SlotId, u64, Vec<u8>)>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (slot, epoch, sealed) in records {
            if self.rows.contains_key(&slot) {
                continue;
            }
            let opened = records::open_bytes(&self.session.keys, &slot, epoch, &sealed).ok();
            let head = opened.as_deref().and_then(Head::from_bytes);
            if let Some((content, head)) = opened.zip(head) {
                changes.extend(self.insert(slot, content, head, false, true));
            }
        }
        changes
    }

    /// Takes back what was shown ahead and did not come.
    pub(crate) fn end_preview(&mut self) -> Vec<Change> {
        let shown: Vec<SlotId> =
            self.rows.iter().filter(|(_, row)| row.preview).map(|(slot, _)| *slot).collect();
        shown.iter().filter_map(|slot| self.remove(slot)).collect()
    }

    pub(crate) fn row(&self, id: RecordId) -> Option<&Row> {
        self.rows.get(&id.0)
    }

    /// Ids that a query finds, in its order.
    pub(crate) fn find<'a>(&'a self, kind: &str, query: &'a Query) -> impl Iterator<Item = RecordId> + 'a {
        let index = self.kinds.get(kind).and_then(|index| match &query.tag {
            Some(tag) => index.by_tag.get(tag.as_str()),
            None => Some(&index.by_time),
        });
        let (first, last) = (SlotId::new([0; 16]), SlotId::new([0xff; 16]));
        let range = (query.from_ms.unwrap_or(i64::MIN), first)..=(query.until_ms.unwrap_or(i64::MAX), last);
        let range = index.filter(|_| range.start() <= range.end()).map(|set| set.range(range));
        let (forward, backward) = match (range, query.oldest_first) {
            (Some(range), true) => (Some(range), None),
            (Some(range), false) => (None, Some(range.rev())),
            (None, _) => (None, None),
        };
        let both = forward.into_iter().flatten().chain(backward.into_iter().flatten());
        both.skip(query.skip).take(query.limit).map(|(_, slot)| RecordId(*slot))
    }

    /// How many records a query finds.
    pub(crate) fn count(&self, kind: &str, query: &Query) -> usize {
        self.find(kind, query).count()
    }

    /// All rows of a kind, or of all kinds, newest first within each.
    pub(crate) fn all<'a>(&'a self, kind: Option<&'a str>) -> impl Iterator<Item = (RecordId, &'a Row)> {
        let kinds = self.kinds.iter().filter(move |(name, _)| kind.is_none_or(|kind| kind == &***name));
        kinds
            .flat_map(|(_, index)| index.by_time.iter().rev())
            .filter_map(|(_, slot)| self.rows.get(slot).map(|row| (RecordId(*slot), row)))
    }

    /// Tags of a kind, with how many records have each.
    pub(crate) fn tags(&self, kind: &str) -> BTreeMap<String, usize> {
        let tags = self.kinds.get(kind).into_iter().flat_map(|index| &index.by_tag);
        tags.map(|(tag, set)| (tag.to_string(), set.len())).collect()
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(crate) fn latest(&self) -> Stamp {
        self.latest
    }

    /// Records that cannot be shown: damaged, or of a form that only a newer app knows.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = RecordId> {
        self.unreadable.iter().map(|slot| RecordId(*slot))
    }
}
