//! Prints a row for each budget: what we do, what the baseline does in the same run, and whether the ratio is met.
//!
//! `cargo run --release -p alcove-bench -- budgets [crypto|server|sdk] [--quick] [--json]`. Nothing here is a test: time depends on the machine, and a
//! missed budget is a fact to look at, not a failure.

mod client;
#[expect(clippy::cast_precision_loss, reason = "counts of work are far below 2^52")]
mod crypto;
mod row;
#[expect(clippy::cast_precision_loss, reason = "counts of work are far below 2^52")]
mod sdk;
#[expect(clippy::cast_precision_loss, reason = "counts of work are far below 2^52")]
mod server;

use std::process::ExitCode;

use row::Row;

const USAGE: &str = "usage: alcove-bench [budgets] [crypto|server|sdk] [--quick] [--json]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The server as a process of its own, for what only a process shows.
    if arguments.first().is_some_and(|first| first == "serve") {
        return alcove_server::commands::run();
    }
    // A process of its own, for what it holds in memory.
    if let [open, folder] = &arguments[..]
        && open == "open"
    {
        sdk::open_and_tell(folder);
        return ExitCode::SUCCESS;
    }
    let json = arguments.iter().any(|argument| argument == "--json");
    if let Some(unknown) = arguments.iter().find(|argument| {
        !matches!(argument.as_str(), "budgets" | "crypto" | "server" | "sdk" | "--quick" | "--json")
    }) {
        eprintln!("alcove-bench: unknown argument {unknown}\n{USAGE}");
        return ExitCode::from(2);
    }
    if cfg!(debug_assertions) {
        eprintln!("alcove-bench: this is a debug build; its figures mean nothing (use --release)");
    }
    let wants = |part: &str| {
        let parts = ["crypto", "server", "sdk"];
        arguments.iter().any(|one| one == part) || !arguments.iter().any(|one| parts.contains(&one.as_str()))
    };
    let mut rows = Vec::new();
    if wants("crypto") {
        rows.extend(crypto::rows());
    }
    if wants("server") {
        rows.extend(server::rows(arguments.iter().any(|argument| argument == "--quick")));
    }
    if wants("sdk") {
        rows.extend(sdk::rows(arguments.iter().any(|argument| argument == "--quick")));
    }
    if json {
        match serde_json::to_string_pretty(&rows) {
            Ok(text) => println!("{text}"),
            Err(error) => {
                eprintln!("alcove-bench: {error}");
                return ExitCode::FAILURE;
            }
        }
    } else {
        print!("{}", Row::table(&rows));
    }
    ExitCode::SUCCESS
}
