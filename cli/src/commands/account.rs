//! The account: founded, logged in to, recovered, left.

use alcove_sdk::{Alcove, LocalData, OnLogOut, OtherDevices, RecoveryCodeText};

use super::{Context, sync};
use crate::args::{LocalArgs, ServerArgs};
use crate::ask::{line, yes};
use crate::failure::{Failure, Result};
use crate::out::Style;
use crate::out::print;

pub(super) async fn sign_up(
    alcove: &Alcove,
    c: &mut Context<'_>,
    server: ServerArgs,
    invite: Option<&str>,
) -> Result {
    let name = name(server.name)?;
    let password = c.ask.new_secret("A password for the account")?;
    let code = alcove.account().sign_up(&server.server, &name, &password, invite).await?;
    recovery_code(alcove, c, &code).await?;
    sync::run_and_show(alcove, c).await
}

/// Shows the recovery code, once, and asks for it back.
async fn recovery_code(alcove: &Alcove, c: &mut Context<'_>, code: &RecoveryCodeText) -> Result {
    if c.out.is_json() {
        c.out.item(&serde_json::json!({ "recovery_code": **code }), String::new);
        return Ok(());
    }
    print(&format!(
        "Your recovery code. Write it down on paper: it is the only way back if you forget the password, and nobody can show \
         it again.\n\n    {}\n",
        c.out.style(Style::Strong, &**code)
    ));
    if !c.ask.has_terminal() {
        return Ok(());
    }
    for _ in 0..3 {
        let typed = line("Type it back from the paper")?;
        match alcove.account().confirm_recovery_code(&typed).await {
            Ok(()) => {
                c.out.note("That is it.");
                return Ok(());
            }
            Err(error) => c.out.note(format!("{error}")),
        }
    }
    c.out.note("Never mind; but look after that paper.");
    Ok(())
}

pub(super) fn local_data(local: &LocalArgs) -> LocalData {
    match (local.merge, local.discard) {
        (true, _) => LocalData::Merge,
        (_, true) => LocalData::Discard,
        _ => LocalData::Ask,
    }
}

/// Asks what is to become of what is here, where that was not said.
pub(super) fn merge_or_discard(c: &mut Context<'_>, count: u64) -> Result<LocalData> {
    if !c.ask.has_terminal() {
        return Err(alcove_sdk::Error::LocalDataExists(count).into());
    }
    let question = format!("There are {count} records on this device. Add them to the account?");
    if yes(&question)? { Ok(LocalData::Merge) } else { Err(Failure::say("nothing was changed")) }
}

pub(super) async fn log_in(
    alcove: &Alcove,
    c: &mut Context<'_>,
    server: ServerArgs,
    local: &LocalArgs,
) -> Result {
    let name = name(server.name)?;
    let password = c.ask.secret("Password of the account")?;
    let account = alcove.account();
    match account.log_in(&server.server, &name, &password, local_data(local)).await {
        Err(alcove_sdk::Error::LocalDataExists(count)) => {
            let local = merge_or_discard(c, count)?;
            account.log_in(&server.server, &name, &password, local).await?;
        }
        result => result?,
    }
    c.out.note("Logged in.");
    sync::run_and_show(alcove, c).await
}

pub(super) async fn recover(
    alcove: &Alcove,
    c: &mut Context<'_>,
    server: ServerArgs,
    local: &LocalArgs,
) -> Result {
    let name = name(server.name)?;
    let code = c.ask.secret("Recovery code")?;
    let password = c.ask.new_secret("A new password")?;
    let account = alcove.account();
    let recovered = account.recover(&server.server, &name, &code, &password, local_data(local)).await;
    let code = match recovered {
        Err(alcove_sdk::Error::LocalDataExists(count)) => {
            let local = merge_or_discard(c, count)?;
            account.recover(&server.server, &name, &code, &password, local).await?
        }
        result => result?,
    };
    c.out.note("You are back in. Everything that the old password and code could open was exchanged; your other devices have to log in again.");
    recovery_code(alcove, c, &code).await?;
    sync::run_and_show(alcove, c).await
}

pub(super) async fn password(
    alcove: &Alcove,
    c: &mut Context<'_>,
    log_out_others: bool,
    compromised: bool,
) -> Result {
    let old = c.ask.secret("Password of now")?;
    let new = c.ask.new_secret("The new password")?;
    let account = alcove.account();
    if compromised {
        let code = account.renew(&old, &new).await?;
        c.out.note("Everything was exchanged. Your other devices have to log in again.");
        recovery_code(alcove, c, &code).await?;
        return sync::run_and_show(alcove, c).await;
    }
    let others = if log_out_others { OtherDevices::Revoke } else { OtherDevices::Keep };
    account.change_password(&old, &new, others).await?;
    c.out.answer(&serde_json::json!({ "changed": true }), || "The password was changed.".into());
    Ok(())
}

pub(super) async fn log_out(alcove: &Alcove, c: &mut Context<'_>, wipe: bool) -> Result {
    if wipe {
        let unsent = alcove.holdings().await?.unsent;
        if unsent > 0 && !yes(&format!("{unsent} records were never synced and will be gone. Go on?"))? {
            return Err(Failure::say(format!("{unsent} records were never synced; `alcove sync` first")));
        }
    }
    alcove.account().log_out(if wipe { OnLogOut::Wipe } else { OnLogOut::Keep }).await?;
    c.out.answer(&serde_json::json!({ "logged_out": true, "wiped": wipe }), || {
        if wipe {
            "Logged out; the journal is gone from this device."
        } else {
            "Logged out; the journal stays here."
        }
        .into()
    });
    Ok(())
}

pub(super) async fn delete(alcove: &Alcove, c: &mut Context<'_>) -> Result {
    c.out.note(
        "This deletes the account and everything that the server holds of it. What is on this device stays.",
    );
    let password = c.ask.secret("Password of the account")?;
    let swept = alcove.account().delete(&password).await?;
    c.out.answer(&serde_json::json!({ "deleted": true, "swept": swept }), || {
        if swept { "Deleted." } else { "Deleted; the server is still sweeping." }.into()
    });
    Ok(())
}

fn name(name: Option<String>) -> Result<String> {
    name.map_or_else(|| line("Login name"), Ok)
}
