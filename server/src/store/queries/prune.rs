//! Forgetting: commits after their time, and whole spaces.

use alcove_crypto::ids::{CommitHash, SpaceId};

use super::columns::{Columns, stored};
use super::spaces::space_row;
use super::{Connection, Result};
use crate::store::{SpaceAccess, StoreError};

/// Hashes in one row of the history.
pub(super) const RUN: u64 = 256;

/// Rows that one step removes at most.
const STEP_MAX: i64 = 1_000;

statements! {
    LOCK: 1 = locked!("SELECT space, access, seq, head, bytes, records, commit_bytes, quota_bytes, quota_records, \
                       first_seq, first_day FROM spaces WHERE space = $1");
    OLDEST: 3 = "SELECT seq, hash, day, CAST(LENGTH(body) AS BIGINT) FROM commits WHERE space = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
    HASHES: 2 = "SELECT hashes FROM history WHERE space = $1 AND run = $2";
    SET_HASHES: 3 = "INSERT INTO history (space, run, hashes) VALUES ($1, $2, $3) \
                     ON CONFLICT (space, run) DO UPDATE SET hashes = excluded.hashes";
    DROP_COMMITS: 2 = "DELETE FROM commits WHERE space = $1 AND seq < $2";
    MOVE_FIRST: 4 = "UPDATE spaces SET first_seq = $2, first_day = $3, commit_bytes = commit_bytes - $4 WHERE space = $1";
    DROP_GONE: 3 = "DELETE FROM slots WHERE space = $1 AND slot IN \
                    (SELECT slot FROM slots WHERE space = $1 AND record IS NULL AND seq < $2 LIMIT $3)";
    SHUT: 2 = "UPDATE spaces SET access = $2 WHERE space = $1";
    SWEEP_SLOTS: 2 = "DELETE FROM slots WHERE space = $1 AND slot IN (SELECT slot FROM slots WHERE space = $1 LIMIT $2)";
    SWEEP_COMMITS: 2 = "DELETE FROM commits WHERE space = $1 AND seq IN (SELECT seq FROM commits WHERE space = $1 LIMIT $2)";
    SWEEP_HISTORY: 2 = "DELETE FROM history WHERE space = $1 AND run IN (SELECT run FROM history WHERE space = $1 LIMIT $2)";
    DROP_SPACE: 1 = "DELETE FROM spaces WHERE space = $1";
}

/// Replaces commits before a day by their hashes, up to the end of one row of the history, and forgets the slots that they
/// deleted. The newest commit always stays: a fresh device reads the state root in it.
pub(super) async fn prune(connection: &mut Connection, space: &SpaceId, before_day: &u32) -> Result<bool> {
    let id = &space.as_bytes()[..];
    let Some(row) = bind!(LOCK, id).fetch_optional(&mut *connection).await? else { return Ok(false) };
    let row = space_row(&row)?;
    let gone = bind!(DROP_GONE, id, stored(row.first_seq), STEP_MAX).execute(&mut *connection).await?;
    if gone.rows_affected() == STEP_MAX.unsigned_abs() {
        return Ok(true);
    }
    if row.first_seq >= row.tip.seq || row.first_day >= *before_day {
        return Ok(false);
    }
    let run = (row.first_seq - 1) / RUN;
    // One more than the row takes, whose day becomes the first.
    let room = RUN - (row.first_seq - 1) % RUN;
    let query = bind!(OLDEST, id, stored(row.first_seq), stored(room + 1));
    let commits = query.fetch_all(&mut *connection).await?;
    let query = bind!(HASHES, id, stored(run));
    let mut hashes = match query.fetch_optional(&mut *connection).await? {
        Some(row) => row.bytes(0)?,
        None => vec![],
    };
    if hashes.len() as u64 != (row.first_seq - 1) % RUN * 32 {
        return Err(StoreError::Unexpected("a history of another length"));
    }
    let (mut first_seq, mut first_day, mut freed) = (row.first_seq, row.first_day, 0_u64);
    for commit in &commits {
        (first_seq, first_day) = (commit.number(0)?, commit.number(2)?);
        if first_day >= *before_day || first_seq == row.tip.seq || first_seq == row.first_seq + room {
            break;
        }
        hashes.extend(commit.bytes(1)?);
        freed += commit.number::<u64>(3)?;
    }
    if first_seq == row.first_seq {
        return Ok(false);
    }
    bind!(SET_HASHES, id, stored(run), &hashes[..]).execute(&mut *connection).await?;
    bind!(DROP_COMMITS, id, stored(first_seq)).execute(&mut *connection).await?;
    let query = bind!(MOVE_FIRST, id, stored(first_seq), i64::from(first_day), stored(freed));
    query.execute(connection).await?;
    Ok(true)
}

/// The hash of a commit that is no longer kept whole.
pub(super) async fn pruned_hash(
    connection: &mut Connection,
    space: &SpaceId,
    seq: u64,
) -> Result<Option<CommitHash>> {
    let Some(place) = seq.checked_sub(1) else { return Ok(None) };
    let query = bind!(HASHES, &space.as_bytes()[..], stored(place / RUN));
    let Some(row) = query.fetch_optional(connection).await? else { return Ok(None) };
    let hashes = row.bytes(0)?;
    let at = usize::try_from(place % RUN).unwrap_or(usize::MAX);
    Ok(hashes.as_chunks::<32>().0.get(at).map(|hash| CommitHash::new(*hash)))
}

/// Nobody opens the space from here on; its rows go some at a time, its own row last.
pub(super) async fn sweep(connection: &mut Connection, space: &SpaceId) -> Result<bool> {
    let id = &space.as_bytes()[..];
    bind!(SHUT, id, &SpaceAccess::NOBODY.0[..]).execute(&mut *connection).await?;
    for some in [
        bind!(SWEEP_SLOTS, id, STEP_MAX),
        bind!(SWEEP_COMMITS, id, STEP_MAX),
        bind!(SWEEP_HISTORY, id, STEP_MAX),
    ] {
        if some.execute(&mut *connection).await?.rows_affected() == STEP_MAX.unsigned_abs() {
            return Ok(true);
        }
    }
    bind!(DROP_SPACE, id).execute(connection).await?;
    Ok(false)
}
