//! What the connections came to: a simulation in which nothing happens any more would find nothing.

use std::collections::BTreeMap;
use std::fmt;

use tls_core::EarlyData;
use tls_tests::sim::{Ended, Handshake, Plan, Run};

/// How often something happened.
#[derive(Default)]
pub(super) struct Tally(BTreeMap<String, u64>);

/// What has to happen at least once in this many connections, on average.
const RARE: u64 = 1500;

/// What has to happen.
const EXPECTED: [&str; 32] = [
    "handshake: both",
    "handshake: full",
    "handshake: truncated",
    "handshake: link",
    "handshake: timed out",
    "handshake: refused",
    "handshake: alert",
    "early data: accepted",
    "early data: rejected",
    "early data: some left to the client",
    "reading: Clean",
    "reading: Stopped",
    "reading: Error(UnexpectedEof)",
    "reading: Error(ConnectionReset)",
    "reading: Error(ConnectionAborted)",
    "reading: Error(HostUnreachable)",
    "writing: Clean",
    "writing: Stopped",
    "writing: Error(BrokenPipe)",
    "writing: Error(ConnectionReset)",
    "shutdown: Clean",
    "shutdown: Error(TimedOut)",
    "shutdown: Error(BrokenPipe)",
    "graceful: Clean",
    "graceful: StillSending",
    "graceful: Truncated",
    "graceful: TimedOut",
    "graceful: Reset",
    "gave up",
    "abandoned in the handshake",
    "abandoned later",
    "orderly",
];

impl Tally {
    pub(super) fn count(&mut self, plan: &Plan, run: &Run) {
        if run.records.iter().all(|record| record.handshake.is_done()) {
            self.add("handshake: both");
        }
        if plan.is_orderly() {
            self.add("orderly");
        }
        for record in &run.records {
            match &record.handshake {
                Handshake::NotYet | Handshake::Other(_) => self.add("handshake: not over"),
                Handshake::Done { resumed, early, .. } => {
                    if !resumed {
                        self.add("handshake: full");
                    }
                    match early {
                        EarlyData::Accepted => self.add("early data: accepted"),
                        EarlyData::Rejected => self.add("early data: rejected"),
                        _ => {}
                    }
                }
                Handshake::Truncated { .. } => self.add("handshake: truncated"),
                Handshake::Link { .. } => self.add("handshake: link"),
                Handshake::TimedOut { .. } => self.add("handshake: timed out"),
                Handshake::Refused => self.add("handshake: refused"),
                Handshake::Alert(_) => self.add("handshake: alert"),
            }
            if record.early_rest > 0 {
                self.add("early data: some left to the client");
            }
            for (what, ended) in [
                ("reading", record.reading),
                ("writing", record.writing),
                ("shutdown", record.shutdown),
            ] {
                if ended != Ended::NotYet {
                    self.add(&format!("{what}: {ended:?}"));
                }
            }
            if let Some(graceful) = record.graceful {
                self.add(&format!("graceful: {graceful:?}"));
            }
            if record.abandoned && record.handshake.is_done() {
                self.add("abandoned later");
            } else if record.abandoned {
                self.add("abandoned in the handshake");
            }
            if record.gave_up {
                self.add("gave up");
            }
        }
    }

    fn add(&mut self, what: &str) {
        match self.0.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                self.0.insert(what.to_owned(), 1);
            }
        }
    }

    /// What should have happened and did not, or hardly.
    pub(super) fn missing(&self, connections: u64) -> Vec<&'static str> {
        let is_rare = |what: &&str| self.0.get(*what).copied().unwrap_or(0) < connections / RARE;
        EXPECTED.into_iter().filter(is_rare).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(what, count)| writeln!(f, "{count:>9} {what}"))
    }
}
