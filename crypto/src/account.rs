//! Identity: who an account is, which devices it has, and how its keys are reached.
//!
//! SPEC.md sections 5 and 6. The chain of signed [`state`]s says what is true of an account. A root key is
//! usable only after it matched the commitment in a verified state, whichever way it came: out of a
//! [`bundle`] with the password or the recovery code, or by a [`grant`] to an enrolled device.

pub mod challenge;
pub mod credentials;
pub mod keys;
pub mod state;

#[cfg(feature = "client")]
pub mod bundle;
#[cfg(feature = "client")]
pub mod enrolment;
#[cfg(feature = "client")]
pub mod grant;
#[cfg(feature = "client")]
pub mod recovery;
#[cfg(feature = "client")]
pub mod root;
#[cfg(feature = "client")]
pub mod safety;
