//! Flights that are changed, cut or filled up on their way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use tls_core::{
    AlertDescription, ClientConfig, Driver, ErrorKind, HandshakeType, Misbehaviour, NamedGroup, Phase,
    Progress, ProtocolVersion, ServerConfig, Side,
};
use tls_tests::both_versions;
use tls_tests::hello::{record, records};
use tls_tests::pair::{Became, NAME, Outcome, Pair, client, name, server};
use tls_tests::versions::Only;

type A = AlertDescription;

both_versions!(
    any_flipped_bit_of_a_handshake_is_noticed_or_harmless,
    a_handshake_that_is_cut_waits_and_says_at_eof_for_what,
    an_eof_before_anything_is_a_truncated_hello,
    a_change_cipher_spec_after_the_handshake_is_refused,
    illegal_plaintext_records_are_refused_with_their_alert,
    plaintext_messages_may_be_split_over_many_records,
    nothing_may_stand_between_the_pieces_of_a_message,
    a_replayed_record_is_refused,
    what_is_not_tls_is_told_apart_and_gets_no_alert,
    a_few_warnings_are_borne_and_other_alerts_end_the_handshake,
    other_change_cipher_specs_are_refused,
);

const TLS13: ProtocolVersion = ProtocolVersion::TLS13;

const DUMMY: [u8; 6] = [20, 3, 3, 0, 1, 1];

fn small(version: ProtocolVersion) -> (ClientConfig, ServerConfig) {
    // The second is the curve of the certificate's key, which TLS 1.2 wants to see there.
    let groups = [NamedGroup::X25519, NamedGroup::SECP256R1];
    (
        client().groups(groups).alpn(["a"]).only(version).build().unwrap(),
        server().groups(groups).alpn(["a"]).only(version).build().unwrap(),
    )
}

fn retrying() -> (ClientConfig, ServerConfig) {
    let client = client()
        .groups([NamedGroup::X25519, NamedGroup::SECP256R1])
        .key_shares([NamedGroup::X25519]);
    (
        client.build().unwrap(),
        server().groups([NamedGroup::SECP256R1]).build().unwrap(),
    )
}

/// Another one too: with a retry, or in TLS 1.2 with a client that would have spoken TLS 1.3.
fn pairs(version: ProtocolVersion) -> Vec<(ClientConfig, ServerConfig)> {
    let mut pairs = vec![small(version)];
    pairs.push(match version {
        TLS13 => retrying(),
        _ => (
            client()
                .groups([NamedGroup::X25519, NamedGroup::SECP256R1])
                .build()
                .unwrap(),
            small(version).1,
        ),
    });
    pairs
}

/// The lengths of all flights of an undisturbed handshake.
fn flights(pair: &(ClientConfig, ServerConfig)) -> Vec<(Side, usize, usize)> {
    let outcome = Pair::new(&pair.0, &pair.1).run();
    let mut counts = [0, 0];
    outcome
        .flights
        .iter()
        .map(|flight| {
            let count = &mut counts[usize::from(flight.sender == Side::Server)];
            *count += 1;
            (flight.sender, *count - 1, flight.bytes.len())
        })
        .collect()
}

fn with_change(
    pair: &(ClientConfig, ServerConfig),
    sender: Side,
    flight: usize,
    change: impl Fn(&mut Vec<u8>),
) -> Outcome {
    Pair::new(&pair.0, &pair.1)
        .mutated(|from, number, bytes| {
            if (from, number) == (sender, flight) {
                change(bytes);
            }
        })
        .run()
}

/// Both sides came to the same, or one of them noticed and said so with a fitting error.
fn is_sound(outcome: Outcome, what: &str) {
    for became in [&outcome.client, &outcome.server] {
        let Became::Failed(error) = became else { continue };
        assert!(
            matches!(
                error.kind(),
                ErrorKind::BadBytes(_)
                    | ErrorKind::Misbehaved(_)
                    | ErrorKind::NothingInCommon(_)
                    | ErrorKind::Certificate(_)
                    | ErrorKind::AlertReceived(_)
                    | ErrorKind::NotTls { .. }
            ),
            "{what}: {error}"
        );
        assert_ne!(error.alert(), Some(A::INTERNAL_ERROR), "{what}: {error}");
        assert!(
            error.phase().is_some() && error.side().is_some(),
            "{what}: {error}"
        );
    }
    if let (Became::Done(_), Became::Done(_)) = (&outcome.client, &outcome.server) {
        outcome.established().check(b"still the same");
    }
}

fn flip_everything(pair: &(ClientConfig, ServerConfig), masks: &[u8]) {
    for (sender, flight, length) in flights(pair) {
        for at in 0..length {
            for mask in masks {
                // Signatures of ECDSA differ in length from run to run.
                let outcome = with_change(pair, sender, flight, |bytes| {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= mask;
                    }
                });
                is_sound(outcome, &format!("{sender:?} {flight} byte {at} ^ {mask}"));
            }
        }
    }
}

fn any_flipped_bit_of_a_handshake_is_noticed_or_harmless(version: ProtocolVersion) {
    flip_everything(&small(version), &[0x01, 0x80]);
    if version != TLS13 {
        flip_everything(&pairs(version)[1], &[0x10]);
    }
}

#[test]
fn any_byte_of_a_handshake_with_a_retry_may_change() {
    flip_everything(&retrying(), &[0xff]);
}

fn a_handshake_that_is_cut_waits_and_says_at_eof_for_what(version: ProtocolVersion) {
    use HandshakeType as H;
    // What shares a record is seen at once: in TLS 1.3 all that the server says after its hello, in TLS 1.2 all that
    // comes before a change_cipher_spec.
    let expected: &[H] = match version {
        TLS13 => &[
            H::CLIENT_HELLO,
            H::SERVER_HELLO,
            H::ENCRYPTED_EXTENSIONS,
            H::FINISHED,
        ],
        _ => &[
            H::CLIENT_HELLO,
            H::SERVER_HELLO,
            H::CLIENT_KEY_EXCHANGE,
            H::FINISHED,
        ],
    };
    for pair in pairs(version) {
        let client_after_flight = flights(&pair);
        let mut phases = Vec::new();
        for (sender, flight, length) in client_after_flight {
            // The last bytes may be missing in a shorter run.
            for at in 0..length - 10 {
                let outcome = with_change(&pair, sender, flight, |bytes| bytes.truncate(at));
                let receiver = match sender {
                    Side::Client => outcome.server,
                    Side::Server => outcome.client,
                };
                let Became::Waiting(mut driver) = receiver else {
                    panic!("{sender:?} {flight} cut at {at}: {receiver:?}")
                };
                driver.eof();
                let error = driver.advance().expect_err("it is cut");
                assert!(matches!(error.kind(), ErrorKind::Truncated), "{error}");
                assert!(driver.transmit().is_empty(), "nobody is left to read an alert");
                let Some(Phase::Reading(message)) = error.phase() else {
                    panic!("{error}")
                };
                assert!(
                    error.to_string().contains(&format!("waiting for {message}")),
                    "{error}"
                );
                if phases.last() != Some(&message) {
                    phases.push(message);
                }
            }
        }
        phases.dedup();
        phases.retain(|phase| expected.contains(phase));
        assert!(expected.iter().all(|phase| phases.contains(phase)), "{phases:?}");
    }
}

fn an_eof_before_anything_is_a_truncated_hello(version: ProtocolVersion) {
    let mut server = Driver::server(&small(version).1);
    assert_eq!(server.advance().unwrap(), Progress::Waiting);
    server.eof();
    let error = server.advance().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Truncated));
    assert_eq!(error.phase(), Some(Phase::Reading(HandshakeType::CLIENT_HELLO)));
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    bytes.splice(at..at, what.iter().copied());
}

/// Finds the place in a flight where something is put in.
type Spot = fn(&[u8]) -> usize;

/// Where the first record ends.
fn first_record(bytes: &[u8]) -> usize {
    5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]]))
}

#[test]
fn dummy_change_cipher_specs_are_tolerated_where_they_may_stand() {
    let pair = small(TLS13);
    // One of the 32 that are borne in a row is there already in some of the spots.
    for count in [1, 31] {
        let dummies = DUMMY.repeat(count);
        let spots: [(Side, usize, Spot); 4] = [
            (Side::Client, 0, |bytes| bytes.len()),
            (Side::Server, 0, |_| 0),
            (Side::Server, 0, first_record),
            (Side::Client, 1, |_| 0),
        ];
        for (sender, flight, spot) in spots {
            let outcome = with_change(&pair, sender, flight, |bytes| {
                let at = spot(bytes);
                insert(bytes, at, &dummies);
            });
            outcome.established().check(b"data");
        }
    }
}

fn other_change_cipher_specs_are_refused(version: ProtocolVersion) {
    let pair = small(version);
    let refuse = |sender, flight, what: Vec<u8>, at: Spot| {
        let outcome = with_change(&pair, sender, flight, |bytes| {
            let at = at(bytes);
            insert(bytes, at, &what);
        });
        let refuser = match sender {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        outcome.refused_by(refuser, A::UNEXPECTED_MESSAGE)
    };
    // Before the ClientHello.
    refuse(Side::Client, 0, DUMMY.to_vec(), |_| 0);
    // Not the byte 1 alone.
    for content in [&[2][..], &[1, 1], &[]] {
        refuse(Side::Server, 0, record(20, content), |_| 0);
        refuse(Side::Client, 1, record(20, content), |_| 0);
    }
    if version != TLS13 {
        return;
    }
    // Too many of them.
    let error = refuse(Side::Server, 0, DUMMY.repeat(33), first_record);
    assert!(
        matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::Flood(_))),
        "{error}"
    );
}

fn a_change_cipher_spec_after_the_handshake_is_refused(version: ProtocolVersion) {
    let pair = small(version);
    let mut ends = Pair::new(&pair.0, &pair.1).run().established();
    let error = tls_tests::pair::deliver(&mut ends.client, &DUMMY, 1, &mut Vec::new()).unwrap_err();
    // All records are protected in TLS 1.2.
    let expected = match version {
        TLS13 => A::UNEXPECTED_MESSAGE,
        _ => A::BAD_RECORD_MAC,
    };
    assert_eq!(error.alert(), Some(expected), "{error}");
}

fn a_few_warnings_are_borne_and_other_alerts_end_the_handshake(version: ProtocolVersion) {
    let pair = small(version);
    let user_canceled = record(21, &[1, 90]);
    for (count, is_borne) in [(1, true), (4, true), (5, false)] {
        let outcome = with_change(&pair, Side::Server, 0, |bytes| {
            insert(bytes, 0, &user_canceled.repeat(count));
        });
        if is_borne {
            outcome.established().check(b"data");
        } else {
            let _ = outcome.refused_by(Side::Client, A::UNEXPECTED_MESSAGE);
        }
    }
    for (level, description) in [
        (2, A::HANDSHAKE_FAILURE),
        (1, A::UNRECOGNIZED_NAME),
        (1, A::CLOSE_NOTIFY),
    ] {
        let outcome = with_change(&pair, Side::Server, 0, |bytes| {
            *bytes = record(21, &[level, description.0]);
        });
        if version != TLS13 && description == A::UNRECOGNIZED_NAME {
            assert!(matches!(outcome.client, Became::Waiting(_)), "a warning is one");
            continue;
        }
        let Became::Failed(error) = outcome.client else {
            panic!("{:?}", outcome.client)
        };
        if description == A::UNRECOGNIZED_NAME {
            assert_eq!(
                error.alert(),
                Some(A::DECODE_ERROR),
                "TLS 1.3 has no such warning"
            );
            continue;
        }
        assert!(
            matches!(error.kind(), ErrorKind::AlertReceived(got) if *got == description),
            "{error}"
        );
        assert_eq!(error.alert(), None);
    }
}

fn illegal_plaintext_records_are_refused_with_their_alert(version: ProtocolVersion) {
    let long = [&[22, 3, 3, 0x40, 1][..], &[0; 0x4001]].concat();
    let cases: [(Vec<u8>, AlertDescription); 9] = [
        (record(22, &[]), A::UNEXPECTED_MESSAGE),
        (record(21, &[]), A::UNEXPECTED_MESSAGE),
        (record(21, &[2]), A::DECODE_ERROR),
        (record(21, &[2, 40, 2, 40]), A::DECODE_ERROR),
        (record(23, b"too early"), A::UNEXPECTED_MESSAGE),
        (record(23, &[]), A::UNEXPECTED_MESSAGE),
        (long, A::RECORD_OVERFLOW),
        (record(22, &[20, 0, 0, 0]), A::UNEXPECTED_MESSAGE),
        (record(22, &[11, 0xff, 0xff, 0xff]), A::ILLEGAL_PARAMETER),
    ];
    let pair = small(version);
    for (number, (what, alert)) in cases.into_iter().enumerate() {
        for (sender, refuser) in [(Side::Client, Side::Server), (Side::Server, Side::Client)] {
            let outcome = with_change(&pair, sender, 0, |bytes| insert(bytes, 0, &what));
            let error = outcome.refused_by(refuser, alert);
            assert!(
                error.to_string().contains("waiting for"),
                "case {number}: {error}"
            );
        }
    }
}

#[test]
fn protected_records_are_refused_where_they_are_too_long_or_plain() {
    let pair = small(TLS13);
    let cases = [
        (
            [&[23, 3, 3, 0x41, 1][..], &[0; 0x4101]].concat(),
            A::RECORD_OVERFLOW,
        ),
        (
            [&[23, 3, 3, 0x41, 0][..], &[0; 0x4100]].concat(),
            A::BAD_RECORD_MAC,
        ),
        (record(23, &[0; 16]), A::BAD_RECORD_MAC),
        (record(23, &[]), A::BAD_RECORD_MAC),
        (record(22, &[8, 0, 0, 2, 0, 0]), A::BAD_RECORD_MAC),
    ];
    for (what, alert) in cases {
        let outcome = with_change(&pair, Side::Server, 0, |bytes| {
            let at = first_record(bytes);
            insert(bytes, at, &what);
        });
        drop(outcome.refused_by(Side::Client, alert));
        let outcome = with_change(&pair, Side::Client, 1, |bytes| insert(bytes, 0, &what));
        drop(outcome.refused_by(Side::Server, alert));
    }
}

fn plaintext_messages_may_be_split_over_many_records(version: ProtocolVersion) {
    for pair in pairs(version) {
        for size in [1, 2, 5, 100] {
            let outcome = Pair::new(&pair.0, &pair.1)
                .mutated(|_, _, bytes| {
                    let mut is_plaintext = true;
                    let split = records(bytes).into_iter().flat_map(|(content_type, content)| {
                        is_plaintext &= version == TLS13 || content_type != 20;
                        let size = match content_type {
                            22 if is_plaintext => size,
                            _ => content.len(),
                        };
                        content
                            .chunks(size)
                            .flat_map(|piece| record(content_type, piece))
                            .collect::<Vec<_>>()
                    });
                    *bytes = split.collect();
                })
                .in_chunks_of(3)
                .run();
            outcome.established().check(b"data");
        }
    }
}

fn nothing_may_stand_between_the_pieces_of_a_message(version: ProtocolVersion) {
    let pair = small(version);
    for between in [DUMMY.to_vec(), record(21, &[1, 90])] {
        let outcome = with_change(&pair, Side::Server, 0, |bytes| {
            let (_, hello) = records(bytes).swap_remove(0);
            let rest = bytes.split_off(first_record(bytes));
            *bytes = [
                record(22, &hello[..9]),
                between.clone(),
                record(22, &hello[9..]),
                rest,
            ]
            .concat();
        });
        let error = outcome.refused_by(Side::Client, A::UNEXPECTED_MESSAGE);
        let interleaved = matches!(
            error.kind(),
            ErrorKind::Misbehaved(Misbehaviour::InterleavedHandshake(_))
        );
        // A client of TLS 1.2 alone bears none before the ServerHello anyway.
        assert!(interleaved || version != TLS13 && between == DUMMY, "{error}");
    }
}

fn a_replayed_record_is_refused(version: ProtocolVersion) {
    let pair = small(version);
    let outcome = with_change(&pair, Side::Client, 1, |bytes| {
        let (_, finished) = records(bytes).pop().unwrap();
        bytes.extend_from_within(bytes.len() - finished.len() - 5..);
    });
    let Became::Done(mut server) = outcome.server else {
        panic!("{:?}", outcome.server)
    };
    let error = server.reader.process().unwrap_err();
    assert_eq!(error.alert(), Some(A::BAD_RECORD_MAC), "{error}");
}

fn what_is_not_tls_is_told_apart_and_gets_no_alert(version: ProtocolVersion) {
    let (client, server) = small(version);
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"SSH-2.0-x\r\n",
        &[0x16, 0x02, 0, 0, 1],
    ] {
        for mut driver in [Driver::server(&server), Driver::client(&client, name(NAME))] {
            driver.advance().unwrap();
            driver.transmit();
            driver.receive(bytes);
            let error = driver.advance().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::NotTls { .. }), "{error}");
            assert!(driver.transmit().is_empty());
        }
    }
}
