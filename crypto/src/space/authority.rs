//! Whose word counts in a space: the verified states of the accounts that write in it.
//!
//! SPEC.md section 7.6. A history is a run of verified states of one account. It grows forward by states that
//! follow and backward by states whose hash is named, so a fresh device can judge commits from before its time.

use std::collections::{BTreeMap, VecDeque};

use crate::account::state::{SignedState, StateError, VerifiedState};
use crate::ids::{AccountId, AccountStateHash};

/// Consecutive verified states of one account.
#[derive(Clone, Debug)]
pub struct AccountHistory(VecDeque<VerifiedState>);

/// The histories of all accounts that may write in a space: one in a private space.
#[derive(Clone, Debug, Default)]
pub struct Authority(BTreeMap<AccountId, AccountHistory>);

impl AccountHistory {
    /// A history that begins, and for now ends, with one verified state.
    #[must_use]
    pub fn new(state: VerifiedState) -> Self {
        Self(VecDeque::from([state]))
    }

    /// Adds the state that follows the newest one.
    ///
    /// # Errors
    /// When it does not follow.
    pub fn extend(&mut self, next: SignedState) -> Result<(), StateError> {
        let next = next.verify_after(self.newest())?;
        self.0.push_back(next);
        Ok(())
    }

    /// Adds the state that the oldest one follows.
    ///
    /// # Errors
    /// When it is not the one that the oldest names.
    pub fn extend_back(&mut self, previous: SignedState) -> Result<(), StateError> {
        let previous = previous.verify_before(&self.0[0])?;
        self.0.push_front(previous);
        Ok(())
    }

    /// The newest state.
    #[must_use]
    pub fn newest(&self) -> &VerifiedState {
        &self.0[self.0.len() - 1]
    }

    /// The state of this version, if it is within the history.
    #[must_use]
    pub fn version(&self, version: u64) -> Option<&VerifiedState> {
        let index = version.checked_sub(self.0[0].state().version)?;
        self.0.get(usize::try_from(index).ok()?)
    }

    /// The state with this hash, if it is within the history.
    #[must_use]
    pub fn by_hash(&self, hash: &AccountStateHash) -> Option<&VerifiedState> {
        self.0.iter().rev().find(|state| state.hash() == *hash)
    }
}

impl Authority {
    /// Adds or replaces the history of an account.
    pub fn insert(&mut self, history: AccountHistory) {
        self.0.insert(history.newest().state().account, history);
    }

    /// The history of an account.
    #[must_use]
    pub fn account(&self, account: &AccountId) -> Option<&AccountHistory> {
        self.0.get(account)
    }
}

impl From<AccountHistory> for Authority {
    fn from(history: AccountHistory) -> Self {
        let mut authority = Self::default();
        authority.insert(history);
        authority
    }
}
