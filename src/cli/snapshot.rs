//! `swipeline snapshot`: backups of a data directory.
//!
//! Owns the words around `swipeline_storage::backup`. A running server keeps its directory locked and is asked over its
//! admin listener.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use reqwest::Method;
use swipeline_storage::StorageOptions;
use swipeline_storage::backup::{self, BackupReport};

use super::ConfigFile;
use crate::server::now;
use crate::transfer::rest::{CREDENTIAL_VARIABLE, RestServer};

/// Arguments of `swipeline snapshot`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Back up a running server (--url), or the data directory of a stopped one, and read the backup back
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
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data_dir: Option<PathBuf>,
    /// The admin listener of a running server, such as http://127.0.0.1:8081; its key comes from SWIPELINE_API_KEY
    #[arg(long, value_name = "URL")]
    url: Option<String>,
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
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (done, report) = match &args.action {
        Action::Create(CreateArgs {
            url: Some(url), out, ..
        }) => {
            let report = of_running(url, out).await?;
            (format!("backed up {url} to {}", out.display()), report)
        }
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

/// A snapshot as the server names it.
#[derive(serde::Deserialize)]
struct Made {
    name: String,
}

/// Lets a running server back itself up, fetches the backup, and reads it back. The server does not keep it.
async fn of_running(url: &str, out: &Path) -> anyhow::Result<BackupReport> {
    anyhow::ensure!(!out.exists(), "{} is there already", out.display());
    let credential = std::env::var(CREDENTIAL_VARIABLE).ok().filter(|key| !key.is_empty());
    let server = RestServer::new(url, credential)?;
    let snapshots = ["v1", "admin", "snapshots"];
    let made: Made = server
        .send(Method::POST, &snapshots, &[], "application/json", Vec::new())
        .await
        .context("backups are made by the admin listener (8081 unless configured otherwise)")?;
    let [v1, admin, list] = snapshots;
    let path = [v1, admin, list, made.name.as_str()];
    let fetched = fetch(&server, &path, &made.name, out).await;
    // Whether or not it came over: the server would keep it for nobody.
    server.delete(&path).await?;
    fetched?;
    Ok(backup::verify(out)?)
}

async fn fetch(server: &RestServer, path: &[&str], name: &str, out: &Path) -> anyhow::Result<()> {
    let parent = out
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    // On the same disk, so that the whole takes its name at once.
    let folder = tempfile::Builder::new()
        .prefix(".swipeline-snapshot")
        .tempdir_in(parent)?;
    let archive = folder.path().join("snapshot.tar");
    let mut file = std::fs::File::create(&archive)?;
    let mut answer = server.open(path, &[]).await?;
    while let Some(chunk) = answer.chunk().await.context("the backup broke off")? {
        file.write_all(&chunk)?;
    }
    drop(file);
    tar::Archive::new(std::fs::File::open(&archive)?)
        .unpack(folder.path())
        .context("the backup cannot be unpacked")?;
    std::fs::rename(folder.path().join(name), out).with_context(|| out.display().to_string())?;
    Ok(())
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
