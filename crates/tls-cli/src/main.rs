//! The `tls` command: serve and connect, and see what was negotiated; capture, and see what clients offer.

mod args;
mod capture;
mod certificate;
mod connect;
mod console;
mod describe;
mod failure;
mod identity;
mod join;
mod manual;
mod protocol;
mod serve;
mod sessions;
mod setup;
mod starttls;
mod transcript;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Arguments, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // `--help` and `--version` are no failures, and go to stdout.
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return Failure::usage(&error).report(),
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    // What needs no runtime.
    let command = match arguments.command {
        Command::Completions(arguments) => return manual::completions(&arguments),
        Command::Man(arguments) => return manual::man(&arguments),
        command => command,
    };
    setup::tracing();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    // Boxed: they are some kilobytes each, and only one of them is needed.
    let result = runtime.block_on(async {
        match command {
            Command::Completions(_) | Command::Man(_) => Ok(()),
            Command::Serve(arguments) => Box::pin(serve::run(arguments)).await,
            Command::Capture(arguments) => Box::pin(capture::run(arguments)).await,
            Command::Connect(arguments) => Box::pin(connect::run(arguments)).await,
            Command::Transcript(arguments) => Box::pin(transcript::run(arguments)).await,
        }
    });
    // A thread that waits for the terminal's next line must not hold up the end.
    runtime.shutdown_background();
    result
}
