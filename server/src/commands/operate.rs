//! What an operator asks of a server: is it right, what is in it, clean up.

use super::{Failure, open, print};
use crate::config::Config;
use crate::tls::Certificates;

pub(super) fn check_config(config: &Config) -> Result<(), Failure> {
    config.tls.as_ref().map(Certificates::load).transpose()?;
    print("The settings are good.")
}

pub(super) async fn check(config: Config) -> Result<(), Failure> {
    config.tls.as_ref().map(Certificates::load).transpose()?;
    let app = open(config).await?.app;
    let statements = app.store.check_statements().await?;
    app.store.close().await;
    print(&format!("Settings, secrets and database are good ({statements} statements prepared)."))
}

pub(super) async fn purge(config: Config) -> Result<(), Failure> {
    let app = open(config).await?.app;
    crate::sweep::everything(&app).await?;
    app.store.close().await;
    print("Deleted accounts are swept, old history is forgotten, what has expired is gone.")
}

pub(super) async fn stats(config: Config) -> Result<(), Failure> {
    let app = open(config).await?.app;
    let totals = app.store.totals().await?;
    app.store.close().await;
    print(&format!(
        "accounts        {}\nbeing deleted   {}\nspaces          {}\ncommits         {}\nrecords         {}\nrecord bytes    {}",
        totals.accounts, totals.dying, totals.spaces, totals.commits, totals.records, totals.bytes
    ))
}

pub(super) async fn support(config: Config) -> Result<(), Failure> {
    let mut lines = vec![
        format!("alcove-server {}", env!("CARGO_PKG_VERSION")),
        format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    ];
    lines.extend(config.redacted().into_iter().map(|(key, value)| format!("{key} = {value}")));
    // A summary is wanted most when something does not work.
    match open(config).await {
        Ok(opened) => {
            lines.push(match opened.app.store.totals().await {
                Ok(totals) => format!("{totals:?}"),
                Err(error) => format!("totals: {}", kind(&error)),
            });
            opened.app.store.close().await;
        }
        Err(Failure::Store(error)) => lines.push(format!("the database cannot be opened: {}", kind(&error))),
        Err(Failure::OtherSecrets { .. }) => lines.push("the database belongs to other secrets".to_owned()),
        Err(Failure::Secrets(_)) => lines.push("the secrets cannot be used".to_owned()),
        Err(_) => lines.push("the server cannot be put together".to_owned()),
    }
    print(&lines.join("\n"))
}

/// An error without the hosts and paths that its text may hold.
fn kind(error: &crate::store::StoreError) -> String {
    let text = format!("{error:?}");
    text.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
}
