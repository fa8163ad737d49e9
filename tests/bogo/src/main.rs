//! The program that BoringSSL's test runner (`ssl/test/runner`) starts for each test: a client or server on
//! `tls-core`, configured by flags, which connects to the runner, echoes what it gets, and checks what the flags tell
//! it to expect. See README.md beside it.

mod config;
mod exchange;
mod expect;
mod flags;
mod hooks;
mod link;

use std::process::ExitCode;
use std::time::Duration;

use config::Shared;
use exchange::Failed;
use flags::{Flags, Refused};

/// The runner counts the test apart.
const UNIMPLEMENTED: u8 = 89;
/// The test has failed, even where TLS was to fail.
const MUST_NOT_HAPPEN: u8 = 90;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments
        .iter()
        .any(|argument| argument == "-is-handshaker-supported")
    {
        println!("No");
        return ExitCode::SUCCESS;
    }
    let flags = match Flags::parse(arguments) {
        Ok(flags) => flags,
        Err(Refused::Unimplemented(flag)) => {
            eprintln!("not implemented: {flag}");
            return ExitCode::from(UNIMPLEMENTED);
        }
        Err(Refused::Malformed(what)) => {
            eprintln!("{what}");
            return ExitCode::from(MUST_NOT_HAPPEN);
        }
    };
    let mut shared = Shared::new();
    for number in 0..=flags.resume_count {
        if number > 0 {
            shared.elapsed += Duration::from_secs(flags.resume.resumption_delay);
        }
        match exchange::run(&flags, number, &shared) {
            Ok(()) => {}
            Err(Failed::Tls(error)) => {
                // The kind is what config.json maps BoringSSL's errors to.
                eprintln!("{error}\n{:?}", error.kind());
                return ExitCode::FAILURE;
            }
            Err(failed @ (Failed::DataAfterClose | Failed::NoVersion)) => {
                eprintln!("{failed:?}");
                return ExitCode::FAILURE;
            }
            Err(Failed::Unexpected(what)) => {
                eprintln!("connection {number}: {what}");
                return ExitCode::from(MUST_NOT_HAPPEN);
            }
            Err(Failed::Configuration(what)) => {
                eprintln!("not possible: {what}");
                return ExitCode::from(UNIMPLEMENTED);
            }
        }
    }
    ExitCode::SUCCESS
}
