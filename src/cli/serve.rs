//! `swipeline serve`: runs the server until it is told to stop.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ConfigFile;
use crate::config::AuthSettings;
use crate::server::{Pages, RunningServer, start};
use crate::telemetry;

/// Arguments of `swipeline serve`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Public address, host:port; port 0 lets the system choose [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Address for operators, host:port [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<String>,
    /// Data directory [default: ./swipeline-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Start although neither the snapshots nor the journal say how everything was, and go on with what is left
    #[arg(long)]
    pub accept_loss: bool,
    /// Listen on a public address although no key is asked for: everybody who reaches it may do everything
    #[arg(long)]
    pub insecure_open: bool,
}

/// Runs the server until SIGTERM or SIGINT.
///
/// # Errors
/// When the configuration is wrong, an address is in use, or the data directory cannot be used.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let data_dir = args
        .data_dir
        .map(|dir| dir.to_str().map(str::to_owned).context("--data-dir is not UTF-8"));
    let flags = [
        ("server.listen", args.listen),
        ("server.admin_listen", args.admin_listen),
        ("data.dir", data_dir.transpose()?),
        ("data.accept_loss", args.accept_loss.then(|| "true".to_owned())),
        ("server.insecure_open", args.insecure_open.then(|| "true".to_owned())),
    ];
    let settings = args.config.load(flags.clone())?;
    telemetry::init_logs(&settings.log);
    // From the first line on: a SIGHUP that nobody listens for would end the process.
    let hang_up = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let server = start(settings, Pages::Api)?;
    announce(&server)?;
    let read_keys = move || Ok(args.config.load(flags.clone())?.auth);
    serve_until_stopped(server, hang_up, read_keys).await
}

/// Says on standard output where the server listens, in one line that a program can read.
///
/// # Errors
/// When standard output is closed.
pub fn announce(server: &RunningServer) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "listening on http://{} (admin http://{})",
        server.public, server.admin
    )?;
    out.flush()?;
    Ok(())
}

/// Ends the process after so long, whatever it waits for: a disk that does not answer must not keep it from ending. What was
/// acknowledged is in the journal.
fn end_within(limit: std::time::Duration) {
    let watching = std::thread::Builder::new().name("shutdown-limit".to_owned()).spawn(move || {
        std::thread::sleep(limit);
        tracing::error!(
            limit_ms = limit.as_millis() as u64,
            "the shutdown takes longer than it may; the process ends without it, what was acknowledged is in the journal"
        );
        std::process::exit(1);
    });
    if let Err(error) = watching {
        tracing::error!(%error, "nothing bounds this shutdown");
    }
}

/// Waits for recovery, then for SIGTERM or SIGINT, then stops. A second signal stops at once. SIGHUP reads the keys again.
///
/// # Errors
/// Why the engine did not start, or why the last checkpoint failed.
pub async fn serve_until_stopped(
    mut server: RunningServer,
    mut hang_up: Signal,
    read_keys: impl Fn() -> anyhow::Result<AuthSettings>,
) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    // A SIGHUP during recovery is heard when it is over.
    tokio::select! {
        ready = server.ready() => { ready?; }
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
    }
    tracing::info!(public = %server.public, admin = %server.admin, "ready");
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => read_keys_again(&server, &read_keys),
        }
    }
    tracing::info!("stopping");
    end_within(server.stops_within());
    tokio::select! {
        stopped = server.stop() => stopped.context("the last checkpoint failed; acknowledged events are safe")?,
        _ = terminate.recv() => anyhow::bail!("stopped at once by a second signal"),
        _ = interrupt.recv() => anyhow::bail!("stopped at once by a second signal"),
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Whatever is wrong with the new keys, the old ones hold and the server goes on.
fn read_keys_again(server: &RunningServer, read_keys: &impl Fn() -> anyhow::Result<AuthSettings>) {
    match read_keys().and_then(|keys| Ok(server.use_keys(&keys)?)) {
        Ok(()) => tracing::info!("the keys were read again"),
        Err(error) => tracing::error!(
            error = format!("{error:#}"),
            "the keys were not read again; the old ones hold"
        ),
    }
}
