//! `swipeline selfcheck`: does everything that the documentation promises happen on this machine?

use std::process::ExitCode;

use crate::selfcheck::{CHAPTERS, Story};

use super::{EXIT_FAILURE, wrong_usage};

/// Arguments of `swipeline selfcheck`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Walk through these chapters only [default: all]
    #[arg(long, value_name = "CHAPTER,...", value_delimiter = ',')]
    only: Vec<String>,
}

/// Walks through the chapters and prints a line per observation. Exit code 1 when one of them is not as promised.
///
/// # Errors
/// When standard output is closed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let names: Vec<&str> = CHAPTERS.iter().map(|chapter| chapter.name()).collect();
    if let Some(unknown) = args.only.iter().find(|name| !names.contains(&name.as_str())) {
        wrong_usage(
            "selfcheck",
            &format!("unknown chapter `{unknown}`; there are {}", names.join(", ")),
        );
    }
    let mut story = Story::default();
    for chapter in CHAPTERS {
        if args.only.is_empty() || args.only.iter().any(|name| name == chapter.name()) {
            story.tell(chapter).await?;
        }
    }
    story.end()?;
    Ok(if story.failures() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_FAILURE)
    })
}
