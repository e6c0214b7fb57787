//! The command line: help, wrong usage and exit codes.

use crate::harness::{run, stderr_of};

#[test]
fn wrong_usage_is_2() {
    for args in [
        &["--no-such-flag"][..],
        &["dance"],
        &["serve", "--listen"],
        &["config"],
        &["serve", "extra"],
        &[],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr_of(&output));
    }
}

#[test]
fn help_and_version_are_0_and_name_the_commands() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for command in [
        "serve",
        "import",
        "export",
        "recommend",
        "inspect",
        "config",
        "token",
        "snapshot",
        "health",
    ] {
        assert!(
            help.contains(&format!("\n  {command}")),
            "{command} is missing in {help}"
        );
        assert_eq!(run(&[command, "--help"]).status.code(), Some(0), "{command} --help");
    }
    let version = run(&["--version"]);
    assert!(String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_flag_with_an_impossible_value_is_a_failure_that_names_the_key() {
    let output = run(&["serve", "--listen", "nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr_of(&output).contains("server.listen"), "{}", stderr_of(&output));
}
