//! Spaces: create, list, push, pull.

use std::collections::HashSet;
use std::sync::Arc;

use alcove_crypto::account::state::EPOCHS_MAX;
use alcove_crypto::ids::{AccountId, CommitHash, RecordHash, SpaceId};
use alcove_crypto::space::commit::Commit;
use alcove_protocol::limits::{
    COMMIT_LEN_MAX, PAGE_BYTES_MAX, PUSH_BYTES_MAX, PUSH_REQUEST_LEN_MAX, PUSH_SLOTS_MAX, RECORD_LEN_MAX,
    RECORD_LEN_MIN,
};
use alcove_protocol::spaces::{
    CreateSpace, PullPage, PullRequest, PulledRecord, PulledSlot, PushRequest, Pushed, SpaceSummary, Spaces,
    Tip,
};
use alcove_protocol::{Bytes, ErrorCode, Wire, endpoint};

use super::account::newest_state;
use super::{Answer, ApiError, Call, Nothing, Route, route};
use crate::app::App;
use crate::store::{Change, NewSpace, Page, Position, PullFrom, Push, SpaceAccess, SpaceRow};

/// What a database can count to.
const SEQ_MAX: u64 = i64::MAX.unsigned_abs();

/// Three numbers and an id, as bytes.
const CURSOR_LEN: usize = 8 + 8 + 16 + 8;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(endpoint::SPACES, "The spaces of the account", list),
        route(endpoint::SPACE_CREATE, "Create the private space", create).refuses(&[
            ErrorCode::Forbidden,
            ErrorCode::Exists,
            ErrorCode::AccountDeleted,
        ]),
        route(endpoint::PUSH, "Push one commit", push).up_to(PUSH_REQUEST_LEN_MAX).refuses(&[
            ErrorCode::NotFound,
            ErrorCode::HeadMoved,
            ErrorCode::Invalid,
            ErrorCode::QuotaExceeded,
        ]),
        route(endpoint::PULL, "Pull a page of what changed", pull)
            .refuses(&[ErrorCode::NotFound, ErrorCode::Invalid]),
    ]
}

/// What the caller opens a space with. There are only private spaces yet.
fn access(call: &Call) -> Answer<SpaceAccess> {
    Ok(SpaceAccess::owner(&call.account()?))
}

pub(super) fn summary(row: &SpaceRow) -> SpaceSummary {
    SpaceSummary { space: row.space.into(), tip: row.tip, bytes: row.bytes, records: row.records }
}

async fn list(app: App, call: Call, _: Nothing) -> Answer<Spaces> {
    let rows = rows(&app, call.account()?).await?;
    Ok(Spaces { spaces: rows.iter().map(summary).collect() })
}

/// The rows of an account's spaces. One that was listed and not created yet is left out.
pub(super) async fn rows(app: &App, account: AccountId) -> Answer<Vec<SpaceRow>> {
    let mut rows = Vec::new();
    for space in app.store.account_spaces(account).await? {
        rows.extend(app.store.space(space, SpaceAccess::owner(&account)).await?);
    }
    Ok(rows)
}

async fn create(app: App, call: Call, request: CreateSpace) -> Answer<SpaceSummary> {
    let (account, _) = call.device()?;
    let state = newest_state(&app, account).await?.ok_or_else(ApiError::unauthorized)?;
    let row = app.store.account(account).await?.ok_or_else(ApiError::unauthorized)?;
    let space = request.space.0;
    if state.state().private_space != space {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            "This is not the private space that the account names.",
        ));
    }
    // Listed first: what is swept with the account is what is listed.
    app.store.add_account_space(account, space).await?;
    let created = app.store.create_space(NewSpace {
        space,
        access: access(&call)?,
        quota_bytes: row.quota_bytes,
        quota_records: row.quota_records,
    });
    let created = created.await?;
    if app.store.tombstone(account).await?.is_some() {
        while app.store.sweep_space(space).await? {}
        return Err(ApiError::deleted());
    }
    Ok(summary(&created))
}

async fn push(app: App, call: Call, request: PushRequest) -> Answer<Pushed> {
    let push = read_push(&app, call.id()?, access(&call)?, request)?;
    let tip = Tip { seq: push.seq, head: Wire(push.head) };
    let bytes: usize = push.changes.iter().filter_map(|change| change.record.as_ref()).map(Vec::len).sum();
    app.metrics.pushed(push.changes.len(), bytes);
    app.store.push(Arc::new(push)).await?;
    Ok(Pushed { tip })
}

/// Everything about a push that can be judged without the space.
fn read_push(app: &App, space: SpaceId, access: SpaceAccess, request: PushRequest) -> Answer<Push> {
    if request.changes.len() > PUSH_SLOTS_MAX {
        return Err(ApiError::invalid(format!("A push changes at most {PUSH_SLOTS_MAX} slots.")));
    }
    if request.commit.0.len() > COMMIT_LEN_MAX {
        return Err(ApiError::invalid(format!("A commit has at most {COMMIT_LEN_MAX} bytes.")));
    }
    let commit = Commit::parse(&request.commit.0);
    let commit = commit.map_err(|error| ApiError::invalid(format!("The commit is malformed: {error}.")))?;
    if commit.space != space {
        return Err(ApiError::invalid("The commit is of another space."));
    }
    let (mut slots, mut bytes) = (HashSet::with_capacity(request.changes.len()), 0);
    for change in &request.changes {
        if change.epoch > EPOCHS_MAX as u64 {
            return Err(ApiError::invalid(format!("There are at most {EPOCHS_MAX} epochs.")));
        }
        if !slots.insert(change.slot.0) {
            return Err(ApiError::invalid("A slot is changed twice."));
        }
        let Some(record) = &change.record else { continue };
        if !(RECORD_LEN_MIN..=RECORD_LEN_MAX).contains(&record.0.len()) {
            return Err(ApiError::invalid(format!(
                "A sealed record has between {RECORD_LEN_MIN} and {RECORD_LEN_MAX} bytes."
            )));
        }
        bytes += record.0.len();
    }
    if bytes > PUSH_BYTES_MAX {
        return Err(ApiError::invalid(format!("A push carries at most {PUSH_BYTES_MAX} bytes of records.")));
    }
    let hash = CommitHash::of(&request.commit.0);
    let (seq, prev) = (commit.seq, commit.prev);
    if seq == 0 || seq > SEQ_MAX {
        return Err(ApiError::invalid("Commits are counted from 1."));
    }
    let changes = request.changes.into_iter().map(|change| Change {
        slot: change.slot.0,
        epoch: change.epoch,
        record: change.record.map(|record| record.0),
    });
    Ok(Push {
        space,
        access,
        seq,
        prev,
        head: prev.after(&hash),
        hash,
        day: app.clock.day(),
        changes: changes.collect(),
        commit: request.commit.0,
    })
}

async fn pull(app: App, call: Call, request: PullRequest) -> Answer<PullPage> {
    let position = match &request.cursor {
        Some(cursor) => Some(read_cursor(cursor)?),
        None => Position::start(request.after, request.snapshot),
    };
    if position
        .is_some_and(|at| [at.commit, at.slot_seq, at.live_until].iter().any(|number| *number > SEQ_MAX))
        || request.after > SEQ_MAX
    {
        return Err(ApiError::invalid("No commit has such a number."));
    }
    let wanted = request.bytes_max.map_or(PAGE_BYTES_MAX, |bytes| bytes as usize).min(PAGE_BYTES_MAX);
    let from = PullFrom {
        space: call.id()?,
        access: access(&call)?,
        after: request.after,
        position,
        bytes_max: wanted as u64,
    };
    Ok(page(app.store.pull(from).await?))
}

/// A page as it is sent.
pub(super) fn page(page: Page) -> PullPage {
    let slots = page.slots.into_iter().map(|slot| PulledSlot {
        slot: slot.slot.into(),
        seq: slot.seq,
        record: slot.record.map(|bytes| PulledRecord {
            epoch: slot.epoch,
            hash: RecordHash::of(&bytes).into(),
            bytes: bytes.into(),
        }),
    });
    PullPage {
        tip: page.tip,
        pruned: page.pruned.into_iter().map(Into::into).collect(),
        commits: page.commits.into_iter().map(Into::into).collect(),
        slots: slots.collect(),
        cursor: page.next.as_ref().map(write_cursor),
    }
}

fn write_cursor(at: &Position) -> Bytes {
    let numbers = [at.commit, at.slot_seq, at.live_until].map(u64::to_be_bytes);
    [&numbers.concat()[..], &at.slot[..]].concat().into()
}

/// A cursor holds nothing secret, and whoever makes one up only reads its own space in another order.
fn read_cursor(cursor: &Bytes) -> Answer<Position> {
    let invalid = || ApiError::invalid("The cursor is not one of this server's.");
    let bytes: &[u8; CURSOR_LEN] = cursor.0.as_slice().try_into().map_err(|_| invalid())?;
    let (numbers, slot) = bytes.split_at(24);
    let mut numbers = numbers.as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes));
    let mut number = || numbers.next().ok_or_else(invalid);
    Ok(Position {
        commit: number()?,
        slot_seq: number()?,
        live_until: number()?,
        slot: slot.try_into().map_err(|_| invalid())?,
    })
}
