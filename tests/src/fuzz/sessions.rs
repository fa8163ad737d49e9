//! Tickets and sessions as bytes: what a client and a server read back from where others may have written, and handshakes
//! with what was read.
//!
//! An input is a byte for what is done, one for the scenario, and the bytes, or [edits](super::edits) of good ones.

use aws_lc_rs::digest::{SHA256, digest};
use tls_core::fuzzing::{rewrite_server_session, seeded};
use tls_core::{ClientSession, StoreKey, StorePurpose};

use super::edits::{self, XOR};
use super::ends::Ends;
use super::input::Input;
use super::scenario::{Held, SCENARIOS, offer};
use super::{Seeds, assert_blames_the_peer};
use crate::session::{with_checksum, without_checksum};

const READ_CLIENT: u8 = 0;
const READ_SERVER: u8 = 1;
const OPEN: u8 = 2;
const EDIT_CLIENT: u8 = 3;
const EDIT_STORED: u8 = 4;
const OFFER: u8 = 5;
const KINDS: u8 = 6;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.u8() % KINDS;
    let number = input.u8();
    match kind {
        READ_CLIENT => read_client(input.rest()),
        READ_SERVER => read_server(input.rest()),
        OPEN => open(input.rest()),
        _ => meet(kind, number, &mut input),
    }
}

fn read_client(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), with_checksum(bytes.to_vec())] {
        if let Ok(session) = ClientSession::from_bytes(&bytes) {
            assert_eq!(*session.to_bytes(), bytes, "it reads what it would not write");
            assert!(session.lifetime() <= 7 * 24 * 60 * 60);
            let _ = (
                format!("{session:?}"),
                session.peer_chain(),
                session.is_single_use(),
            );
        }
    }
}

fn read_server(bytes: &[u8]) {
    let forms = [
        (bytes.to_vec(), false),
        (bytes.to_vec(), true),
        (with_checksum(bytes.to_vec()), true),
    ];
    for (bytes, is_stored) in forms {
        if let Ok(written) = rewrite_server_session(&bytes, is_stored) {
            assert_eq!(written, bytes, "it reads what it would not write");
        }
    }
}

fn open(bytes: &[u8]) {
    let key = StoreKey::new([7; 32]);
    for purpose in [
        StorePurpose::ClientSession,
        StorePurpose::ServerSession,
        StorePurpose::TicketKey,
    ] {
        assert!(
            key.open(purpose, b"name", bytes).is_none(),
            "opened what nobody sealed"
        );
    }
    let sealed = key
        .seal(StorePurpose::ClientSession, b"name", bytes)
        .expect("it can be sealed");
    let opened = key.open(StorePurpose::ClientSession, b"name", &sealed);
    assert_eq!(opened.expect("it was sealed so").to_vec(), bytes);
    assert!(key.open(StorePurpose::ServerSession, b"name", &sealed).is_none());
}

/// A handshake with a session that was changed by somebody who knows how: at the client, in the server's store, or on the
/// way between them (the ticket alone).
fn meet(kind: u8, number: u8, input: &mut Input<'_>) {
    let resuming = || SCENARIOS.iter().filter(|scenario| scenario.session().is_some());
    let number = usize::from(number) % resuming().count();
    let scenario = resuming().nth(number).expect("it is one of them");
    let good = scenario.session().expect("it has one");
    let edits = edits::read(input);
    let changed = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        edits.iter().for_each(|edit| edit.apply(&mut bytes));
        bytes
    };
    let mut held = Held {
        session: good.clone(),
        stored: scenario.stored(),
    };
    match kind {
        EDIT_STORED => {
            let Some(stored) = &held.stored else { return };
            held.stored = Some(with_checksum(changed(without_checksum(stored))));
        }
        _ => {
            let bytes = good.to_bytes();
            let bytes = without_checksum(&bytes);
            let bytes = match kind {
                OFFER => {
                    let offer = offer(&good);
                    let at = bytes
                        .windows(offer.len())
                        .position(|part| part == offer)
                        .expect("it is there");
                    // As long as it was.
                    let mut other = changed(offer);
                    other.resize(offer.len(), 0);
                    [&bytes[..at], &other, &bytes[at + offer.len()..]].concat()
                }
                _ => changed(bytes),
            };
            let Ok(session) = ClientSession::from_bytes(&with_checksum(bytes)) else {
                return;
            };
            held.session = session;
        }
    }
    let is_changed = *held.session.to_bytes() != *good.to_bytes() || held.stored != scenario.stored();
    // Whatever the server will draw follows from the input, so that no input can have it: the id of the next session, for
    // example, offered as that of the last.
    let hash = digest(&SHA256, &held.session.to_bytes());
    let seed = hash
        .as_ref()
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let ends = seeded(seed, || Ends::meet_with(scenario, &held));
    let what = format!("{}, {kind}", scenario.name);
    for end in [&ends.client, &ends.server] {
        if let Some(error) = end.error() {
            assert_blames_the_peer(error, &what);
        }
        assert!(!end.waits(), "{what}: waits although nothing will come");
    }
    ends.check_data(&what, true);
    if !is_changed {
        assert!(ends.is_resumed(), "{what}: it is a good session");
    }
    if kind == OFFER && is_changed {
        assert!(!ends.is_resumed(), "{what}: resumed by what it never gave");
        assert!(
            ends.client.established().is_some(),
            "{what}: a bad ticket costs a full handshake, no more: {:?}",
            ends.client.error()
        );
    }
}

/// Sessions of all kinds as they are, and each with a byte changed here and there.
pub(super) fn seeds() -> Seeds {
    let mut seeds = Seeds::new();
    seeds.push(("short".to_owned(), vec![OPEN, 0, 1, 2, 3]));
    let resuming = SCENARIOS.iter().filter(|scenario| scenario.session().is_some());
    for (number, scenario) in (0..).zip(resuming) {
        let Some(session) = scenario.session() else {
            continue;
        };
        let mut add = |kind: u8, name: &str, bytes: &[u8]| {
            seeds.push((
                format!("{}-{name}", scenario.name),
                [&[kind, number], bytes].concat(),
            ));
        };
        add(READ_CLIENT, "client", without_checksum(&session.to_bytes()));
        add(READ_CLIENT, "client-whole", &session.to_bytes());
        if let Some(stored) = scenario.stored() {
            add(READ_SERVER, "server", without_checksum(&stored));
            add(READ_SERVER, "server-whole", &stored);
        }
        for kind in [EDIT_CLIENT, EDIT_STORED, OFFER] {
            add(kind, &format!("{kind}"), &[]);
            for at in [5, 9, 20, 60, 0x8004] {
                let mut bytes = Vec::new();
                edits::put(&mut bytes, 0, XOR, at, &[1]);
                add(kind, &format!("{kind}-{at}"), &bytes);
            }
        }
    }
    seeds
}
