//! The bodies of the fuzz targets, as plain functions over bytes: `fuzz/` hands them to libFuzzer, and
//! `tests/tests/fuzzed.rs` runs each over its seeds and over every input that was ever found.
//!
//! A body panics where something is wrong. What is wrong, besides a panic of the library:
//!
//! - a side that fails without naming a reason that the peer can be blamed for, or with the alert internal_error;
//! - a side that waits although nothing will come any more, or work without end;
//! - two sides that are established and disagree; data that the other side did not send;
//! - something that is read, written and read again, and is not the same.
//!
//! Randomness is seeded and the time stands still, so that an input does the same thing each time.

mod certificates;
mod edits;
mod ends;
mod hello;
mod input;
mod messages;
mod pair;
mod records;
mod replay;
mod scenario;
mod sessions;
mod transcripts;
mod units;

use tls_core::{AlertDescription, Error, ErrorKind};

use crate::source::workspace;

pub use hello::mutate as mutate_client_hello;

/// Longer inputs find nothing that shorter ones do not, and take longer.
pub const MAX_INPUT: usize = 64 * 1024;

/// A fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// As in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// What is done with an input.
    pub run: fn(&[u8]),
    /// What fuzzing begins with, by name.
    pub seeds: fn() -> Seeds,
}

/// Inputs with names.
pub type Seeds = Vec<(String, Vec<u8>)>;

/// All of them.
pub const TARGETS: [Target; 9] = [
    target("messages", messages::run, messages::seeds),
    target("client_hello", hello::run, hello::seeds),
    target("client", replay::run_client, replay::seeds_for_client),
    target("server", replay::run_server, replay::seeds_for_server),
    target("pair", pair::run, pair::seeds),
    target("records", records::run, records::seeds),
    target("sessions", sessions::run, sessions::seeds),
    target("certificates", certificates::run, certificates::seeds),
    target("transcripts", transcripts::run, transcripts::seeds),
];

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Seeds) -> Target {
    Target { name, run, seeds }
}

/// The one of this name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn target_of(name: &str) -> Target {
    let found = TARGETS.into_iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("no target {name}"))
}

/// The inputs of this target that a fuzzer has found, in `testdata/fuzz`.
///
/// # Panics
/// If one cannot be read.
#[must_use]
pub fn found_inputs(target: &str) -> Seeds {
    let directory = workspace().join("testdata/fuzz").join(target);
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Seeds::new();
    };
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        (name, std::fs::read(path).expect("a file"))
    };
    let mut found: Seeds = entries.map(read).collect();
    found.sort();
    found
}

/// Whether an error is the peer's fault, whatever it sent.
///
/// # Panics
/// If it is not.
fn assert_blames_the_peer(error: &Error, what: &str) {
    assert!(
        matches!(
            error.kind(),
            ErrorKind::BadBytes(_)
                | ErrorKind::Misbehaved(_)
                | ErrorKind::NothingInCommon(_)
                | ErrorKind::Certificate(_)
                | ErrorKind::AlertReceived(_)
                | ErrorKind::Truncated
                | ErrorKind::NotTls { .. }
        ),
        "{what}: {error:?}"
    );
    assert_ne!(
        error.alert(),
        Some(AlertDescription::INTERNAL_ERROR),
        "{what}: {error}"
    );
}
