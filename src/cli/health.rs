//! `swipeline health`: whether a server may serve, as an exit code (for container health checks).

use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::EXIT_FAILURE;
use super::ask::ServerArgs;
use crate::transfer::rest::RestServer;

/// How long a healthy server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait before asking again.
const ASK_INTERVAL: Duration = Duration::from_millis(100);
/// The longest wait: a day.
const WAIT_MAX: Duration = Duration::from_secs(86_400);

/// Arguments of `swipeline health`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whom to ask.
    #[command(flatten)]
    server: ServerArgs,
    /// Ask again until it is ready or so long has passed, such as 30s
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
}

/// Asks `/readyz`: exit code 0 when the server is ready, 1 when it is not or does not answer.
///
/// # Errors
/// The address cannot be used.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let server = args.server.server()?;
    let deadline = Instant::now() + args.wait.unwrap_or_default().min(WAIT_MAX);
    loop {
        let reason = match ask(&server).await {
            Ok(()) => {
                println!("ready");
                return Ok(ExitCode::SUCCESS);
            }
            Err(reason) => reason,
        };
        if Instant::now() + ASK_INTERVAL > deadline {
            eprintln!("not ready: {reason}");
            return Ok(ExitCode::from(EXIT_FAILURE));
        }
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

/// Why the server is not ready, if it is not.
async fn ask(server: &RestServer) -> Result<(), String> {
    match tokio::time::timeout(ANSWER_TIMEOUT, server.get::<serde_json::Value>(&["readyz"], &[])).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(_) => Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
    }
}
