//! Everything that the server holds on an account, in one stream, read page by page as it is sent.

use std::collections::VecDeque;

use alcove_crypto::ids::{AccountId, SpaceId};
use alcove_protocol::account::DownloadItem;
use alcove_protocol::limits::{ACCOUNT_STATES_MAX, PAGE_BYTES_MAX};
use alcove_protocol::{ErrorCode, endpoint};
use futures_util::StreamExt as _;

use super::account::{event, grant};
use super::identity::about;
use super::spaces::{page, rows, summary};
use super::{Answer, ApiError, Call, Route, Stream, stream};
use crate::app::App;
use crate::store::{Position, PullFrom, SpaceAccess};

pub(super) fn routes() -> Vec<Route> {
    vec![
        stream(endpoint::DOWNLOAD, "All that the server holds on the account", download)
            .refuses(&[ErrorCode::NotFound]),
    ]
}

async fn download(app: App, call: Call) -> Answer<Stream<DownloadItem>> {
    let (account, _) = call.device()?;
    let mut items = account_items(&app, account).await?;
    let mut spaces = VecDeque::new();
    for row in rows(&app, account).await? {
        spaces.push_back(Step::Space(summary(&row)));
        spaces.push_back(Step::Pages(row.space, None));
    }
    spaces.push_back(Step::End);
    let first: Vec<_> = items.drain(..).map(Ok).collect();
    let rest = futures_util::stream::unfold(Some((app, account, spaces)), next);
    Ok(futures_util::stream::iter(first).chain(rest).boxed())
}

async fn account_items(app: &App, account: AccountId) -> Answer<Vec<DownloadItem>> {
    let row = app.store.account(account).await?.ok_or_else(ApiError::unauthorized)?;
    let mut items = vec![DownloadItem::Account(about(app, &row).await?)];
    let mut after = 0;
    loop {
        let states = app.store.states(account, after, ACCOUNT_STATES_MAX).await?;
        let whole = states.len() < ACCOUNT_STATES_MAX;
        after += states.len() as u64;
        items.extend(states.into_iter().map(|state| DownloadItem::State(state.into())));
        if whole {
            break;
        }
    }
    let sets = app.store.credentials(account).await?;
    items.extend(sets.into_iter().map(|stored| DownloadItem::CredentialSet(stored.set.into())));
    let grants = app.store.all_grants(account).await?;
    items.extend(grants.into_iter().map(|stored| DownloadItem::Grant(grant(stored))));
    let events = app.store.events(account).await?;
    items.extend(events.iter().map(|line| DownloadItem::Event(event(line))));
    Ok(items)
}

/// What is still to be sent.
enum Step {
    Space(alcove_protocol::spaces::SpaceSummary),
    Pages(SpaceId, Option<Position>),
    End,
}

type Rest = Option<(App, AccountId, VecDeque<Step>)>;

async fn next(rest: Rest) -> Option<(Answer<DownloadItem>, Rest)> {
    let (app, account, mut steps) = rest?;
    let item = match steps.pop_front()? {
        Step::Space(summary) => DownloadItem::Space(summary),
        Step::End => DownloadItem::End,
        Step::Pages(space, position) => {
            let access = SpaceAccess::owner(&account);
            let from = PullFrom { space, access, after: 0, position, bytes_max: PAGE_BYTES_MAX as u64 };
            match app.store.pull(from).await {
                // Without its last item a download is known to be cut off.
                Err(error) => return Some((Err(error.into()), None)),
                Ok(read) => {
                    if let Some(position) = read.next {
                        steps.push_front(Step::Pages(space, Some(position)));
                    }
                    DownloadItem::Page(page(read))
                }
            }
        }
    };
    Some((Ok(item), Some((app, account, steps))))
}
