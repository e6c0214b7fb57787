//! `swipeline health`: whether a server may serve, as an exit code (for container health checks).

use std::process::ExitCode;
use std::time::Duration;

use super::EXIT_FAILURE;
use super::ask::ServerArgs;

/// How long a healthy server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments of `swipeline health`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whom to ask.
    #[command(flatten)]
    server: ServerArgs,
}

/// Asks `/readyz`: exit code 0 when the server is ready, 1 when it is not or does not answer.
///
/// # Errors
/// The address cannot be used.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let server = args.server.server()?;
    let asked = tokio::time::timeout(ANSWER_TIMEOUT, server.get::<serde_json::Value>(&["readyz"], &[])).await;
    let reason = match asked {
        Ok(Ok(_)) => {
            println!("ready");
            return Ok(ExitCode::SUCCESS);
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
    };
    eprintln!("not ready: {reason}");
    Ok(ExitCode::from(EXIT_FAILURE))
}
