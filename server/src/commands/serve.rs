//! `serve`: everything together, until somebody says stop.

use std::sync::Arc;
use std::time::Duration;

use alcove_protocol::server::Registration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, open, print};
use crate::app::App;
use crate::config::Config;
use crate::tls::Certificates;

/// How often it is asked whether the certificate's files have changed.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(30);

pub(super) async fn serve(config: Config) -> Result<(), Failure> {
    let certificates = config.tls.as_ref().map(Certificates::load).transpose()?;
    let tls = certificates.clone().map(Certificates::server_config).transpose()?;
    let address = config.server.listen;
    // Before the database is touched: a second server on the same port changes nothing.
    let listener =
        TcpListener::bind(address).await.map_err(Failure::io(format!("cannot listen on {address}")))?;
    let metrics = match config.server.metrics_listen {
        Some(address) => {
            let what = format!("cannot listen on {address} for metrics");
            Some(TcpListener::bind(address).await.map_err(Failure::io(what))?)
        }
        None => None,
    };
    let opened = open(config).await?;
    let app = opened.app;
    print(&greeting(&app, opened.made_secrets, tls.is_some()))?;

    let mut background = tokio::task::JoinSet::new();
    background.spawn(crate::sweep::run(app.clone()));
    if let Some(certificates) = certificates {
        background.spawn(watch(certificates));
    }
    if let Some(listener) = metrics {
        background.spawn(serve_metrics(listener, app.clone()));
    }
    crate::serve::serve(listener, app.clone(), tls, stop()).await;
    background.shutdown().await;
    app.store.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// What somebody who starts it for the first time wants to know.
fn greeting(app: &App, made_secrets: bool, secure: bool) -> String {
    let config = &app.config;
    let scheme = if secure { "https" } else { "http" };
    let made =
        if made_secrets { " (made just now; keep a copy, apart from backups of the database)" } else { "" };
    let registration = match config.registration.mode {
        Registration::Open => "open to anybody (registration.mode)",
        Registration::Closed => "closed; registration.mode = \"open\" or \"invite\" opens it",
        Registration::Invite => "by invitation: make one with `alcove-server invite`",
    };
    let origins = match &config.server.origins[..] {
        [] => "this machine only; server.origins lists what clients dial".to_owned(),
        origins => origins.join(", "),
    };
    let address = config.server.listen;
    format!(
        "Alcove {version} serves on {scheme}://{address}\n\
         \x20 database      {database}\n\
         \x20 secrets       {secrets}{made}\n\
         \x20 registration  {registration}\n\
         \x20 clients from  {origins}\n\
         Try it:  curl {scheme}://{address}/v1/server\n",
        version = env!("CARGO_PKG_VERSION"),
        database = config.database.url,
        secrets = config.secrets.file.display(),
    )
}

/// Ends on SIGTERM and SIGINT.
async fn stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be received: the server will not stop in good order");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: what was accepted is finished");
}

async fn watch(certificates: Arc<Certificates>) {
    loop {
        tokio::time::sleep(CERTIFICATES_EVERY).await;
        match certificates.reload_if_changed() {
            Ok(false) => {}
            Ok(true) => tracing::info!("the certificate was read again"),
            Err(error) => tracing::error!(%error, "the new certificate cannot be used; the old one stays"),
        }
    }
}

async fn serve_metrics(listener: TcpListener, app: App) {
    let render = move || {
        let app = app.clone();
        async move { app.metrics.render() }
    };
    let router = axum::Router::new().route("/metrics", axum::routing::get(render));
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "metrics are no longer served");
    }
}
