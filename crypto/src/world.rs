//! People with devices and spaces, for tests.

use rand_core::{Infallible, TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};

use crate::account::keys::{DeviceSecret, IdentitySecret, ReceivingSecret, account_id};
use crate::account::root::RootKey;
use crate::account::state::{AccountState, Device, VerifiedState};
use crate::ids::{AccountId, AccountStateHash, CredentialSetHash, SpaceId, StateRoot};
use crate::space::authority::{AccountHistory, Authority};
use crate::space::header::{Header, Place};
use crate::space::keys::{SpaceKey, SpaceKeys};

/// Bytes that look random and are the same for ever, whatever the versions of libraries: SHA-256 of a counter.
#[derive(Clone, Debug)]
pub(crate) struct CounterRng {
    seed: u64,
    counter: u64,
}

impl CounterRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }
}

impl TryRng for CounterRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for part in out.chunks_mut(32) {
            let block = Sha256::digest([self.seed.to_be_bytes(), self.counter.to_be_bytes()].concat());
            part.copy_from_slice(&block[..part.len()]);
            self.counter += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for CounterRng {}

/// An account with its secrets, as its owner's devices together know them.
pub(crate) struct Person {
    pub(crate) rng: CounterRng,
    pub(crate) identity: IdentitySecret,
    pub(crate) inbox: ReceivingSecret,
    pub(crate) devices: Vec<DeviceSecret>,
    pub(crate) roots: Vec<RootKey>,
    pub(crate) states: Vec<VerifiedState>,
    pub(crate) space: SpaceId,
}

impl Person {
    /// A new account with so many devices.
    pub(crate) fn new(seed: u64, devices: usize) -> Self {
        let mut rng = CounterRng::new(seed);
        let identity = IdentitySecret::make(&mut rng);
        let inbox = ReceivingSecret::make(&mut rng);
        let devices: Vec<_> = (0..devices).map(|_| DeviceSecret::make(&mut rng)).collect();
        let root = RootKey::make(&mut rng);
        let space = SpaceId::make(&mut rng);
        let account = account_id(&identity.public());
        let state = AccountState {
            account,
            version: 1,
            previous: AccountStateHash::new([0; 32]),
            identity: identity.public(),
            minimum_protocol: 1,
            private_space: space,
            devices: devices.iter().map(listed).collect(),
            inbox: inbox.public(),
            epoch: 1,
            root_commitment: root.commitment(&account),
            credentials: CredentialSetHash::new([7; 32]),
        };
        let states = vec![state.sign_first(&identity).unwrap()];
        Self { rng, identity, inbox, devices, roots: vec![root], states, space }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.state().state().account
    }

    pub(crate) fn state(&self) -> &VerifiedState {
        self.states.last().unwrap()
    }

    /// Publishes the state that follows, after `change`.
    pub(crate) fn publish(&mut self, change: impl FnOnce(&mut AccountState)) {
        let mut next = self.state().draft_next();
        change(&mut next);
        let next = next.sign_after(self.state(), &self.identity, None).unwrap();
        self.states.push(next);
    }

    /// Revokes a device: a new epoch and a new inbox.
    pub(crate) fn revoke(&mut self, device: usize) {
        let root = self.roots.last().unwrap().make_next(&mut self.rng);
        self.inbox = ReceivingSecret::make(&mut self.rng);
        let (inbox, commitment) = (self.inbox.public(), root.commitment(&self.account()));
        self.publish(|state| {
            state.devices[device].revoked_day = Some(20_001);
            state.epoch += 1;
            state.root_commitment = commitment;
            state.inbox = inbox;
        });
        self.roots.push(root);
    }

    pub(crate) fn keys(&self) -> SpaceKeys {
        self.roots.iter().map(|root| root.private_space_key(&self.space)).collect()
    }

    pub(crate) fn key(&self) -> SpaceKey {
        self.roots.last().unwrap().private_space_key(&self.space)
    }

    /// What another device knows of the account: its first so many states.
    pub(crate) fn history(&self, states: usize) -> AccountHistory {
        let mut history = AccountHistory::new(self.states[0].clone());
        for state in &self.states[1..states] {
            history.extend(crate::account::state::SignedState::parse(state.as_bytes()).unwrap()).unwrap();
        }
        history
    }

    pub(crate) fn authority(&self) -> Authority {
        self.history(self.states.len()).into()
    }

    /// A header by one of the devices, naming the state of index `state`.
    pub(crate) fn header(&self, device: usize, state: usize, root: StateRoot) -> Header {
        let state = &self.states[state];
        Header {
            author: self.account(),
            device: self.devices[device].id(),
            state: (state.state().version, state.hash()),
            control: None,
            root,
            time_ms: 1_795_000_000_000,
            other_heads: Vec::new(),
            joined: Vec::new(),
        }
    }

    /// A commit in the private space.
    pub(crate) fn commit(&mut self, at: &Place, device: usize, state: usize, root: StateRoot) -> Vec<u8> {
        let epoch = usize::try_from(self.states[state].state().epoch).unwrap();
        let key = self.roots[epoch - 1].private_space_key(&self.space);
        let header = self.header(device, state, root);
        header.seal(&self.space, at, &key, &self.devices[device], &mut self.rng)
    }
}

pub(crate) fn listed(device: &DeviceSecret) -> Device {
    Device { keys: device.public(), added_day: 20_000, revoked_day: None }
}

/// The place after a commit.
pub(crate) fn after(at: &Place, commit: &[u8]) -> Place {
    Place { seq: at.seq + 1, head: at.head.after(&crate::ids::CommitHash::of(commit)) }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
