//! What a server chooses by the ClientHello: its chain by name and signature scheme, and the application protocol.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::sync::Arc;

use tls_core::{
    AlertDescription, CertificateDer, CertifiedKey, ConfigError, ErrorKind, MemoryCertificates, Misbehaviour,
    NothingInCommon, ProtocolVersion, ServerConfig, Side, SignatureScheme,
};
use tls_tests::both_versions;
use tls_tests::pair::{Pair, certified_for, client, server};
use tls_tests::pki::KeyType;
use tls_tests::sides::records;
use tls_tests::versions::Only;

both_versions!(
    the_chain_is_chosen_by_exact_name_then_wildcard_then_the_first,
    a_strict_server_refuses_unknown_and_missing_names,
    of_several_chains_for_a_name_the_one_is_presented_whose_key_the_client_can_verify,
    certificates_are_replaced_while_serving,
    the_servers_preference_decides_on_the_application_protocol,
    no_common_application_protocol_is_an_alert_that_names_it,
    staples_reach_the_client,
    a_server_sends_no_longer_records_than_configured,
    a_longer_certificate_message_than_configured_is_refused,
);

fn a_server_sends_no_longer_records_than_configured(version: ProtocolVersion) {
    let config = server().max_fragment(100).only(version).build().unwrap();
    let mut outcome = Pair::new(&client().only(version).build().unwrap(), &config).run();
    let flights = core::mem::take(&mut outcome.flights);
    let sent = flights.iter().filter(|flight| flight.sender == Side::Server);
    let longest = sent
        .flat_map(|flight| records(&flight.bytes))
        .map(|record| record.length);
    // Type and tag in TLS 1.3, nonce and tag in TLS 1.2.
    let overhead = if version == ProtocolVersion::TLS13 { 17 } else { 24 };
    assert!((100..=100 + overhead).contains(&longest.max().unwrap()));
    let mut ends = outcome.established();
    ends.check(&[7; 1000]);
    ends.server.writer.write(&[7; 1000]).unwrap();
    let sealed = records(ends.server.writer.pending());
    assert_eq!(sealed.len(), 10);
    assert!(sealed.iter().all(|record| record.length == 100 + overhead));
}

fn a_longer_certificate_message_than_configured_is_refused(version: ProtocolVersion) {
    let config = server().only(version).build().unwrap();
    let run = |limit| {
        let client = client().max_certificate_message(limit).only(version);
        Pair::new(&client.build().unwrap(), &config).run()
    };
    run(4000).established().check_agreement();
    let error = run(100).refused_by(Side::Client, AlertDescription::ILLEGAL_PARAMETER);
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Misbehaved(Misbehaviour::MessageTooLarge { .. })
        ),
        "{error}"
    );
}

#[test]
fn what_cannot_be_configured_is_refused_by_name() {
    let refusal = |built: Result<tls_core::ClientConfig, ConfigError>| built.unwrap_err().to_string();
    let schemes = [SignatureScheme::ED25519, SignatureScheme::RSA_PKCS1_SHA1];
    let error = refusal(client().signature_schemes(schemes).build());
    assert_eq!(error, "signature scheme rsa_pkcs1_sha1 is not supported");
    for bytes in [0, 63, 16_385] {
        let error = refusal(client().max_fragment(bytes).build());
        assert!(error.contains("64 to 16384"), "{error}");
    }
    assert!(client().max_fragment(64).build().is_ok() && client().max_fragment(16_384).build().is_ok());
}

fn leaf(certified: &CertifiedKey) -> CertificateDer<'static> {
    certified.chain()[0].clone()
}

fn server_of(resolver: MemoryCertificates) -> ServerConfig {
    ServerConfig::builder()
        .certificate_resolver(Arc::new(resolver))
        .build()
        .unwrap()
}

fn anyone(version: ProtocolVersion) -> tls_core::ClientConfigBuilder {
    tls_core::ClientConfig::builder()
        .dangerously_accept_any_certificate()
        .only(version)
}

/// The leaf that is presented for a name.
fn presented(
    client: tls_core::ClientConfigBuilder,
    server: &ServerConfig,
    name: &str,
) -> CertificateDer<'static> {
    let ends = Pair::for_name(&client.build().unwrap(), server, name)
        .run()
        .established();
    ends.check_agreement();
    ends.client.negotiated().peer_certificates()[0].clone()
}

fn the_chain_is_chosen_by_exact_name_then_wildcard_then_the_first(version: ProtocolVersion) {
    let default = certified_for(KeyType::P256, &["default.test"]);
    let exact = certified_for(KeyType::P256, &["a.example.test"]);
    let wildcard = certified_for(KeyType::P256, &["*.example.test"]);
    let server = server_of(MemoryCertificates::new([
        default.clone(),
        wildcard.clone(),
        exact.clone(),
    ]));
    for (name, expected) in [
        ("a.example.test", &exact),
        ("A.Example.TEST", &exact),
        ("b.example.test", &wildcard),
        ("a.b.example.test", &default),
        ("example.test", &default),
        ("unknown.test", &default),
        ("192.0.2.1", &default),
    ] {
        assert_eq!(
            presented(anyone(version), &server, name),
            leaf(expected),
            "{name}"
        );
    }
    // The verifier agrees with the choice where there is one.
    for name in ["a.example.test", "b.example.test"] {
        drop(presented(client().only(version), &server, name));
    }
    assert_eq!(
        presented(anyone(version).send_server_name(false), &server, "a.example.test"),
        leaf(&default)
    );
}

fn a_strict_server_refuses_unknown_and_missing_names(version: ProtocolVersion) {
    let certified = certified_for(KeyType::P256, &["a.example.test"]);
    let server = server_of(MemoryCertificates::new([certified.clone()]).strict());
    assert_eq!(
        presented(anyone(version), &server, "a.example.test"),
        leaf(&certified)
    );
    for (send, name) in [
        (true, "b.example.test"),
        (false, "a.example.test"),
        (true, "192.0.2.1"),
    ] {
        let client = anyone(version).send_server_name(send).build().unwrap();
        let error = Pair::for_name(&client, &server, name)
            .run()
            .refused_by(Side::Server, AlertDescription::UNRECOGNIZED_NAME);
        assert!(error.to_string().contains("CertificateResolver"), "{error}");
    }
}

fn of_several_chains_for_a_name_the_one_is_presented_whose_key_the_client_can_verify(
    version: ProtocolVersion,
) {
    let names = &["server.test"][..];
    let [p256, rsa, ed25519] =
        [KeyType::P256, KeyType::Rsa2048, KeyType::Ed25519].map(|key_type| certified_for(key_type, names));
    let server = ServerConfig::builder()
        .certificate(p256.clone())
        .certificate(rsa.clone())
        .certificate(ed25519.clone())
        .build()
        .unwrap();
    for (schemes, expected) in [
        (
            &[SignatureScheme::ED25519, SignatureScheme::ECDSA_SECP256R1_SHA256][..],
            &p256,
        ),
        (&[SignatureScheme::RSA_PSS_RSAE_SHA512], &rsa),
        (&[SignatureScheme::ED25519], &ed25519),
    ] {
        let client = anyone(version).signature_schemes(schemes.iter().copied());
        assert_eq!(presented(client, &server, "server.test"), leaf(expected));
    }
    let mut useless = vec![SignatureScheme::ECDSA_SECP384R1_SHA384];
    match version {
        ProtocolVersion::TLS13 => useless.push(SignatureScheme::RSA_PKCS1_SHA256),
        _ => {
            let client = anyone(version).signature_schemes([SignatureScheme::RSA_PKCS1_SHA256]);
            assert_eq!(presented(client, &server, "server.test"), leaf(&rsa));
        }
    }
    let client = anyone(version).signature_schemes(useless).build().unwrap();
    let error = Pair::new(&client, &server)
        .run()
        .refused_by(Side::Server, AlertDescription::HANDSHAKE_FAILURE);
    assert!(matches!(
        error.kind(),
        ErrorKind::NothingInCommon(NothingInCommon::SignatureScheme { .. })
    ));
}

fn certificates_are_replaced_while_serving(version: ProtocolVersion) {
    let (old, new) = (
        certified_for(KeyType::P256, &["server.test"]),
        certified_for(KeyType::P384, &["server.test"]),
    );
    let certificates = Arc::new(MemoryCertificates::new([old.clone()]));
    let server = ServerConfig::builder()
        .certificate_resolver(Arc::clone(&certificates) as _)
        .build()
        .unwrap();
    assert_eq!(
        presented(client().only(version), &server, "server.test"),
        leaf(&old)
    );
    certificates.replace([new.clone()]);
    assert_eq!(
        presented(client().only(version), &server, "server.test"),
        leaf(&new)
    );
}

fn the_servers_preference_decides_on_the_application_protocol(version: ProtocolVersion) {
    let none: &[&str] = &[];
    let cases = [
        (&["http/1.1", "h2"][..], &["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1"], &["h2", "http/1.1"], Some("http/1.1")),
        (&["h2"], none, None),
        (none, &["h2"], None),
        (none, none, None),
    ];
    for (offered, supported, chosen) in cases {
        let client = client().only(version).alpn(offered).build().unwrap();
        let server = server().alpn(supported).build().unwrap();
        let mut ends = Pair::new(&client, &server).run().established();
        assert_eq!(ends.client.negotiated().alpn(), chosen.map(str::as_bytes));
        ends.check(b"data");
    }
}

fn no_common_application_protocol_is_an_alert_that_names_it(version: ProtocolVersion) {
    let client = client().only(version).alpn(["h2"]).build().unwrap();
    let server = server().alpn(["http/1.1", "H2"]).build().unwrap();
    let error = Pair::new(&client, &server)
        .run()
        .refused_by(Side::Server, AlertDescription::NO_APPLICATION_PROTOCOL);
    assert!(error.to_string().contains("http/1.1"), "{error}");
}

fn staples_reach_the_client(version: ProtocolVersion) {
    let certified = certified_for(KeyType::P256, &["server.test"])
        .with_ocsp_response(vec![0x30, 0])
        .with_scts(vec![0, 3, 0, 1, 9]);
    let server = ServerConfig::builder().certificate(certified).build().unwrap();
    let ends = Pair::new(&client().only(version).build().unwrap(), &server)
        .run()
        .established();
    let chain = ends.client.negotiated().peer_chain().unwrap();
    assert_eq!(chain.ocsp_response.as_deref(), Some(&[0x30, 0][..]));
    assert_eq!(chain.scts.as_deref(), Some(&[0, 3, 0, 1, 9][..]));
}
