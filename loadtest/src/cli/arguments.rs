//! The arguments of all commands.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use swipeline_loadtest::client::{CallMix, Proto};
use swipeline_loadtest::plan::Arrivals;
use swipeline_loadtest::report::Threshold;
use swipeline_loadtest::run::Scenario;

/// Simulated viewers with hidden tastes swipe through a Swipeline server.
#[derive(Debug, Parser)]
#[command(name = "swipeline-loadtest", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Let viewers swipe, measure, write a report.
    Run(Box<RunArgs>),
    /// Fill a server with a generated catalogue of short videos.
    Fill(FillArgs),
    /// Measure the same frames against a bare WebSocket echo: the cost that no recommender can go below.
    Floor(FloorArgs),
    /// Put two reports side by side.
    Compare(CompareArgs),
    /// Print the JSON Schema of report.json.
    Schema,
    /// Serve the echo (started by `floor`).
    #[command(hide = true)]
    FloorServer(FloorServerArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The server's stream.
    #[arg(long, default_value = "ws://127.0.0.1:8080/v1/stream")]
    pub(crate) url: String,
    /// How many viewers.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) sessions: u32,
    /// Swipes per second of all viewers together; with 0 they only hold their sockets.
    #[arg(long, default_value_t = 200.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// For how long: 500ms, 30s, 5m, 1h; by default 30s, and 30m for `soak`.
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// How messages are written: json or msgpack.
    #[arg(long, default_value_t = Proto::Json)]
    pub(crate) proto: Proto,
    /// How swipes follow each other: poisson, uniform or burst.
    #[arg(long, default_value_t = Arrivals::Poisson)]
    pub(crate) arrivals: Arrivals,
    /// What happens.
    #[arg(long, default_value_t = Scenario::Steady, value_parser = scenario_parser())]
    pub(crate) scenario: Scenario,
    /// The seed of plan, tastes and reactions.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// User ids are this and a number; by default new for every run, so that viewers begin unknown.
    #[arg(long)]
    pub(crate) user_prefix: Option<String>,
    /// How many swipes of one viewer may wait for their feeds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) in_flight: u16,
    /// How many items a feed shall have (the server's default when left out).
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) feed_items: Option<u16>,
    /// An answer that takes longer has failed.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// A changed taste shows when the new favourite has this share of a pushed feed.
    #[arg(long, default_value_t = 0.25, value_parser = share)]
    pub(crate) shift_share: f64,
    /// Where report.json and report.html go.
    #[arg(long, default_value = "swipeline-report")]
    pub(crate) report: PathBuf,
    /// What has to hold, such as 'event_to_feed.p99<20ms' or 'repeats==0'; may be given several times.
    #[arg(long)]
    pub(crate) threshold: Vec<Threshold>,
    /// An earlier report.json to compare with.
    #[arg(long)]
    pub(crate) baseline: Option<PathBuf>,
    /// With --baseline: fail (exit code 3) when a number is worse by more than this share, such as 0.1.
    #[arg(long, requires = "baseline", value_parser = share)]
    pub(crate) tolerance: Option<f64>,
    /// The server's metrics page, for its CPU and memory; by default port 8081 of a loopback server, if it answers.
    #[arg(long)]
    pub(crate) metrics_url: Option<String>,
    /// The server's process on this machine: its CPU and memory are read from /proc instead of the metrics page.
    #[arg(long)]
    pub(crate) server_pid: Option<u32>,
    /// The server's admin listener, for `model-swap`; by default port 8081 of the server's host.
    #[arg(long)]
    pub(crate) admin_url: Option<String>,
    /// For `model-swap`: the ONNX file to swap in; by default the bundled model.
    #[arg(long)]
    pub(crate) model: Option<PathBuf>,
    /// For `rolling-restart`: the command that restarts the server; `sh -c` runs it.
    #[arg(long, required_if_eq("scenario", "rolling-restart"))]
    pub(crate) restart_command: Option<String>,
    /// For `one-shot`: how often each REST call is made; only the ratios count.
    #[arg(long, default_value_t = CallMix::default())]
    pub(crate) mix: CallMix,
    /// For `one-shot`: over how many kept connections.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) connections: u16,
    /// Spread the viewers over so many processes; one has at most about 19 000 sockets.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) processes: u8,
    /// Source addresses, such as 127.0.0.1,127.0.0.2: each has about 28 000 ports of its own.
    #[arg(long, value_delimiter = ',')]
    pub(crate) source: Vec<IpAddr>,
    /// Leave out the bare echo that is measured before and after (needs the server's CPU time to be of use).
    #[arg(long)]
    pub(crate) no_floor: bool,
    /// Allow a target that is not this machine.
    #[arg(long)]
    pub(crate) allow_remote: bool,
    /// Which process of a spread run this is: given by the first one.
    #[arg(long, hide = true)]
    pub(crate) worker: Option<u8>,
    /// The item of `viral`: given by the first process.
    #[arg(long, hide = true)]
    pub(crate) hit_item: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct FillArgs {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// How many items.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) items: u32,
    /// Numbers per embedding; without it the server builds its own.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub(crate) dim: Option<u16>,
    /// The same seed gives the same items.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Also send about so many events of made-up viewers, so that something is popular.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub(crate) history: u32,
    /// Allow a target that is not this machine.
    #[arg(long)]
    pub(crate) allow_remote: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FloorArgs {
    /// How messages are written: json or msgpack.
    #[arg(long, default_value_t = Proto::Json)]
    pub(crate) proto: Proto,
    /// How many sockets.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) sessions: u16,
    /// Items per feed.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) feed_items: u16,
    /// Swipes per second of all sockets together; as fast as they are answered when left out.
    #[arg(long, value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// How long each measurement takes.
    #[arg(long, default_value = "3s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How many measurements; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) runs: u8,
    /// The echo's threads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) workers: u8,
}

#[derive(Debug, Args)]
pub(crate) struct FloorServerArgs {
    #[arg(long, default_value_t = Proto::Json)]
    pub(crate) proto: Proto,
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) feed_items: u16,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) workers: u8,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The earlier report.json, or its folder.
    pub(crate) before: PathBuf,
    /// The later report.json, or its folder.
    pub(crate) after: PathBuf,
    /// Fail (exit code 3) when a number is worse by more than this share, such as 0.1.
    #[arg(long, value_parser = share)]
    pub(crate) tolerance: Option<f64>,
}

/// Reads `500ms`, `30s`, `5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let number_end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let factor_s = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err("give a number and a unit: ms, s, m or h".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| format!("{number:?} is not a number"))?;
    Duration::try_from_secs_f64(number * factor_s)
        .ok()
        .filter(|duration| !duration.is_zero() && *duration <= Duration::from_secs(7 * 86_400))
        .ok_or_else(|| "must be longer than nothing and at most a week".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (0.0..=1e7).contains(&number) {
        Ok(number)
    } else {
        Err("must be at least 0 and at most 10 000 000".to_owned())
    }
}

/// Names in the help and in errors; the value itself is the library's.
fn scenario_parser() -> impl TypedValueParser<Value = Scenario> {
    let names = Scenario::ALL.iter().map(|scenario| scenario.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Scenario>())
}

fn share(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err("must be between 0 and 1".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_need_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        for wrong in ["30", "s", "0s", "1d", "1e9h", "-1s", "99999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_words_of_the_help_are_those_that_are_read() {
        for scenario in Scenario::ALL {
            let args = [
                "swipeline-loadtest",
                "run",
                "--scenario",
                scenario.name(),
                "--threshold",
                "repeats==0",
                "--restart-command",
                "true",
            ];
            assert!(Cli::try_parse_from(args).is_ok());
        }
        assert!(Cli::try_parse_from(["swipeline-loadtest", "run", "--threshold", "repeats"]).is_err());
        assert!(Cli::try_parse_from(["swipeline-loadtest", "run", "--tolerance", "0.1"]).is_err());
        assert!(Cli::try_parse_from(["swipeline-loadtest", "run", "--scenario", "rolling-restart"]).is_err());
        for rate in ["-1", "nan", "inf", "1e8"] {
            assert!(Cli::try_parse_from(["swipeline-loadtest", "run", &format!("--rate={rate}")]).is_err());
        }
    }
}
