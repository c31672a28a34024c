#![doc = include_str!("../README.md")]
#![expect(clippy::duplicate_mod, reason = "the queries are written once and compiled for each database")]

pub mod api;
pub mod app;
pub mod clock;
pub mod commands;
pub mod config;
mod devices;
pub mod limiter;
pub mod logging;
pub mod metrics;
pub mod secrets;
pub mod serve;
mod stall;
pub mod store;
pub mod sweep;
pub mod tls;
pub mod tokens;
