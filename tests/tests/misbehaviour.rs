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
    Progress, ServerConfig, Side,
};
use tls_tests::hello::{record, records};
use tls_tests::pair::{Became, NAME, Outcome, Pair, client, name, server};

type A = AlertDescription;

const DUMMY: [u8; 6] = [20, 3, 3, 0, 1, 1];

fn small() -> (ClientConfig, ServerConfig) {
    let group = [NamedGroup::X25519];
    (
        client().groups(group).alpn(["a"]).build().unwrap(),
        server().groups(group).alpn(["a"]).build().unwrap(),
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

#[test]
fn any_flipped_bit_of_a_handshake_is_noticed_or_harmless() {
    flip_everything(&small(), &[0x01, 0x80]);
}

#[test]
fn any_byte_of_a_handshake_with_a_retry_may_change() {
    flip_everything(&retrying(), &[0xff]);
}

#[test]
fn a_handshake_that_is_cut_waits_and_says_at_eof_for_what() {
    use HandshakeType as H;
    let order = [
        H::CLIENT_HELLO,
        H::SERVER_HELLO,
        H::ENCRYPTED_EXTENSIONS,
        H::CERTIFICATE,
        H::CERTIFICATE_VERIFY,
        H::FINISHED,
    ];
    for pair in [small(), retrying()] {
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
        // The server's messages after its hello share one record: the client sees them at once.
        assert!(phases.iter().all(|phase| order.contains(phase)), "{phases:?}");
        assert_eq!(phases.first(), Some(&H::CLIENT_HELLO));
        assert_eq!(phases.last(), Some(&H::FINISHED));
        assert!(
            phases
                .windows(2)
                .any(|two| two == [H::SERVER_HELLO, H::ENCRYPTED_EXTENSIONS])
        );
    }
}

#[test]
fn an_eof_before_anything_is_a_truncated_hello() {
    let mut server = Driver::server(&small().1);
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
    let pair = small();
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

#[test]
fn other_change_cipher_specs_are_refused() {
    let pair = small();
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
    // Too many of them.
    let error = refuse(Side::Server, 0, DUMMY.repeat(33), first_record);
    assert!(
        matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::Flood(_))),
        "{error}"
    );
}

#[test]
fn a_change_cipher_spec_after_the_handshake_is_refused() {
    let pair = small();
    let mut ends = Pair::new(&pair.0, &pair.1).run().established();
    let error = tls_tests::pair::deliver(&mut ends.client, &DUMMY, 1, &mut Vec::new()).unwrap_err();
    assert_eq!(error.alert(), Some(A::UNEXPECTED_MESSAGE), "{error}");
}

#[test]
fn a_few_warnings_are_borne_and_other_alerts_end_the_handshake() {
    let pair = small();
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
        let Became::Failed(error) = outcome.client else {
            panic!("{:?}", outcome.client)
        };
        assert!(
            matches!(error.kind(), ErrorKind::AlertReceived(got) if *got == description),
            "{error}"
        );
        assert_eq!(error.alert(), None);
    }
}

#[test]
fn illegal_plaintext_records_are_refused_with_their_alert() {
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
    let pair = small();
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
    let pair = small();
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
        (record(22, &[8, 0, 0, 2, 0, 0]), A::UNEXPECTED_MESSAGE),
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

#[test]
fn plaintext_messages_may_be_split_over_many_records() {
    for pair in [small(), retrying()] {
        for size in [1, 2, 5, 100] {
            let outcome = Pair::new(&pair.0, &pair.1)
                .mutated(|_, _, bytes| {
                    let split = records(bytes).into_iter().flat_map(|(content_type, content)| {
                        let size = if content_type == 22 { size } else { content.len() };
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

#[test]
fn nothing_may_stand_between_the_pieces_of_a_message() {
    let pair = small();
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
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Misbehaved(Misbehaviour::InterleavedHandshake(_))
            ),
            "{error}"
        );
    }
}

#[test]
fn a_replayed_record_is_refused() {
    let pair = small();
    let outcome = with_change(&pair, Side::Client, 1, |bytes| {
        let finished = bytes.split_off(DUMMY.len());
        bytes.extend(finished.repeat(2));
    });
    let Became::Done(mut server) = outcome.server else {
        panic!("{:?}", outcome.server)
    };
    let error = server.reader.process().unwrap_err();
    assert_eq!(error.alert(), Some(A::BAD_RECORD_MAC), "{error}");
}

#[test]
fn what_is_not_tls_is_told_apart_and_gets_no_alert() {
    let (client, server) = small();
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
