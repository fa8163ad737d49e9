//! One side of ours with the peer of a recording, whose messages are changed before they are sealed again with the
//! recorded keys: so that a change in an encrypted message is not only a bad MAC.
//!
//! An input is two bytes for the connection (by a hash of its name, so that new recordings leave old inputs what they
//! are) and the [edits](super::edits). Our own randomness is that of the recording.

use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use tls_core::ErrorKind;

use super::edits::{self, XOR};
use super::input::Input;
use super::units::{Said, without_hello_requests};
use super::{Seeds, assert_blames_the_peer};
use crate::transcript::case::Case;
use crate::transcript::run::replay_case;
use crate::transcript::wire::Wire;
use crate::transcript::{Recording, cases, store};

pub(super) fn run_client(bytes: &[u8]) {
    run(bytes, true);
}

pub(super) fn run_server(bytes: &[u8]) {
    run(bytes, false);
}

pub(super) fn seeds_for_client() -> Seeds {
    seeds(true)
}

pub(super) fn seeds_for_server() -> Seeds {
    seeds(false)
}

/// All recordings.
pub(super) fn recordings() -> &'static [(Case, Recording)] {
    static RECORDINGS: OnceLock<Vec<(Case, Recording)>> = OnceLock::new();
    RECORDINGS.get_or_init(|| {
        let load = |case: Case| {
            let (recording, _) = store::load(&case).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            (case, recording)
        };
        cases::all().into_iter().map(load).collect()
    })
}

/// A recorded connection, and by what inputs know it.
struct Place {
    hash: u16,
    case: &'static Case,
    recording: &'static Recording,
    number: usize,
    recorded: OnceLock<Recorded>,
}

/// What is made of it when it is first used.
struct Recorded {
    /// Without the connections after it.
    recording: Recording,
    said: Said,
    handshake: Vec<u8>,
}

impl Place {
    fn name(&self) -> String {
        format!("{}-{}", self.case.name, self.number + 1)
    }

    fn recorded(&self) -> &Recorded {
        self.recorded.get_or_init(|| {
            let mut recording = self.recording.clone();
            recording.connections.truncate(self.number + 1);
            let events = &recording.connections[self.number];
            let said = Said::read(events, &recording.secrets, !self.case.is_client());
            let handshake = said.handshake_to_finished();
            Recorded {
                recording,
                said,
                handshake,
            }
        })
    }
}

/// Those of one side of ours, by hash.
fn places(is_client: bool) -> &'static [Place] {
    static PLACES: [OnceLock<Vec<Place>>; 2] = [const { OnceLock::new() }; 2];
    PLACES[usize::from(is_client)].get_or_init(|| {
        let mut places = Vec::new();
        for (case, recording) in recordings()
            .iter()
            .filter(|(case, _)| case.is_client() == is_client)
        {
            for number in 0..recording.connections.len() {
                let mut place = Place {
                    hash: 0,
                    case,
                    recording,
                    number,
                    recorded: OnceLock::new(),
                };
                let hash = digest(&SHA256, place.name().as_bytes());
                place.hash = u16::from_be_bytes([hash.as_ref()[0], hash.as_ref()[1]]);
                places.push(place);
            }
        }
        places.sort_by_key(|place| place.hash);
        places
    })
}

fn run(bytes: &[u8], is_client: bool) {
    let mut input = Input::new(bytes);
    let wanted = input.u16();
    let places = places(is_client);
    let found = places.partition_point(|place| usize::from(place.hash) < wanted);
    let place = &places[found % places.len()];
    let Recorded {
        recording,
        said,
        handshake,
    } = place.recorded();
    let edits = edits::read(&mut input);
    let (changed, wire) = said.edited(&edits);
    let replay = replay_case(place.case, recording, |number| match number == place.number {
        true => Wire::deaf(is_client, wire.clone()),
        false => Wire::replay(is_client, recording.connections[number].clone()),
    });
    let name = place.name();
    assert_eq!(replay.departure, None, "{name}: the connections before");
    if let Some(error) = &replay.last.error {
        // What the plan does may not be possible any more.
        if !(replay.last.established && matches!(error.kind(), ErrorKind::Misuse(_))) {
            assert_blames_the_peer(error, &name);
        }
    }
    if let Some(changed) = changed
        && replay.last.established
    {
        let got = changed.handshake();
        let got = match is_client && name.contains("-tls12-") {
            true => without_hello_requests(&got),
            false => got,
        };
        assert!(
            got.starts_with(handshake),
            "{name}: established by another handshake"
        );
    }
}

/// Every connection as it was, and with a bit changed in each thing that the peer says.
fn seeds(is_client: bool) -> Seeds {
    let mut seeds = Seeds::new();
    for place in places(is_client) {
        let start = place.hash.to_be_bytes();
        seeds.push((place.name(), start.to_vec()));
        for (unit, len) in (0..u8::MAX).zip(place.recorded().said.lens()) {
            let mut bytes = start.to_vec();
            // Behind the header of a message, if it is one.
            let at = 4 + usize::from(unit) * 7 % len.saturating_sub(4).clamp(1, 60);
            let at = u16::try_from(at).unwrap_or(0);
            edits::put(&mut bytes, unit, XOR, at, &[1 << (unit % 8)]);
            seeds.push((format!("{}-unit-{unit}", place.name()), bytes));
        }
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::super::units::Unit;
    use super::*;

    #[test]
    fn a_recording_that_is_sealed_again_is_the_same_to_us() {
        for is_client in [false, true] {
            for place in places(is_client) {
                let Recorded { recording, said, .. } = place.recorded();
                let (_, wire) = said.edited(&[]);
                let replay = replay_case(place.case, recording, |number| match number == place.number {
                    true => Wire::deaf(is_client, wire.clone()),
                    false => Wire::replay(is_client, recording.connections[number].clone()),
                });
                let prefix = format!("connection {}: ", place.number + 1);
                // All that the peer says is there at once, its close_notify behind the tickets too.
                let is_early = |fact: &str| fact.ends_with("Closed instead of a ticket");
                let results = |facts: &mut dyn Iterator<Item = &str>| -> Vec<String> {
                    facts
                        .filter(|fact| fact.starts_with(&prefix) && !is_early(fact))
                        .map(str::to_owned)
                        .collect()
                };
                let expected = results(&mut recording.values("result"));
                let got = results(&mut replay.facts.iter().map(String::as_str));
                assert_eq!(got, expected, "{}", place.name());
            }
        }
    }

    #[test]
    fn what_is_sealed_can_be_changed() {
        let sealed = |unit: &&Unit| unit.is_sealed_message();
        for is_client in [false, true] {
            let counts = places(is_client)
                .iter()
                .map(|place| place.recorded().said.units().iter().filter(sealed).count());
            assert!(counts.sum::<usize>() > 100);
        }
    }
}
