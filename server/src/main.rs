//! The program: its command line is in `commands`.

use std::process::ExitCode;

fn main() -> ExitCode {
    alcove_server::commands::run()
}
