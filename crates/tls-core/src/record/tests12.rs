//! `Input` and `Output` of TLS 1.2 against each other and against bytes made by hand.

use std::io::IoSlice;

use super::tests::{bytes, collect, drain, feed, misbehaviour, plain, sealed};
use super::*;
use crate::alert::{Alert, AlertDescription};
use crate::crypto::aead::{AeadAlgorithm, OpeningKey, SealingKey};
use crate::error::{Error, ErrorKind, Misbehaviour};
use crate::registry::{ContentType, HandshakeType};

const ALL: [AeadAlgorithm; 3] = [
    AeadAlgorithm::Aes128Gcm,
    AeadAlgorithm::Aes256Gcm,
    AeadAlgorithm::ChaCha20Poly1305,
];
const DATA: ContentType = ContentType::APPLICATION_DATA;
const FINISHED: [u8; 16] = [20, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

fn iv(algorithm: AeadAlgorithm) -> [u8; 12] {
    if algorithm.explicit_nonce_len() > 0 {
        [4, 4, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0]
    } else {
        [4; 12]
    }
}

fn sealing(algorithm: AeadAlgorithm) -> SealingKey {
    SealingKey::tls12(algorithm, &vec![3; algorithm.key_len()], iv(algorithm)).unwrap()
}

fn opening(algorithm: AeadAlgorithm) -> OpeningKey {
    OpeningKey::new(algorithm, &vec![3; algorithm.key_len()], iv(algorithm)).unwrap()
}

pub(super) fn pair_of(algorithm: AeadAlgorithm) -> (Output, Input) {
    let (mut output, mut input) = (Output::new(), Input::new());
    output.set_keys12(sealing(algorithm), u64::MAX).unwrap();
    input.set_keys12(opening(algorithm)).unwrap();
    input.allow_application_data(true);
    (output, input)
}

fn pair() -> (Output, Input) {
    pair_of(AeadAlgorithm::Aes128Gcm)
}

fn overhead(algorithm: AeadAlgorithm) -> usize {
    5 + algorithm.explicit_nonce_len() + 16
}

/// An input that waits for change_cipher_spec.
fn waiting() -> Input {
    let mut input = Input::new();
    input.set_tls12();
    input.set_change_cipher_spec(ChangeCipherSpec::Deliver);
    input
}

#[test]
fn data_comes_out_as_it_went_in_with_every_suite_and_size() {
    for algorithm in ALL {
        let (mut output, mut input) = pair_of(algorithm);
        for len in [0, 1, 100, 16_383, 16_384, 16_385, 64 * 1024, 200_000] {
            let data = bytes(len);
            let wire = sealed(&mut output, &data);
            assert_eq!(wire.len(), len + len.div_ceil(MAX_FRAGMENT) * overhead(algorithm));
            assert_eq!(collect(&mut input, &wire, 70_000).0, data, "{algorithm:?} {len}");
        }
    }
}

#[test]
fn chunks_of_any_size_make_the_same_data_and_messages() {
    for algorithm in ALL {
        for chunk in [1, 7, 64, 1000, 20_000] {
            let (mut output, mut input) = pair_of(algorithm);
            let messages = [
                FINISHED.to_vec(),
                [vec![11, 0, 0x9c, 0x40], bytes(40_000)].concat(),
            ];
            for message in &messages {
                output.queue(ContentType::HANDSHAKE, message).unwrap();
            }
            let mut wire = drain(&mut output);
            wire.extend(sealed(&mut output, &bytes(20_000)));
            assert_eq!(
                collect(&mut input, &wire, chunk),
                (bytes(20_000), messages.to_vec())
            );
        }
    }
}

#[test]
fn slices_are_gathered_and_padding_is_for_the_other_version() {
    for algorithm in ALL {
        let (mut output, mut input) = pair_of(algorithm);
        output.set_padding(Padding::MultipleOf(512));
        let data = bytes(40_000);
        let slices = [&data[..9], &data[9..9], &data[9..20_000], &data[20_000..]].map(IoSlice::new);
        assert_eq!(output.write_application_data(&slices).unwrap(), data.len());
        let wire = drain(&mut output);
        assert_eq!(wire.len(), data.len() + 3 * overhead(algorithm));
        assert_eq!(collect(&mut input, &wire, 50_000).0, data);
    }
}

#[test]
fn direct_decryption_gives_what_copying_gives() {
    for algorithm in ALL {
        let (mut output, mut input) = pair_of(algorithm);
        let data = bytes(50_000);
        output.queue(ContentType::HANDSHAKE, &FINISHED).unwrap();
        let mut wire = drain(&mut output);
        output.queue_empty(DATA).unwrap();
        wire.extend(sealed(&mut output, &data));
        feed(&mut input, &wire);
        let mut out = vec![0xee; 60_000];
        assert_eq!(
            input.next_into(&mut out).unwrap(),
            Incoming::Handshake(HandshakeType::FINISHED)
        );
        assert_eq!(input.message(), FINISHED);
        assert_eq!(out[0], 0xee, "a message does not pass through the caller's slice");
        let mut done = 0;
        while let Incoming::ApplicationData { copied } = input.next_into(&mut out[done..]).unwrap() {
            assert!(copied > 0 && input.payload().is_empty());
            done += copied;
        }
        assert_eq!(out[..done], data);
        let wire = sealed(&mut output, &data[..1000]);
        feed(&mut input, &wire);
        assert_eq!(
            input.next_into(&mut out[..999]).unwrap(),
            Incoming::ApplicationData { copied: 0 }
        );
        assert_eq!(input.payload(), &data[..1000]);
    }
}

#[test]
fn change_cipher_spec_stands_between_plaintext_and_keys() {
    for algorithm in ALL {
        for chunk in [1, 1000] {
            let mut output = Output::new();
            output.queue(ContentType::HANDSHAKE, &[14, 0, 0, 0]).unwrap();
            output.queue_change_cipher_spec().unwrap();
            output.set_keys12(sealing(algorithm), 9).unwrap();
            output.queue(ContentType::HANDSHAKE, &FINISHED).unwrap();
            let wire = drain(&mut output);
            assert_eq!(wire[..15], [22, 3, 3, 0, 4, 14, 0, 0, 0, 20, 3, 3, 0, 1, 1]);
            assert_eq!(wire[15], 22);

            let mut input = Input::new();
            let mut found = Vec::new();
            for piece in wire.chunks(chunk) {
                feed(&mut input, piece);
                loop {
                    match input.next().unwrap() {
                        Incoming::NeedMore => break,
                        Incoming::ChangeCipherSpec => {
                            found.push(0);
                            input.set_keys12(opening(algorithm)).unwrap();
                            input.allow_application_data(true);
                        }
                        Incoming::Handshake(message) => {
                            input.set_change_cipher_spec(ChangeCipherSpec::Deliver);
                            found.push(message.0);
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
            assert_eq!(found, [14, 0, 20]);
        }
    }
}

#[test]
fn change_cipher_spec_does_not_cut_a_message_and_comes_once() {
    let mut input = waiting();
    feed(&mut input, &[plain(22, &[0, 0, 0]), plain(20, &[1])].concat());
    let error = input.next().unwrap_err();
    assert_eq!(misbehaviour(error), Misbehaviour::HandshakeDataAcrossKeyChange);

    // Nobody waits for the rest of what has no business here, be it a Finished or a HelloRequest with more of a body
    // than there is: both may be ciphertext.
    for content in [&[20][..], &[0, 1], &[0, 0, 9, 9, 9], &[0, 0, 0, 1]] {
        let mut input = waiting();
        feed(&mut input, &plain(22, content));
        let unexpected = Misbehaviour::UnexpectedRecord(ContentType::HANDSHAKE);
        assert_eq!(misbehaviour(input.next().unwrap_err()), unexpected, "{content:?}");
    }

    let mut input = waiting();
    feed(&mut input, &plain(20, &[1]).repeat(2));
    assert_eq!(input.next().unwrap(), Incoming::ChangeCipherSpec);
    let unexpected = Misbehaviour::UnexpectedRecord(ContentType::CHANGE_CIPHER_SPEC);
    assert_eq!(misbehaviour(input.next().unwrap_err()), unexpected);

    let mut input = waiting();
    feed(&mut input, &plain(20, &[2]));
    assert_eq!(
        misbehaviour(input.next().unwrap_err()),
        Misbehaviour::BadChangeCipherSpec
    );

    // HelloRequests before it are delivered before it, also out of one record.
    let mut input = waiting();
    feed(&mut input, &[plain(22, &[0; 8]), plain(20, &[1])].concat());
    let request = Incoming::Handshake(HandshakeType::HELLO_REQUEST);
    assert_eq!(input.next().unwrap(), request);
    assert_eq!(input.next().unwrap(), request);
    assert_eq!(input.next().unwrap(), Incoming::ChangeCipherSpec);
}

#[test]
fn once_keys_are_set_plaintext_of_any_type_is_a_bad_mac() {
    for content_type in [20, 21, 22, 23] {
        let (_, mut input) = pair();
        input.allow_plaintext_alerts(true);
        feed(&mut input, &plain(content_type, &[2, 40]));
        assert_eq!(
            misbehaviour(input.next().unwrap_err()),
            Misbehaviour::BadRecordMac
        );
    }
    let (mut output, mut input) = pair();
    output.queue(ContentType::CHANGE_CIPHER_SPEC, &[1]).unwrap();
    feed(&mut input, &drain(&mut output));
    let unexpected = Misbehaviour::UnexpectedRecord(ContentType::CHANGE_CIPHER_SPEC);
    assert_eq!(misbehaviour(input.next().unwrap_err()), unexpected);
}

#[test]
fn a_flipped_bit_is_noticed_wherever_it_is() {
    for algorithm in ALL {
        let (mut output, _) = pair_of(algorithm);
        let first = sealed(&mut output, b"first");
        let wire = sealed(&mut output, b"abc");
        for at in 0..wire.len() {
            let mut copy = wire.clone();
            copy[at] ^= 1;
            let (_, mut input) = pair_of(algorithm);
            feed(&mut input, &[&first[..], &copy].concat());
            assert_eq!(input.next().unwrap(), Incoming::ApplicationData { copied: 0 });
            match input.next() {
                // A length that is greater waits for more.
                Ok(Incoming::NeedMore) => assert!((3..5).contains(&at), "byte {at}"),
                Ok(other) => panic!("{other:?} with byte {at} flipped"),
                Err(error) => assert!(matches!(error.kind(), ErrorKind::Misbehaved(_)), "{error}"),
            }
        }
    }
}

#[test]
fn records_say_the_version_and_keep_to_their_longest_length() {
    let refusal = |header: [u8; 5]| {
        let (_, mut input) = pair();
        feed(&mut input, &header);
        input.next().map_err(misbehaviour)
    };
    assert_eq!(refusal([23, 3, 1, 0, 9]), Err(Misbehaviour::BadRecordHeader));
    assert_eq!(refusal([23, 3, 3, 0x48, 0]), Ok(Incoming::NeedMore));
    assert_eq!(refusal([23, 3, 3, 0x48, 1]), Err(Misbehaviour::RecordOverflow));
}

#[test]
fn the_longest_record_of_all_fits_the_buffer_and_is_judged_by_its_mac() {
    let (_, mut input) = pair();
    let mut wire = vec![23, 3, 3, 0x48, 0];
    wire.resize(5 + MAX_FRAGMENT + 2048, 7);
    feed(&mut input, &wire);
    assert_eq!(
        misbehaviour(input.next().unwrap_err()),
        Misbehaviour::BadRecordMac
    );
}

#[test]
fn warnings_are_passed_over_up_to_a_few_and_errors_are_not() {
    let warning = Alert::warning(AlertDescription::UNRECOGNIZED_NAME).to_bytes();
    for (count, tolerated) in [(4, true), (5, false)] {
        let (mut output, mut input) = pair();
        for _ in 0..count {
            output.queue(ContentType::ALERT, &warning).unwrap();
        }
        let mut wire = drain(&mut output);
        wire.extend(sealed(&mut output, b"data"));
        feed(&mut input, &wire);
        match input.next() {
            Ok(incoming) => assert_eq!(
                (incoming, tolerated),
                (Incoming::ApplicationData { copied: 0 }, true)
            ),
            Err(error) => assert_eq!(
                (misbehaviour(error), tolerated),
                (Misbehaviour::Flood("warning alerts"), false)
            ),
        }
    }
    let received = |alert: [u8; 2], tolerate| {
        let mut input = Input::new();
        input.set_may_be_tls12(tolerate);
        feed(&mut input, &plain(21, &alert));
        input.next().map_err(Error::into_kind)
    };
    assert!(matches!(received(warning, true), Ok(Incoming::NeedMore)));
    assert!(matches!(
        received(warning, false),
        Err(ErrorKind::Misbehaved(Misbehaviour::WarningAlert(
            AlertDescription::UNRECOGNIZED_NAME
        )))
    ));
    assert!(matches!(
        received([2, 112], false),
        Err(ErrorKind::AlertReceived(AlertDescription::UNRECOGNIZED_NAME))
    ));
    assert!(matches!(
        received([3, 112], true),
        Err(ErrorKind::Misbehaved(Misbehaviour::BadAlertLevel(3)))
    ));
    assert!(matches!(
        received([2, 112], true),
        Err(ErrorKind::AlertReceived(AlertDescription::UNRECOGNIZED_NAME))
    ));
    assert!(matches!(received([1, 0], true), Ok(Incoming::CloseNotify)));
}

#[test]
fn empty_data_is_legal_but_not_endless_and_other_empty_records_are_refused() {
    let (mut output, mut input) = pair();
    for _ in 0..32 {
        output.queue_empty(DATA).unwrap();
    }
    feed(&mut input, &drain(&mut output));
    assert_eq!(input.next().unwrap(), Incoming::NeedMore);
    output.queue_empty(DATA).unwrap();
    feed(&mut input, &drain(&mut output));
    assert_eq!(
        misbehaviour(input.next().unwrap_err()),
        Misbehaviour::Flood("empty records")
    );
    for content_type in [ContentType::ALERT, ContentType::HANDSHAKE] {
        let (mut output, mut input) = pair();
        output.queue_empty(content_type).unwrap();
        feed(&mut input, &drain(&mut output));
        assert_eq!(misbehaviour(input.next().unwrap_err()), Misbehaviour::EmptyRecord);
    }
}
