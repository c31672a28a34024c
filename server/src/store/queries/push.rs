//! Taking commits: one, or a group of commits to different spaces that share a transaction.
//!
//! All reads come first, then all decisions, then all writes, each for the whole group at once: so a group costs little more
//! than one push, and a push that is refused has written nothing.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use alcove_crypto::ids::{CommitHash, SpaceId};
use alcove_protocol::Wire;
use alcove_protocol::spaces::Tip;

use super::columns::{Columns, stored};
use super::prune::pruned_hash;
use super::spaces::space_row;
use super::{Arguments, Connection, Db, INSERT, Result, bytes_place, place};
use crate::store::sql::{BATCHES, batches, rows};
use crate::store::{Change, Push, Refusal, SpaceRow};

statements! {
    HASH_AT: 2 = "SELECT hash FROM commits WHERE space = $1 AND seq = $2";
}

/// A statement for each number of rows in [`BATCHES`].
struct Batched([String; BATCHES.len()]);

impl Batched {
    fn new(make: impl Fn(usize) -> String) -> Self {
        Self(BATCHES.map(make))
    }
}

static SPACES: LazyLock<Batched> = LazyLock::new(|| {
    Batched::new(|n| {
        let columns = "space, access, seq, head, bytes, records, commit_bytes, quota_bytes, quota_records, \
                       first_seq, first_day";
        let places = rows(n, 1, place).replace(['(', ')'], "");
        // In one order, so that two groups never wait for each other.
        format!(locked!("SELECT {} FROM spaces WHERE space IN ({}) ORDER BY space"), columns, places)
    })
});

static LENGTHS: LazyLock<Batched> = LazyLock::new(|| {
    Batched::new(|n| {
        let places = rows(n, 2, bytes_place);
        // Written so that SQLite asks the index for each: `(space, slot) IN (VALUES …)` reads the whole table.
        format!(
            "SELECT s.space, s.slot, CAST(LENGTH(s.record) AS BIGINT) FROM (VALUES {places}) AS v CROSS JOIN slots AS s \
             WHERE s.space = v.column1 AND s.slot = v.column2"
        )
    })
});

static ADD_COMMITS: LazyLock<Batched> = LazyLock::new(|| {
    Batched::new(|n| format!("{INSERT} commits (space, seq, hash, day, body) VALUES {}", rows(n, 5, place)))
});

/// Slots that are not there yet.
static ADD_SLOTS: LazyLock<Batched> = LazyLock::new(|| {
    Batched::new(|n| format!("{INSERT} slots (space, slot, seq, epoch, record) VALUES {}", rows(n, 5, place)))
});

/// Slots that are there.
static SET_SLOTS: LazyLock<Batched> = LazyLock::new(|| {
    Batched::new(|n| {
        let places = rows(n, 5, place);
        format!(
            "INSERT INTO slots (space, slot, seq, epoch, record) VALUES {places} ON CONFLICT (space, slot) DO UPDATE \
             SET seq = excluded.seq, epoch = excluded.epoch, record = excluded.record"
        )
    })
});

static MOVE_SPACES: LazyLock<Batched> = LazyLock::new(|| {
    Batched::new(|n| {
        let places = rows(n, 11, place);
        format!(
            "INSERT INTO spaces (space, access, seq, head, bytes, records, commit_bytes, quota_bytes, quota_records, \
             first_seq, first_day) VALUES {places} ON CONFLICT (space) DO UPDATE SET seq = excluded.seq, \
             head = excluded.head, bytes = excluded.bytes, records = excluded.records, \
             commit_bytes = excluded.commit_bytes, first_day = excluded.first_day"
        )
    })
});

/// Every statement of many rows, for the test that prepares them.
pub(super) fn batch_statements() -> impl Iterator<Item = &'static str> {
    [&SPACES, &LENGTHS, &ADD_COMMITS, &ADD_SLOTS, &SET_SLOTS, &MOVE_SPACES]
        .into_iter()
        .flat_map(|batched| batched.0.iter().map(String::as_str))
}

fn query(batched: &'static Batched, index: usize) -> sqlx::query::Query<'static, Db, Arguments> {
    sqlx::query(batched.0[index].as_str())
}

/// What the slots of a push hold now; slots that are not there are not in it.
type Held = HashMap<([u8; 16], [u8; 16]), Holds>;

/// What a slot holds.
#[derive(Clone, Copy)]
enum Holds {
    /// A record of so many bytes.
    Record(u64),
    /// The trace of a deletion.
    Nothing,
}

/// Pushes to different spaces: each is taken or refused by itself.
pub(in crate::store) async fn push(
    connection: &mut Connection,
    pushes: &[Arc<Push>],
) -> Result<Vec<Result<(), Refusal>>> {
    let mut spaces = read_spaces(connection, pushes).await?;
    let mut verdicts = Vec::with_capacity(pushes.len());
    for push in pushes {
        verdicts.push(judge(connection, push, spaces.get(push.space.as_bytes())).await?);
    }
    let candidates: Vec<_> = taken(pushes, &verdicts);
    let held = read_lengths(connection, &candidates).await?;
    for (push, verdict) in pushes.iter().zip(&mut verdicts).filter(|(_, verdict)| **verdict == Ok(true)) {
        if let Some(space) = spaces.get_mut(push.space.as_bytes())
            && let Err(refusal) = account_for(push, space, &held)
        {
            *verdict = Err(refusal);
        }
    }
    let taken = taken(pushes, &verdicts);
    write_commits(connection, &taken).await?;
    write_slots(connection, &taken, &held).await?;
    let moved: Vec<_> = taken.iter().filter_map(|push| spaces.get(push.space.as_bytes())).collect();
    write_spaces(connection, &moved).await?;
    Ok(verdicts.into_iter().map(|verdict| verdict.map(|_| ())).collect())
}

/// The pushes whose commit is new and may be taken.
fn taken<'p>(pushes: &'p [Arc<Push>], verdicts: &[Result<bool, Refusal>]) -> Vec<&'p Arc<Push>> {
    pushes.iter().zip(verdicts).filter(|(_, verdict)| **verdict == Ok(true)).map(|(push, _)| push).collect()
}

async fn read_spaces(
    connection: &mut Connection,
    pushes: &[Arc<Push>],
) -> Result<HashMap<[u8; 16], SpaceRow>> {
    let mut spaces = HashMap::with_capacity(pushes.len());
    for (index, batch) in batches(pushes) {
        let mut query = query(&SPACES, index);
        for push in batch {
            query = query.bind(&push.space.as_bytes()[..]);
        }
        for row in query.fetch_all(&mut *connection).await? {
            let space = space_row(&row)?;
            spaces.insert(*space.space.as_bytes(), space);
        }
    }
    Ok(spaces)
}

/// Whether the commit is the next (true), stands there already (false), or may not be.
async fn judge(
    connection: &mut Connection,
    push: &Push,
    space: Option<&SpaceRow>,
) -> Result<Result<bool, Refusal>> {
    let Some(space) = space.filter(|space| space.opens_with(&push.access)) else {
        return Ok(Err(Refusal::NotFound));
    };
    if push.seq == space.tip.seq + 1 && push.prev == space.tip.head.0 {
        return Ok(Ok(true));
    }
    let stands =
        push.seq <= space.tip.seq && commit_at(connection, &push.space, push.seq).await? == Some(push.hash);
    Ok(if stands { Ok(false) } else { Err(Refusal::HeadMoved(space.tip)) })
}

async fn commit_at(connection: &mut Connection, space: &SpaceId, seq: u64) -> Result<Option<CommitHash>> {
    let query = bind!(HASH_AT, &space.as_bytes()[..], stored(seq));
    match query.fetch_optional(&mut *connection).await? {
        Some(row) => Ok(Some(row.fixed(0)?)),
        None => pruned_hash(connection, space, seq).await,
    }
}

async fn read_lengths(connection: &mut Connection, pushes: &[&Arc<Push>]) -> Result<Held> {
    let keys: Vec<_> = pushes
        .iter()
        .flat_map(|push| push.changes.iter().map(|change| (&push.space, &change.slot)))
        .collect();
    let mut held = Held::new();
    for (index, batch) in batches(&keys) {
        let mut query = query(&LENGTHS, index);
        for (space, slot) in batch {
            query = query.bind(&space.as_bytes()[..]).bind(&slot.as_bytes()[..]);
        }
        for row in query.fetch_all(&mut *connection).await? {
            let length: Option<i64> = row.number_or_null(2)?;
            let holds = length.map_or(Holds::Nothing, |length| Holds::Record(length.unsigned_abs()));
            held.insert((row.fixed(0)?, row.fixed(1)?), holds);
        }
    }
    Ok(held)
}

fn held(held: &Held, push: &Push, slot: &alcove_crypto::ids::SlotId) -> Option<Holds> {
    held.get(&(*push.space.as_bytes(), *slot.as_bytes())).copied()
}

/// Moves the space's row to after the push, or refuses it for its size. What frees room is always taken.
fn account_for(push: &Push, space: &mut SpaceRow, lengths: &Held) -> Result<(), Refusal> {
    let mut after = space.clone();
    for change in &push.changes {
        if let Some(Holds::Record(length)) = held(lengths, push, &change.slot) {
            after.bytes = after.bytes.saturating_sub(length);
            after.records = after.records.saturating_sub(1);
        }
        if let Some(record) = &change.record {
            after.bytes += record.len() as u64;
            after.records += 1;
        }
    }
    after.commit_bytes += push.commit.len() as u64;
    after.tip = Tip { seq: push.seq, head: Wire(push.head) };
    if after.first_seq == push.seq {
        after.first_day = push.day;
    }
    let too_large = after.stored_bytes() > after.quota_bytes && after.bytes >= space.bytes;
    let too_many = after.records > after.quota_records && after.records > space.records;
    if too_large || too_many {
        return Err(Refusal::QuotaExceeded);
    }
    *space = after;
    Ok(())
}

async fn write_commits(connection: &mut Connection, pushes: &[&Arc<Push>]) -> Result<()> {
    for (index, batch) in batches(pushes) {
        let mut query = query(&ADD_COMMITS, index);
        for push in batch {
            query = query
                .bind(&push.space.as_bytes()[..])
                .bind(stored(push.seq))
                .bind(&push.hash.as_bytes()[..])
                .bind(i64::from(push.day))
                .bind(&push.commit[..]);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn write_slots(connection: &mut Connection, pushes: &[&Arc<Push>], lengths: &Held) -> Result<()> {
    let all = pushes.iter().flat_map(|push| push.changes.iter().map(move |change| (*push, change)));
    let (there, new): (Vec<_>, Vec<_>) =
        all.partition(|(push, change)| held(lengths, push, &change.slot).is_some());
    // A slot that is not there needs no trace of its deletion.
    let new: Vec<_> = new.into_iter().filter(|(_, change)| change.record.is_some()).collect();
    write_rows(connection, &ADD_SLOTS, &new).await?;
    write_rows(connection, &SET_SLOTS, &there).await
}

async fn write_rows(
    connection: &mut Connection,
    statements: &'static Batched,
    changes: &[(&Arc<Push>, &Change)],
) -> Result<()> {
    for (index, batch) in batches(changes) {
        let mut query = query(statements, index);
        for (push, change) in batch {
            query = query
                .bind(&push.space.as_bytes()[..])
                .bind(&change.slot.as_bytes()[..])
                .bind(stored(push.seq))
                .bind(stored(change.epoch))
                .bind(change.record.as_deref());
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn write_spaces(connection: &mut Connection, spaces: &[&SpaceRow]) -> Result<()> {
    for (index, batch) in batches(spaces) {
        let mut query = query(&MOVE_SPACES, index);
        for space in batch {
            query = query
                .bind(&space.space.as_bytes()[..])
                .bind(&space.access.0[..])
                .bind(stored(space.tip.seq))
                .bind(&space.tip.head.0.as_bytes()[..])
                .bind(stored(space.bytes))
                .bind(stored(space.records))
                .bind(stored(space.commit_bytes))
                .bind(stored(space.quota_bytes))
                .bind(stored(space.quota_records))
                .bind(stored(space.first_seq))
                .bind(i64::from(space.first_day));
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
