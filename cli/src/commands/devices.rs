//! Devices: listed, named, added, revoked.

use alcove_sdk::{Alcove, DeviceInfo};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;

use super::account::{local_data, merge_or_discard};
use super::{Context, sync};
use crate::args::{DevicesCommand, LocalArgs};
use crate::ask::line;
use crate::dates;
use crate::failure::{Failure, Result};
use crate::out::Style;
use crate::out::print;

pub(super) async fn run(alcove: &Alcove, c: &mut Context<'_>, command: Option<DevicesCommand>) -> Result {
    match command.unwrap_or(DevicesCommand::List) {
        DevicesCommand::List => list(alcove, c).await,
        DevicesCommand::Rename { name } => {
            alcove.account().rename_device(&name).await?;
            c.out.answer(&json!({ "name": name }), || format!("This device is called {name} now."));
            Ok(())
        }
        DevicesCommand::Revoke { device } => revoke(alcove, c, &device).await,
        DevicesCommand::Invite => invite(alcove, c).await,
    }
}

fn as_json(device: &DeviceInfo) -> serde_json::Value {
    json!({
        "id": device.id,
        "name": device.name,
        "added_day": device.added_day,
        "revoked_day": device.revoked_day,
        "is_this": device.is_this,
    })
}

async fn list(alcove: &Alcove, c: &Context<'_>) -> Result {
    let devices = alcove.account().devices().await?;
    let json: Vec<_> = devices.iter().map(as_json).collect();
    c.out.answer(&json, || {
        let lines = devices.iter().map(|device| {
            let id = c.out.style(Style::Name, &device.id[..8]);
            let name = c.out.style(Style::Strong, device.name.as_deref().unwrap_or("(without a name)"));
            let added = c.out.style(Style::Faint, format!("since {}", dates::show_day(device.added_day)));
            let state = match (device.is_this, device.revoked_day) {
                (_, Some(day)) => c.out.style(Style::Alert, format!("  revoked {}", dates::show_day(day))),
                (true, None) => c.out.style(Style::Good, "  this device"),
                (false, None) => String::new(),
            };
            format!("{id}  {name}  {added}{state}")
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

async fn revoke(alcove: &Alcove, c: &mut Context<'_>, which: &str) -> Result {
    let devices = alcove.account().devices().await?;
    let live = devices.iter().filter(|device| device.revoked_day.is_none());
    let found: Vec<_> =
        live.filter(|device| device.id.starts_with(which) || device.name.as_deref() == Some(which)).collect();
    let [device] = found[..] else {
        return Err(Failure::say(format!(
            "{} devices are called {which:?}; see `alcove devices`",
            found.len()
        )));
    };
    let password = c.ask.secret("Password of the account")?;
    alcove.account().revoke(&device.id, &password).await?;
    c.out.answer(&json!({ "revoked": device.id }), || {
        "Revoked. It is out, and can read nothing that is written from now on. What it has, it keeps.".into()
    });
    Ok(())
}

async fn invite(alcove: &Alcove, c: &mut Context<'_>) -> Result {
    let inviting = alcove.account().invite_device().await?;
    let code = inviting.code();
    if c.out.is_json() {
        c.out.item(&json!({ "code": **code }), String::new);
    } else {
        if let Ok(qr) = QrCode::new(code.as_bytes()) {
            print(&qr.render::<Dense1x2>().quiet_zone(true).build());
        }
        print(&code);
        c.out
            .note("Scan it on the new device, or type there: alcove join. It is good once, for ten minutes.");
    }
    let asked = inviting.wait().await?;
    c.out.note(format!("A device asks to join: {}. It shows the same id.", &asked.device()[..8]));
    let password = c.ask.secret("Password of the account, to let it in")?;
    asked.approve(&password).await?;
    c.out.answer(&json!({ "added": asked.device() }), || "It is in.".into());
    Ok(())
}

pub(super) async fn join(
    alcove: &Alcove,
    c: &mut Context<'_>,
    code: Option<String>,
    local: &LocalArgs,
) -> Result {
    let code = code.map_or_else(|| line("Code from `alcove devices invite`"), Ok)?;
    let account = alcove.account();
    let joined = match account.join(&code, local_data(local)).await {
        Err(alcove_sdk::Error::LocalDataExists(count)) => {
            let local = merge_or_discard(c, count)?;
            account.join(&code, local).await?
        }
        result => result?,
    };
    c.out.note(format!("This device is {}. Type the password on the other one.", &joined.device()[..8]));
    joined.finish().await?;
    c.out.note("Joined.");
    sync::run_and_show(alcove, c).await
}
