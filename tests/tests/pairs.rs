//! A client and a server in memory: every suite, group and kind of certificate, in every chunking.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::sync::{Arc, Mutex};

use tls_core::{
    AlertDescription, CipherSuite, Driver, ErrorKind, KeyLog, KeyUpdateRequest, Misbehaviour, NamedGroup,
    Padding, Progress, ProtocolVersion, Side, SignatureScheme,
};
use tls_tests::both_versions;
use tls_tests::hello::records;
use tls_tests::pair::{Pair, certified, client, identity, name, server};
use tls_tests::pki::KeyType;
use tls_tests::versions::{Only, VERSIONS};

const SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS_AES_128_GCM_SHA256,
    CipherSuite::TLS_AES_256_GCM_SHA384,
    CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
];

/// The same for TLS 1.2: with ECDSA (and Ed25519) and with RSA.
const SUITES12: [[CipherSuite; 2]; 3] = [
    [
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ],
    [
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ],
    [
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ],
];

/// The suite with this AEAD for this kind of key.
fn suite_for(version: ProtocolVersion, aead: usize, key_type: KeyType) -> CipherSuite {
    match version {
        ProtocolVersion::TLS13 => SUITES[aead],
        _ => SUITES12[aead][usize::from(key_type == KeyType::Rsa2048)],
    }
}

both_versions!(
    every_group_and_certificate_with_aes_128_gcm,
    every_group_and_certificate_with_aes_256_gcm,
    every_group_and_certificate_with_chacha20_poly1305,
    large_rsa_keys_complete,
    much_data_passes_in_chunks_of_any_size,
    a_server_without_a_common_suite_group_or_scheme_says_handshake_failure,
    a_client_that_puts_chacha20_first_gets_it,
);

const GROUPS: [NamedGroup; 5] = [
    NamedGroup::X25519MLKEM768,
    NamedGroup::X25519,
    NamedGroup::SECP256R1,
    NamedGroup::SECP384R1,
    NamedGroup::SECP521R1,
];

const CERTIFICATES: [(KeyType, SignatureScheme); 5] = [
    (KeyType::P256, SignatureScheme::ECDSA_SECP256R1_SHA256),
    (KeyType::P384, SignatureScheme::ECDSA_SECP384R1_SHA384),
    (KeyType::P521, SignatureScheme::ECDSA_SECP521R1_SHA512),
    (KeyType::Rsa2048, SignatureScheme::RSA_PSS_RSAE_SHA256),
    (KeyType::Ed25519, SignatureScheme::ED25519),
];

const CHUNKS: [usize; 7] = [1, 2, 3, 7, 64, 1000, usize::MAX];

/// Bytes that are not all alike.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251) as u8).collect()
}

fn every_combination_with(version: ProtocolVersion, aead: usize) {
    let (short, long) = (bytes(300), bytes(100_000));
    for (key_type, scheme) in CERTIFICATES {
        let certified = certified(&identity(key_type));
        let suite = suite_for(version, aead, key_type);
        let hybrids = usize::from(version == ProtocolVersion::TLS12);
        for group in GROUPS.into_iter().skip(hybrids) {
            // The client has the curves of the certificates too, as TLS 1.2 wants, and a share of this group.
            let client = client()
                .cipher_suites([suite])
                .groups(GROUPS)
                .key_shares([group])
                .build()
                .unwrap();
            let server = tls_core::ServerConfig::builder()
                .groups([group])
                .certificate(certified.clone())
                .build()
                .unwrap();
            for chunk in CHUNKS {
                let mut ends = Pair::new(&client, &server)
                    .in_chunks_of(chunk)
                    .run()
                    .established();
                let negotiated = ends.client.negotiated();
                assert_eq!(negotiated.version(), version);
                assert_eq!(negotiated.cipher_suite(), suite);
                assert_eq!(negotiated.group(), Some(group));
                assert_eq!(negotiated.signature_scheme(), Some(scheme));
                assert!(!negotiated.had_hello_retry_request() && !negotiated.is_resumed());
                ends.check(if chunk == usize::MAX { &long } else { &short });
                ends.close();
            }
        }
    }
}

fn every_group_and_certificate_with_aes_128_gcm(version: ProtocolVersion) {
    every_combination_with(version, 0);
}

fn every_group_and_certificate_with_aes_256_gcm(version: ProtocolVersion) {
    every_combination_with(version, 1);
}

fn every_group_and_certificate_with_chacha20_poly1305(version: ProtocolVersion) {
    every_combination_with(version, 2);
}

fn large_rsa_keys_complete(version: ProtocolVersion) {
    for key_type in [KeyType::Rsa3072, KeyType::Rsa4096] {
        let server = tls_core::ServerConfig::builder()
            .certificate(certified(&identity(key_type)))
            .build()
            .unwrap();
        let client = client().only(version).build().unwrap();
        let mut ends = Pair::new(&client, &server).run().established();
        ends.check(b"hello");
    }
}

#[test]
fn the_defaults_are_the_hybrid_group_and_aes_128() {
    let ends = Pair::new(&client().build().unwrap(), &server().build().unwrap())
        .run()
        .established();
    let negotiated = ends.client.negotiated();
    assert_eq!(negotiated.group(), Some(NamedGroup::X25519MLKEM768));
    assert_eq!(negotiated.cipher_suite(), CipherSuite::TLS_AES_128_GCM_SHA256);
    assert_eq!(negotiated.server_name(), Some("server.test"));
    assert_eq!(negotiated.peer_certificates().len(), 2);
    assert!(ends.server.negotiated().peer_certificates().is_empty());
}

fn much_data_passes_in_chunks_of_any_size(version: ProtocolVersion) {
    let (client, server) = (client().only(version).build().unwrap(), server().build().unwrap());
    for chunk in [7, 1000, 16_384, usize::MAX] {
        let mut ends = Pair::new(&client, &server)
            .run()
            .established()
            .in_chunks_of(chunk);
        ends.check(&bytes(300_000));
        ends.close();
    }
}

#[test]
fn without_middlebox_compatibility_nothing_dummy_is_sent() {
    for compatible in [true, false] {
        let client = client().middlebox_compatibility(compatible).build().unwrap();
        let outcome = Pair::new(&client, &server().build().unwrap()).run();
        for sender in [Side::Client, Side::Server] {
            let dummies = outcome
                .flights
                .iter()
                .filter(|flight| flight.sender == sender)
                .flat_map(|flight| records(&flight.bytes))
                .filter(|(content_type, _)| *content_type == 20)
                .count();
            assert_eq!(dummies, usize::from(compatible), "{sender:?}");
        }
        outcome.established().check(b"data");
    }
}

fn a_server_without_a_common_suite_group_or_scheme_says_handshake_failure(version: ProtocolVersion) {
    let plain = || (client(), server());
    let [one, other] = [0, 1].map(|aead| suite_for(version, aead, KeyType::P256));
    let suites = (client().cipher_suites([one]), server().cipher_suites([other]));
    let groups = (client().groups([GROUPS[1]]), server().groups([GROUPS[2]]));
    let schemes = (plain().0.signature_schemes([SignatureScheme::ED25519]), plain().1);
    for (client, server) in [suites, groups, schemes] {
        let error = Pair::new(&client.only(version).build().unwrap(), &server.build().unwrap())
            .run()
            .refused_by(Side::Server, AlertDescription::HANDSHAKE_FAILURE);
        assert!(matches!(error.kind(), ErrorKind::NothingInCommon(_)), "{error}");
    }
}

fn a_client_that_puts_chacha20_first_gets_it(version: ProtocolVersion) {
    let [chacha20, aes] = [2, 0].map(|aead| suite_for(version, aead, KeyType::P256));
    let client = client().cipher_suites([chacha20, aes]).build().unwrap();
    let ends = Pair::new(&client, &server().build().unwrap()).run().established();
    assert_eq!(ends.client.negotiated().cipher_suite(), chacha20);
}

#[test]
fn padding_hides_lengths_on_the_wire_and_is_stripped() {
    let block = Padding::MultipleOf(512);
    let client = client().padding(block).build().unwrap();
    let server = server().padding(block).build().unwrap();
    let outcome = Pair::new(&client, &server).run();
    let protected = outcome
        .flights
        .iter()
        .flat_map(|flight| records(&flight.bytes))
        .filter(|(content_type, _)| *content_type == 23);
    for (_, content) in protected {
        assert_eq!((content.len() - 17) % 512, 0, "{} bytes", content.len());
    }
    let mut ends = outcome.established();
    for length in [1, 511, 512, 513, 16_383, 16_384, 16_385, 50_000] {
        ends.check(&bytes(length));
    }
    ends.client.writer.write(b"x").unwrap();
    assert_eq!(ends.client.writer.pending().len(), 5 + 512 + 17);
}

#[test]
fn tls12_has_no_padding() {
    let client = client()
        .padding(Padding::MultipleOf(512))
        .only(ProtocolVersion::TLS12);
    let server = server().padding(Padding::MultipleOf(512)).build().unwrap();
    let mut ends = Pair::new(&client.build().unwrap(), &server).run().established();
    ends.check(&bytes(50_000));
    ends.client.writer.write(b"x").unwrap();
    assert_eq!(ends.client.writer.pending().len(), 5 + 8 + 1 + 16);
}

#[test]
fn keys_are_updated_by_either_side_in_mid_stream() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    for chunk in [1, 64, usize::MAX] {
        let mut ends = Pair::new(&client, &server)
            .run()
            .established()
            .in_chunks_of(chunk);
        for request in [
            KeyUpdateRequest::UPDATE_NOT_REQUESTED,
            KeyUpdateRequest::UPDATE_REQUESTED,
        ] {
            ends.check(&bytes(2000));
            ends.client.writer.request_key_update(request).unwrap();
            ends.check(&bytes(2000));
            ends.server.writer.request_key_update(request).unwrap();
            ends.server.writer.request_key_update(request).unwrap();
            ends.check(&bytes(2000));
            ends.settle();
            ends.check(&bytes(2000));
        }
        ends.close();
    }
}

#[test]
fn key_updates_in_a_row_are_bounded() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    let mut ends = Pair::new(&client, &server).run().established();
    let mut refused = None;
    for count in 1..=1000 {
        ends.client
            .writer
            .request_key_update(KeyUpdateRequest::UPDATE_REQUESTED)
            .unwrap();
        let result =
            tls_tests::pair::transfer(&mut ends.client, &mut ends.server, usize::MAX, &mut Vec::new());
        if let Err(error) = result {
            refused = Some((count, error));
            break;
        }
    }
    let (count, error) = refused.expect("a flood is refused");
    assert_eq!(count, 33);
    assert!(
        matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::Flood(_))),
        "{error}"
    );
    assert_eq!(error.alert(), Some(AlertDescription::UNEXPECTED_MESSAGE));
}

/// Label, client random, secret.
type Line = (String, [u8; 32], Vec<u8>);

#[derive(Debug, Default)]
struct Log(Mutex<Vec<Line>>);

impl KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8; 32], secret: &[u8]) {
        let line = (label.to_owned(), *client_random, secret.to_vec());
        self.0.lock().unwrap().push(line);
    }
}

#[test]
fn both_sides_log_the_same_secrets() {
    const TLS13_LABELS: [&str; 5] = [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "EXPORTER_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_TRAFFIC_SECRET_0",
    ];
    let tls13 = SUITES.into_iter().zip([32, 48, 32]);
    let tls13 = tls13.map(|(suite, length)| (suite, length, &TLS13_LABELS[..]));
    let tls12 = SUITES12.map(|[with_ecdsa, _]| (with_ecdsa, 48, &["CLIENT_RANDOM"][..]));
    for (suite, length, expected) in tls13.chain(tls12) {
        let (at_client, at_server) = (Arc::new(Log::default()), Arc::new(Log::default()));
        let client = client()
            .cipher_suites([suite])
            .key_log(Arc::clone(&at_client) as _)
            .build()
            .unwrap();
        let server = server().key_log(Arc::clone(&at_server) as _).build().unwrap();
        let outcome = Pair::new(&client, &server).run();
        let random = tls_tests::hello::Hello::parse(&outcome.flights[0].bytes).random;
        drop(outcome.established());
        let mut lines = [at_client, at_server].map(|log| log.0.lock().unwrap().clone());
        lines.iter_mut().for_each(|lines| lines.sort());
        assert_eq!(lines[0], lines[1]);
        let labels: Vec<_> = lines[0].iter().map(|line| &line.0[..]).collect();
        assert_eq!(labels, expected);
        assert!(
            lines[0]
                .iter()
                .all(|line| line.1 == random && line.2.len() == length)
        );
    }
}

#[test]
fn data_sent_right_behind_the_handshake_is_in_the_connection() {
    for version in VERSIONS {
        let client = client().only(version).build().unwrap();
        let mut ends = [
            Driver::client(&client, name("server.test")),
            Driver::server(&server().build().unwrap()),
        ];
        // The last flight is the client's in TLS 1.3, and the server's in TLS 1.2.
        let mut flight = Vec::new();
        for turn in 0.. {
            ends[turn % 2].receive(&flight);
            let progress = ends[turn % 2].advance().unwrap();
            flight = ends[turn % 2].transmit();
            if progress == Progress::Done {
                ends.rotate_left(turn % 2);
                break;
            }
        }
        let [first, mut last] = ends;
        let mut connection = first.into_connection().unwrap();
        connection.writer.write(b"early bird").unwrap();
        connection.writer.close_notify().unwrap();
        flight.extend(connection.writer.pending());
        last.receive(&flight);
        assert_eq!(last.advance().unwrap(), Progress::Done);
        let mut connection = last.into_connection().unwrap();
        connection.reader.process().unwrap();
        assert_eq!(connection.reader.data(), b"early bird");
        connection.reader.consume(10);
        assert_eq!(connection.reader.process().unwrap(), tls_core::ReadEvent::Closed);
    }
}
