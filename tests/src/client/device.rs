//! A device: signs in, pushes, pulls, verifies.

use std::collections::BTreeMap;
use std::sync::Arc;

use alcove_crypto::account::credentials::CredentialSet;
use alcove_crypto::account::keys::DeviceSecret;
use alcove_crypto::account::state::{SignedState, VerifiedState};
use alcove_crypto::ids::{AccountId, CommitHash, DeviceId, RecordHash, SlotId, SpaceId};
use alcove_crypto::space::authority::{AccountHistory, Authority};
use alcove_crypto::space::chain::{Chain, Context};
use alcove_crypto::space::header::{Header, Place};
use alcove_crypto::space::keys::SpaceKeys;
use alcove_crypto::space::merkle::MerkleMap;
use alcove_crypto::space::pull::{Mode, Page, Pull, ServedRecord, ServedSlot, Verdict};
use alcove_crypto::space::record::{open_record, seal_record};
use alcove_protocol::account::{Published, Restore, States};
use alcove_protocol::identity::{AccessToken, SignIn};
use alcove_protocol::spaces::{
    CreateSpace, PullPage, PullRequest, PushRequest, Pushed, SlotChange, SpaceSummary,
};
use alcove_protocol::{Bytes, LoginName, endpoint};
use rand::rngs::StdRng;

use super::{Api, Refused};

/// A device.
pub struct Device {
    /// Its keys.
    pub secret: DeviceSecret,
    /// States of the account, one after another.
    pub states: Vec<VerifiedState>,
    /// Keys of the private space.
    pub keys: Arc<SpaceKeys>,
    /// The credential set, to give back to a server that lost it.
    pub set: CredentialSet,
    /// What it has verified.
    pub chain: Chain,
    /// Hashes of what it holds.
    pub slots: MerkleMap,
    /// What it holds.
    pub records: BTreeMap<SlotId, Vec<u8>>,
    /// Its access token.
    pub token: Option<String>,
}

/// What a pull brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Pages.
    pub pages: usize,
    /// Hashes of pruned commits.
    pub pruned: usize,
    /// Commits.
    pub commits: usize,
    /// Slots as they were served.
    pub slots: usize,
}

impl Device {
    /// With nothing pulled yet.
    ///
    /// # Panics
    /// Without a state.
    #[must_use]
    pub fn new(
        secret: DeviceSecret,
        states: Vec<VerifiedState>,
        keys: Arc<SpaceKeys>,
        set: CredentialSet,
    ) -> Self {
        let state = states.last().expect("a state").state();
        let chain = Chain::private(state.private_space, state.account);
        Self {
            secret,
            states,
            keys,
            set,
            chain,
            slots: MerkleMap::new(),
            records: BTreeMap::new(),
            token: None,
        }
    }

    /// The same device with nothing pulled yet, as a fresh one is.
    #[must_use]
    pub fn afresh(&self) -> Self {
        let secret = DeviceSecret::from_bytes(&self.secret.expose());
        let fresh = Self::new(secret, self.states.clone(), self.keys.clone(), self.set.clone());
        Self { token: self.token.clone(), ..fresh }
    }

    /// The same device as it is now.
    #[must_use]
    pub fn copy(&self) -> Self {
        let (chain, slots, records) = (self.chain.clone(), self.slots.clone(), self.records.clone());
        Self { chain, slots, records, ..self.afresh() }
    }

    fn newest(&self) -> &VerifiedState {
        self.states.last().expect("a state")
    }

    /// Its account.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.newest().state().account
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        self.secret.id()
    }

    /// The private space.
    #[must_use]
    pub fn space(&self) -> SpaceId {
        self.newest().state().private_space
    }

    /// Signs in.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn sign_in(&mut self, api: &mut Api) -> Result<(), Refused> {
        let account = self.account();
        let proof = api.prove(|challenge| self.secret.sign_in(&account, challenge)).await?;
        let body = SignIn { account: account.into(), device: self.id().into(), proof };
        let token: AccessToken = api.call(endpoint::SIGN_IN, None, None, &body).await?;
        self.token = Some(token.token);
        Ok(())
    }

    /// Creates the private space.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_space(&self, api: &mut Api) -> Result<SpaceSummary, Refused> {
        let body = CreateSpace { space: self.space().into() };
        api.call(endpoint::SPACE_CREATE, None, self.token.as_deref(), &body).await
    }

    /// Learns the states that follow its own.
    ///
    /// # Errors
    /// When the server refuses.
    ///
    /// # Panics
    /// When they do not follow.
    pub async fn learn_states(&mut self, api: &mut Api) -> Result<(), Refused> {
        let path = format!("{}?after={}", endpoint::STATES.path, self.newest().state().version);
        let answered = api.send("GET", &path, self.token.as_deref(), vec![]).await?;
        let states: States = api.encoding.decode(&answered.body, usize::MAX).expect("states");
        for state in states.states {
            let next = SignedState::parse(&state.0).expect("a state").verify_after(self.newest());
            self.states.push(next.expect("the next state"));
        }
        Ok(())
    }

    /// Gives the server back what it lost.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn restore(&self, api: &mut Api, name: Option<&LoginName>) -> Result<Published, Refused> {
        let body = Restore {
            account: self.account().into(),
            states: self.states.iter().map(|state| state.as_bytes().to_vec().into()).collect(),
            credential_set: Some(self.set.to_bytes().into()),
            name: name.cloned(),
        };
        api.call(endpoint::RESTORE, None, None, &body).await
    }

    /// A push of records and deletions that follows what this device has verified, and the state after it.
    ///
    /// # Panics
    /// When a content is too long for a record.
    #[must_use]
    pub fn prepare(&self, changes: &[(SlotId, Option<&[u8]>)], rng: &mut StdRng) -> Prepared {
        let (space, key) = (self.space(), self.keys.newest().expect("a key"));
        let (mut slots, mut records, mut sealed) = (self.slots.clone(), self.records.clone(), Vec::new());
        for (slot, content) in changes {
            let record =
                content.map(|content| seal_record(key, &space, slot, content, rng).expect("a record"));
            if let Some(record) = &record {
                slots.insert(*slot, RecordHash::of(record));
                records.insert(*slot, record.clone());
            } else {
                slots.remove(slot);
                records.remove(slot);
            }
            sealed.push(SlotChange { slot: (*slot).into(), epoch: key.epoch(), record: record.map(Bytes) });
        }
        let header = Header {
            author: self.account(),
            device: self.id(),
            state: (self.newest().state().version, self.newest().hash()),
            control: None,
            root: slots.root(),
            time_ms: 1_790_000_000_000,
            other_heads: vec![],
            joined: vec![],
        };
        let commit = header.seal(&space, &self.chain.at(), key, &self.secret, rng);
        Prepared { request: PushRequest { commit: commit.into(), changes: sealed }, slots, records }
    }

    /// Pushes.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn push(
        &mut self,
        api: &mut Api,
        changes: &[(SlotId, Option<&[u8]>)],
        rng: &mut StdRng,
    ) -> Result<Pushed, Refused> {
        let prepared = self.prepare(changes, rng);
        let pushed = self.send(api, &prepared.request).await?;
        self.acknowledge(prepared, &pushed);
        Ok(pushed)
    }

    /// Sends a push.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn send(&self, api: &mut Api, request: &PushRequest) -> Result<Pushed, Refused> {
        let space = self.space();
        api.call(endpoint::PUSH, Some(space.as_bytes()), self.token.as_deref(), request).await
    }

    /// Takes over what was pushed.
    ///
    /// # Panics
    /// When the server answered with another place.
    pub fn acknowledge(&mut self, prepared: Prepared, pushed: &Pushed) {
        let authority = self.authority();
        let context = Context { keys: &self.keys, authority: &authority, controls: &[] };
        self.chain.accept(&prepared.request.commit.0, context).expect("our own commit");
        assert_eq!(self.chain.at(), Place { seq: pushed.tip.seq, head: pushed.tip.head.0 });
        (self.slots, self.records) = (prepared.slots, prepared.records);
    }

    fn authority(&self) -> Authority {
        let mut history = AccountHistory::new(self.states[0].clone());
        for state in &self.states[1..] {
            history.extend(SignedState::parse(state.as_bytes()).expect("a state")).expect("the next state");
        }
        history.into()
    }

    /// Pulls until everything is verified.
    ///
    /// # Errors
    /// When the server refuses.
    ///
    /// # Panics
    /// When what the server gives does not verify.
    pub async fn pull(
        &mut self,
        api: &mut Api,
        snapshot: bool,
        bytes_max: Option<u32>,
    ) -> Result<Pulled, Refused> {
        let mode = if snapshot { Mode::Snapshot } else { Mode::Changes };
        let authority = self.authority();
        let context = Context { keys: &self.keys, authority: &authority, controls: &[] };
        let mut pull = Pull::start(&self.chain, mode);
        let (mut pulled, mut staged) = (Pulled::default(), BTreeMap::new());
        let mut request = PullRequest { after: self.chain.at().seq, snapshot, cursor: None, bytes_max };
        loop {
            let space = self.space();
            let page: PullPage =
                api.call(endpoint::PULL, Some(space.as_bytes()), self.token.as_deref(), &request).await?;
            pull.check_tip(Place { seq: page.tip.seq, head: page.tip.head.0 }).expect("no rollback");
            pulled.pages += 1;
            pulled.pruned += page.pruned.len();
            pulled.commits += page.commits.len();
            pulled.slots += page.slots.len();
            let pruned: Vec<CommitHash> = page.pruned.iter().map(|hash| hash.0).collect();
            let commits: Vec<&[u8]> = page.commits.iter().map(|commit| &commit.0[..]).collect();
            let slots: Vec<_> = page
                .slots
                .iter()
                .map(|slot| ServedSlot {
                    slot: slot.slot.0,
                    seq: slot.seq,
                    record: slot
                        .record
                        .as_ref()
                        .map(|record| ServedRecord { hash: record.hash.0, bytes: &record.bytes.0 }),
                })
                .collect();
            pull.page(Page { pruned: &pruned, commits: &commits, slots: &slots }, context)
                .expect("an honest page");
            staged.extend(
                page.slots.into_iter().map(|slot| (slot.slot.0, slot.record.map(|record| record.bytes.0))),
            );
            match page.cursor {
                Some(cursor) => request.cursor = Some(cursor),
                None => break,
            }
        }
        let Verdict::Accepted(accepted) = pull.finish(&mut self.slots, &authority).expect("a whole pull")
        else {
            panic!("held back")
        };
        self.chain = accepted.chain;
        for (slot, hash) in accepted.changes {
            match hash {
                Some(_) => self.records.insert(slot, staged.remove(&slot).flatten().expect("a record")),
                None => self.records.remove(&slot),
            };
        }
        Ok(pulled)
    }

    /// What it holds, opened.
    ///
    /// # Panics
    /// When a record does not open.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<SlotId, Vec<u8>> {
        let (space, key) = (self.space(), self.keys.newest().expect("a key"));
        let open = |(slot, record): (&SlotId, &Vec<u8>)| {
            (*slot, open_record(key, &space, slot, record).expect("a record").clone())
        };
        self.records.iter().map(open).collect()
    }
}

/// A push that was not sent yet, and what the device holds after it.
pub struct Prepared {
    /// The request.
    pub request: PushRequest,
    slots: MerkleMap,
    records: BTreeMap<SlotId, Vec<u8>>,
}
