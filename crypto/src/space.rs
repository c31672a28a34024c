//! Spaces: a chain of signed commits over sealed records.
//!
//! SPEC.md sections 6 and 7. A [`commit`] is what the server can check: its place in the chain and no more. Inside stand
//! the [`header`] (who, when, and the root of the [`merkle`] map over all live slots) and, in a shared space, the
//! [`control`] (members and roles). A [`chain`] accepts commits one by one; a [`pull`] believes pages of [`record`]s
//! only when the newest commit's root proves them.

pub mod commit;

#[cfg(feature = "client")]
pub mod authority;
#[cfg(feature = "client")]
pub mod chain;
#[cfg(feature = "client")]
pub mod control;
#[cfg(feature = "client")]
pub mod header;
#[cfg(feature = "client")]
pub mod keys;
#[cfg(feature = "client")]
pub mod merkle;
#[cfg(feature = "client")]
pub mod pull;
#[cfg(feature = "client")]
pub mod record;
#[cfg(feature = "client")]
pub mod shared;
#[cfg(feature = "client")]
pub mod violation;
