//! Signing in as this device, and what a server that was restored from a backup is given back first.

use std::time::{Duration, Instant};

use alcove_crypto::account::grant::open_root_grant;
use alcove_crypto::account::root::Keyring;
use alcove_crypto::account::state::{SignedState, VerifiedState};
use alcove_crypto::ids::AccountId;
use alcove_crypto::{PROTOCOL, account::credentials::CredentialSet};
use alcove_protocol::account::{Credentials, Grants, Published, States};
use alcove_protocol::identity::{AccessToken, SignIn};
use alcove_protocol::spaces::{CreateSpace, SpaceSummary};
use alcove_protocol::{ErrorCode, endpoint};

use super::engine::{Run, Token};
use crate::error::{Error, Result};
use crate::incident::IncidentKind;
use crate::keys::{Keys, StoredAccount};

/// A token is renewed this long before it ends.
const EARLY: Duration = Duration::from_mins(1);

impl Run<'_> {
    /// Gets a token, if there is none that is good for a while.
    pub(super) async fn sign_in(&mut self) -> Result<()> {
        let session = self.session().await?;
        let account = session.active()?;
        let device = session.device.id();
        let good = |token: &Token| token.device == device && token.until > Instant::now() + EARLY;
        if self.engine.token.as_ref().is_some_and(good) {
            return Ok(());
        }
        let id = account.id();
        let signed_in = match self.ask_for_token(&session, id).await {
            Err(failure) if failure.code() == Some(&ErrorCode::NotFound) => {
                // It knows neither device nor account any more: it gets back what it lost, and is asked again.
                self.restore_account().await?;
                self.ask_for_token(&session, id).await
            }
            result => result,
        };
        let token = match signed_in {
            Ok(token) => token,
            Err(failure) => return Err(self.refused(failure).await),
        };
        let until = Instant::now() + Duration::from_secs(token.expires_in_s.into());
        self.engine.token = Some(Token { text: token.token, until, device });
        self.learn_states().await
    }

    async fn ask_for_token(
        &self,
        session: &crate::keys::Session,
        account: AccountId,
    ) -> Result<AccessToken, crate::net::Failure> {
        let proof = self.api.prove(|challenge| session.device.sign_in(&account, challenge)).await?;
        let body = SignIn { account: account.into(), device: session.device.id().into(), proof };
        self.api.post(endpoint::SIGN_IN, None, &body).await
    }

    /// Gives the server the states that it lacks, with the credentials that belong to them.
    async fn restore_account(&mut self) -> Result<()> {
        let session = self.session().await?;
        let account = session.active()?;
        let restored: Result<Published, _> =
            self.api.post(endpoint::RESTORE, None, &account.to_give_back()).await;
        match restored {
            Ok(_) => {
                let detail = "the server had lost the account, its newest state, or this device";
                self.incident(IncidentKind::AccountRollback, detail.into(), vec![]).await
            }
            Err(failure) => Err(self.refused(failure).await),
        }
    }

    /// Learns every state that this device does not know. Those from before its time too: commits are judged with them, and it
    /// may be the one that gives the account back.
    pub(super) async fn learn_states(&mut self) -> Result<()> {
        self.learn_newer_states().await?;
        if self.session().await?.active()?.history().version(1).is_none() {
            self.learn_older_states().await?;
        }
        Ok(())
    }

    /// Learns the states that follow those that are known; gives back those that the server has lost.
    async fn learn_newer_states(&mut self) -> Result<()> {
        let session = self.session().await?;
        let account = session.active()?;
        let known = account.newest.state().version;
        let states = self.states_after(known).await?;
        if states.newest < known {
            self.restore_account().await?;
            return Ok(());
        }
        let mut stored = account.stored.clone();
        let mut newest = account.newest.clone();
        for bytes in states.states {
            newest = match SignedState::parse(&bytes.0).and_then(|next| next.verify_after(&newest)) {
                Ok(next) => next,
                Err(error) => {
                    return Err(self.account_violation(error, bytes.0).await);
                }
            };
            stored.states.push(newest.as_bytes().to_vec());
        }
        if newest.state().version > known {
            self.adopt(stored, &newest).await?;
        }
        Ok(())
    }

    pub(super) async fn states_after(&mut self, version: u64) -> Result<States> {
        let query = format!("after={version}");
        match self.api.get_query(endpoint::STATES, &query, self.token()).await {
            Ok(states) => Ok(states),
            Err(failure) => Err(self.refused(failure).await),
        }
    }

    /// Keeps newer states, with the keys and credentials that belong to the newest.
    async fn adopt(&mut self, mut stored: StoredAccount, newest: &VerifiedState) -> Result<()> {
        if newest.state().minimum_protocol > PROTOCOL {
            return Err(Error::UpgradeRequired("the account needs a newer version"));
        }
        let session = self.session().await?;
        let credentials: Result<Credentials, _> = self.api.get(endpoint::CREDENTIALS, self.token()).await;
        let set = match credentials {
            Ok(credentials) => CredentialSet::parse(&credentials.credential_set.0)
                .ok()
                .filter(|set| set.hash() == newest.state().credentials)
                .map(|set| (set, credentials.credential_set.0)),
            Err(failure) => return Err(self.refused(failure).await),
        };
        let mut keys = None;
        if newest.state().epoch > session.keys.root.epoch() {
            let Some((set, _)) = &set else {
                let detail = "the credentials are not those that the newest state names".to_owned();
                self.incident(IncidentKind::WrongKey, detail, vec![]).await?;
                return Err(Error::Incident(IncidentKind::WrongKey));
            };
            keys = Some(self.newest_keys(newest, set).await?);
        }
        if let Some((_, bytes)) = set {
            stored.credential_set = bytes;
        }
        self.forget_session();
        self.core()
            .local
            .write(move |tx| {
                if let Some(keys) = &keys {
                    tx.set_keys(keys)?;
                }
                tx.set_account(Some(&stored))
            })
            .await
    }

    /// The root key of a new epoch, granted to this device; believed only because the state commits to it.
    async fn newest_keys(&mut self, newest: &VerifiedState, set: &CredentialSet) -> Result<Keys> {
        let session = self.session().await?;
        let grants: Grants = match self.api.get(endpoint::GRANTS, self.token()).await {
            Ok(grants) => grants,
            Err(failure) => return Err(self.refused(failure).await),
        };
        let granted = grants.grants.iter().filter(|grant| grant.epoch == newest.state().epoch);
        let mut roots =
            granted.filter_map(|grant| open_root_grant(&grant.grant.0, &session.device, newest).ok());
        let opened = roots.next().and_then(|root| {
            let keyring = Keyring::open(&set.keyring, &root, &newest.state().account).ok()?;
            Some(Keys::new(keyring, root, newest.state().private_space))
        });
        drop(roots);
        if let Some(keys) = opened {
            return Ok(keys);
        }
        let detail = format!("no key of epoch {} that the state commits to", newest.state().epoch);
        self.incident(IncidentKind::WrongKey, detail, vec![]).await?;
        Err(Error::Incident(IncidentKind::WrongKey))
    }

    /// Learns the states before those that are known, each because the one after it names its hash.
    async fn learn_older_states(&mut self) -> Result<()> {
        let session = self.session().await?;
        let account = session.active()?;
        let mut history = account.history().clone();
        let oldest = SignedState::parse(&account.stored.states[0]);
        let oldest = oldest.map_err(|error| Error::Corrupt(error.to_string()))?.claims().version;
        let mut older = Vec::new();
        while (older.len() as u64) + 1 < oldest {
            let states = self.states_after(older.len() as u64).await?.states;
            let before = older.len();
            let wanted = usize::try_from(oldest - 1).unwrap_or(usize::MAX) - before;
            older.extend(states.into_iter().take(wanted).map(|state| state.0));
            if older.len() == before {
                break;
            }
        }
        let mut states = std::collections::VecDeque::from(account.stored.states.clone());
        for bytes in older.into_iter().rev() {
            let taken = SignedState::parse(&bytes).and_then(|state| history.extend_back(state));
            if let Err(error) = taken {
                return Err(self.account_violation(error, bytes).await);
            }
            states.push_front(bytes);
        }
        let stored = StoredAccount { states: states.into(), ..account.stored.clone() };
        self.forget_session();
        self.core().local.write(move |tx| tx.set_account(Some(&stored))).await
    }

    async fn account_violation(
        &mut self,
        error: alcove_crypto::account::state::StateError,
        evidence: Vec<u8>,
    ) -> Error {
        use alcove_crypto::account::state::StateError;
        let kind = match error {
            StateError::BadSignature => IncidentKind::BadSignature,
            StateError::IdentityChanged => IncidentKind::IdentityChanged,
            StateError::Rule(_) => IncidentKind::Downgrade,
            StateError::Malformed(_) => IncidentKind::Malformed,
            _ => IncidentKind::UnknownState,
        };
        match self.incident(kind, error.to_string(), evidence).await {
            Ok(()) => Error::Incident(kind),
            Err(error) => error,
        }
    }

    /// Creates the private space on the server, if it is not there.
    pub(super) async fn create_space(&mut self) -> Result<SpaceSummary> {
        let space = self.session().await?.keys.space;
        let body = CreateSpace { space: space.into() };
        match self.api.post(endpoint::SPACE_CREATE, self.token(), &body).await {
            Ok(summary) => Ok(summary),
            Err(failure) => Err(self.refused(failure).await),
        }
    }
}
