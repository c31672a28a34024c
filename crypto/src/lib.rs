#![doc = include_str!("../README.md")]

pub mod cbor;
pub mod ids;
pub mod labels;

mod hash;
mod secret;
pub mod signing;

#[cfg(feature = "client")]
pub mod padding;
#[cfg(feature = "client")]
pub mod sealed;

/// The version of every format in this crate: the first byte of everything stored, and part of every context.
pub const VERSION: u8 = 1;
