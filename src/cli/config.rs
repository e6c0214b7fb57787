//! `swipeline config`: checks, shows and writes configuration.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use super::ConfigFile;
use crate::config::template;

/// Arguments of `swipeline config`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Check all layers and report every error at once
    Check(ConfigFile),
    /// Print the effective configuration as TOML; secrets are masked
    Show(ConfigFile),
    /// Write a commented configuration file with the defaults
    Init(Init),
}

/// Arguments of `swipeline config init`.
#[derive(Debug, Clone, clap::Args)]
pub struct Init {
    /// Where to write; `-` is standard output
    #[arg(value_name = "FILE", default_value = "swipeline.toml")]
    pub file: PathBuf,
    /// Replace a file that exists
    #[arg(long)]
    pub force: bool,
}

/// Runs `swipeline config`.
///
/// # Errors
/// When the configuration is wrong, or the file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match &args.action {
        Action::Check(file) => {
            file.load([])?;
            writeln!(out, "the configuration is valid")?;
        }
        Action::Show(file) => write!(out, "{}", file.load([])?.to_toml()?)?,
        Action::Init(init) if init.file == Path::new("-") => write!(out, "{}", template())?,
        Action::Init(init) => {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).create_new(!init.force);
            let mut file = options.open(&init.file).with_context(|| {
                let hint = if init.file.exists() {
                    " (--force replaces it)"
                } else {
                    ""
                };
                format!("cannot write {}{hint}", init.file.display())
            })?;
            file.write_all(template().as_bytes())?;
            writeln!(out, "wrote {}", init.file.display())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
