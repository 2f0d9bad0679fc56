//! The command `stent`. Everything it does is in the library, where tests and other programs reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    stent_cli::run(std::env::args_os())
}
