//! The binary `swipeline`: reads the command line and leaves the rest to the library.

use std::process::ExitCode;

use clap::Parser;

/// Faster than the system's allocator under many small, short-lived vectors, as ranking makes them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    swipeline::cli::run(swipeline::cli::Cli::parse())
}
