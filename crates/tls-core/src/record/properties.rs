//! However messages and data are cut into records, and records into what the transport gives at a time: the same comes
//! out.

use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::{bytes, drain, feed, output};
use super::tests12::pair_of;
use super::*;
use crate::crypto::aead::{AeadAlgorithm, OpeningKey};
use crate::properties::config;
use crate::registry::ContentType;

/// How records are protected.
#[derive(Clone, Copy, Debug)]
enum Under {
    Nothing,
    Tls13(AeadAlgorithm, Padding),
    Tls12(AeadAlgorithm),
}

/// What one side sends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sent {
    Message(Vec<u8>),
    Data(Vec<u8>),
}

fn under() -> impl Strategy<Value = Under> {
    if cfg!(miri) {
        // It can call no C, and so protects nothing.
        return Just(Under::Nothing).boxed();
    }
    let algorithm = prop::sample::select(vec![
        AeadAlgorithm::Aes128Gcm,
        AeadAlgorithm::Aes256Gcm,
        AeadAlgorithm::ChaCha20Poly1305,
    ]);
    let padding = prop_oneof![Just(Padding::None), (1u16..600).prop_map(Padding::MultipleOf)];
    prop_oneof![
        Just(Under::Nothing),
        (algorithm.clone(), padding).prop_map(|(algorithm, padding)| Under::Tls13(algorithm, padding)),
        algorithm.prop_map(Under::Tls12),
    ]
    .boxed()
}

/// Lengths, most of them small, some over that of a record.
fn length() -> impl Strategy<Value = usize> {
    // Under Miri each byte costs a thousand times as much.
    let long = if cfg!(miri) { 2_000 } else { 40_000 };
    prop_oneof![4 => 0usize..60, 2 => 0usize..long / 20, 1 => long / 5 * 2..long]
}

fn sent() -> impl Strategy<Value = Sent> {
    // Types of messages that may be long.
    let message = (prop::sample::select(vec![2u8, 4, 11, 15]), length()).prop_map(|(kind, len)| {
        let [_, high, middle, low] = (len as u32).to_be_bytes();
        Sent::Message([vec![kind, high, middle, low], bytes(len)].concat())
    });
    prop_oneof![message, length().prop_map(|len| Sent::Data(bytes(len.max(1))))]
}

fn ends(under: Under) -> (Output, Input) {
    match under {
        Under::Nothing => (Output::new(), Input::new()),
        Under::Tls13(algorithm, padding) => {
            let mut output = output(algorithm);
            output.set_padding(padding);
            let mut input = Input::new();
            let key = OpeningKey::new(algorithm, &vec![3; algorithm.key_len()], [4; 12]).unwrap();
            input.set_keys(key).unwrap();
            input.allow_application_data(true);
            (output, input)
        }
        Under::Tls12(algorithm) => pair_of(algorithm),
    }
}

/// One record after the other: of the messages up to the next data together, cut without regard to where they end.
fn records(output: &mut Output, sent: &[Sent], mut cuts: impl Iterator<Item = usize>) -> Vec<u8> {
    let mut wire = Vec::new();
    let is_same = |one: &Sent, next: &Sent| matches!((one, next), (Sent::Message(_), Sent::Message(_)));
    for run in sent.chunk_by(is_same) {
        let content_type = match run[0] {
            Sent::Message(_) => ContentType::HANDSHAKE,
            Sent::Data(_) => ContentType::APPLICATION_DATA,
        };
        let all: Vec<u8> = run
            .iter()
            .flat_map(|(Sent::Message(bytes) | Sent::Data(bytes))| bytes.clone())
            .collect();
        let mut rest = &all[..];
        while !rest.is_empty() {
            let (record, more) = rest.split_at(cuts.next().unwrap().clamp(1, MAX_FRAGMENT).min(rest.len()));
            output.queue(content_type, record).unwrap();
            wire.extend(drain(output));
            rest = more;
        }
    }
    wire
}

/// What comes out. Data is put together, as where it was cut is nobody's business.
fn received(
    input: &mut Input,
    mut wire: &[u8],
    mut chunks: impl Iterator<Item = usize>,
    mut rooms: impl Iterator<Item = usize>,
) -> Vec<Sent> {
    let mut received = Vec::new();
    let mut out = vec![0; 20_000];
    while !wire.is_empty() {
        let (chunk, rest) = wire.split_at(chunks.next().unwrap().clamp(1, wire.len()));
        wire = rest;
        feed(input, chunk);
        loop {
            let out = &mut out[..rooms.next().unwrap()];
            let data = match input.next_into(out).unwrap() {
                Incoming::NeedMore => break,
                Incoming::Handshake(_) => {
                    received.push(Sent::Message(input.message().to_vec()));
                    continue;
                }
                Incoming::ApplicationData { copied: 0 } => input.payload(),
                Incoming::ApplicationData { copied } => &out[..copied],
                other => panic!("{other:?}"),
            };
            match received.last_mut() {
                Some(Sent::Data(before)) => before.extend_from_slice(data),
                _ => received.push(Sent::Data(data.to_vec())),
            }
        }
    }
    received
}

proptest! {
    #![proptest_config(config(if cfg!(miri) { 4 } else { 300 }))]

    #[test]
    fn cuts_of_records_and_of_the_transport_change_nothing_of_what_is_delivered(
        under in under(),
        sent in vec(sent(), 1..8),
        cuts in vec(prop_oneof![1usize..20, 1usize..17_000], 1..6),
        chunks in vec(prop_oneof![1usize..40, 1usize..40_000], 1..6),
        rooms in vec(prop_oneof![Just(0usize), 0usize..20_000], 1..4),
    ) {
        let mut sent = sent;
        if matches!(under, Under::Nothing) {
            sent.retain(|sent| matches!(sent, Sent::Message(_)));
        }
        // A cut of a byte makes a record of each byte, which is slow for much.
        let most: usize = sent.iter().map(|(Sent::Message(bytes) | Sent::Data(bytes))| bytes.len()).max().unwrap_or(0);
        let floor = most / 400;
        let (mut output, mut input) = ends(under);
        let wire = records(&mut output, &sent, cuts.iter().map(|cut| cut + floor).cycle());
        let out = received(&mut input, &wire, chunks.iter().map(|chunk| chunk + floor).cycle(), rooms.into_iter().cycle());

        let mut expected: Vec<Sent> = Vec::new();
        for sent in sent {
            match (expected.last_mut(), sent) {
                (Some(Sent::Data(before)), Sent::Data(data)) => before.extend(data),
                (_, sent) => expected.push(sent),
            }
        }
        prop_assert!(out == expected, "{} came of {}", out.len(), expected.len());
        prop_assert!(!input.has_buffered() && !input.is_inside_record());
    }
}
