//! Two connections of TLS 1.2 in memory.

use super::tests::{deliver, feed, lent, misbehaviour, send_message, transfer};
use super::*;
use crate::alert::Alert;
use crate::crypto::hash::HashAlgorithm;
use crate::crypto::suites::TLS12_SUITES;
use crate::error::{ErrorKind, Misbehaviour, Misuse};
use crate::key_schedule12::Randoms;
use crate::registry::{CipherSuite, ContentType, KeyUpdateRequest};

const HELLO_REQUEST: [u8; 4] = [0; 4];

fn main_secret(hash: HashAlgorithm) -> Box<MainSecret12> {
    let randoms = Randoms {
        client: [1; 32],
        server: [2; 32],
    };
    Box::new(MainSecret12::from_randoms(hash, b"shared secret", randoms).unwrap())
}

fn connection(side: Side, suite: CipherSuite, limit: u64) -> Connection {
    connection_with(side, suite, limit, false)
}

fn connection_with(side: Side, suite: CipherSuite, limit: u64, hello_requests_are_fatal: bool) -> Connection {
    let suite = crate::crypto::suites::suite(suite).unwrap();
    let main = main_secret(suite.hash);
    let keys = main.key_block(suite).unwrap();
    let (read, write) = match side {
        Side::Client => (keys.server, keys.client),
        Side::Server => (keys.client, keys.server),
    };
    let (mut input, mut output) = (Input::new(), Output::new());
    input
        .set_keys12(OpeningKey::new(suite.aead, read.key(), *read.iv()).unwrap())
        .unwrap();
    input.set_hello_requests_fatal(hello_requests_are_fatal);
    let key = SealingKey::tls12(suite.aead, write.key(), *write.iv()).unwrap();
    output.set_keys12(key, limit).unwrap();
    Connection::new(side, input, output, None, None, main, Negotiated::for_test())
}

fn pair_of(suite: CipherSuite, limit: u64) -> (Connection, Connection) {
    (
        connection(Side::Client, suite, limit),
        connection(Side::Server, suite, limit),
    )
}

fn pair() -> (Connection, Connection) {
    pair_of(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, u64::MAX)
}

#[test]
fn data_flows_both_ways_with_every_suite() {
    for suite in &TLS12_SUITES {
        let (mut client, mut server) = pair_of(suite.id, u64::MAX);
        let data = vec![7; 50_000];
        assert_eq!(client.writer.write(&data).unwrap(), data.len());
        transfer(&mut client, &mut server);
        assert_eq!(lent(&mut server.reader).0, data);
        assert_eq!(server.writer.write(b"answer").unwrap(), 6);
        transfer(&mut server, &mut client);
        let mut out = [0; 100];
        assert_eq!(client.reader.read_into(&mut out), 6);
        assert_eq!(&out[..6], b"answer");
    }
}

#[test]
fn close_notify_is_answered_at_once_and_ends_writing() {
    let (mut client, mut server) = pair();
    server.writer.write(b"sealed before").unwrap();
    client.writer.write(b"data").unwrap();
    client.writer.close_notify().unwrap();
    transfer(&mut client, &mut server);
    feed(&mut server.reader, b"junk");
    let (data, end) = lent(&mut server.reader);
    assert_eq!((&data[..], end.unwrap()), (&b"data"[..], ReadEvent::Closed));
    assert!(server.writer.control().is_set());
    let error = server.writer.write(b"too late").unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Misuse(Misuse::WriteClosed)),
        "{error}"
    );
    transfer(&mut server, &mut client);
    let (data, end) = lent(&mut client.reader);
    assert_eq!(
        (&data[..], end.unwrap()),
        (&b"sealed before"[..], ReadEvent::Closed)
    );
    assert_eq!(
        transfer(&mut client, &mut server),
        0,
        "an answer is not answered again"
    );
}

#[test]
fn a_hello_request_is_refused_by_a_warning_and_the_connection_goes_on() {
    let (mut client, mut server) = pair();
    for _ in 0..3 {
        send_message(&mut server, &HELLO_REQUEST);
    }
    server.writer.output().finish_flight().unwrap();
    server.writer.write(b"data").unwrap();
    transfer(&mut server, &mut client);
    assert_eq!(lent(&mut client.reader).0, b"data");
    assert_eq!(client.writer.write(b"goes on").unwrap(), 7);
    let warning = 5 + 8 + 2 + 16;
    assert_eq!(transfer(&mut client, &mut server), warning + 7 + 29);
    assert_eq!(lent(&mut server.reader).0, b"goes on");
}

#[test]
fn a_hello_request_ends_the_connection_where_it_is_to() {
    let suite = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    let mut client = connection_with(Side::Client, suite, u64::MAX, true);
    let mut server = connection(Side::Server, suite, u64::MAX);
    send_message(&mut server, &HELLO_REQUEST);
    deliver(&mut server, &mut client);
    let error = client.reader.process().unwrap_err();
    assert_eq!(misbehaviour(error), Misbehaviour::Renegotiation);
    transfer(&mut client, &mut server);
    let error = server.reader.process().unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::AlertReceived(AlertDescription::NO_RENEGOTIATION)
        ),
        "{error}"
    );
}

#[test]
fn the_warning_waits_while_much_is_pending() {
    let (mut client, mut server) = pair();
    send_message(&mut server, &HELLO_REQUEST);
    deliver(&mut server, &mut client);
    client.writer.write(&vec![0; 60_000]).unwrap();
    client.reader.process().unwrap();
    let pending = client.writer.pending().len();
    client.writer.apply_control().unwrap();
    assert_eq!(client.writer.pending().len(), pending);
    transfer(&mut client, &mut server);
    assert_eq!(transfer(&mut client, &mut server), 5 + 8 + 2 + 16);
}

#[test]
fn a_flood_of_hello_requests_and_an_ill_formed_one_are_refused() {
    let (mut client, mut server) = pair();
    for _ in 0..33 {
        send_message(&mut server, &HELLO_REQUEST);
    }
    deliver(&mut server, &mut client);
    let error = client.reader.process().unwrap_err();
    assert_eq!(misbehaviour(error), Misbehaviour::Flood("HelloRequests"));

    let (mut client, mut server) = pair();
    send_message(&mut server, &[0, 0, 0, 1, 0]);
    deliver(&mut server, &mut client);
    let error = client.reader.process().unwrap_err();
    assert_eq!(error.alert(), Some(AlertDescription::DECODE_ERROR));
}

#[test]
fn a_client_that_renegotiates_is_refused_by_a_fatal_alert() {
    let (mut client, mut server) = pair();
    send_message(&mut client, &[1, 0, 0, 0]);
    deliver(&mut client, &mut server);
    let error = server.reader.process().unwrap_err();
    assert_eq!(error.alert(), Some(AlertDescription::NO_RENEGOTIATION));
    assert_eq!(misbehaviour(error), Misbehaviour::Renegotiation);
    transfer(&mut server, &mut client);
    let error = client.reader.process().unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::AlertReceived(AlertDescription::NO_RENEGOTIATION)
        ),
        "{error}"
    );
}

#[test]
fn other_messages_after_the_handshake_are_refused() {
    let refused = |from_server: bool, message: &[u8]| {
        let (mut client, mut server) = pair();
        let (from, to) = if from_server {
            (&mut server, &mut client)
        } else {
            (&mut client, &mut server)
        };
        send_message(from, message);
        deliver(from, to);
        misbehaviour(to.reader.process().unwrap_err())
    };
    for (from_server, message) in [
        (true, &[4, 0, 0, 6, 0, 0, 0, 0, 0, 0][..]),
        (true, &[24, 0, 0, 1, 0]),
        (true, &[1, 0, 0, 0]),
        (true, &[20, 0, 0, 1, 0]),
        (false, &[0, 0, 0, 0]),
        (false, &[24, 0, 0, 1, 1]),
    ] {
        assert!(matches!(
            refused(from_server, message),
            Misbehaviour::UnexpectedPostHandshake(_)
        ));
    }
}

#[test]
fn there_is_no_key_update_and_a_key_at_its_limit_writes_no_more_but_closes() {
    let (mut client, mut server) = pair_of(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 12);
    let error = client
        .writer
        .request_key_update(KeyUpdateRequest::UPDATE_NOT_REQUESTED)
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse(Misuse::NoKeyUpdate)));
    assert_eq!(client.writer.write(&[7; 100_000]).unwrap(), 4 * 16_384);
    for _ in 0..2 {
        let error = client.writer.write(b"more").unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Misuse(Misuse::KeyExhausted)),
            "{error}"
        );
    }
    client.writer.close_notify().unwrap();
    transfer(&mut client, &mut server);
    let (data, end) = lent(&mut server.reader);
    assert_eq!((data.len(), end.unwrap()), (4 * 16_384, ReadEvent::Closed));
}

#[test]
fn warnings_do_not_disturb_the_data() {
    let (mut client, mut server) = pair();
    let warning = Alert::warning(AlertDescription::NO_RENEGOTIATION).to_bytes();
    client
        .writer
        .output()
        .queue(ContentType::ALERT, &warning)
        .unwrap();
    client.writer.write(b"data").unwrap();
    transfer(&mut client, &mut server);
    assert_eq!(lent(&mut server.reader).0, b"data");
}

#[test]
fn both_ends_export_the_same_and_an_absent_context_is_not_an_empty_one() {
    let (client, server) = pair();
    let export = |connection: &Connection, context: Option<&[u8]>| {
        let mut out = [0; 20];
        connection
            .export_keying_material(&mut out, b"EXPERIMENTAL", context)
            .unwrap();
        out
    };
    for context in [None, Some(&b""[..]), Some(b"context")] {
        assert_eq!(export(&client, context), export(&server, context));
    }
    assert_ne!(export(&client, None), export(&client, Some(b"")));
}
