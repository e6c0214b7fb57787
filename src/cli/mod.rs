//! The command line: which commands there are, and how a result becomes an exit code.
//!
//! Owns: the list of commands. Each command lives in its own file with its `Args` and its `run`.

mod ask;
pub mod config;
pub mod eval;
pub mod export;
pub mod health;
pub mod import;
pub mod inspect;
pub mod recommend;
pub mod selfcheck;
pub mod serve;
pub mod snapshot;
pub mod token;
pub mod train;
mod train_embeddings;
mod train_params;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{Settings, Sources};

/// The exit code of a failure; wrong usage is 2, which the command line parser gives.
const EXIT_FAILURE: u8 = 1;

/// A real-time recommender for apps in which people swipe through a feed.
#[derive(Debug, Parser)]
#[command(
    name = "swipeline",
    version,
    about,
    arg_required_else_help = true,
    propagate_version = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(serve::Args),
    /// Run the server with a generated catalogue, simulated viewers and the swipe page
    Demo(crate::demo::Args),
    /// Load items, users or events in bulk
    Import(import::Args),
    /// Write items, users or events to a file
    Export(export::Args),
    /// Measure the recommendations on a real log, beside simple methods
    Eval(Box<eval::Args>),
    /// Train what the server loads: the ranking model, or the numbers of its params document
    Train(train::Args),
    /// Ask a running server for a user's feed
    Recommend(recommend::Args),
    /// Ask a running server what it knows about a user or an item
    Inspect(inspect::Args),
    /// Check, show or write a configuration
    Config(config::Args),
    /// Make tokens for viewers
    Token(token::Args),
    /// Create, verify or restore a backup
    Snapshot(snapshot::Args),
    /// Ask a running server whether it is well
    Health(health::Args),
    /// Walk through a story on a server of its own and say what was seen
    Selfcheck(selfcheck::Args),
}

/// The configuration file, for every command that reads the configuration.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConfigFile {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "SWIPELINE_CONFIG")]
    pub config: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads all layers; `flags` are keys that flags of the command line set.
    ///
    /// # Errors
    /// Every unknown key and every impossible value, by its name.
    pub fn load(&self, flags: impl IntoIterator<Item = (&'static str, Option<String>)>) -> anyhow::Result<Settings> {
        let flags = flags
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        Ok(Settings::load(&Sources::of_process(self.config.clone(), flags))?)
    }
}

/// Ends the process as the parser of the command line does.
fn wrong_usage(command: &str, wrong: &str) -> ! {
    let mut all = Cli::command();
    let found = all
        .find_subcommand_mut(command)
        .map(|found| found.clone().bin_name(format!("swipeline {command}")));
    found.unwrap_or(all).error(ErrorKind::ArgumentConflict, wrong).exit()
}

/// Runs a command inside an actix system and returns the exit code of the process.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let result = match runtime() {
        Ok(runtime) => actix_web::rt::System::with_tokio_rt(|| runtime).block_on(dispatch(cli.command)),
        Err(error) => Err(error.into()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(EXIT_FAILURE)
    })
}

/// The main thread's runtime. What blocks there (checkpoints, lists, builds) nobody waits for who is answered.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(swipeline_storage::give_way)
        .build()
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Demo(args) => crate::demo::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Export(args) => export::run(args).await,
        Command::Eval(args) => eval::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Recommend(args) => recommend::run(args).await,
        Command::Inspect(args) => inspect::run(args).await,
        Command::Config(args) => config::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Snapshot(args) => snapshot::run(&args).await,
        Command::Health(args) => health::run(args).await,
        Command::Selfcheck(args) => selfcheck::run(args).await,
    }
}
