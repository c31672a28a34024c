//! Accounts and invitations, as far as an operator has to do with them. An account is known by its id; no one can tell the
//! name from it.

use alcove_crypto::ids::AccountId;
use alcove_protocol::limits::ACCOUNT_STATES_MAX;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;

use super::{Failure, open, print};
use crate::api::invite_hash;
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Command {
    /// How many there are
    Count,
    /// Ids, day of founding, quota, and what is stored
    List,
    /// Change what an account may store
    Quota {
        /// The account's id
        account: String,
        /// Bytes
        #[arg(long)]
        bytes: u64,
        /// Records
        #[arg(long)]
        records: u64,
    },
    /// Delete an account and everything in it
    Delete {
        /// The account's id
        account: String,
    },
}

pub(super) async fn run(config: Config, command: Command) -> Result<(), Failure> {
    let app = open(config).await?.app;
    let store = app.store().clone();
    match command {
        Command::Count => print(&store.totals().await?.accounts.to_string())?,
        Command::List => {
            let mut after = AccountId::new([0; 16]);
            loop {
                let rows = store.list_accounts(after, ACCOUNT_STATES_MAX).await?;
                let Some(last) = rows.last().map(|row| row.account) else { break };
                for row in rows {
                    let (mut bytes, mut records) = (0, 0);
                    for space in store.account_spaces(row.account).await? {
                        let access = crate::store::SpaceAccess::owner(&row.account);
                        if let Some(space) = store.space(space, access).await? {
                            bytes += space.stored_bytes();
                            records += space.records;
                        }
                    }
                    print(&format!(
                        "{}  since day {}  {bytes} of {} bytes  {records} of {} records",
                        URL_SAFE_NO_PAD.encode(row.account.as_bytes()),
                        row.created_day,
                        row.quota_bytes,
                        row.quota_records,
                    ))?;
                }
                after = last;
            }
        }
        Command::Quota { account, bytes, records } => {
            let account = parse(&account)?;
            store.set_quota(account, bytes, records).await.map_err(unknown)?;
            for space in store.account_spaces(account).await? {
                // One that was listed and not created yet gets the quota when it is.
                match store.set_space_quota(space, bytes, records).await {
                    Err(crate::store::StoreError::Refused(crate::store::Refusal::NotFound)) | Ok(()) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            print("The quota is changed.")?;
        }
        Command::Delete { account } => {
            let account = parse(&account)?;
            store.delete_account(account, app.clock.day()).await.map_err(unknown)?;
            crate::sweep::everything(&app).await?;
            print("The account is deleted and swept.")?;
        }
    }
    store.close().await;
    Ok(())
}

fn unknown(error: crate::store::StoreError) -> Failure {
    match error {
        crate::store::StoreError::Refused(_) => Failure::Refused("there is no such account".into()),
        error => error.into(),
    }
}

fn parse(text: &str) -> Result<AccountId, Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| {
        Failure::Refused(format!("{text:?} is no account id, as `accounts list` prints them"))
    })?;
    Ok(AccountId::new(bytes))
}

pub(super) async fn invite(config: Config, uses: u32, days: u32) -> Result<(), Failure> {
    let app = open(config).await?.app;
    let code = URL_SAFE_NO_PAD.encode(app.tokens.random::<16>()?);
    app.store.make_invite(invite_hash(&code), uses, app.clock.day().saturating_add(days)).await?;
    app.store.close().await;
    print(&code)
}
