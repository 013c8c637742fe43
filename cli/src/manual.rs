//! `splitway completions` and `splitway man`: the command line, for shells and for `man`.

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::args::{Cli, Completions, Man};
use crate::outcome::{Exit, Failure, Outcome, print};

pub(crate) fn completions(args: &Completions) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "splitway", &mut text);
    std::io::stdout().lock().write_all(&text)?;
    Ok(Exit::Fine)
}

pub(crate) fn man(args: &Man) -> Outcome {
    let unwritable = |error: std::io::Error| Failure::Usage(format!("{}: {error}", args.out.display()));
    std::fs::create_dir_all(&args.out).map_err(unwritable)?;
    clap_mangen::generate_to(Cli::command(), &args.out).map_err(unwritable)?;
    let count = std::fs::read_dir(&args.out).map_err(unwritable)?.count();
    print(&format!("{count} pages in {}", args.out.display()))
}
