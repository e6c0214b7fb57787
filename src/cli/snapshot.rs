//! `swipeline snapshot`: backups of a data directory.
//!
//! Owns the words around `swipeline_storage::backup`. Works on stopped servers; a running one keeps its directory locked.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use swipeline_storage::StorageOptions;
use swipeline_storage::backup::{self, BackupReport};

use super::ConfigFile;
use crate::server::now;

/// Arguments of `swipeline snapshot`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Back up the data directory of a stopped server, and read the backup back
    Create(CreateArgs),
    /// Read a backup as a whole and check every byte
    Verify {
        /// The backup
        #[arg(value_name = "BACKUP")]
        from: PathBuf,
    },
    /// Make a data directory out of a backup
    Restore(RestoreArgs),
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// The new directory of the backup
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Data directory of a stopped server [default: ./swipeline-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the configuration comes from.
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Debug, clap::Args)]
struct RestoreArgs {
    /// The backup
    #[arg(value_name = "BACKUP")]
    from: PathBuf,
    /// The new data directory; must be empty or not there [default: ./swipeline-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the configuration comes from.
    #[command(flatten)]
    config: ConfigFile,
}

/// Makes, checks or restores a backup.
///
/// # Errors
/// What is wrong with the backup or the data directory, by path.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (done, report) = match &args.action {
        Action::Create(create) => {
            let data_dir = data_dir(&create.config, create.data_dir.as_ref())?;
            let options = StorageOptions {
                now_ms: now().0,
                ..StorageOptions::default()
            };
            (
                format!("backed up to {}", create.out.display()),
                backup::create_from_dir(&data_dir, &create.out, &options)?,
            )
        }
        Action::Verify { from } => (format!("{} is intact", from.display()), backup::verify(from)?),
        Action::Restore(restore) => {
            let data_dir = data_dir(&restore.config, restore.data_dir.as_ref())?;
            (
                format!("restored to {}", data_dir.display()),
                backup::restore(&restore.from, &data_dir)?,
            )
        }
    };
    println!("{done}: {}", describe(&report));
    Ok(ExitCode::SUCCESS)
}

fn data_dir(config: &ConfigFile, flag: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    let flag = flag
        .map(|dir| dir.to_str().map(str::to_owned).context("--data-dir is not UTF-8"))
        .transpose()?;
    Ok(config.load([("data.dir", flag)])?.data.dir)
}

fn describe(report: &BackupReport) -> String {
    let made = jiff::Timestamp::from_millisecond(report.created_at_ms);
    let made = made.map_or_else(|_| report.created_at_ms.to_string(), |at| at.to_string());
    let mut text = format!(
        "made {made}, {} files, {} bytes, {} journal records, {} snapshots",
        report.files, report.bytes, report.journal_records, report.snapshot_entries
    );
    for (count, what) in [
        (
            report.journal_damaged,
            "damaged stretches in the journal (they were in the original)",
        ),
        (report.snapshots_damaged, "damaged snapshots left out"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}
