//! The control of a shared space: who is in it, with what role, and which key is in force.
//!
//! SPEC.md section 7.4.
//!
//! ```text
//! control = version ‖ [ space, control version, previous hash, epoch, key commitment, [ [ account, identity, role ], … ] ]
//! hash    = SHA-256(label ‖ 0x00 ‖ control)
//! sealed  = seal(key of the epoch of the commit that names it, [ label, version, space, control version ], control)
//! ```
//!
//! A control has no signature of its own: the commit that names its hash is signed, and is judged by the control
//! before it. So a space's members can change only by the hand of an admin.

use rand_core::CryptoRng;
use thiserror::Error;

use super::keys::{EPOCHS_MAX, SpaceKey};
use crate::account::keys::read_verifying_key;
use crate::cbor::{DecodeError, Decoder, Item, encode_versioned};
use crate::hash::{context, labelled};
use crate::ids::{AccountId, ControlHash, KeyCommitment, SpaceId};
use crate::labels;
use crate::sealed::{self, OpenError};
use crate::signing::VerifyingKey;

/// Members that a shared space may have.
pub const MEMBERS_MAX: usize = 256;

/// What a member may do. Each role may do all that the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Reader = 1,
    /// Creates records, and replaces or deletes its own.
    Writer = 2,
    /// Deletes any record and changes the members.
    Admin = 3,
}

/// A member of a shared space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The account.
    pub account: AccountId,
    /// Its identity, as the admin who added it verified it.
    pub identity: VerifyingKey,
    /// What it may do.
    pub role: Role,
}

/// The control of a shared space at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The space.
    pub space: SpaceId,
    /// 1 for the first, then one more each time.
    pub version: u64,
    /// Hash of the control before; zeros for the first.
    pub previous: ControlHash,
    /// The epoch whose key is used after the commit that names this control.
    pub epoch: u64,
    /// Commitment to that key.
    pub commitment: KeyCommitment,
    /// The members, in order of their ids.
    pub members: Vec<Member>,
}

/// Why a control may not follow the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Not the next version of this space's control.
    #[error("the control does not follow the one that is known")]
    NotSuccessor,
    /// The author is not an admin.
    #[error("the author may not change the members")]
    NotAdmin,
    /// Nobody would be left who could change it.
    #[error("a space needs an admin")]
    NoAdmin,
    /// Members are not in order, or one stands twice, or there are too many.
    #[error("the list of members is not in its one form")]
    Members,
    /// A member or an identity went without a new key, or the key changed without a new epoch.
    #[error("the key does not change exactly when it must")]
    Epoch,
}

impl Role {
    fn from_number(number: u64) -> Result<Self, DecodeError> {
        match number {
            1 => Ok(Self::Reader),
            2 => Ok(Self::Writer),
            3 => Ok(Self::Admin),
            _ => Err(DecodeError::Shape),
        }
    }
}

impl Control {
    /// The control of a new space with one member, its admin.
    #[must_use]
    pub fn first(space: SpaceId, key: &SpaceKey, account: AccountId, identity: VerifyingKey) -> Self {
        let commitment = key.commitment(&space);
        let members = vec![Member { account, identity, role: Role::Admin }];
        Self { space, version: 1, previous: ControlHash::new([0; 32]), epoch: key.epoch, commitment, members }
    }

    /// A draft of the control that follows: the same, one version on.
    #[must_use]
    pub fn draft_next(&self) -> Self {
        Self { version: self.version + 1, previous: self.hash(), ..self.clone() }
    }

    /// The member with this account.
    #[must_use]
    pub fn member(&self, account: &AccountId) -> Option<&Member> {
        self.members.iter().find(|member| member.account == *account)
    }

    /// The hash by which commits and the next control name it.
    #[must_use]
    pub fn hash(&self) -> ControlHash {
        ControlHash::new(labelled(labels::CONTROL_HASH, &[&self.to_bytes()]))
    }

    /// Checks that this control may follow `before` by the hand of `author`.
    ///
    /// # Errors
    /// Says which rule it breaks.
    pub fn check_after(&self, before: &Self, author: &AccountId) -> Result<(), ControlError> {
        if self.space != before.space
            || self.version.checked_sub(1) != Some(before.version)
            || self.previous != before.hash()
        {
            return Err(ControlError::NotSuccessor);
        }
        if before.member(author).is_none_or(|member| member.role != Role::Admin) {
            return Err(ControlError::NotAdmin);
        }
        self.check_alone()?;
        let lost = before
            .members
            .iter()
            .any(|old| self.member(&old.account).is_none_or(|new| new.identity != old.identity));
        let new_epoch = self.epoch > before.epoch;
        let new_key = self.commitment != before.commitment;
        // One at a time: an admin who jumped to the last epoch would leave no way to remove a member.
        let too_far = new_epoch && before.epoch.checked_add(1) != Some(self.epoch);
        if self.epoch < before.epoch || too_far || new_epoch != new_key || (lost && !new_epoch) {
            return Err(ControlError::Epoch);
        }
        Ok(())
    }

    /// Checks that this control may be the first of a space, by the hand of `author`.
    ///
    /// # Errors
    /// Says which rule it breaks.
    pub fn check_first(&self, author: &AccountId) -> Result<(), ControlError> {
        if self.version != 1 || self.previous.as_bytes() != &[0; 32] {
            return Err(ControlError::NotSuccessor);
        }
        if self.member(author).is_none_or(|member| member.role != Role::Admin) {
            return Err(ControlError::NotAdmin);
        }
        self.check_alone()
    }

    /// Checks what a control must keep by itself.
    pub(super) fn check_alone(&self) -> Result<(), ControlError> {
        if self.epoch == 0 || self.epoch > EPOCHS_MAX as u64 {
            return Err(ControlError::Epoch);
        }
        let ordered = self.members.windows(2).all(|pair| pair[0].account < pair[1].account);
        if !ordered || self.members.len() > MEMBERS_MAX {
            return Err(ControlError::Members);
        }
        if !self.members.iter().any(|member| member.role == Role::Admin) {
            return Err(ControlError::NoAdmin);
        }
        Ok(())
    }

    /// Members whose identity is not the one that `before` lists: to be verified again by their safety number.
    pub fn changed_identities<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a Member> {
        self.members
            .iter()
            .filter(|new| before.member(&new.account).is_some_and(|old| old.identity != new.identity))
    }

    /// As it is hashed and sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let members = self
            .members
            .iter()
            .map(|m| vec![(&m.account).into(), m.identity.as_bytes().into(), (m.role as u64).into()].into())
            .collect::<Vec<Item<'_>>>();
        encode_versioned(&[
            (&self.space).into(),
            self.version.into(),
            (&self.previous).into(),
            self.epoch.into(),
            (&self.commitment).into(),
            members.into(),
        ])
    }

    /// Reads a control.
    ///
    /// # Errors
    /// When the bytes are not in the one form that a control has.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut d = Decoder::versioned(bytes, 6)?;
        let (space, version, previous) = (d.fixed()?.into(), d.uint()?, d.fixed()?.into());
        let (epoch, commitment) = (d.uint()?, d.fixed()?.into());
        let mut members = Vec::new();
        for _ in 0..d.array(MEMBERS_MAX)? {
            d.array_of(3)?;
            let (account, identity) = (d.fixed()?.into(), read_verifying_key(&mut d)?);
            members.push(Member { account, identity, role: Role::from_number(d.uint()?)? });
        }
        d.finish()?;
        Ok(Self { space, version, previous, epoch, commitment, members })
    }

    /// Seals the control with the key of the epoch of the commit that names it.
    #[must_use]
    pub fn seal(&self, key: &SpaceKey, rng: &mut impl CryptoRng) -> Vec<u8> {
        sealed::seal(&key.key, &control_context(&self.space, self.version), &self.to_bytes(), rng)
    }

    /// Opens the control that a commit names.
    ///
    /// # Errors
    /// When it was not sealed under this key for this version.
    pub fn open(key: &SpaceKey, space: &SpaceId, version: u64, sealed: &[u8]) -> Result<Self, OpenError> {
        let plaintext = sealed::open(&key.key, &control_context(space, version), sealed)?;
        let control = Self::parse(&plaintext)?;
        let fits = control.space == *space && control.version == version;
        if fits { Ok(control) } else { Err(DecodeError::Shape.into()) }
    }
}

fn control_context(space: &SpaceId, version: u64) -> Vec<u8> {
    context(labels::CONTROL, &[space.into(), version.into()])
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::account::keys::{IdentitySecret, account_id};

    fn member(role: Role, rng: &mut StdRng) -> Member {
        let identity = IdentitySecret::make(rng).public();
        Member { account: account_id(&identity), identity, role }
    }

    fn space_of(roles: &[Role]) -> (Control, Vec<AccountId>, StdRng) {
        let mut rng = StdRng::seed_from_u64(1);
        let members: Vec<_> = roles.iter().map(|role| member(*role, &mut rng)).collect();
        let accounts = members.iter().map(|member| member.account).collect();
        let key = SpaceKey::make(1, &mut rng);
        let mut control =
            Control::first(SpaceId::new([1; 16]), &key, members[0].account, members[0].identity);
        control.members = members;
        control.members.sort_by_key(|member| member.account);
        (control, accounts, rng)
    }

    #[test]
    fn only_an_admin_changes_the_members() {
        let (before, accounts, mut rng) = space_of(&[Role::Admin, Role::Writer, Role::Reader]);
        let mut next = before.draft_next();
        next.members.push(member(Role::Writer, &mut rng));
        next.members.sort_by_key(|member| member.account);
        assert_eq!(next.check_after(&before, &accounts[0]), Ok(()));
        for other in [accounts[1], accounts[2], AccountId::new([0; 16])] {
            assert_eq!(next.check_after(&before, &other), Err(ControlError::NotAdmin));
        }
    }

    #[test]
    fn each_rule_is_kept() {
        let (before, accounts, mut rng) = space_of(&[Role::Admin, Role::Writer]);
        let admin = accounts[0];
        let new_key = SpaceKey::make(2, &mut rng).commitment(&before.space);
        type Change = Box<dyn Fn(&mut Control)>;
        let table: Vec<(&str, Change, Result<(), ControlError>)> = vec![
            ("nothing", Box::new(|_| {}), Ok(())),
            ("another space", Box::new(|c| c.space = SpaceId::new([9; 16])), Err(ControlError::NotSuccessor)),
            ("a version skipped", Box::new(|c| c.version += 1), Err(ControlError::NotSuccessor)),
            (
                "another branch",
                Box::new(|c| c.previous = ControlHash::new([9; 32])),
                Err(ControlError::NotSuccessor),
            ),
            (
                "a member lost without a new key",
                Box::new(move |c| c.members.retain(|m| m.account == admin)),
                Err(ControlError::Epoch),
            ),
            (
                "a member lost with a new key",
                Box::new(move |c| {
                    c.members.retain(|m| m.account == admin);
                    (c.epoch, c.commitment) = (2, new_key);
                }),
                Ok(()),
            ),
            (
                "a new key without an epoch",
                Box::new(move |c| c.commitment = new_key),
                Err(ControlError::Epoch),
            ),
            ("an epoch without a new key", Box::new(|c| c.epoch = 2), Err(ControlError::Epoch)),
            (
                "an epoch skipped",
                Box::new(move |c| (c.epoch, c.commitment) = (3, new_key)),
                Err(ControlError::Epoch),
            ),
            (
                "an epoch back",
                Box::new(move |c| (c.epoch, c.commitment) = (0, new_key)),
                Err(ControlError::Epoch),
            ),
            (
                "no admin",
                Box::new(|c| c.members.iter_mut().for_each(|m| m.role = Role::Writer)),
                Err(ControlError::NoAdmin),
            ),
            ("out of order", Box::new(|c| c.members.reverse()), Err(ControlError::Members)),
            ("one twice", Box::new(|c| c.members.push(c.members[1].clone())), Err(ControlError::Members)),
        ];
        for (what, change, expected) in table {
            let mut next = before.draft_next();
            change(&mut next);
            assert_eq!(next.check_after(&before, &admin), expected, "{what}");
        }
    }

    #[test]
    fn a_new_identity_needs_a_new_key_and_is_named() {
        let (before, accounts, mut rng) = space_of(&[Role::Admin, Role::Writer]);
        let mut next = before.draft_next();
        let at = next.members.iter().position(|m| m.account == accounts[1]).unwrap();
        next.members[at].identity = IdentitySecret::make(&mut rng).public();
        assert_eq!(next.check_after(&before, &accounts[0]), Err(ControlError::Epoch));
        assert_eq!(next.changed_identities(&before).map(|m| m.account).collect::<Vec<_>>(), [accounts[1]]);
    }

    #[test]
    fn it_is_sealed_for_its_version() {
        let (control, _, mut rng) = space_of(&[Role::Admin]);
        let key = SpaceKey::make(1, &mut rng);
        let sealed = control.seal(&key, &mut rng);
        assert_eq!(Control::open(&key, &control.space, 1, &sealed).unwrap(), control);
        assert_eq!(Control::open(&key, &control.space, 2, &sealed), Err(OpenError::WrongKeyOrContext));
        let context = control_context(&SpaceId::new([9; 16]), 1);
        let misplaced = sealed::seal(&key.key, &context, &control.to_bytes(), &mut rng);
        let opened = Control::open(&key, &SpaceId::new([9; 16]), 1, &misplaced);
        assert_eq!(opened, Err(OpenError::Plaintext(DecodeError::Shape)));
        let bytes = control.to_bytes();
        for len in 0..bytes.len() {
            assert!(Control::parse(&bytes[..len]).is_err());
        }
    }
}
