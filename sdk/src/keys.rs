//! What this device holds in memory while the store is open: its keys, and its account with every state that was verified.

use alcove_crypto::account::credentials::CredentialSet;
use alcove_crypto::account::keys::DeviceSecret;
use alcove_crypto::account::root::{Keyring, NameKey, RootKey};
use alcove_crypto::account::state::{SignedState, VerifiedState};
use alcove_crypto::ids::{AccountId, SpaceId};
use alcove_crypto::space::authority::{AccountHistory, Authority};
use alcove_crypto::space::keys::{SpaceKey, SpaceKeys};
use alcove_protocol::LoginName;
use alcove_protocol::account::Restore;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Keys of the private space. They exist from the first opening, before any account.
pub(crate) struct Keys {
    pub(crate) keyring: Keyring,
    pub(crate) root: RootKey,
    pub(crate) space: SpaceId,
    pub(crate) by_epoch: SpaceKeys,
}

/// Keys as the store keeps them, sealed.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredKeys {
    ring: Vec<u8>,
    space: [u8; 16],
}

/// How this device stands with its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// It syncs.
    Active,
    /// It was logged out here; everything local is as it was.
    SignedOut,
    /// The account revoked it.
    Revoked,
    /// Another store wrote under its keys.
    Cloned,
    /// The account was deleted.
    Deleted,
}

/// The account as the store keeps it, sealed. Signed states and the credential set are what a server that lost them gets back.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredAccount {
    pub(crate) origin: String,
    pub(crate) name: LoginName,
    pub(crate) states: Vec<Vec<u8>>,
    pub(crate) credential_set: Vec<u8>,
    pub(crate) standing: Standing,
    /// Whether the user has typed the recovery code back.
    pub(crate) code_confirmed: bool,
    /// Whether the user, or a scanned code, has confirmed that what a server showed first was the newest.
    pub(crate) view_confirmed: bool,
}

/// An account whose states have been verified.
pub(crate) struct Account {
    pub(crate) stored: StoredAccount,
    pub(crate) authority: Authority,
    pub(crate) newest: VerifiedState,
}

/// Everything that a transaction or a request may need.
pub(crate) struct Session {
    pub(crate) keys: Keys,
    pub(crate) device: DeviceSecret,
    pub(crate) account: Option<Account>,
}

impl Keys {
    pub(crate) fn make(rng: &mut impl CryptoRng) -> Self {
        Self::new(Keyring::new(NameKey::make(rng)), RootKey::make(rng), SpaceId::make(rng))
    }

    pub(crate) fn new(keyring: Keyring, root: RootKey, space: SpaceId) -> Self {
        let by_epoch = keyring.space_keys(&root, &space);
        Self { keyring, root, space, by_epoch }
    }

    pub(crate) fn to_stored(&self) -> StoredKeys {
        StoredKeys { ring: self.keyring.to_stored(&self.root).to_vec(), space: *self.space.as_bytes() }
    }

    pub(crate) fn from_stored(stored: &StoredKeys) -> Result<Self> {
        let (keyring, root) =
            Keyring::from_stored(&stored.ring).map_err(|error| Error::Corrupt(error.to_string()))?;
        Ok(Self::new(keyring, root, SpaceId::new(stored.space)))
    }

    /// What is written now is sealed with this.
    pub(crate) fn newest(&self) -> &SpaceKey {
        self.by_epoch.newest().expect("a space has the key of its newest epoch")
    }
}

impl Account {
    /// Verifies what was stored: the first state is ours because this store sealed it, every other follows.
    pub(crate) fn open(stored: StoredAccount) -> Result<Self> {
        let corrupt = |error: alcove_crypto::account::state::StateError| Error::Corrupt(error.to_string());
        let mut states = stored.states.iter();
        let first = states.next().ok_or_else(|| Error::Corrupt("an account without a state".into()))?;
        let first = SignedState::parse(first).map_err(corrupt)?;
        let identity = first.claims().identity;
        let mut history = AccountHistory::new(first.verify_under(&identity).map_err(corrupt)?);
        for state in states {
            history.extend(SignedState::parse(state).map_err(corrupt)?).map_err(corrupt)?;
        }
        let newest = history.newest().clone();
        Ok(Self { stored, authority: history.into(), newest })
    }

    pub(crate) fn id(&self) -> AccountId {
        self.newest.state().account
    }

    pub(crate) fn history(&self) -> &AccountHistory {
        self.authority.account(&self.id()).expect("an account has a history")
    }

    /// What a server gets that has lost the account, or its newest states.
    pub(crate) fn to_give_back(&self) -> Restore {
        Restore {
            account: self.id().into(),
            states: self.stored.states.iter().map(|state| state.clone().into()).collect(),
            credential_set: Some(self.stored.credential_set.clone().into()),
            name: Some(self.stored.name.clone()),
        }
    }

    pub(crate) fn credential_set(&self) -> Result<CredentialSet> {
        CredentialSet::parse(&self.stored.credential_set).map_err(|error| Error::Corrupt(error.to_string()))
    }
}

impl Session {
    /// The account, if there is one on which this device acts.
    pub(crate) fn active(&self) -> Result<&Account> {
        let account = self.account.as_ref().ok_or(Error::NoAccount)?;
        match account.stored.standing {
            Standing::Active => Ok(account),
            Standing::SignedOut => Err(Error::SignInAgain("it was logged out")),
            Standing::Revoked => Err(Error::SignInAgain("it was revoked")),
            Standing::Cloned => Err(Error::SignInAgain("another store writes under its keys")),
            Standing::Deleted => Err(Error::AccountDeleted),
        }
    }

    /// The start of the device's id, for stamps.
    pub(crate) fn stamp_id(&self) -> u64 {
        let id = *self.device.id().as_bytes();
        u64::from_be_bytes(id[..8].try_into().unwrap_or_default())
    }
}
