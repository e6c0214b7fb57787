//! `swipeline token`: viewers' tokens for trying things out.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use swipeline_models::ids::UserId;

use super::ConfigFile;
use crate::auth::issue_token;
use crate::server::now;

/// The longest a token may be valid: ten years.
const TTL_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// Arguments of `swipeline token`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do with tokens.
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a token, signed with the configured shared secret (HS256)
    New(NewArgs),
}

#[derive(Debug, clap::Args)]
struct NewArgs {
    /// For whom
    #[arg(long, value_name = "ID", value_parser = parse_user)]
    user: UserId,
    /// How long it is valid, such as 30m, 1h, 7d
    #[arg(long, default_value = "1h", value_parser = parse_ttl)]
    ttl: Duration,
    /// Where the configuration comes from.
    #[command(flatten)]
    config: ConfigFile,
}

/// Prints a token.
///
/// # Errors
/// No shared secret is configured, or the configuration is wrong.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Action::New(new) = &args.action;
    let settings = new.config.load([])?;
    let now_s = u64::try_from(now().0 / 1_000).context("the clock stands before 1970")?;
    println!("{}", issue_token(&settings.auth, &new.user, now_s, new.ttl.as_secs())?);
    Ok(ExitCode::SUCCESS)
}

fn parse_user(text: &str) -> Result<UserId, String> {
    UserId::new(text).map_err(|error| error.to_string())
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    let ttl = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if ttl < Duration::from_secs(1) || ttl > TTL_MAX {
        return Err("must be between one second and ten years".to_owned());
    }
    Ok(ttl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live_are_read_and_bounded() {
        assert_eq!(parse_ttl("1h"), Ok(Duration::from_secs(3_600)));
        assert_eq!(parse_ttl("7d"), Ok(Duration::from_secs(7 * 24 * 3_600)));
        assert!(parse_ttl("0s").is_err());
        assert!(parse_ttl("11years").is_err());
        assert!(parse_ttl("soon").is_err());
    }
}
