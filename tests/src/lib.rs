//! Machinery for tests that need several crates or processes. Each file in `tests/` opens with its goal.
//!
//! `workspace` finds things; `postgres` and `process` run real servers; `server` runs ours inside the test; `http` and
//! `client` speak to it. The client is small and honest: it verifies what it pulls and knows no more than a test needs. `phone` is a device with the real SDK.

pub mod client;
pub mod faults;
pub mod http;
pub mod phone;
pub mod postgres;
pub mod process;
pub mod server;
mod workspace;
pub mod world;

pub use workspace::{cargo_metadata, project_files, run, workspace_root};
