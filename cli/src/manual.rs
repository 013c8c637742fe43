//! `splitway completions` and `splitway man`: the command line, for shells and for `man`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Command};

use crate::outcome::{Exit, Failure, Outcome, print};

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Name of the shell
    shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Folder to write the pages to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn completions(args: &Completions, mut command: Command) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "splitway", &mut text);
    std::io::stdout().lock().write_all(&text)?;
    Ok(Exit::Fine)
}

pub(crate) fn man(args: &Man, command: Command) -> Outcome {
    let unwritable = |error: std::io::Error| Failure::Usage(format!("{}: {error}", args.out.display()));
    std::fs::create_dir_all(&args.out).map_err(unwritable)?;
    clap_mangen::generate_to(command, &args.out).map_err(unwritable)?;
    let count = std::fs::read_dir(&args.out).map_err(unwritable)?.count();
    print(&format!("{count} pages in {}", args.out.display()))
}
