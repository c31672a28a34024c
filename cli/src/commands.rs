//! One function a command.

use clap::CommandFactory as _;

use crate::args::{Args, Command};
use crate::ask::Ask;
use crate::failure::Result;
use crate::out::Out;
use crate::store::Place;

mod account;
mod demo;
mod devices;
mod doctor;
mod journal;
mod moods;
mod sync;
mod transfer;

/// What every command has at hand.
pub(crate) struct Context<'a> {
    pub(crate) place: Place,
    pub(crate) ask: Ask,
    pub(crate) out: &'a Out,
}

pub(crate) async fn run(args: Args, out: &Out) -> Result {
    match &args.command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Args::command(), "alcove", &mut std::io::stdout());
            return Ok(());
        }
        Command::Man => {
            clap_mangen::Man::new(Args::command()).render(&mut std::io::stdout())?;
            return Ok(());
        }
        Command::Demo { server } => return demo::run(server, out).await,
        _ => {}
    }
    let mut context =
        Context { place: Place::of(&args)?, ask: Ask::new(args.password_file.as_deref())?, out };
    if let Command::Init = args.command {
        let alcove = context.place.make(&mut context.ask).await?;
        let folder = alcove.folder().display().to_string();
        out.answer(&serde_json::json!({ "folder": folder }), || {
            format!("A journal begins in {folder}. `alcove write` the first entry.")
        });
        return Ok(());
    }
    if let Command::Doctor { rescue } = args.command {
        return doctor::run(&mut context, rescue).await;
    }
    let alcove = context.place.open(&mut context.ask).await?;
    let c = &mut context;
    match args.command {
        Command::Write { entry, at, text } => journal::write(&alcove, c, entry, at, &text).await,
        Command::List { from, to, tag, limit } => journal::list(&alcove, c, from, to, tag, limit).await,
        Command::Show { id, clear_conflicts } => journal::show(&alcove, c, &id, clear_conflicts).await,
        Command::Edit { id, entry, text } => journal::edit(&alcove, c, &id, entry, &text).await,
        Command::Delete { id } => journal::delete(&alcove, c, &id).await,
        Command::Search { words } => journal::search(&alcove, c, &words.join(" ")).await,
        Command::Mood { score: None, .. } => moods::list(&alcove, c).await,
        Command::Mood { score: Some(score), scale, intensity, emotions, triggers, note } => {
            let mut mood = alcove_sdk::Mood::new(crate::dates::now(), score, scale);
            (mood.intensity, mood.note) = (intensity, note);
            (mood.emotions, mood.triggers) = (emotions.into_iter().collect(), triggers.into_iter().collect());
            moods::log(&alcove, c, mood).await
        }
        Command::SignUp { server, invite } => account::sign_up(&alcove, c, server, invite.as_deref()).await,
        Command::LogIn { server, local } => account::log_in(&alcove, c, server, &local).await,
        Command::Join { code, local } => devices::join(&alcove, c, code, &local).await,
        Command::LogOut { wipe } => account::log_out(&alcove, c, wipe).await,
        Command::Recover { server, local } => account::recover(&alcove, c, server, &local).await,
        Command::Password { log_out_others, compromised } => {
            account::password(&alcove, c, log_out_others, compromised).await
        }
        Command::Sync { merge_fork, confirm } => sync::now(&alcove, c, merge_fork, confirm).await,
        Command::Watch { every } => sync::watch(&alcove, c, every).await,
        Command::Devices { command } => devices::run(&alcove, c, command).await,
        Command::DeleteAccount => account::delete(&alcove, c).await,
        Command::Export { format, file } => transfer::export(&alcove, c, format, file).await,
        Command::Import { file } => transfer::import(&alcove, c, &file).await,
        Command::Status => doctor::status(&alcove, c).await,
        Command::Init
        | Command::Doctor { .. }
        | Command::Demo { .. }
        | Command::Completions { .. }
        | Command::Man => Ok(()),
    }
}
