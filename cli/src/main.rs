//! The `splitway` command; see the library for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    splitway::run(std::env::args_os()).into()
}
