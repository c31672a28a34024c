//! The public names of things: 16-byte ids and 32-byte hashes, each with a type of its own.
//!
//! A head cannot be passed where a state hash is wanted. None of these is secret; they are printed in hex.

use std::fmt;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident($len:literal);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// From its bytes.
            #[must_use]
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }

        impl<'a> From<&'a $name> for $crate::cbor::Item<'a> {
            fn from(name: &'a $name) -> Self {
                Self::Bytes(&name.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}

names! {
    /// An account: hash of its first identity key.
    AccountId(16);
    /// A device: hash of its two public keys.
    DeviceId(16);
    /// A space; random.
    SpaceId(16);
    /// The place of one record in a space; random, or derived for a singleton.
    SlotId(16);
    /// An attachment; random.
    AttachmentId(16);
    /// One attempt to enrol a device; random.
    EnrolmentId(16);
    /// An OPAQUE server setup: hash of its public key.
    SetupId(16);
    /// Hash of a sealed record, as stored.
    RecordHash(32);
    /// Hash of the bytes of a commit.
    CommitHash(32);
    /// Head of a space: the chain's hash up to a commit.
    Head(32);
    /// Root of the Merkle map over the live slots of a space.
    StateRoot(32);
    /// Hash of an account state.
    AccountStateHash(32);
    /// Hash of a credential set.
    CredentialSetHash(32);
    /// Hash of the control of a shared space.
    ControlHash(32);
    /// Commitment to the key of an epoch.
    KeyCommitment(32);
}

#[cfg(feature = "client")]
macro_rules! random_ids {
    ($($name:ident),*) => {$(
        impl $name {
            /// A new random one.
            #[must_use]
            pub fn make(rng: &mut impl rand_core::CryptoRng) -> Self {
                let mut bytes = [0; 16];
                rng.fill_bytes(&mut bytes);
                Self(bytes)
            }
        }
    )*};
}
#[cfg(feature = "client")]
random_ids!(SpaceId, SlotId, AttachmentId, EnrolmentId);
