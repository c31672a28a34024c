#![doc = include_str!("../README.md")]

pub mod account;
pub mod bytes;
pub mod encoding;
pub mod endpoint;
pub mod enrolment;
pub mod error;
pub mod identity;
pub mod limits;
pub mod name;
#[cfg(feature = "openapi")]
mod openapi;
pub mod server;
pub mod spaces;

pub use bytes::{Bytes, Wire};
pub use encoding::{DecodeError, Encoding};
pub use error::{ErrorBody, ErrorCode};
pub use name::LoginName;
