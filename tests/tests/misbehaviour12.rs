//! change_cipher_spec, HelloRequest and protected records of TLS 1.2 where they may and may not stand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use tls_core::{
    AlertDescription, ClientConfig, ErrorKind, Misbehaviour, NamedGroup, ProtocolVersion, ServerConfig, Side,
};
use tls_tests::hello::{record, records};
use tls_tests::pair::{Outcome, Pair, client, deliver, server};
use tls_tests::versions::Only;

type A = AlertDescription;

const CHANGE: [u8; 6] = [20, 3, 3, 0, 1, 1];

/// Flights of a handshake: the client's hello and its keys, the server's hello and its Finished.
const HELLO: usize = 0;
const LAST: usize = 1;

fn sides() -> (ClientConfig, ServerConfig) {
    let client = client().only(ProtocolVersion::TLS12);
    (client.build().unwrap(), server().build().unwrap())
}

fn with_change(sender: Side, flight: usize, change: impl Fn(&mut Vec<u8>)) -> Outcome {
    let (client, server) = sides();
    Pair::new(&client, &server)
        .mutated(|from, number, bytes| {
            if (from, number) == (sender, flight) {
                change(bytes);
            }
        })
        .run()
}

/// The same for the records of the flight.
fn with_records(sender: Side, flight: usize, change: impl Fn(&mut Vec<Vec<u8>>)) -> Outcome {
    with_change(sender, flight, |bytes| {
        let mut all = records(bytes)
            .into_iter()
            .map(|(content_type, content)| record(content_type, &content))
            .collect();
        change(&mut all);
        *bytes = all.concat();
    })
}

/// The handshake messages of a record, with their headers.
fn messages(mut content: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let [_, high, middle, low, ..] = content {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        let (message, rest) = content.split_at(4 + length);
        messages.push(message.to_vec());
        content = rest;
    }
    messages
}

fn other(side: Side) -> Side {
    match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    }
}

#[test]
fn a_flight_ends_with_a_change_and_a_finished_and_they_are_three_or_two_records() {
    let (client, server) = sides();
    let outcome = Pair::new(&client, &server).run();
    let types: Vec<Vec<u8>> = outcome
        .flights
        .iter()
        .map(|flight| records(&flight.bytes).iter().map(|(of, _)| *of).collect())
        .collect();
    assert_eq!(types, [&[22][..], &[22], &[22, 20, 22], &[20, 22]]);
    outcome.established().check(b"data");
}

#[test]
fn a_change_cipher_spec_that_is_early_is_refused() {
    // Before any message of a flight but the one where it is due.
    drop(
        with_change(Side::Client, HELLO, |bytes| drop(bytes.splice(0..0, CHANGE)))
            .refused_by(Side::Server, A::UNEXPECTED_MESSAGE),
    );
    drop(
        with_change(Side::Server, HELLO, |bytes| drop(bytes.splice(0..0, CHANGE)))
            .refused_by(Side::Client, A::UNEXPECTED_MESSAGE),
    );
    // Before ClientKeyExchange, which was the way into CVE-2014-0224.
    let outcome = with_change(Side::Client, LAST, |bytes| drop(bytes.splice(0..0, CHANGE)));
    let error = outcome.refused_by(Side::Server, A::UNEXPECTED_MESSAGE);
    assert!(error.to_string().contains("ClientKeyExchange"), "{error}");
    // Between the messages of the server's flight.
    for at in 1..4 {
        let outcome = with_change(Side::Server, HELLO, |bytes| {
            let mut messages = messages(&records(bytes)[0].1);
            let rest = messages.split_off(at).concat();
            *bytes = [record(22, &messages.concat()), CHANGE.to_vec(), record(22, &rest)].concat();
        });
        drop(outcome.refused_by(Side::Client, A::UNEXPECTED_MESSAGE));
    }
}

#[test]
fn a_change_cipher_spec_that_is_missing_or_late_is_refused() {
    for sender in [Side::Client, Side::Server] {
        let missing = with_records(sender, LAST, |records| {
            let at = records.len() - 2;
            records.remove(at);
        });
        drop(missing.refused_by(other(sender), A::UNEXPECTED_MESSAGE));
        let late = with_records(sender, LAST, |records| {
            let at = records.len() - 2;
            records.swap(at, at + 1);
        });
        drop(late.refused_by(other(sender), A::UNEXPECTED_MESSAGE));
    }
}

#[test]
fn a_second_change_cipher_spec_is_not_a_protected_record() {
    for sender in [Side::Client, Side::Server] {
        let outcome = with_records(sender, LAST, |records| {
            let at = records.len() - 1;
            records.insert(at, CHANGE.to_vec());
        });
        drop(outcome.refused_by(other(sender), A::BAD_RECORD_MAC));
    }
}

#[test]
fn an_ill_formed_change_cipher_spec_is_refused() {
    for sender in [Side::Client, Side::Server] {
        for content in [&[2][..], &[1, 1], &[]] {
            let outcome = with_records(sender, LAST, |records| {
                let at = records.len() - 2;
                records[at] = record(20, content);
            });
            let error = outcome.refused_by(other(sender), A::UNEXPECTED_MESSAGE);
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::Misbehaved(Misbehaviour::BadChangeCipherSpec)
                ),
                "{error}"
            );
        }
    }
}

#[test]
fn no_handshake_bytes_may_run_across_a_change_cipher_spec() {
    // A whole message, parts of one, and a HelloRequest, behind the last message before the change.
    for pending in [&[20, 0, 0, 12][..], &[20], &[16, 0, 0, 1, 0], &[11, 0]] {
        for in_one_record in [true, false] {
            let outcome = with_records(Side::Client, LAST, |records| {
                if in_one_record {
                    let content = [&records[0][5..], pending].concat();
                    records[0] = record(22, &content);
                } else {
                    records.insert(1, record(22, pending));
                }
            });
            let error = outcome.refused_by(Side::Server, A::UNEXPECTED_MESSAGE);
            assert!(error.to_string().contains("Finished"), "{error}");
        }
    }
    let outcome = with_records(Side::Server, LAST, |records| records.insert(0, record(22, &[20])));
    drop(outcome.refused_by(Side::Client, A::UNEXPECTED_MESSAGE));
    let outcome = with_records(Side::Server, HELLO, |records| {
        let content = [&records[0][5..], &[20]].concat();
        records[0] = record(22, &content);
    });
    drop(outcome.refused_by(Side::Client, A::UNEXPECTED_MESSAGE));
}

const HELLO_REQUEST: [u8; 4] = [0; 4];

#[test]
fn hello_requests_during_a_handshake_are_ignored() {
    for count in [1, 31] {
        let requests = HELLO_REQUEST.repeat(count);
        for at in 0..=4 {
            for own_record in [true, false] {
                let outcome = with_change(Side::Server, HELLO, |bytes| {
                    let mut messages = messages(&records(bytes)[0].1);
                    assert_eq!(messages.len(), 4);
                    let rest = messages.split_off(at).concat();
                    let (before, requests) = (messages.concat(), requests.clone());
                    *bytes = if own_record {
                        [before, requests, rest]
                            .iter()
                            .filter(|content| !content.is_empty())
                            .flat_map(|content| record(22, content))
                            .collect()
                    } else {
                        record(22, &[before, requests, rest].concat())
                    };
                });
                outcome.established().check(b"as if nothing had been");
            }
        }
        let outcome = with_records(Side::Server, LAST, |records| {
            records.insert(0, record(22, &requests))
        });
        outcome.established().check(b"as if nothing had been");
    }
}

#[test]
fn hello_requests_are_bounded_well_formed_and_never_from_a_client() {
    let insert = |sender, what: Vec<u8>| {
        with_records(sender, LAST, move |records| records.insert(0, record(22, &what)))
    };
    let error =
        insert(Side::Server, HELLO_REQUEST.repeat(33)).refused_by(Side::Client, A::UNEXPECTED_MESSAGE);
    assert!(
        matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::Flood(_))),
        "{error}"
    );
    drop(insert(Side::Server, vec![0, 0, 0, 1, 0]).refused_by(Side::Client, A::DECODE_ERROR));
    drop(insert(Side::Client, HELLO_REQUEST.to_vec()).refused_by(Side::Server, A::UNEXPECTED_MESSAGE));
}

#[test]
fn a_hello_request_is_no_message_of_tls13() {
    let (client, server) = (client().only(ProtocolVersion::TLS13), server());
    let outcome = Pair::new(&client.build().unwrap(), &server.build().unwrap())
        .mutated(|sender, flight, bytes| {
            if (sender, flight) == (Side::Server, 0) {
                drop(bytes.splice(0..0, record(22, &HELLO_REQUEST)));
            }
        })
        .run();
    drop(outcome.refused_by(Side::Client, A::UNEXPECTED_MESSAGE));
}

#[test]
fn protected_records_that_are_too_long_short_or_wrong_are_refused() {
    let cases = [
        (record(22, &[0; 23]), A::BAD_RECORD_MAC),
        (record(22, &[]), A::BAD_RECORD_MAC),
        (record(22, &[0; 40]), A::BAD_RECORD_MAC),
        (record(23, &[0; 40]), A::BAD_RECORD_MAC),
        (record(22, &[0; 0x4801]), A::RECORD_OVERFLOW),
        ([&[22, 3, 1, 0, 40][..], &[0; 40]].concat(), A::PROTOCOL_VERSION),
    ];
    for sender in [Side::Client, Side::Server] {
        for (number, (what, alert)) in cases.iter().enumerate() {
            let outcome = with_records(sender, LAST, |records| {
                let at = records.len() - 1;
                records.insert(at, what.clone());
            });
            let refuser = match sender {
                Side::Client => &outcome.server,
                Side::Server => &outcome.client,
            };
            assert!(
                matches!(refuser, tls_tests::pair::Became::Failed(error) if error.alert() == Some(*alert)),
                "{sender:?}, case {number}: {refuser:?}"
            );
        }
    }
}

#[test]
fn data_before_the_end_of_the_handshake_is_refused() {
    for (sender, flight) in [(Side::Client, LAST), (Side::Server, HELLO), (Side::Server, LAST)] {
        for content in [&b"early"[..], &[]] {
            let outcome = with_change(sender, flight, |bytes| {
                drop(bytes.splice(0..0, record(23, content)))
            });
            drop(outcome.refused_by(other(sender), A::UNEXPECTED_MESSAGE));
        }
    }
}

#[test]
fn a_message_left_out_or_repeated_is_refused() {
    for at in 0..4 {
        for repeat in [false, true] {
            let outcome = with_change(Side::Server, HELLO, |bytes| {
                let mut messages = messages(&records(bytes)[0].1);
                let message = messages.remove(at);
                if repeat {
                    messages.splice(at..at, [message.clone(), message]);
                }
                *bytes = record(22, &messages.concat());
            });
            // Without a ServerHelloDone the client waits.
            if at == 3 && !repeat {
                assert!(format!("{outcome:?}").contains("waiting"), "{outcome:?}");
                continue;
            }
            drop(outcome.refused_by(Side::Client, A::UNEXPECTED_MESSAGE));
        }
    }
    for repeat in [false, true] {
        let outcome = with_records(Side::Client, LAST, |records| {
            let exchange = records.remove(0);
            if repeat {
                records.splice(0..0, [exchange.clone(), exchange]);
            }
        });
        drop(outcome.refused_by(Side::Server, A::UNEXPECTED_MESSAGE));
    }
}

#[test]
fn bad_public_keys_of_the_client_are_refused() {
    for (group, bad) in [
        // All zero, whose shared secret is zero; too short; too long.
        (NamedGroup::X25519, vec![0; 32]),
        (NamedGroup::X25519, vec![9; 31]),
        (NamedGroup::X25519, vec![9; 33]),
        // Not on the curve, compressed, the point at infinity.
        (NamedGroup::SECP256R1, [vec![4], vec![1; 64]].concat()),
        (NamedGroup::SECP256R1, [vec![2], vec![1; 32]].concat()),
        (NamedGroup::SECP256R1, vec![0]),
    ] {
        let client = client().only(ProtocolVersion::TLS12).build().unwrap();
        let outcome = Pair::new(&client, &server().groups([group]).build().unwrap())
            .mutated(|sender, flight, bytes| {
                if (sender, flight) != (Side::Client, LAST) {
                    return;
                }
                let mut all = records(bytes);
                let length = bad.len() as u8;
                all[0].1 = [&[16, 0, 0, length + 1, length][..], &bad].concat();
                *bytes = all
                    .iter()
                    .flat_map(|(of, content)| record(*of, content))
                    .collect();
            })
            .run();
        let error = outcome.refused_by(Side::Server, A::ILLEGAL_PARAMETER);
        assert!(
            matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::BadKeyShare(of)) if *of == group),
            "{error}"
        );
    }
}

#[test]
fn a_close_is_answered_at_once_and_what_comes_later_is_ignored() {
    for closer in [Side::Client, Side::Server] {
        let (client, server) = sides();
        let mut ends = Pair::new(&client, &server).run().established();
        let (closing, closed) = match closer {
            Side::Client => (&mut ends.client, &mut ends.server),
            Side::Server => (&mut ends.server, &mut ends.client),
        };
        closing.writer.write(b"last words").unwrap();
        closing.writer.close_notify().unwrap();
        let mut bytes = closing.writer.pending().to_vec();
        closing.writer.sent(bytes.len());
        bytes.extend(record(23, b"garbage"));
        let mut data = Vec::new();
        let event = deliver(closed, &bytes, usize::MAX, &mut data).unwrap();
        assert_eq!(
            (event, &data[..]),
            (tls_core::ReadEvent::Closed, &b"last words"[..])
        );
        // The answer is there before anything is asked of the writer but to pass it on.
        closed.writer.apply_control().unwrap();
        assert_eq!(records(closed.writer.pending()).len(), 1);
        assert!(closed.writer.write(b"too late").is_err());
        assert_eq!(records(closed.writer.pending()).len(), 1);
        let event = tls_tests::pair::transfer(closed, closing, 1, &mut Vec::new()).unwrap();
        assert_eq!(event, tls_core::ReadEvent::Closed);
        closing.writer.apply_control().unwrap();
        assert!(closing.writer.pending().is_empty());
    }
}
