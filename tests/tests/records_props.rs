//! How bytes are cut on their way changes nothing: a handshake whose plaintext messages come in records of any size, over
//! a transport that gives any number of bytes at a time, ends as an undisturbed one does, and so does the data after it.
//!
//! `crates/tls-core/src/record/properties.rs` does the same with protected messages, for which it has the keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tls_core::{NamedGroup, ProtocolVersion, Side};
use tls_tests::hello::{record, records};
use tls_tests::pair::{Ends, Pair, authority, certified, client, server};
use tls_tests::pki::{KeyType, Leaf};
use tls_tests::versions::Only as _;

const HANDSHAKE: u8 = 22;
const CHANGE_CIPHER_SPEC: u8 = 20;

/// Puts the plaintext messages of a flight together and cuts them anew. After change_cipher_spec of TLS 1.2 all are
/// protected.
fn cut_anew(version: ProtocolVersion, flight: &mut Vec<u8>, cuts: &mut impl Iterator<Item = usize>) {
    let mut out = Vec::new();
    let mut gathered: Vec<u8> = Vec::new();
    let mut put = |out: &mut Vec<u8>, gathered: &mut Vec<u8>| {
        while !gathered.is_empty() {
            let len = cuts.next().unwrap().clamp(1, gathered.len());
            out.extend(record(HANDSHAKE, &gathered[..len]));
            gathered.drain(..len);
        }
    };
    let mut is_protected = false;
    for (content_type, content) in records(flight) {
        is_protected |= version == ProtocolVersion::TLS12 && content_type == CHANGE_CIPHER_SPEC;
        if content_type == HANDSHAKE && !is_protected {
            gathered.extend(content);
        } else {
            put(&mut out, &mut gathered);
            out.extend(record(content_type, &content));
        }
    }
    put(&mut out, &mut gathered);
    *flight = out;
}

fn send(ends: &mut Ends, sends: &[(bool, usize)]) {
    for (is_client, len) in sends {
        let data: Vec<u8> = (0..*len).map(|i| (i * 7 % 251) as u8).collect();
        let sender = if *is_client { Side::Client } else { Side::Server };
        ends.send(sender, &data);
    }
}

/// The same cases in every run, unless `PROPTEST_RNG_SEED` says otherwise.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(120)
    };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(8446);
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn cuts_of_records_and_of_the_transport_change_nothing(
        version in prop::sample::select(vec![ProtocolVersion::TLS12, ProtocolVersion::TLS13]),
        [with_retry, with_client_certificate] in any::<[bool; 2]>(),
        cuts in vec(prop_oneof![1usize..8, 1usize..3000], 1..6),
        chunk in 1usize..3000,
        later_chunk in prop_oneof![20usize..60, 60usize..30_000],
        sends in vec((any::<bool>(), 1usize..40_000), 0..4usize),
    ) {
        let group = if with_retry { NamedGroup::SECP256R1 } else { NamedGroup::X25519 };
        let mut client = client()
            .groups([NamedGroup::X25519, NamedGroup::SECP256R1])
            .key_shares([NamedGroup::X25519])
            .only(version);
        let mut server = server().groups([group]).only(version);
        if with_client_certificate {
            client = client.certificate(certified(&authority().issue(&Leaf::new(KeyType::P256, &["a client"]).client())));
            server = server.client_roots(tls_tests::pair::roots());
        }
        let mut cuts = cuts.into_iter().cycle();
        let outcome = Pair::new(&client.build().unwrap(), &server.build().unwrap())
            .in_chunks_of(chunk)
            .mutated(|_, _, flight| cut_anew(version, flight, &mut cuts))
            .run();
        let ends = outcome.established();
        ends.check_agreement();
        prop_assert_eq!(ends.client.negotiated().group(), Some(group));
        prop_assert_eq!(ends.server.negotiated().peer_chain().is_some(), with_client_certificate);
        let mut ends = ends.in_chunks_of(later_chunk);
        send(&mut ends, &sends);
        ends.close();
    }
}
