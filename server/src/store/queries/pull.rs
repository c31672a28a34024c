//! Pages of what changed, in the order of each slot's last change.
//!
//! A page is read in one short transaction that sees one moment, and costs what it holds: an index leads to the first change
//! after the position. Bodies are read only once it is known that they fit.

use alcove_crypto::ids::CommitHash;
use alcove_protocol::limits::{PAGE_COMMITS_MAX, PAGE_HASHES_MAX, PAGE_SLOTS_MAX};

use super::columns::{Columns, stored};
use super::prune::RUN;
use super::{Connection, Result, spaces};
use crate::store::{Page, PageSlot, Position, PullFrom, Refusal, SpaceRow, StoreError};

statements! {
    HISTORY: 3 = "SELECT run, hashes FROM history WHERE space = $1 AND run >= $2 ORDER BY run LIMIT $3";
    COMMITS: 3 = "SELECT body FROM commits WHERE space = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    KEYS: 5 = "SELECT seq, slot, CAST(LENGTH(record) AS BIGINT) FROM slots WHERE space = $1 AND (seq, slot) > ($2, $3) \
               AND (record IS NOT NULL OR seq > $4) ORDER BY seq, slot LIMIT $5";
    SLOTS: 6 = "SELECT slot, seq, epoch, record FROM slots WHERE space = $1 AND (seq, slot) > ($2, $3) \
                AND (seq, slot) <= ($4, $5) AND (record IS NOT NULL OR seq > $6) ORDER BY seq, slot";
}

pub(super) async fn pull(connection: &mut Connection, from: &PullFrom) -> Result<Page> {
    let space = spaces::find(connection, &from.space, &from.access).await?.ok_or(Refusal::NotFound)?;
    let mut at = from.position.unwrap_or(Position {
        commit: from.after,
        slot_seq: 0,
        slot: [0; 16],
        live_until: space.tip.seq,
    });
    let mut page = Page { tip: space.tip, pruned: vec![], commits: vec![], slots: vec![], next: None };
    let mut more = false;
    page.pruned = read_pruned(connection, &space, &mut at).await?;
    if at.commit + 1 >= space.first_seq {
        page.commits = read_commits(connection, &space, &mut at).await?;
    }
    if at.commit >= space.tip.seq {
        more = read_slots(connection, from, &mut at, &mut page.slots).await?;
    }
    if more || at.commit < space.tip.seq {
        page.next = Some(at);
    }
    Ok(page)
}

/// Hashes from the position to the oldest commit that is kept.
async fn read_pruned(
    connection: &mut Connection,
    space: &SpaceRow,
    at: &mut Position,
) -> Result<Vec<CommitHash>> {
    let wanted = usize::try_from(space.first_seq.saturating_sub(at.commit + 1)).unwrap_or(usize::MAX);
    let wanted = wanted.min(PAGE_HASHES_MAX);
    if wanted == 0 {
        return Ok(vec![]);
    }
    // The hash of commit n stands in run (n - 1) / RUN at place (n - 1) % RUN.
    let (first_run, skip) = (at.commit / RUN, at.commit % RUN);
    let runs = (skip + wanted as u64).div_ceil(RUN);
    let query = bind!(HISTORY, &space.space.as_bytes()[..], stored(first_run), stored(runs));
    let mut hashes = Vec::with_capacity(wanted);
    for (run, row) in (first_run..).zip(query.fetch_all(connection).await?) {
        if row.number::<u64>(0)? != run {
            return Err(StoreError::Unexpected("a gap in the history"));
        }
        hashes.extend(row.bytes(1)?.as_chunks::<32>().0.iter().map(|hash| CommitHash::new(*hash)));
    }
    let hashes: Vec<_> = hashes.into_iter().skip(usize::try_from(skip).unwrap_or(0)).take(wanted).collect();
    if hashes.len() != wanted {
        return Err(StoreError::Unexpected("a history that is too short"));
    }
    at.commit += hashes.len() as u64;
    Ok(hashes)
}

async fn read_commits(
    connection: &mut Connection,
    space: &SpaceRow,
    at: &mut Position,
) -> Result<Vec<Vec<u8>>> {
    if at.commit >= space.tip.seq {
        return Ok(vec![]);
    }
    let query =
        bind!(COMMITS, &space.space.as_bytes()[..], stored(at.commit), stored(PAGE_COMMITS_MAX as u64));
    let rows = query.fetch_all(connection).await?;
    at.commit += rows.len() as u64;
    rows.iter().map(|row| row.bytes(0)).collect()
}

/// Gives whether more slots follow.
async fn read_slots(
    connection: &mut Connection,
    from: &PullFrom,
    at: &mut Position,
    slots: &mut Vec<PageSlot>,
) -> Result<bool> {
    let id = &from.space.as_bytes()[..];
    let (begin_seq, begin_slot) = (stored(at.slot_seq), at.slot);
    let (live_until, limit) = (stored(at.live_until), stored(PAGE_SLOTS_MAX as u64 + 1));
    let query = bind!(KEYS, id, begin_seq, &begin_slot[..], live_until, limit);
    let keys = query.fetch_all(&mut *connection).await?;
    let (mut bytes, mut count) = (0, 0);
    for key in keys.iter().take(PAGE_SLOTS_MAX) {
        bytes += key.number_or_null::<u64>(2)?.unwrap_or(0);
        if bytes > from.bytes_max && count > 0 {
            break;
        }
        (at.slot_seq, at.slot) = (key.number(0)?, key.fixed(1)?);
        count += 1;
    }
    if count == 0 {
        return Ok(false);
    }
    let (end_seq, end_slot) = (stored(at.slot_seq), at.slot);
    let query = bind!(SLOTS, id, begin_seq, &begin_slot[..], end_seq, &end_slot[..], live_until);
    for row in query.fetch_all(connection).await? {
        let record = row.bytes_or_null(3)?;
        slots.push(PageSlot { slot: row.fixed(0)?, seq: row.number(1)?, epoch: row.number(2)?, record });
    }
    Ok(count < keys.len())
}
