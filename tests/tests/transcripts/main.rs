//! Connections that were recorded against real peers, replayed: no network, no other program.
//!
//! `UPDATE_TRANSCRIPTS=name` (a name, a pattern with `*`, or `failing`) records again; see `testdata/README.md`.
#![cfg(debug_assertions)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod certificates;
mod cut;
mod verified;

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use tls_tests::transcript::case::Case;
use tls_tests::transcript::cases;
use tls_tests::transcript::compare::difference;
use tls_tests::transcript::live::record_live;
use tls_tests::transcript::run::replay_case;
use tls_tests::transcript::store::{UPDATE, Update, load, older, save};
use tls_tests::transcript::wire::Wire;
use tls_tests::transcript::{Recording, What};

/// A case, and its recording with the text of its file: or why there is none.
type Recorded = (Case, Result<(Recording, String), String>);

/// All recordings, after those that were named have been made again.
fn recorded() -> &'static [Recorded] {
    static RECORDED: OnceLock<Vec<Recorded>> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let cases = cases::all();
        update(&cases, &Update::from_env());
        let load = |case: Case| {
            let loaded = load(&case);
            (case, loaded)
        };
        cases.into_iter().map(load).collect()
    })
}

fn update(cases: &[Case], update: &Update) {
    let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(update.idle(&names), [""; 0], "{UPDATE} names what there is not");
    for case in cases {
        let fails = || update.failing() && replayed(case, &load(case)).is_err();
        if update.names(&case.name) || fails() {
            // Not println!, which the test harness hides.
            let made = catch_unwind(AssertUnwindSafe(|| record_live(case, older(case).as_ref())));
            let said = match &made {
                Ok(_) => "recorded",
                Err(_) => "CANNOT BE RECORDED:",
            };
            let _ = writeln!(std::io::stderr(), "{said} {}", case.name);
            if let Ok(made) = made {
                save(case, &made);
            }
        }
    }
}

/// What is wrong with a recording, if anything is.
fn replayed(case: &Case, loaded: &Result<(Recording, String), String>) -> Result<(), String> {
    let (recording, _) = loaded.as_ref().map_err(String::clone)?;
    let replay = replay_case(case, recording, |number| {
        Wire::replay(case.is_client(), recording.connections[number].clone())
    });
    difference(recording, &replay).map_or(Ok(()), Err)
}

/// Fails with what is wrong with each.
fn assert_all(what: &str, check: impl Fn(&Case, &Recording, &str) -> Result<(), String>) {
    let mut failing = Vec::new();
    for (case, loaded) in recorded() {
        let result = match loaded {
            Ok((recording, text)) => check(case, recording, text),
            Err(error) => Err(error.clone()),
        };
        if let Err(error) = result {
            let _ = writeln!(std::io::stderr(), "--- {} {what}\n{error}", case.name);
            failing.push(case.name.as_str());
        }
    }
    assert!(
        failing.is_empty(),
        "{} of {} {what}:\n  {}\nif that is meant: {UPDATE}=failing cargo test -p tls-tests --test transcripts",
        failing.len(),
        recorded().len(),
        failing.join("\n  ")
    );
}

#[test]
fn every_recording_happens_again() {
    let started = std::time::Instant::now();
    assert_all("differ", |case, recording, text| {
        replayed(case, &Ok((recording.clone(), text.to_owned())))
    });
    println!(
        "replayed {} recordings in {:?}",
        recorded().len(),
        started.elapsed()
    );
}

#[test]
fn a_difference_names_the_byte_the_message_and_the_field() {
    let (case, loaded) = recorded()
        .iter()
        .find(|(case, _)| case.name == "client-tls13-alpn")
        .unwrap();
    let (mut recording, text) = loaded.clone().unwrap();
    let What::Bytes(hello) = &mut recording.connections[0][0].what else {
        panic!("the client speaks first");
    };
    let at = hello.windows(8).position(|name| name == b"http/1.1").unwrap();
    hello[at + 7] = b'0';
    let shown = replayed(case, &Ok((recording, text))).unwrap_err();
    for part in [
        "connection 1, flow 1:",
        &format!("byte {} of the flight was 0x30 and is 0x31", at + 7),
        &format!(
            "byte {} of ClientHello, in extension application_layer_protocol_negotiation, protocol",
            at + 2
        ),
        "protocol of ClientHello (http/1.0) became protocol of ClientHello (http/1.1)",
        "!         protocol: http/1.0 ",
        "|         protocol: http/1.1\n",
    ] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
}
