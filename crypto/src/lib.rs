#![doc = include_str!("../README.md")]

pub mod account;
pub mod cbor;
pub mod ids;
pub mod labels;
pub mod opaque;
pub mod signing;
pub mod space;

#[cfg(feature = "client")]
pub mod attachment;
#[cfg(feature = "client")]
pub mod local;
#[cfg(feature = "client")]
pub mod padding;
#[cfg(feature = "client")]
pub mod sealed;

mod hash;
#[cfg(feature = "client")]
mod hpke;
mod secret;
#[cfg(all(test, feature = "client"))]
#[expect(clippy::unnecessary_wraps, reason = "all judges have one type")]
mod vectors;
#[cfg(all(test, feature = "client"))]
mod world;

#[cfg(feature = "client")]
pub use hpke::HpkeError;

/// The version of every format in this crate: the first byte of everything stored, and part of every context.
pub const VERSION: u8 = 1;

/// The same, as account states name it: the version of the protocol that a device must speak.
pub const PROTOCOL: u64 = VERSION as u64;
