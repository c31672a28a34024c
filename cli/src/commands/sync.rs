//! Syncing: once with a progress, or on and on.

use std::time::Duration;

use alcove_sdk::sync::{Phase, Policy, Progress, Report};
use alcove_sdk::{Alcove, Observed, What};
use serde_json::json;

use super::Context;
use super::journal::{Shown, line, short};
use crate::ask::yes;
use crate::dates;
use crate::failure::{Failure, Result};
use crate::out::{Out, Style};

pub(super) async fn now(alcove: &Alcove, c: &mut Context<'_>, merge_fork: bool, confirm: bool) -> Result {
    if confirm {
        alcove.account().confirm_view().await?;
    }
    if merge_fork {
        let report = with_progress(alcove, c.out, true).await?;
        show(c.out, &report);
        return Ok(());
    }
    run_and_show(alcove, c).await
}

/// Syncs, asks what has to be asked, and says what came of it.
pub(super) async fn run_and_show(alcove: &Alcove, c: &mut Context<'_>) -> Result {
    let mut report = with_progress(alcove, c.out, false).await?;
    if report.needs_confirmation && confirm_view(alcove, c).await? {
        report = with_progress(alcove, c.out, false).await?;
    }
    show(c.out, &report);
    Ok(())
}

/// "This goes up to Tuesday, from your phone."
async fn confirm_view(alcove: &Alcove, c: &mut Context<'_>) -> Result<bool> {
    let account = alcove.account();
    let view = account.info().await?.and_then(|info| info.view);
    let up_to = view.map_or_else(
        || "The account is empty.".into(),
        |view| {
            let device = view.device_name.unwrap_or_else(|| view.device[..8].to_owned());
            format!("What came goes up to {}, from {device}.", dates::show_ms(view.time_ms))
        },
    );
    let live = account.devices().await?.into_iter().filter(|device| device.revoked_day.is_none());
    let names: Vec<_> = live.map(|device| device.name.unwrap_or_else(|| device.id[..8].to_owned())).collect();
    c.out.note(format!("{up_to} Your devices: {}.", names.join(", ")));
    if !yes("Is that the newest that you know of?")? {
        c.out.note("Nothing is sent from here before you say so: `alcove sync --confirm`.");
        return Ok(false);
    }
    account.confirm_view().await?;
    Ok(true)
}

async fn with_progress(alcove: &Alcove, out: &Out, merge_fork: bool) -> Result<Report> {
    let sync = alcove.sync();
    let mut progress = sync.progress();
    let work = async { if merge_fork { sync.merge_fork().await } else { sync.now().await } };
    tokio::pin!(work);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            Ok(()) = progress.changed() => out.progress(&bar(&progress.borrow_and_update())),
            _ = tokio::signal::ctrl_c() => {
                out.end_progress();
                return Err(Failure::say("stopped; nothing is lost, and the next sync goes on from here"));
            }
        }
    };
    out.end_progress();
    Ok(result?)
}

fn bar(progress: &Progress) -> String {
    const WIDTH: u64 = 24;
    let (done, all, what) = match progress.phase {
        Phase::Idle => return String::new(),
        Phase::SigningIn => return "signing in".into(),
        Phase::Applying => return "taking over".into(),
        Phase::Receiving => (progress.received as u64, progress.expected.unwrap_or(0), "received"),
        Phase::Sending => (progress.sent as u64, progress.unsent.max(progress.sent as u64), "sent"),
        _ => return "syncing".into(),
    };
    let filled = (done.min(all) * WIDTH).checked_div(all).unwrap_or(0);
    let bar: String = (0..WIDTH).map(|at| if at < filled { '█' } else { '░' }).collect();
    format!("{bar} {done} {what}, {} KiB", progress.bytes / 1024)
}

fn show(out: &Out, report: &Report) {
    let value = json!({
        "complete": report.complete,
        "received": report.received,
        "sent": report.sent,
        "merged": report.merged,
        "noticed": report.noticed,
        "needs_confirmation": report.needs_confirmation,
        "waits_for_barrier": report.waits_for_barrier,
        "bytes": report.bytes,
    });
    out.answer(&value, || {
        let mut text = match (report.received, report.sent) {
            (0, 0) => "Up to date.".to_owned(),
            (received, sent) => format!("In sync: {received} received, {sent} sent."),
        };
        if report.merged > 0 {
            text = format!("{text} {} merged.", report.merged);
        }
        for kind in &report.noticed {
            text = format!("{text}\n{}", out.style(Style::Alert, format!("Noticed: {kind}.")));
        }
        if report.waits_for_barrier {
            text.push_str("\nWaiting until the revocation of a device is complete.");
        }
        text
    });
}

pub(super) async fn watch(alcove: &Alcove, c: &mut Context<'_>, every: u64) -> Result {
    let mut changes = alcove.observe();
    let every = Duration::from_secs(every.max(1));
    let policy = Policy { every, debounce: Duration::from_millis(200), retry: every, ..Policy::default() };
    let _syncing = alcove.sync().start(policy);
    c.out.note("Watching; Ctrl-C ends it.");
    loop {
        let observed = tokio::select! {
            observed = changes.next() => observed,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Observed::Change(change) = observed else {
            c.out.item(&json!({ "what": "read_again" }), || "A lot has changed.".into());
            continue;
        };
        let what = match change.what {
            What::Added => "added",
            What::Updated => "updated",
            What::Deleted => "deleted",
            What::Synced => "synced",
        };
        let entry = alcove.journal().get(change.id).await.ok().flatten().map(Shown::from);
        let value = json!({ "what": what, "kind": &*change.kind, "id": change.id, "entry": entry });
        if change.what == What::Synced && !c.out.is_json() {
            continue;
        }
        c.out.item(&value, || match &entry {
            Some(entry) => format!("{what:8} {}", line(c.out, entry)),
            None => format!("{what:8} {}  {}", c.out.style(Style::Name, short(change.id)), change.kind),
        });
    }
}
