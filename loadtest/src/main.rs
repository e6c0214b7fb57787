//! The load tester's command line.
//!
//! Owns arguments, printing and exit codes; everything else is in the library.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
