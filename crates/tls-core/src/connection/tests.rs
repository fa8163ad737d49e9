//! Two connections in memory.

use super::*;
use crate::crypto::hash::HashAlgorithm;
use crate::error::{ErrorKind, Misbehaviour, Misuse};
use crate::key_schedule::EarlySchedule;
use crate::registry::{ContentType, KeyUpdateRequest};

const ALL: [AeadAlgorithm; 3] = [
    AeadAlgorithm::Aes128Gcm,
    AeadAlgorithm::Aes256Gcm,
    AeadAlgorithm::ChaCha20Poly1305,
];

fn connection(side: Side, algorithm: AeadAlgorithm, limit: u64) -> Connection {
    let hash = match algorithm {
        AeadAlgorithm::Aes256Gcm => HashAlgorithm::Sha384,
        _ => HashAlgorithm::Sha256,
    };
    let secrets = EarlySchedule::without_psk(hash).into_handshake(b"shared secret", hash.of_empty());
    let (read, write) = match side {
        Side::Client => (secrets.server, secrets.client),
        Side::Server => (secrets.client, secrets.server),
    };
    let (read, write) = (
        Epoch::new(read, algorithm, limit),
        Epoch::new(write, algorithm, limit),
    );
    let (mut input, mut output) = (Input::new(), Output::new());
    input.set_keys(read.opening_key().unwrap()).unwrap();
    output.set_keys(write.sealing_key().unwrap(), limit).unwrap();
    Connection::new(
        side,
        input,
        output,
        Some(read),
        Some(write),
        secrets.main.application_secrets(hash.of_empty()).exporter,
        Negotiated::for_test(),
    )
}

fn pair_of(algorithm: AeadAlgorithm) -> (Connection, Connection) {
    (
        connection(Side::Client, algorithm, u64::MAX),
        connection(Side::Server, algorithm, u64::MAX),
    )
}

fn pair() -> (Connection, Connection) {
    pair_of(AeadAlgorithm::Aes128Gcm)
}

/// Moves what is pending, and returns how many bytes that were.
pub(super) fn transfer(from: &mut Connection, to: &mut Connection) -> usize {
    from.writer.apply_control().unwrap();
    let bytes = from.writer.pending().to_vec();
    from.writer.sent(bytes.len());
    feed(&mut to.reader, &bytes);
    bytes.len()
}

pub(super) fn feed(reader: &mut Reader, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let space = reader.space();
        let n = space.len().min(bytes.len());
        space[..n].copy_from_slice(&bytes[..n]);
        reader.filled(n);
        bytes = &bytes[n..];
    }
}

/// A handshake message, from somebody who may send any.
pub(super) fn send_message(from: &mut Connection, message: &[u8]) {
    from.writer
        .output()
        .queue(ContentType::HANDSHAKE, message)
        .unwrap();
}

pub(super) fn deliver(from: &mut Connection, to: &mut Connection) {
    from.writer.output().finish_flight().unwrap();
    transfer(from, to);
}

pub(super) fn misbehaviour(error: Error) -> Misbehaviour {
    match error.into_kind() {
        ErrorKind::Misbehaved(misbehaviour) => misbehaviour,
        other => panic!("{other}"),
    }
}

/// All data there is by lending, until something else happens.
pub(super) fn lent(reader: &mut Reader) -> (Vec<u8>, Result<ReadEvent, Error>) {
    let mut data = Vec::new();
    loop {
        match reader.process() {
            Ok(ReadEvent::Data) => {
                data.extend_from_slice(reader.data());
                let n = reader.data().len();
                reader.consume(n);
            }
            other => return (data, other),
        }
    }
}

#[test]
fn data_flows_both_ways_through_key_updates() {
    for algorithm in ALL {
        let (mut client, mut server) = pair_of(algorithm);
        for round in 0..10u8 {
            let data = vec![round; 5000];
            assert_eq!(client.writer.write(&data).unwrap(), data.len());
            client
                .writer
                .request_key_update(KeyUpdateRequest(round % 2))
                .unwrap();
            assert_eq!(client.writer.write(b"after").unwrap(), 5);
            transfer(&mut client, &mut server);
            let (got, end) = lent(&mut server.reader);
            assert_eq!(
                (got, end.unwrap()),
                ([&data[..], b"after"].concat(), ReadEvent::NeedMore)
            );
            assert_eq!(server.writer.control().is_set(), round % 2 == 1);
            assert_eq!(server.writer.write(b"answer").unwrap(), 6);
            transfer(&mut server, &mut client);
            assert_eq!(lent(&mut client.reader).0, b"answer");
        }
    }
}

#[test]
fn many_requested_updates_are_answered_once() {
    let (mut client, mut server) = pair();
    for _ in 0..20 {
        client
            .writer
            .request_key_update(KeyUpdateRequest::UPDATE_REQUESTED)
            .unwrap();
    }
    transfer(&mut client, &mut server);
    assert_eq!(server.reader.process().unwrap(), ReadEvent::NeedMore);
    assert_eq!(transfer(&mut server, &mut client), 5 + 5 + 17);
    assert_eq!(client.reader.process().unwrap(), ReadEvent::NeedMore);
}

#[test]
fn a_flood_of_updates_is_refused() {
    let (mut client, mut server) = pair();
    for _ in 0..33 {
        client
            .writer
            .request_key_update(KeyUpdateRequest::UPDATE_NOT_REQUESTED)
            .unwrap();
    }
    transfer(&mut client, &mut server);
    assert_eq!(
        misbehaviour(server.reader.process().unwrap_err()),
        Misbehaviour::Flood("KeyUpdates")
    );
}

#[test]
fn a_key_at_its_limit_is_replaced_by_itself() {
    let (mut client, mut server) = (
        connection(Side::Client, AeadAlgorithm::Aes128Gcm, 12),
        connection(Side::Server, AeadAlgorithm::Aes128Gcm, 12),
    );
    let data = vec![7; 300_000];
    let (mut got, mut done) = (Vec::new(), 0);
    while done < data.len() {
        done += client.writer.write(&data[done..]).unwrap();
        transfer(&mut client, &mut server);
        let (more, end) = lent(&mut server.reader);
        end.unwrap();
        got.extend(more);
    }
    assert_eq!(got, data);
}

#[test]
fn handshake_bytes_behind_a_key_update_are_refused() {
    let (mut client, mut server) = pair();
    send_message(&mut client, &[24, 0, 0, 1, 0, 24]);
    deliver(&mut client, &mut server);
    let error = server.reader.process().unwrap_err();
    assert_eq!(misbehaviour(error), Misbehaviour::HandshakeDataAcrossKeyChange);
}

#[test]
fn ill_formed_and_unexpected_messages_are_refused() {
    for (message, alert) in [
        (&[24, 0, 0, 1, 2][..], AlertDescription::ILLEGAL_PARAMETER),
        (&[24, 0, 0, 0], AlertDescription::DECODE_ERROR),
        (&[24, 0, 0, 2, 0, 0], AlertDescription::DECODE_ERROR),
        (&[1, 0, 0, 0], AlertDescription::UNEXPECTED_MESSAGE),
        (&[4, 0, 0, 0], AlertDescription::UNEXPECTED_MESSAGE),
    ] {
        let (mut client, mut server) = pair();
        send_message(&mut client, message);
        deliver(&mut client, &mut server);
        let error = server.reader.process().unwrap_err();
        assert_eq!(error.alert(), Some(alert), "{error}");
        assert!(
            error.to_string().starts_with("TLS server, after the handshake: "),
            "{error}"
        );
        transfer(&mut server, &mut client);
        let error = client.reader.process().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::AlertReceived(got) if *got == alert),
            "{error}"
        );
        assert!(matches!(
            server.writer.write(b"x").unwrap_err().kind(),
            ErrorKind::Misuse(Misuse::WriteClosed)
        ));
    }
}

#[test]
fn tickets_are_passed_over_and_broken_ones_refused() {
    let (mut client, mut server) = pair();
    let ticket = [4, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 2, 1, 9, 0, 2, 7, 7, 0, 0];
    for _ in 0..20 {
        send_message(&mut server, &ticket);
    }
    server.writer.output().finish_flight().unwrap();
    server.writer.write(b"data").unwrap();
    transfer(&mut server, &mut client);
    assert_eq!(lent(&mut client.reader).0, b"data");

    send_message(&mut server, &[4, 0, 0, 1, 0]);
    server.writer.output().finish_flight().unwrap();
    transfer(&mut server, &mut client);
    let error = client.reader.process().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::BadBytes(bad) if bad.message == "NewSessionTicket"),
        "{error}"
    );
}

#[test]
fn truncation_is_told_after_the_data() {
    let (mut client, mut server) = pair();
    client.writer.write(b"data").unwrap();
    transfer(&mut client, &mut server);
    server.reader.eof();
    let (data, end) = lent(&mut server.reader);
    assert_eq!(data, b"data");
    assert!(matches!(end.unwrap_err().kind(), ErrorKind::Truncated));
    assert!(matches!(
        server.reader.process().unwrap_err().kind(),
        ErrorKind::Truncated
    ));
    assert!(!server.writer.control().is_set());
}

#[test]
fn what_follows_close_notify_is_ignored() {
    let (mut client, mut server) = pair();
    client.writer.write(b"data").unwrap();
    client.writer.close_notify().unwrap();
    client.writer.close_notify().unwrap();
    assert_eq!(client.writer.pending().len(), 4 + 22 + 2 + 22);
    transfer(&mut client, &mut server);
    feed(&mut server.reader, b"junk");
    let (data, end) = lent(&mut server.reader);
    assert_eq!((&data[..], end.unwrap()), (&b"data"[..], ReadEvent::Closed));
    feed(&mut server.reader, b"more junk");
    server.reader.eof();
    assert_eq!(server.reader.process().unwrap(), ReadEvent::Closed);
    assert!(!server.reader.has_buffered());
    assert_eq!(server.writer.write(b"still open").unwrap(), 10);
    transfer(&mut server, &mut client);
    assert_eq!(lent(&mut client.reader).0, b"still open");
}

#[test]
fn an_error_waits_for_the_data_before_it_and_stays() {
    let (mut client, mut server) = pair();
    client.writer.write(b"one").unwrap();
    client.writer.write(b"two").unwrap();
    let mut wire = client.writer.pending().to_vec();
    *wire.last_mut().unwrap() ^= 1;
    feed(&mut server.reader, &wire);
    let mut out = [0; 100];
    assert_eq!(server.reader.read_into(&mut out), 3);
    assert_eq!(&out[..3], b"one");
    for _ in 0..2 {
        assert_eq!(server.reader.read_into(&mut out), 0);
        assert_eq!(
            misbehaviour(server.reader.process().unwrap_err()),
            Misbehaviour::BadRecordMac
        );
    }
    client.writer.sent(1000);
    transfer(&mut server, &mut client);
    let error = client.reader.process().unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::AlertReceived(AlertDescription::BAD_RECORD_MAC)
        ),
        "{error}"
    );
}

#[test]
fn reading_into_slices_of_any_size_gives_the_same_data() {
    let data: Vec<u8> = (0..60_000u32).map(|i| (i % 251) as u8).collect();
    for size in [1, 100, 8192, 16_384, 16_385, 20_000, 65_536] {
        let (mut client, mut server) = pair();
        assert_eq!(client.writer.write(&data[..100]).unwrap(), 100);
        assert_eq!(client.writer.write(&data[100..]).unwrap(), data.len() - 100);
        transfer(&mut client, &mut server);
        let mut got = Vec::new();
        let mut out = vec![0; size];
        loop {
            let n = server.reader.read_into(&mut out);
            if n == 0 {
                break;
            }
            assert!(
                n == size || got.len() + n == data.len(),
                "one call fills the slice: {n} of {size}"
            );
            got.extend_from_slice(&out[..n]);
        }
        assert_eq!(got, data, "{size}");
        assert_eq!(server.reader.process().unwrap(), ReadEvent::NeedMore);
    }
}

#[test]
fn a_requested_answer_waits_while_much_is_pending() {
    let (mut client, mut server) = pair();
    client
        .writer
        .request_key_update(KeyUpdateRequest::UPDATE_REQUESTED)
        .unwrap();
    transfer(&mut client, &mut server);
    server.writer.write(&vec![0; 60_000]).unwrap();
    server.reader.process().unwrap();
    let pending = server.writer.pending().len();
    server.writer.apply_control().unwrap();
    assert_eq!(server.writer.pending().len(), pending);
    assert_eq!(server.writer.write(b"after the answer only").unwrap(), 0);
    transfer(&mut server, &mut client);
    assert!(
        transfer(&mut server, &mut client) > 0,
        "answered once there is room"
    );
    assert_eq!(lent(&mut client.reader).0.len(), 60_000);
}

#[test]
fn halves_are_small_and_can_be_sent_to_threads() {
    fn assert_send<T: Send + Sync>() {}
    assert_send::<Reader>();
    assert_send::<Writer>();
    assert!(size_of::<Reader>() <= 320, "{}", size_of::<Reader>());
    assert!(size_of::<Writer>() <= 256, "{}", size_of::<Writer>());
}

#[test]
fn a_fatal_alert_of_the_peer_ends_both_directions() {
    let (mut client, mut server) = pair();
    server.writer.alert(AlertDescription::BAD_RECORD_MAC).unwrap();
    transfer(&mut server, &mut client);
    let error = client.reader.process().unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::AlertReceived(AlertDescription::BAD_RECORD_MAC)
    ));
    for _ in 0..2 {
        let refused = client.writer.write(b"too late").unwrap_err();
        assert!(matches!(
            refused.kind(),
            ErrorKind::AlertReceived(AlertDescription::BAD_RECORD_MAC)
        ));
    }
    client.writer.close_notify().unwrap();
    assert!(client.writer.pending().is_empty());
}

#[test]
fn an_end_inside_a_record_is_no_record_boundary_also_after_the_error() {
    for (cut, at_boundary) in [(0, true), (1, false), (10, false)] {
        let (mut client, mut server) = pair();
        client.writer.write(b"data").unwrap();
        let bytes = client.writer.pending().to_vec();
        feed(&mut server.reader, &bytes);
        feed(&mut server.reader, &bytes[..cut]);
        server.reader.eof();
        let (data, end) = lent(&mut server.reader);
        assert_eq!(data, b"data");
        assert!(matches!(end.unwrap_err().kind(), ErrorKind::Truncated));
        assert_eq!(
            server.reader.is_at_record_boundary(),
            at_boundary,
            "cut after {cut}"
        );
    }
}

#[test]
fn reading_ahead_finds_the_end_and_keeps_the_data_before_it() {
    let (mut client, mut server) = pair();
    for data in [b"one ", b"two "] {
        server.writer.write(data).unwrap();
    }
    server.writer.alert(AlertDescription::BAD_RECORD_MAC).unwrap();
    transfer(&mut server, &mut client);
    // Also where some data is lent already.
    assert_eq!(client.reader.process().unwrap(), ReadEvent::Data);
    client.reader.consume(1);
    for _ in 0..2 {
        let error = client.reader.read_ahead().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::AlertReceived(_)), "{error}");
    }
    let mut out = [0; 16];
    let count = client.reader.read_into(&mut out[..3]);
    assert_eq!(&out[..count], b"ne ");
    let (rest, end) = lent(&mut client.reader);
    assert_eq!(rest, b"two ");
    assert!(matches!(end.unwrap_err().kind(), ErrorKind::AlertReceived(_)));
}

#[test]
fn reading_ahead_stops_at_64_kib_of_data() {
    let (mut client, mut server) = pair();
    let mut sent = Vec::new();
    for round in 0..7u8 {
        let data = vec![round; 16_384];
        assert_eq!(server.writer.write(&data).unwrap(), data.len());
        sent.extend_from_slice(&data);
        transfer(&mut server, &mut client);
        let event = client.reader.read_ahead().unwrap();
        let is_full = round >= 4;
        assert_eq!(event == ReadEvent::Data, is_full, "{round}: {event:?}");
    }
    server.writer.close_notify().unwrap();
    transfer(&mut server, &mut client);
    let (data, end) = lent(&mut client.reader);
    assert!(data == sent, "{} bytes", data.len());
    assert_eq!(end.unwrap(), ReadEvent::Closed);
}

#[test]
fn a_reader_has_heard_of_the_peer_with_its_first_record() {
    let (mut client, mut server) = pair();
    assert!(!server.reader.has_heard());
    assert_eq!(server.reader.process().unwrap(), ReadEvent::NeedMore);
    assert!(!server.reader.has_heard());
    client
        .writer
        .request_key_update(KeyUpdateRequest::UPDATE_NOT_REQUESTED)
        .unwrap();
    transfer(&mut client, &mut server);
    assert_eq!(server.reader.process().unwrap(), ReadEvent::NeedMore);
    assert!(server.reader.has_heard());
}

#[test]
fn a_request_of_the_reader_wakes_who_registered_once() {
    struct Count(core::sync::atomic::AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::new(Count(0.into()));
    let woken = || count.0.load(Ordering::Relaxed);
    let (mut client, mut server) = pair();
    assert_eq!(server.writer.write(&[7; 48_000]).unwrap(), 48_000);
    let waker = Waker::from(Arc::clone(&count));
    server.writer.control().register(&waker);
    for times in [1, 1] {
        client
            .writer
            .request_key_update(KeyUpdateRequest::UPDATE_REQUESTED)
            .unwrap();
        transfer(&mut client, &mut server);
        server.reader.process().unwrap();
        assert_eq!(woken(), times);
    }
    // What the writer puts back for want of room wakes nobody, or it would wake itself for ever.
    server.writer.control().register(&waker);
    server.writer.apply_control().unwrap();
    assert!(server.writer.control().is_set());
    assert_eq!(woken(), 1);
    server.reader.control().request_close_notify();
    assert_eq!(woken(), 2);
}
