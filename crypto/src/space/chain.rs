//! The chain of a space as one device has verified it, and the judgement of the next commit.
//!
//! SPEC.md section 7.6. [`Chain::accept`] takes commits one after another; each is accepted whole or
//! names its [`Violation`], and a refused one changes nothing. What cannot be judged yet, because a key or
//! a state is missing that an honest server has, is [`Needs`], not a violation: fetch it and come again.

use std::collections::BTreeMap;

use super::authority::{AccountHistory, Authority};
use super::commit::Commit;
use super::control::{Control, Role};
use super::header::{Header, Place};
use super::keys::{SpaceKey, SpaceKeys};
pub use super::violation::{Needs, Refusal, Violation};
use crate::account::state::VerifiedState;
use crate::cbor::{DecodeError, Decoder, Item, encode_versioned};
use crate::ids::{AccountId, CommitHash, SpaceId, StateRoot};
use crate::sealed::OpenError;
use crate::signing::BadSignature;

/// Accounts that may have written in one space.
const AUTHORS_MAX: usize = 4096;
/// Commits that a space may have: more than any could, and far from where numbers end.
const SEQ_MAX: u64 = 1 << 53;

/// A verified position in a space. Cheap to copy: its size grows with the members, not with the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    space: SpaceId,
    kind: Kind,
    at: Place,
    root: StateRoot,
    named: BTreeMap<AccountId, u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Private(AccountId),
    /// With the control in force; none before the first commit.
    Shared(Option<Control>),
}

/// What commits are judged with.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Keys of the space.
    pub keys: &'a SpaceKeys,
    /// States of the accounts that write in it.
    pub authority: &'a Authority,
    /// Sealed controls that came with the commits (shared spaces only).
    pub controls: &'a [&'a [u8]],
}

impl Chain {
    /// The private space of an account, before its first commit.
    #[must_use]
    pub fn private(space: SpaceId, account: AccountId) -> Self {
        Self::start(space, Kind::Private(account))
    }

    /// A shared space, before its first commit.
    #[must_use]
    pub fn shared(space: SpaceId) -> Self {
        Self::start(space, Kind::Shared(None))
    }

    /// A shared space at the place, with the root, the control, and the newest account-state version of each author
    /// that an invitation named.
    ///
    /// # Errors
    /// When the invitation names what no space can be.
    pub fn joined(
        at: Place,
        root: StateRoot,
        control: Control,
        named: impl IntoIterator<Item = (AccountId, u64)>,
    ) -> Result<Self, Violation> {
        control.check_alone().map_err(|rule| Violation::Control { seq: at.seq, rule })?;
        if at.seq >= SEQ_MAX {
            return Err(Violation::TooMuch);
        }
        let named = named.into_iter().collect();
        Ok(Self { at, root, named, ..Self::start(control.space, Kind::Shared(Some(control))) })
    }

    /// The private space of an account at a place that this device has verified before: where its chain and a server's
    /// parted. `named` is the newest version of the account's state that a commit up to there has named.
    #[must_use]
    pub fn private_at(
        space: SpaceId,
        account: AccountId,
        at: Place,
        root: StateRoot,
        named: Option<u64>,
    ) -> Self {
        let named = named.map(|version| (account, version)).into_iter().collect();
        Self { space, kind: Kind::Private(account), at, root, named }
    }

    fn start(space: SpaceId, kind: Kind) -> Self {
        Self { space, kind, at: Place::start(&space), root: StateRoot::new([0; 32]), named: BTreeMap::new() }
    }

    /// The space.
    #[must_use]
    pub fn space(&self) -> &SpaceId {
        &self.space
    }

    /// Where this device is.
    #[must_use]
    pub fn at(&self) -> Place {
        self.at
    }

    /// The Merkle root that the newest commit signs.
    #[must_use]
    pub fn root(&self) -> StateRoot {
        self.root
    }

    /// Whether it is a shared space.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Shared(_))
    }

    /// The control in force (shared spaces only).
    #[must_use]
    pub fn control(&self) -> Option<&Control> {
        match &self.kind {
            Kind::Private(_) => None,
            Kind::Shared(control) => control.as_ref(),
        }
    }

    /// The newest state of an account that a commit of its devices has named.
    #[must_use]
    pub fn named_state(&self, account: &AccountId) -> Option<u64> {
        self.named.get(account).copied()
    }

    /// Follows a commit of which only the hash is left. Its content is unknown, but whatever comes after it proves
    /// that this chain contains what this device has seen.
    pub fn fold(&mut self, pruned: &CommitHash) {
        self.at = Place { seq: self.at.seq + 1, head: self.at.head.after(pruned) };
    }

    /// Judges the commit that follows, and takes it.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub fn accept(&mut self, bytes: &[u8], context: Context<'_>) -> Result<Header, Refusal> {
        let commit = Commit::parse(bytes).map_err(Violation::Malformed)?;
        self.check_place(&commit)?;
        let needs_key = Refusal::Needs(Needs::Key { epoch: commit.epoch });
        let key = context.keys.epoch(commit.epoch).ok_or(needs_key)?;
        let header = Header::open(&commit, key).map_err(Violation::Substitution)?;
        let claims = header.claims().clone();
        let seq = commit.seq;
        let control = self.control_of(seq, &claims, key, context)?;
        let state = self.author_state(seq, &claims, context.authority)?;
        let epoch = match self.judging_control(control.as_ref()) {
            None => state.state().epoch,
            Some(judge) => check_member(seq, judge, &claims, state)?,
        };
        if commit.epoch != epoch {
            return Err(Violation::WrongEpoch { seq }.into());
        }
        let device = state.state().live_device(&claims.device).ok_or_else(|| {
            let listed = state.state().devices.iter().any(|device| device.keys.id() == claims.device);
            let device = claims.device;
            if listed {
                Violation::RevokedAuthor { seq, device }
            } else {
                Violation::UnknownAuthor { seq, device }
            }
        })?;
        let header =
            header.verify(&device.keys.signing).map_err(|BadSignature| Violation::BadSignature { seq })?;
        self.check_control_change(seq, control.as_ref(), &header)?;
        if self.named.len() >= AUTHORS_MAX && !self.named.contains_key(&header.author) {
            return Err(Violation::TooMuch.into());
        }

        if let (Kind::Shared(current), Some(next)) = (&mut self.kind, control) {
            *current = Some(next);
        }
        self.named.insert(header.author, header.state.0);
        self.root = header.root;
        self.at = Place { seq, head: self.at.head.after(&CommitHash::of(bytes)) };
        Ok(header)
    }

    fn check_place(&self, commit: &Commit<'_>) -> Result<(), Violation> {
        if commit.space != self.space {
            return Err(Violation::WrongSpace);
        }
        let expected = self.at.seq + 1;
        if commit.seq != expected {
            return Err(Violation::OutOfOrder { expected, found: commit.seq });
        }
        if commit.prev != self.at.head {
            let theirs = Place { seq: self.at.seq, head: commit.prev };
            return Err(Violation::Fork { ours: self.at, theirs });
        }
        Ok(())
    }

    /// The control that the commit introduces, if it names another than the one in force.
    fn control_of(
        &self,
        seq: u64,
        claims: &Header,
        key: &SpaceKey,
        context: Context<'_>,
    ) -> Result<Option<Control>, Refusal> {
        let current = match (&self.kind, &claims.control) {
            (Kind::Private(_), None) => return Ok(None),
            (Kind::Shared(current), Some(_)) => current.as_ref(),
            _ => return Err(Violation::WrongControl { seq }.into()),
        };
        let Some((version, hash)) = claims.control else { return Ok(None) };
        // Only the first commit may bring the first control; behind pruned commits anybody could claim to found the space.
        if current.is_none() && seq != 1 {
            return Err(Violation::WrongControl { seq }.into());
        }
        if let Some(current) = current
            && version == current.version
        {
            let same = hash == current.hash();
            return if same { Ok(None) } else { Err(Violation::WrongControl { seq }.into()) };
        }
        if version != current.map_or(0, |current| current.version) + 1 {
            return Err(Violation::WrongControl { seq }.into());
        }
        for sealed in context.controls {
            match Control::open(key, &self.space, version, sealed) {
                Ok(control) if control.hash() == hash => return Ok(Some(control)),
                // Asking again would bring the same.
                Err(OpenError::Plaintext(error)) => return Err(Violation::Malformed(error).into()),
                _ => {}
            }
        }
        Err(Refusal::Needs(Needs::Control { version }))
    }

    /// A commit is judged by the control before it; the very first by its own.
    fn judging_control<'c>(&'c self, introduced: Option<&'c Control>) -> Option<&'c Control> {
        match &self.kind {
            Kind::Private(_) => None,
            Kind::Shared(current) => current.as_ref().or(introduced),
        }
    }

    fn author_state<'s>(
        &self,
        seq: u64,
        claims: &Header,
        authority: &'s Authority,
    ) -> Result<&'s VerifiedState, Refusal> {
        let (account, (version, hash)) = (claims.author, claims.state);
        if matches!(self.kind, Kind::Private(owner) if owner != account) {
            return Err(Violation::UnknownAuthor { seq, device: claims.device }.into());
        }
        if self.named.get(&account).is_some_and(|named| version < *named) {
            return Err(Violation::StateRollback { seq }.into());
        }
        let state = authority
            .account(&account)
            .and_then(|history: &AccountHistory| history.version(version))
            .ok_or(Refusal::Needs(Needs::State { account, version }))?;
        if state.hash() == hash { Ok(state) } else { Err(Violation::UnknownState { seq }.into()) }
    }

    fn check_control_change(
        &self,
        seq: u64,
        next: Option<&Control>,
        header: &Header,
    ) -> Result<(), Violation> {
        let (Kind::Shared(current), Some(next)) = (&self.kind, next) else { return Ok(()) };
        let judged = match current {
            Some(current) => next.check_after(current, &header.author),
            None => next.check_first(&header.author),
        };
        judged.map_err(|rule| Violation::Control { seq, rule })
    }

    /// The chain for the device's sealed local store.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let control = self.control().map(Control::to_bytes);
        let kind: Vec<Item<'_>> = match &self.kind {
            Kind::Private(account) => vec![0.into(), account.into()],
            Kind::Shared(_) => [1.into()].into_iter().chain(control.as_deref().map(Item::from)).collect(),
        };
        let named =
            self.named.iter().map(|(account, version)| vec![account.into(), (*version).into()].into());
        encode_versioned(&[
            (&self.space).into(),
            kind.into(),
            self.at.seq.into(),
            (&self.at.head).into(),
            (&self.root).into(),
            named.collect::<Vec<Item<'_>>>().into(),
        ])
    }

    /// Reads what [`Chain::to_bytes`] gave. Only for bytes from the device's own sealed store: nothing is verified.
    ///
    /// # Errors
    /// When it is not that.
    pub fn from_trusted_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut d = Decoder::versioned(bytes, 6)?;
        let space = d.fixed()?.into();
        let len = d.array(2)?;
        let kind = match (d.uint()?, len) {
            (0, 2) => Kind::Private(d.fixed()?.into()),
            (1, 1) => Kind::Shared(None),
            (1, 2) => Kind::Shared(Some(Control::parse(d.bytes()?)?)),
            _ => return Err(DecodeError::Shape),
        };
        let at = Place { seq: d.uint()?, head: d.fixed()?.into() };
        let root = d.fixed()?.into();
        let mut named = BTreeMap::new();
        for _ in 0..d.array(AUTHORS_MAX)? {
            d.array_of(2)?;
            named.insert(d.fixed()?.into(), d.uint()?);
        }
        d.finish()?;
        Ok(Self { space, kind, at, root, named })
    }
}

/// Checks that the author is a member who may write, with the identity that the control lists; gives the epoch in force.
fn check_member(
    seq: u64,
    control: &Control,
    claims: &Header,
    state: &VerifiedState,
) -> Result<u64, Violation> {
    let member =
        control.member(&claims.author).ok_or(Violation::UnknownAuthor { seq, device: claims.device })?;
    if state.state().identity != member.identity {
        return Err(Violation::IdentityChanged { account: claims.author });
    }
    if member.role < Role::Writer {
        return Err(Violation::NotAllowed { seq });
    }
    Ok(control.epoch)
}

#[cfg(test)]
mod tests;
