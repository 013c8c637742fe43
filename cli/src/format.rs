//! `splitway fmt`: one layout for all configs. Comments stay, and so does what the config means.

use std::path::{Path, PathBuf};

use clap::Args;
use pretty_yaml::config::{FormatOptions, LayoutOptions};
use splitway_engine::Document;

use crate::input::{Input, config_files};
use crate::outcome::{Exit, Failure, Outcome, print};

/// As wide as the examples are.
const WIDTH: usize = 110;

#[derive(Debug, Args)]
pub(crate) struct Fmt {
    /// Configs, or folders with configs; `-` formats stdin to stdout
    #[arg(required = true, value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    /// Change nothing; exit 1 if a file is not formatted
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Fmt) -> Outcome {
    let mut files = Vec::new();
    for path in &args.files {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let (json, yaml): (Vec<PathBuf>, Vec<PathBuf>) =
            config_files(path)?.into_iter().partition(|file| file.extension().is_some_and(|e| e == "json"));
        for file in json {
            eprintln!("left unchanged: {} is JSON, and only YAML is formatted", file.display());
        }
        files.extend(yaml);
    }
    let mut unformatted = Vec::new();
    for file in &files {
        let input = Input::read(file)?;
        let formatted = formatted(&input)?;
        if file == Path::new("-") {
            return print(formatted.trim_end());
        }
        if formatted == input.text {
            continue;
        }
        unformatted.push(input.name.clone());
        if !args.check {
            std::fs::write(file, formatted)
                .map_err(|error| Failure::Usage(format!("{}: {error}", input.name)))?;
        }
    }
    let verb = if args.check { "is not formatted" } else { "formatted" };
    let mut lines: Vec<String> = unformatted.iter().map(|name| format!("{name}: {verb}")).collect();
    if lines.is_empty() {
        lines.push(match files.as_slice() {
            [file] => format!("{} is already formatted", file.display()),
            _ => "all files are already formatted".to_owned(),
        });
    }
    print(&lines.join("\n"))?;
    Ok(if args.check && !unformatted.is_empty() { Exit::Problems } else { Exit::Fine })
}

fn formatted(input: &Input) -> Result<String, Failure> {
    if input.text.trim_start().starts_with('{') {
        return Err(Failure::Usage(format!("{} is JSON, and only YAML is formatted", input.name)));
    }
    let before = input.document().map_err(|problems| input.refuse(&problems))?;
    let options = FormatOptions {
        layout: LayoutOptions { print_width: WIDTH, ..LayoutOptions::default() },
        ..FormatOptions::default()
    };
    let unable =
        |why: String| Failure::Problems(format!("{}: {why}; the file is left unchanged", input.name));
    let text = pretty_yaml::format_text(&input.text, &options).map_err(|error| unable(error.to_string()))?;
    let after = Document::from_yaml(&text).map_err(|problems| unable(problems.to_string()))?;
    if splitway_engine::content_hash(&before) != splitway_engine::content_hash(&after) {
        return Err(unable("formatting would change its meaning".to_owned()));
    }
    Ok(text)
}
