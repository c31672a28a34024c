//! The log: to standard error, as text or JSON. What may never stand in it: login names, addresses, user agents, bodies,
//! tokens, ids of accounts and spaces, paths with ids.

use tracing_subscriber::filter::LevelFilter;

use crate::config::{Log, LogFormat};

/// Starts the log. A second call changes nothing.
pub fn start(log: &Log) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::from_level(log.level))
        .with_writer(std::io::stderr)
        .with_target(false);
    // Only a test starts it twice.
    drop(match log.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    });
}
