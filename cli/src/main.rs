//! `alcove`: a journal for the terminal, and the reference client of the SDK.

use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod ask;
mod commands;
mod dates;
mod editor;
mod failure;
mod out;
mod store;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let out = out::Out::new(args.json, args.quiet);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return out.fail(&error.into()),
    };
    match runtime.block_on(commands::run(args, &out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => out.fail(&failure),
    }
}
