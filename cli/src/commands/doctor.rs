//! How it stands, and what may be wrong.

use std::path::PathBuf;

use alcove_sdk::{Alcove, DeviceStanding, Incident};
use serde_json::json;

use super::{Context, transfer};
use crate::dates;
use crate::failure::Result;
use crate::out::Style;

pub(super) async fn status(alcove: &Alcove, c: &Context<'_>) -> Result {
    let (holdings, account) = (alcove.holdings().await?, alcove.account().info().await?);
    let incidents = alcove.incidents().await?.len();
    let value = json!({
        "folder": alcove.folder(),
        "records": holdings.records,
        "unsent": holdings.unsent,
        "unreadable": holdings.unreadable,
        "incidents": incidents,
        "account": account.as_ref().map(|account| json!({
            "server": account.server,
            "name": account.name,
            "id": account.id,
            "standing": standing(account.standing),
            "recovery_code_confirmed": account.recovery_code_confirmed,
            "up_to_ms": account.view.as_ref().map(|view| view.time_ms),
            "view_confirmed": account.view.as_ref().map(|view| view.confirmed),
        })),
    });
    c.out.answer(&value, || {
        let mut lines = vec![format!("Journal     {}", alcove.folder().display())];
        lines.push(format!("Records     {}, of which {} wait to be sent", holdings.records, holdings.unsent));
        match &account {
            None => lines.push("Account     none; everything works without one".into()),
            Some(account) => {
                lines.push(format!("Account     {} on {}", account.name, account.server));
                lines.push(format!("This device {}", standing(account.standing).replace('_', " ")));
                if let Some(view) = &account.view {
                    let device = view.device_name.clone().unwrap_or_else(|| view.device[..8].to_owned());
                    let confirmed = if view.confirmed { "" } else { ", not confirmed yet" };
                    lines.push(format!(
                        "Up to       {}, from {device}{confirmed}",
                        dates::show_ms(view.time_ms)
                    ));
                }
                if !account.recovery_code_confirmed {
                    lines.push(c.out.style(Style::Alert, "The recovery code was never typed back."));
                }
            }
        }
        if holdings.unreadable > 0 {
            lines.push(c.out.style(
                Style::Alert,
                format!("{} records cannot be read; `alcove doctor`", holdings.unreadable),
            ));
        }
        if incidents > 0 {
            lines.push(
                c.out.style(Style::Alert, format!("{incidents} incidents; `alcove doctor` shows them")),
            );
        }
        lines.join("\n")
    });
    Ok(())
}

fn standing(standing: DeviceStanding) -> &'static str {
    match standing {
        DeviceStanding::Active => "in_sync",
        DeviceStanding::LoggedOut => "logged_out",
        DeviceStanding::Revoked => "revoked",
        DeviceStanding::Cloned => "copied_elsewhere",
        DeviceStanding::Deleted => "account_deleted",
    }
}

/// A finding, good or bad.
struct Finding {
    good: bool,
    what: String,
}

pub(super) async fn run(c: &mut Context<'_>, rescue: Option<PathBuf>) -> Result {
    if let Some(file) = rescue {
        let vault = c.place.vault(&mut c.ask)?;
        let rescued = alcove_sdk::rescue(&c.place.folder, vault).await?;
        let (count, damaged) = (rescued.records.len(), rescued.damaged);
        let exported =
            rescued.records.into_iter().map(|(id, envelope)| alcove_sdk::Exported::new(id, envelope));
        transfer::write_private(&file, &transfer::as_json(exported.collect())?)?;
        c.out.answer(&json!({ "rescued": count, "damaged": damaged }), || {
            format!(
                "{count} records are in {}, {damaged} could not be read. The damaged journal is as it was: begin a new one \
                 in another folder, and `alcove import` the file there.",
                file.display()
            )
        });
        return Ok(());
    }
    let alcove = c.place.open(&mut c.ask).await?;
    let mut findings = vec![Finding { good: true, what: "the key fits the journal".into() }];
    findings.push(match alcove.check().await {
        Ok(()) => Finding { good: true, what: "the journal is not damaged".into() },
        Err(error) => Finding {
            good: false,
            what: format!("{error}; `alcove doctor --rescue FILE` reads what can be read"),
        },
    });
    let unreadable = alcove.unreadable().await?.len();
    findings.push(Finding {
        good: unreadable == 0,
        what: format!("{unreadable} records cannot be read by this version; they are kept as they are"),
    });
    findings.extend(account(&alcove).await?);
    let incidents = alcove.incidents().await?;
    let value = json!({
        "findings": findings.iter().map(|f| json!({ "good": f.good, "what": f.what })).collect::<Vec<_>>(),
        "incidents": incidents,
    });
    c.out.answer(&value, || {
        let findings = findings.iter().map(|finding| {
            let mark =
                if finding.good { c.out.style(Style::Good, "ok") } else { c.out.style(Style::Alert, "!!") };
            format!("{mark}  {}", finding.what)
        });
        let incidents = incidents.iter().map(|incident| incident_line(c, incident));
        findings.chain(incidents).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

async fn account(alcove: &Alcove) -> Result<Vec<Finding>> {
    let Some(account) = alcove.account().info().await? else {
        return Ok(vec![Finding { good: true, what: "no account, and none is needed".into() }]);
    };
    let mut findings = vec![Finding {
        good: account.recovery_code_confirmed,
        what: if account.recovery_code_confirmed {
            "the recovery code was typed back once".into()
        } else {
            "the recovery code was never typed back; `alcove password --compromised` makes a new one".into()
        },
    }];
    findings.push(match alcove.sync().now().await {
        Ok(report) => Finding {
            good: !report.needs_confirmation,
            what: if report.needs_confirmation {
                "nothing is sent before you confirm what came: `alcove sync`".into()
            } else {
                format!("in sync with {}", account.server)
            },
        },
        Err(error) => Finding { good: false, what: format!("{}: {error}", account.server) },
    });
    Ok(findings)
}

fn incident_line(c: &Context<'_>, incident: &Incident) -> String {
    let when = c.out.style(Style::Faint, dates::show_ms(incident.at_ms));
    let count = if incident.count > 1 { format!(" ({} times)", incident.count) } else { String::new() };
    format!("{}  {when}  {}{count}: {}", c.out.style(Style::Alert, "!!"), incident.kind, incident.detail)
}
