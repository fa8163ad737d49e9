//! `Input` and `Output` against each other and against bytes made by hand.

use std::io::IoSlice;

use super::buffer::{LARGE, SMALL, pooled};
use super::*;
use crate::alert::AlertDescription;
use crate::crypto::aead::{AeadAlgorithm, OpeningKey, SealingKey};
use crate::error::{Error, ErrorKind, Misbehaviour};
use crate::registry::{ContentType, HandshakeType, ProtocolVersion};

const ALL: [AeadAlgorithm; 3] = [
    AeadAlgorithm::Aes128Gcm,
    AeadAlgorithm::Aes256Gcm,
    AeadAlgorithm::ChaCha20Poly1305,
];
const DATA: ContentType = ContentType::APPLICATION_DATA;

pub(super) fn output(algorithm: AeadAlgorithm) -> Output {
    let mut output = Output::new();
    let key = SealingKey::new(algorithm, &vec![3; algorithm.key_len()], [4; 12]).unwrap();
    output.set_keys(key, u64::MAX).unwrap();
    output
}

fn opening(algorithm: AeadAlgorithm) -> OpeningKey {
    OpeningKey::new(algorithm, &vec![3; algorithm.key_len()], [4; 12]).unwrap()
}

fn input(algorithm: AeadAlgorithm) -> Input {
    let mut input = Input::new();
    input.set_keys(opening(algorithm)).unwrap();
    input.allow_application_data(true);
    input
}

fn aes() -> (Output, Input) {
    (output(AeadAlgorithm::Aes128Gcm), input(AeadAlgorithm::Aes128Gcm))
}

pub(super) fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 % 251) as u8).collect()
}

/// All that is pending, marked as sent.
pub(super) fn drain(output: &mut Output) -> Vec<u8> {
    output.finish_flight().unwrap();
    let bytes = output.pending().to_vec();
    output.sent(bytes.len());
    bytes
}

/// All of `data` as records.
pub(super) fn sealed(output: &mut Output, data: &[u8]) -> Vec<u8> {
    let (mut wire, mut done) = (Vec::new(), 0);
    while done < data.len() {
        let n = output
            .write_application_data(&[IoSlice::new(&data[done..])])
            .unwrap();
        assert!(n > 0);
        done += n;
        wire.extend(drain(output));
    }
    wire
}

pub(super) fn feed(input: &mut Input, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = input.space();
        let n = space.len().min(rest.len());
        space[..n].copy_from_slice(&rest[..n]);
        input.filled(n);
        rest = &rest[n..];
    }
}

pub(super) fn plain(content_type: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![
        content_type,
        3,
        3,
        (content.len() >> 8) as u8,
        content.len() as u8,
    ];
    record.extend(content);
    record
}

pub(super) fn misbehaviour(error: Error) -> Misbehaviour {
    match error.into_kind() {
        ErrorKind::Misbehaved(misbehaviour) => misbehaviour,
        other => panic!("{other}"),
    }
}

/// What a plaintext input says to these records.
fn refusal(wire: &[u8]) -> Misbehaviour {
    let mut input = Input::new();
    input.set_change_cipher_spec(ChangeCipherSpec::Drop);
    feed(&mut input, wire);
    loop {
        match input.next() {
            Ok(Incoming::NeedMore) => panic!("not refused"),
            Ok(_) => {}
            Err(error) => return misbehaviour(error),
        }
    }
}

/// Feeds `wire` in chunks and collects data and messages.
pub(super) fn collect(input: &mut Input, wire: &[u8], chunk: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut data, mut messages) = (Vec::new(), Vec::new());
    for piece in wire.chunks(chunk) {
        feed(input, piece);
        loop {
            match input.next().unwrap() {
                Incoming::NeedMore => break,
                Incoming::Handshake(_) => messages.push(input.message().to_vec()),
                Incoming::ApplicationData { .. } => data.extend_from_slice(input.payload()),
                other => panic!("{other:?}"),
            }
        }
    }
    (data, messages)
}

#[test]
fn data_comes_out_as_it_went_in_with_every_suite_and_size() {
    for algorithm in ALL {
        let (mut output, mut input) = (output(algorithm), input(algorithm));
        for len in [0, 1, 100, 16_383, 16_384, 16_385, 64 * 1024, 200_000] {
            let data = bytes(len);
            let wire = sealed(&mut output, &data);
            assert_eq!(wire.len(), len + len.div_ceil(MAX_FRAGMENT) * 22);
            assert_eq!(collect(&mut input, &wire, 70_000).0, data, "{algorithm:?} {len}");
        }
    }
}

#[test]
fn chunks_of_any_size_make_the_same_data_and_messages() {
    for chunk in [1, 2, 3, 7, 64, 1000, 20_000] {
        let (mut output, mut input) = aes();
        let messages = [
            vec![4, 0, 0, 2, 1, 2],
            [vec![11, 0, 0x9c, 0x40], bytes(40_000)].concat(),
        ];
        let data = bytes(20_000);
        for message in &messages {
            output.queue(ContentType::HANDSHAKE, message).unwrap();
        }
        let mut wire = drain(&mut output);
        wire.extend(sealed(&mut output, &data));
        assert_eq!(
            collect(&mut input, &wire, chunk),
            (data, messages.to_vec()),
            "{chunk}"
        );
    }
}

#[test]
fn a_flight_shares_records_until_keys_change() {
    let mut output = Output::new();
    output.set_legacy_version(ProtocolVersion::TLS10);
    for _ in 0..3 {
        output.queue(ContentType::HANDSHAKE, &[20, 0, 0, 0]).unwrap();
    }
    output
        .set_keys(
            SealingKey::new(AeadAlgorithm::Aes128Gcm, &[3; 16], [4; 12]).unwrap(),
            9,
        )
        .unwrap();
    output.queue(ContentType::HANDSHAKE, &[20, 0, 0, 1, 7]).unwrap();
    let wire = drain(&mut output);
    assert_eq!(wire[..5], [22, 3, 1, 0, 12]);
    assert_eq!(wire[17..22], [23, 3, 3, 0, 5 + 17]);
    assert_eq!(wire.len(), 17 + 5 + 5 + 17);
}

#[test]
fn messages_in_one_record_are_lent_one_by_one() {
    let mut input = Input::new();
    feed(&mut input, &plain(22, &[20, 0, 0, 1, 5, 24, 0, 0, 0, 1, 0, 0, 1]));
    assert_eq!(
        input.next().unwrap(),
        Incoming::Handshake(HandshakeType::FINISHED)
    );
    assert_eq!(input.message(), [20, 0, 0, 1, 5]);
    assert_eq!(
        input.next().unwrap(),
        Incoming::Handshake(HandshakeType::KEY_UPDATE)
    );
    assert_eq!(
        misbehaviour(input.end_of_flight().unwrap_err()),
        Misbehaviour::HandshakeDataAcrossKeyChange
    );
    assert_eq!(input.next().unwrap(), Incoming::NeedMore);
    assert!(input.set_keys(opening(AeadAlgorithm::Aes128Gcm)).is_err());
    feed(&mut input, &plain(22, &[9]));
    assert_eq!(
        input.next().unwrap(),
        Incoming::Handshake(HandshakeType::CLIENT_HELLO)
    );
    assert_eq!(input.message(), [1, 0, 0, 1, 9]);
    assert!(input.set_keys(opening(AeadAlgorithm::Aes128Gcm)).is_ok());
}

#[test]
fn nothing_may_stand_between_the_fragments_of_a_message() {
    let begun = plain(22, &[1, 0, 0, 9, 1]);
    let ccs = [begun, plain(20, &[1])].concat();
    assert_eq!(
        refusal(&ccs),
        Misbehaviour::InterleavedHandshake(ContentType::CHANGE_CIPHER_SPEC)
    );

    let (mut output, mut input) = aes();
    output.queue(ContentType::HANDSHAKE, &[1, 0, 0, 9, 1]).unwrap();
    output.finish_flight().unwrap();
    output.write_application_data(&[IoSlice::new(b"data")]).unwrap();
    feed(&mut input, output.pending());
    assert_eq!(
        misbehaviour(input.next().unwrap_err()),
        Misbehaviour::InterleavedHandshake(DATA)
    );
}

#[test]
fn padding_hides_lengths_and_is_stripped() {
    let (mut output, mut input) = aes();
    output.set_padding(Padding::MultipleOf(512));
    let data = bytes(MAX_FRAGMENT + 3);
    let wire = sealed(&mut output, &data);
    assert_eq!(wire.len(), MAX_FRAGMENT + 512 + 2 * 22);
    assert_eq!(collect(&mut input, &wire, 5000).0, data);
}

#[test]
fn small_fragments_carry_the_same_data() {
    let (mut output, mut input) = aes();
    output.set_max_fragment(100);
    let data = bytes(1001);
    output
        .queue(
            ContentType::HANDSHAKE,
            &[[4, 0, 3, 0xe5].to_vec(), bytes(997)].concat(),
        )
        .unwrap();
    let wire = drain(&mut output);
    assert_eq!(wire.len(), 1001 + 11 * 22);
    assert_eq!(collect(&mut input, &wire, 5000).1.len(), 1);
    assert_eq!(collect(&mut input, &sealed(&mut output, &data), 5000).0, data);
}

#[test]
fn slices_are_gathered_into_full_records() {
    for algorithm in ALL {
        let (mut output, mut input) = (output(algorithm), input(algorithm));
        let data = bytes(40_000);
        let slices: Vec<IoSlice<'_>> = [&data[..9], &data[9..9], &data[9..20_000], &data[20_000..]]
            .map(IoSlice::new)
            .into();
        assert_eq!(output.write_application_data(&slices).unwrap(), data.len());
        let wire = drain(&mut output);
        assert_eq!(wire.len(), data.len() + 3 * 22);
        assert_eq!(collect(&mut input, &wire, 50_000).0, data);
    }
}

#[test]
fn data_is_accepted_as_far_as_it_fits() {
    let (mut output, mut input) = aes();
    let data = bytes(100_000);
    assert_eq!(
        output.write_application_data(&[IoSlice::new(&data)]).unwrap(),
        65_536
    );
    assert_eq!(output.write_application_data(&[IoSlice::new(&data)]).unwrap(), 0);
    let mut wire = output.pending()[..20_000].to_vec();
    output.sent(20_000);
    assert_eq!(
        output
            .write_application_data(&[IoSlice::new(&data[65_536..])])
            .unwrap(),
        16_384
    );
    wire.extend(drain(&mut output));
    assert_eq!(collect(&mut input, &wire, 50_000).0, data[..65_536 + 16_384]);
}

#[test]
fn a_write_behind_pending_bytes_grows_the_buffer() {
    let (mut output, mut input) = aes();
    let data = bytes(50_000);
    assert_eq!(
        output
            .write_application_data(&[IoSlice::new(&data[..10_000])])
            .unwrap(),
        10_000
    );
    assert_eq!(
        output
            .write_application_data(&[IoSlice::new(&data[10_000..])])
            .unwrap(),
        40_000
    );
    assert_eq!(collect(&mut input, &drain(&mut output), 50_000).0, data);
}

#[test]
fn a_busy_output_takes_a_large_buffer_at_once() {
    let (mut output, _) = aes();
    sealed(&mut output, &bytes(100));
    assert_eq!(pooled(), (1, 0));
    sealed(&mut output, &bytes(60_000));
    assert_eq!(pooled(), (1, 1));
    output.write_application_data(&[IoSlice::new(b"small")]).unwrap();
    assert_eq!(pooled(), (1, 0), "because the last one was full");
    drain(&mut output);
    output.write_application_data(&[IoSlice::new(b"small")]).unwrap();
    assert_eq!(pooled(), (0, 1));
}

#[test]
fn flipped_bits_are_a_bad_mac() {
    for algorithm in ALL {
        let wire = sealed(&mut output(algorithm), b"abc");
        for at in [5, 8, 9, wire.len() - 1] {
            let mut input = input(algorithm);
            let mut copy = wire.clone();
            copy[at] ^= 4;
            feed(&mut input, &copy);
            assert_eq!(
                misbehaviour(input.next().unwrap_err()),
                Misbehaviour::BadRecordMac
            );
        }
    }
}

#[test]
fn illegal_records_are_refused() {
    let unexpected = |n: u8| Misbehaviour::UnexpectedRecord(ContentType(n));
    let hello = plain(22, &[1, 0, 0, 0]);
    let after_hello = |record: &[u8]| refusal(&[&hello, record].concat());
    assert_eq!(after_hello(&plain(24, b"x")), unexpected(24));
    assert_eq!(after_hello(&plain(23, b"x")), unexpected(23));
    assert_eq!(after_hello(&plain(22, b"")), Misbehaviour::EmptyRecord);
    assert_eq!(after_hello(&plain(21, b"")), Misbehaviour::EmptyRecord);
    assert_eq!(after_hello(&plain(21, &[2, 40, 2])), Misbehaviour::BadAlert);
    assert_eq!(after_hello(&plain(20, &[2])), Misbehaviour::BadChangeCipherSpec);
    assert_eq!(
        after_hello(&plain(20, &[1, 1])),
        Misbehaviour::BadChangeCipherSpec
    );
    assert_eq!(after_hello(&[22, 3, 3, 0x40, 1]), Misbehaviour::RecordOverflow);
    assert_eq!(after_hello(&[22, 2, 3, 0, 1]), Misbehaviour::BadRecordHeader);
}

#[test]
fn once_keys_are_set_plaintext_is_refused() {
    let unexpected = |content_type| Misbehaviour::UnexpectedRecord(ContentType(content_type));
    let cases = [
        (20, unexpected(20)),
        (21, unexpected(21)),
        (22, Misbehaviour::BadRecordMac),
    ];
    for (content_type, expected) in cases {
        let mut input = input(AeadAlgorithm::Aes128Gcm);
        feed(&mut input, &plain(content_type, &[1, 0]));
        assert_eq!(misbehaviour(input.next().unwrap_err()), expected);
    }
    let mut input = input(AeadAlgorithm::Aes128Gcm);
    input.allow_plaintext_alerts(true);
    feed(&mut input, &plain(21, &[2, 47]));
    let error = input.next().unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::AlertReceived(AlertDescription::ILLEGAL_PARAMETER)
        ),
        "{error}"
    );
}

#[test]
fn what_is_protected_says_tls12_and_nothing_else() {
    for (minor, expected) in [
        (1, None),
        (4, None),
        (3, Some(Incoming::ApplicationData { copied: 0 })),
    ] {
        let mut wire = sealed(&mut output(AeadAlgorithm::Aes128Gcm), b"data");
        wire[2] = minor;
        let mut input = input(AeadAlgorithm::Aes128Gcm);
        feed(&mut input, &wire);
        match (input.next(), expected) {
            (Ok(incoming), Some(expected)) => assert_eq!(incoming, expected),
            (incoming, _) => assert_eq!(misbehaviour(incoming.unwrap_err()), Misbehaviour::BadRecordHeader),
        }
    }
}

#[test]
fn a_protected_change_cipher_spec_is_refused() {
    let (mut output, mut input) = aes();
    input.set_change_cipher_spec(ChangeCipherSpec::Drop);
    output.queue_change_cipher_spec().unwrap();
    let wire = drain(&mut output);
    assert_eq!(wire, [20, 3, 3, 0, 1, 1]);
    feed(&mut input, &wire);
    assert_eq!(input.next().unwrap(), Incoming::NeedMore);
    output.queue(ContentType::CHANGE_CIPHER_SPEC, &[1]).unwrap();
    feed(&mut input, &drain(&mut output));
    let expected = Misbehaviour::UnexpectedRecord(ContentType::CHANGE_CIPHER_SPEC);
    assert_eq!(misbehaviour(input.next().unwrap_err()), expected);
}

#[test]
fn what_is_not_tls_is_told_with_its_first_bytes() {
    let mut input = Input::new();
    feed(&mut input, b"GE");
    let error = input.next().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::NotTls { first_bytes } if first_bytes == b"GE"),
        "{error}"
    );
}

#[test]
fn floods_are_refused_and_data_resets_their_count() {
    assert_eq!(
        refusal(&plain(20, &[1]).repeat(33)),
        Misbehaviour::Flood("change_cipher_spec records")
    );
    assert_eq!(
        refusal(&plain(21, &[1, 90]).repeat(5)),
        Misbehaviour::Flood("warning alerts")
    );
    for between in [false, true] {
        let (mut output, mut input) = aes();
        let mut wire = Vec::new();
        for n in 0..40 {
            output.queue_empty(DATA).unwrap();
            wire.extend(drain(&mut output));
            if between && n == 20 {
                wire.extend(sealed(&mut output, b"data"));
            }
        }
        feed(&mut input, &wire);
        if between {
            assert_eq!(input.next().unwrap(), Incoming::ApplicationData { copied: 0 });
            assert_eq!(input.next().unwrap(), Incoming::NeedMore);
        } else {
            assert_eq!(
                misbehaviour(input.next().unwrap_err()),
                Misbehaviour::Flood("empty records")
            );
        }
    }
}

#[test]
fn before_the_handshake_is_over_even_empty_data_is_refused() {
    let (mut output, _) = aes();
    output.queue_empty(DATA).unwrap();
    let mut input = Input::new();
    input.set_keys(opening(AeadAlgorithm::Aes128Gcm)).unwrap();
    feed(&mut input, &drain(&mut output));
    assert_eq!(
        misbehaviour(input.next().unwrap_err()),
        Misbehaviour::UnexpectedRecord(DATA)
    );
}

#[test]
fn an_empty_protected_alert_or_handshake_record_is_refused() {
    for content_type in [ContentType::ALERT, ContentType::HANDSHAKE] {
        let (mut output, mut input) = aes();
        output.queue_empty(content_type).unwrap();
        feed(&mut input, &drain(&mut output));
        assert_eq!(misbehaviour(input.next().unwrap_err()), Misbehaviour::EmptyRecord);
    }
}

#[test]
fn early_data_that_cannot_be_read_is_skipped_up_to_its_budget() {
    let early = sealed(&mut output(AeadAlgorithm::Aes256Gcm), &bytes(1000));
    for (budget, fits) in [(1022, true), (1021, false)] {
        let (mut output, mut input) = aes();
        input.set_skip_early_data(Some(budget));
        let wire = [early.clone(), sealed(&mut output, b"data")].concat();
        feed(&mut input, &wire);
        match input.next() {
            Ok(incoming) => assert_eq!((incoming, fits), (Incoming::ApplicationData { copied: 0 }, true)),
            Err(error) => assert_eq!(
                (misbehaviour(error), fits),
                (Misbehaviour::TooMuchEarlyData, false)
            ),
        }
    }
}

#[test]
fn direct_decryption_gives_what_copying_gives() {
    let (mut output, mut input) = aes();
    let data = bytes(50_000);
    let mut wire = Vec::new();
    output.queue(ContentType::HANDSHAKE, &[4, 0, 0, 1, 9]).unwrap();
    wire.extend(drain(&mut output));
    wire.extend(sealed(&mut output, &data));
    feed(&mut input, &wire);
    let mut out = vec![0xee; 60_000];
    assert_eq!(
        input.next_into(&mut out).unwrap(),
        Incoming::Handshake(HandshakeType::NEW_SESSION_TICKET)
    );
    assert_eq!(input.message(), [4, 0, 0, 1, 9]);
    let mut done = 0;
    while let Incoming::ApplicationData { copied } = input.next_into(&mut out[done..]).unwrap() {
        assert!(copied > 0 && input.payload().is_empty());
        done += copied;
    }
    assert_eq!(out[..done], data);
}

#[test]
fn space_holds_more_than_a_record_and_grows_while_reads_fill_it() {
    let (mut output, mut input) = aes();
    let wire = sealed(&mut output, &bytes(200_000));
    assert_eq!(input.space().len(), SMALL);
    input.space()[..SMALL].copy_from_slice(&wire[..SMALL]);
    input.filled(SMALL);
    assert_eq!(input.next().unwrap(), Incoming::ApplicationData { copied: 0 });
    assert_eq!(input.next().unwrap(), Incoming::NeedMore);
    let kept = SMALL - (MAX_FRAGMENT + 22);
    assert_eq!(input.space().len(), LARGE - kept);
    feed(&mut input, &wire[SMALL..SMALL + 10_000]);
    assert_eq!(input.next().unwrap(), Incoming::NeedMore);
    feed(&mut input, &wire[SMALL + 10_000..2 * (MAX_FRAGMENT + 22)]);
    assert_eq!(input.next().unwrap(), Incoming::ApplicationData { copied: 0 });
    input.release_if_empty();
    assert_eq!(
        input.payload().len(),
        MAX_FRAGMENT,
        "data that is lent keeps the buffer"
    );
    input.consume(MAX_FRAGMENT);
    input.release_if_empty();
    assert_eq!(input.space().len(), SMALL);
}

#[test]
fn space_keeps_data_that_is_lent() {
    let (mut output, mut input) = aes();
    let data = bytes(20_000);
    feed(&mut input, &sealed(&mut output, &data));
    assert_eq!(input.next().unwrap(), Incoming::ApplicationData { copied: 0 });
    input.consume(10);
    assert!(!input.space().is_empty());
    assert_eq!(input.payload(), &data[10..MAX_FRAGMENT]);
    assert_eq!(input.next().unwrap(), Incoming::ApplicationData { copied: 0 });
    assert_eq!(input.payload(), &data[MAX_FRAGMENT..]);
}

#[test]
fn buffers_go_back_to_the_pool() {
    let (mut output, mut input) = aes();
    let wire = sealed(&mut output, &bytes(60_000));
    assert_eq!(pooled(), (0, 1), "the output gave its buffer back");
    feed(&mut input, &wire);
    assert_eq!(pooled(), (1, 0), "the input has moved to the large one");
    while input.next().unwrap() != Incoming::NeedMore {}
    assert!(!input.has_buffered());
    input.release_if_empty();
    assert_eq!(pooled(), (1, 1));
}

#[test]
fn early_data_is_skipped_at_full_length_but_not_for_free_nor_inside_a_message() {
    let record = |len: usize| [&[23, 3, 3, (len >> 8) as u8, len as u8][..], &vec![7; len]].concat();
    let mut input = Input::new();
    input.set_skip_early_data(Some(20_000));
    feed(&mut input, &record(16_384 + 17));
    assert_eq!(input.next().unwrap(), Incoming::NeedMore);

    let mut input = Input::new();
    input.set_skip_early_data(Some(10));
    feed(&mut input, &record(0).repeat(3));
    assert_eq!(
        misbehaviour(input.next().unwrap_err()),
        Misbehaviour::TooMuchEarlyData
    );

    let mut input = Input::new();
    input.set_skip_early_data(Some(1000));
    feed(&mut input, &[&[22, 3, 3, 0, 2, 1, 0][..], &record(10)].concat());
    assert_eq!(
        misbehaviour(input.next().unwrap_err()),
        Misbehaviour::InterleavedHandshake(DATA)
    );
}
