//! The bodies of the fuzz targets over all their seeds, and over every input that a fuzzer has found
//! (`testdata/fuzz/<target>/`): none of them panics.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
#![cfg(debug_assertions)]

use std::collections::BTreeSet;
use std::panic::catch_unwind;

use tls_tests::fuzz::{TARGETS, Target, found_inputs, target_of};
use tls_tests::source::workspace;

/// Runs a target over all of them and names those that panic.
fn run_all(target: Target) {
    let (seeds, found) = ((target.seeds)(), found_inputs(target.name));
    assert!(seeds.len() > 5, "{}: {} seeds", target.name, seeds.len());
    let names: BTreeSet<_> = seeds.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), seeds.len(), "{}: two seeds of one name", target.name);
    let mut failed = Vec::new();
    for (name, input) in seeds.iter().chain(&found) {
        if catch_unwind(|| (target.run)(input)).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{}: {failed:?}", target.name);
    // Whatever is not long enough to be anything.
    for len in 0..4 {
        (target.run)(&vec![0; len]);
        (target.run)(&vec![255; len]);
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run_all(target_of(stringify!($name)));
            }
        )*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

targets!(messages client_hello client server pair records sessions certificates transcripts);

#[test]
fn every_target_is_a_test_a_program_and_known_to_the_gate() {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, NAMES);
    let manifest = std::fs::read_to_string(workspace().join("fuzz/Cargo.toml")).unwrap();
    for name in names {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{name} is not in fuzz/Cargo.toml"
        );
        let program = workspace().join(format!("fuzz/fuzz_targets/{name}.rs"));
        let program = std::fs::read_to_string(program).unwrap();
        assert!(
            program.contains(&format!("target_of(\"{name}\")")),
            "{name}: {program}"
        );
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    // A directory that belongs to no target would be forgotten.
    for entry in std::fs::read_dir(workspace().join("testdata/fuzz"))
        .into_iter()
        .flatten()
    {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(NAMES.contains(&&*name) || name == "README.md", "{name}");
    }
}
