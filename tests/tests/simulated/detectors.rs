//! The simulation would notice: transports that do what none may are found out, and so are records that cannot be.

use std::io::ErrorKind as Io;

use tls_core::ProtocolVersion;
use tls_tests::sim::{Close, Ended, Plan, Run, Sabotage, Structure, World, judge};

use super::alone;

/// The first plans in which nothing goes wrong, with some data from the server and wakeups that matter.
fn orderly() -> impl Iterator<Item = Plan> {
    (0..)
        .map(Plan::new)
        .filter(|plan| plan.is_orderly() && !plan.spurious && plan.sides[1].length > 100)
}

/// What is said of a run on a transport that does this.
fn verdict(world: &World, plan: &Plan, sabotage: Sabotage) -> Result<(), String> {
    judge(plan, &world.run_with(plan, Some(sabotage)))
}

#[test]
fn one_seed_is_one_run() {
    let _alone = alone();
    let (world, other) = (World::new(), World::new());
    let mut traces = Vec::new();
    for seed in 0..300 {
        let plan = Plan::new(seed);
        let run = world.run(&plan);
        assert_eq!(
            format!("{run:?}"),
            format!("{:?}", other.run(&plan)),
            "seed {seed}"
        );
        traces.push(run.trace);
    }
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 300, "different seeds are different runs");
}

#[test]
fn a_changed_byte_is_found_wherever_it_is() {
    let _alone = alone();
    let world = World::new();
    // Before that there is one whose value does not matter: the minor version of a change_cipher_spec of TLS 1.3.
    for (plan, byte) in orderly().zip((140..320).step_by(3)) {
        for sabotage in [Sabotage::Flip(byte), Sabotage::Skip(byte)] {
            assert!(
                verdict(&world, &plan, sabotage).is_err(),
                "seed {}: {sabotage:?}",
                plan.seed
            );
        }
    }
}

#[test]
fn an_end_that_nobody_made_is_found_wherever_it_is() {
    let _alone = alone();
    let world = World::new();
    for (plan, byte) in orderly().zip((0..300).step_by(5)) {
        let found = verdict(&world, &plan, Sabotage::End(byte));
        assert!(found.is_err(), "seed {}: after {byte} bytes", plan.seed);
    }
}

#[test]
fn a_lost_wakeup_is_found() {
    let _alone = alone();
    let world = World::new();
    let mut found = 0;
    for (plan, wake) in orderly().zip((1..20).cycle()).take(200) {
        match verdict(&world, &plan, Sabotage::LoseWake(wake)) {
            // Often there is another one for the same task.
            Ok(()) => {}
            Err(what) => {
                let is_late = ["hang", "handshake", "shutdown", "TimedOut"];
                assert!(is_late.iter().any(|word| what.contains(word)), "{what}");
                found += 1;
            }
        }
    }
    assert!(found >= 30, "{found} of 200");
}

#[test]
fn a_transport_that_stays_is_found() {
    let _alone = alone();
    let world = World::new();
    let plan = Plan::new(1);
    assert!(judge(&plan, &world.run(&plan)).is_ok());
    let found = verdict(&world, &plan, Sabotage::Leak).unwrap_err();
    assert!(found.contains("outlives"), "{found}");
}

type Change = fn(&mut Run);

#[test]
fn what_cannot_be_is_refused() {
    let _alone = alone();
    let world = World::new();
    let changes: [(&str, Change); 10] = [
        ("a byte less than was sent", |run| run.records[0].got -= 1),
        ("a byte more than was sent", |run| run.records[0].got += 1),
        ("a wrong byte", |run| run.records[0].wrong = Some(7)),
        ("a cut that was none", |run| {
            run.records[0].reading = Ended::Error(Io::UnexpectedEof);
        }),
        ("a reset that was none", |run| {
            run.records[1].reading = Ended::Error(Io::ConnectionReset);
        }),
        ("a write error that was none", |run| {
            run.records[0].writing = Ended::Error(Io::BrokenPipe);
        }),
        ("a peer that was not stuck", |run| {
            run.records[1].shutdown = Ended::Error(Io::TimedOut);
        }),
        ("a shutdown that never was", |run| {
            run.records[0].shutdown = Ended::NotYet
        }),
        ("a patience that was over", |run| run.records[1].gave_up = true),
        ("no handshake", |run| {
            run.records[1].handshake = tls_tests::sim::Handshake::NotYet
        }),
    ];
    let plans = orderly().filter(|plan| {
        plan.version == ProtocolVersion::TLS13
            && plan
                .sides
                .iter()
                .all(|side| side.close == Close::AfterBoth && side.structure != Structure::Halves)
    });
    for plan in plans.take(3) {
        let run = world.run(&plan);
        judge(&plan, &run).unwrap();
        for (what, change) in changes {
            let mut changed = run.clone();
            change(&mut changed);
            assert!(judge(&plan, &changed).is_err(), "seed {}: {what}", plan.seed);
        }
    }
}
