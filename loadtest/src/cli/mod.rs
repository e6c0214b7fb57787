//! Commands and exit codes: 0 ok, 1 failure, 2 wrong usage, 3 a threshold not met.

mod arguments;
mod fill;
mod floor;
mod live;
mod prepare;
mod run;
mod view;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use swipeline_loadtest::report::{Report, compare, render_comparison, schema_text};

use arguments::{Cli, Command, CompareArgs};

/// What a command came to.
pub(crate) enum Verdict {
    /// All is well.
    Ok,
    /// A threshold was not met, or a number got worse.
    ThresholdNotMet,
    /// The arguments make no sense together.
    WrongUsage(String),
}

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    // Wrong arguments end the process here with 2.
    let cli = Cli::parse();
    let verdict = match cli.command {
        Command::Run(args) => block_on(Box::pin(run::run(*args))),
        Command::Fill(args) => block_on(Box::pin(fill::fill(args))),
        Command::Floor(args) => block_on(Box::pin(floor::floor(args))),
        Command::FloorServer(args) => floor::serve(&args),
        Command::Compare(args) => compare_files(&args),
        Command::Schema => {
            print!("{}", schema_text());
            Ok(Verdict::Ok)
        }
    };
    match verdict {
        Ok(Verdict::Ok) => ExitCode::SUCCESS,
        Ok(Verdict::ThresholdNotMet) => ExitCode::from(3),
        Ok(Verdict::WrongUsage(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("error: {}", explain(&error));
            ExitCode::from(1)
        }
    }
}

/// An error with its causes; what a text says already is not said again.
fn explain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn block_on(command: impl Future<Output = anyhow::Result<Verdict>>) -> anyhow::Result<Verdict> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(command)
}

fn compare_files(args: &CompareArgs) -> anyhow::Result<Verdict> {
    let (before, after) = (Report::read(&args.before)?, Report::read(&args.after)?);
    let comparison = compare(&before, &after, args.tolerance.unwrap_or(0.0));
    print!("{}", render_comparison(&comparison, use_colours()));
    let fails = args.tolerance.is_some() && comparison.any_worse();
    Ok(if fails { Verdict::ThresholdNotMet } else { Verdict::Ok })
}

/// Colours on a terminal, unless `NO_COLOR` is set.
pub(crate) fn use_colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
