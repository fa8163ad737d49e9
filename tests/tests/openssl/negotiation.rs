//! What both sides agree on: groups after a HelloRetryRequest, ALPN, the certificate by name, exporters.

use std::sync::Arc;

use tls_core::{KeyLogFile, NamedGroup, SignatureScheme};
use tls_tests::openssl::{Negotiated, s_client, s_server};
use tls_tests::pki::KeyType;
use tls_tests::process::require_or_skip;
use tls_tokio::{CipherSuite, ServerConfig};

use crate::{Listener, World, assert_no_error, certified, close, connect, connect_as, expect, path, send};

both_versions! {
    our_client_takes_the_protocol_that_openssl_chooses,
    our_server_chooses_the_protocol_by_its_own_preference,
    our_server_presents_the_certificate_for_the_name_and_the_schemes,
    openssl_sees_the_name_that_our_client_asks_for,
    exporters_agree,
    key_logs_agree,
    a_scheme_that_only_some_keys_have_is_used,
}

/// Suites of both hashes: the transcript is replaced by its hash when a second ClientHello is asked for.
const SUITES: [CipherSuite; 2] = [
    CipherSuite::TLS_AES_128_GCM_SHA256,
    CipherSuite::TLS_AES_256_GCM_SHA384,
];

#[tokio::test]
async fn our_client_answers_a_hello_retry_request_of_openssl() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    let groups = [
        (NamedGroup::SECP256R1, "P-256"),
        (NamedGroup::SECP384R1, "P-384"),
        (NamedGroup::SECP521R1, "P-521"),
    ];
    for (group, argument) in groups {
        for suite in SUITES {
            let server = s_server(&files, &["-tls1_3", "-msg", "-groups", argument]).await;
            let config = world
                .client()
                .key_shares([NamedGroup::X25519])
                .cipher_suites([suite])
                .build()
                .unwrap();
            let mut stream = connect(server.address, config).await.unwrap();
            assert_eq!(stream.info().group(), Some(group));
            assert!(stream.info().had_hello_retry_request());
            send(&mut stream, b"data after it\n").await;
            close(&mut stream).await;
            let finished = server.process.finish().await;
            let text = finished.text();
            assert_eq!(text.matches(", ClientHello").count(), 2, "{text}");
            assert_eq!(text.matches(", ServerHello").count(), 2, "{text}");
            assert!(text.contains("data after it"), "{text}");
            assert_no_error(&finished);
        }
    }
}

#[tokio::test]
async fn openssl_answers_our_hello_retry_request() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let groups = [
        (NamedGroup::SECP256R1, "X25519:P-256", "prime256v1"),
        (NamedGroup::SECP384R1, "X25519:P-384", "secp384r1"),
        (NamedGroup::SECP521R1, "X25519:P-521", "secp521r1"),
        (NamedGroup::X25519, "P-256:X25519", "X25519"),
    ];
    for (group, argument, printed) in groups {
        for suite in SUITES {
            let (listener, address) = Listener::new().await;
            let config = world
                .server()
                .groups([group])
                .cipher_suites([suite])
                .build()
                .unwrap();
            let mut client = s_client(address, &["-tls1_3", "-msg", "-groups", argument]);
            let mut stream = listener.accept(config).await.unwrap();
            assert_eq!(stream.info().group(), Some(group));
            assert!(stream.info().had_hello_retry_request());
            client.wait_for("Verify return code").await;
            client.send(b"data after it\n").await.unwrap();
            expect(&mut stream, b"data after it\n").await;
            client.send(b"Q\n").await.unwrap();
            close(&mut stream).await;
            let finished = client.finish().await;
            let text = finished.text();
            assert_eq!(text.matches(", ClientHello").count(), 2, "{text}");
            assert_eq!(Negotiated::parse(&text).unwrap().group, printed);
            assert_no_error(&finished);
        }
    }
}

#[tokio::test]
async fn a_group_that_both_prefer_less_needs_no_second_hello_where_its_share_is_there() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    // Our first group is X25519MLKEM768, which this client does not have; it shares P-256 only, and that will do.
    let (listener, address) = Listener::new().await;
    let client = s_client(address, &["-tls1_3", "-groups", "P-256:X25519"]);
    let stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    let info = stream.info();
    assert_eq!(
        (info.group(), info.had_hello_retry_request()),
        (Some(NamedGroup::SECP256R1), false)
    );
    client.kill().await;
}

async fn our_client_takes_the_protocol_that_openssl_chooses(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    for (theirs, expected) in [
        (Some("http/1.1"), Some(&b"http/1.1"[..])),
        (Some("h2,http/1.1"), Some(b"h2")),
        (None, None),
    ] {
        let mut arguments = vec![version];
        if let Some(theirs) = theirs {
            arguments.extend(["-alpn", theirs]);
        }
        let server = s_server(&files, &arguments).await;
        let config = world.client().alpn(["h2", "http/1.1"]).build().unwrap();
        let mut stream = connect(server.address, config).await.unwrap();
        assert_eq!(stream.info().alpn(), expected);
        close(&mut stream).await;
        assert_no_error(&server.process.finish().await);
    }
}

async fn our_server_chooses_the_protocol_by_its_own_preference(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    for (theirs, expected) in [
        (Some("http/1.1"), Some("http/1.1")),
        (Some("http/1.1,h2"), Some("h2")),
        (Some("unknown,http/1.1"), Some("http/1.1")),
        (None, None),
    ] {
        let (listener, address) = Listener::new().await;
        let mut arguments = vec![version];
        if let Some(theirs) = theirs {
            arguments.extend(["-alpn", theirs]);
        }
        let mut client = s_client(address, &arguments);
        let config = world.server().alpn(["h2", "http/1.1"]).build().unwrap();
        let mut stream = listener.accept(config).await.unwrap();
        assert_eq!(stream.info().alpn(), expected.map(str::as_bytes));
        client.wait_for("Verify return code").await;
        client.send(b"Q\n").await.unwrap();
        close(&mut stream).await;
        let finished = client.finish().await;
        let negotiated = Negotiated::parse(&finished.text()).unwrap();
        assert_eq!(negotiated.alpn.as_deref(), expected);
        assert_no_error(&finished);
    }
}

async fn our_server_presents_the_certificate_for_the_name_and_the_schemes(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let leaf = |key_type, name: &str| certified(&world.authority.leaf(key_type, &[name]));
    let config = ServerConfig::builder()
        .certificate(leaf(KeyType::P256, "default.example"))
        .certificate(leaf(KeyType::P256, "one.example"))
        .certificate(leaf(KeyType::Rsa2048, "one.example"))
        .certificate(leaf(KeyType::P384, "*.wild.example"))
        .build()
        .unwrap();
    let cases = [
        (vec!["-servername", "one.example"], "one.example", "ECDSA"),
        (vec!["-servername", "ONE.example"], "one.example", "ECDSA"),
        (
            vec![
                "-servername",
                "one.example",
                "-sigalgs",
                "rsa_pss_rsae_sha256:ecdsa_secp384r1_sha384:ecdsa_secp521r1_sha512",
            ],
            "one.example",
            "RSA-PSS",
        ),
        (vec!["-servername", "a.wild.example"], "*.wild.example", "ECDSA"),
        (
            vec!["-servername", "a.b.wild.example"],
            "default.example",
            "ECDSA",
        ),
        (vec!["-servername", "unknown.example"], "default.example", "ECDSA"),
        (vec!["-noservername"], "default.example", "ECDSA"),
    ];
    for (arguments, subject, signature) in cases {
        let (listener, address) = Listener::new().await;
        let mut client = s_client(address, &[&[version], &arguments[..]].concat());
        let mut stream = listener.accept(config.clone()).await.unwrap();
        let name = stream.info().server_name().map(str::to_owned);
        let asked = (arguments[0] == "-servername").then(|| arguments[1]);
        assert!(
            match (&name, asked) {
                (Some(name), Some(asked)) => name.eq_ignore_ascii_case(asked),
                (None, None) => true,
                _ => false,
            },
            "{name:?} instead of {asked:?}"
        );
        client.wait_for("Verify return code").await;
        client.send(b"Q\n").await.unwrap();
        close(&mut stream).await;
        let finished = client.finish().await;
        let text = finished.text();
        assert!(
            text.contains(&format!("0 s:CN = {subject}\n")),
            "{arguments:?}: {text}"
        );
        assert_eq!(Negotiated::parse(&text).unwrap().signature, signature);
        assert_no_error(&finished);
    }
}

async fn openssl_sees_the_name_that_our_client_asks_for(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let first = world.localhost(KeyType::P256);
    let second = world.authority.leaf(KeyType::P256, &["second.example"]);
    let files = world.files(&first, "first");
    let files2 = world.files(&second, "second");
    let arguments = [
        version,
        "-servername",
        "second.example",
        "-cert2",
        path(&files2.leaf),
        "-key2",
        path(&files2.key),
        "-naccept",
        "3",
    ];
    let server = s_server(&files, &arguments).await;
    // (name, whether it is sent, what comes); s_server sends no issuers with its second certificate, so pin.
    for (name, sent, expected) in [
        ("second.example", true, &second),
        ("second.example", false, &first),
        ("127.0.0.1", true, &first),
    ] {
        let config = tls_tokio::ClientConfig::builder()
            .dangerously_pin_certificate(expected.leaf())
            .send_server_name(sent)
            .build()
            .unwrap();
        let mut stream = connect_as(server.address, config, name).await.unwrap();
        assert_eq!(stream.info().peer_certificates()[0], expected.leaf());
        close(&mut stream).await;
    }
    assert_no_error(&server.process.finish().await);
}

async fn exporters_agree(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let exporter = ["-keymatexport", "EXPORTER-test", "-keymatexportlen", "77"];
    // Of both hashes.
    let suites = match version {
        "-tls1_2" => [
            ["-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
            ["-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"],
        ],
        _ => [
            ["-ciphersuites", "TLS_AES_128_GCM_SHA256"],
            ["-ciphersuites", "TLS_AES_256_GCM_SHA384"],
        ],
    };
    for suite in suites {
        let arguments = [&[version][..], &suite, &exporter].concat();
        let mut ours = [0; 77];

        let (listener, address) = Listener::new().await;
        let mut client = s_client(address, &arguments);
        let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
        stream
            .export_keying_material(&mut ours, b"EXPORTER-test", None)
            .unwrap();
        client.wait_for("Verify return code").await;
        client.send(b"Q\n").await.unwrap();
        close(&mut stream).await;
        let text = client.finish().await.text();
        assert!(
            text.contains(&format!("Keying material: {}\n", hex(&ours))),
            "{text}"
        );

        let server = s_server(&world.localhost_files(KeyType::P256), &arguments).await;
        let config = world.client().build().unwrap();
        let mut stream = connect(server.address, config).await.unwrap();
        stream
            .export_keying_material(&mut ours, b"EXPORTER-test", None)
            .unwrap();
        close(&mut stream).await;
        let text = server.process.finish().await.text();
        assert!(
            text.contains(&format!("Keying material: {}\n", hex(&ours))),
            "{text}"
        );
    }
}

async fn key_logs_agree(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let at = |name: &str| world.directory.path().join(name);
    let lines = |name: &str| {
        let text = std::fs::read_to_string(at(name)).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut lines: Vec<String> = lines.map(str::to_lowercase).collect();
        lines.sort();
        lines
    };
    let count = if version == "-tls1_2" { 1 } else { 5 };
    let log = |name: &str| Arc::new(KeyLogFile::open(at(name)).unwrap());

    let (listener, address) = Listener::new().await;
    let theirs = at("s_client");
    let mut client = s_client(address, &[version, "-keylogfile", path(&theirs)]);
    let config = world.server().key_log(log("server")).build().unwrap();
    let mut stream = listener.accept(config).await.unwrap();
    client.wait_for("Verify return code").await;
    client.send(b"Q\n").await.unwrap();
    close(&mut stream).await;
    client.finish().await;
    assert_eq!(lines("server"), lines("s_client"));
    assert_eq!(lines("server").len(), count);

    let theirs = at("s_server");
    let files = world.localhost_files(KeyType::P256);
    let server = s_server(&files, &[version, "-keylogfile", path(&theirs)]).await;
    let config = world.client().key_log(log("client")).build().unwrap();
    let mut stream = connect(server.address, config).await.unwrap();
    close(&mut stream).await;
    server.process.finish().await;
    assert_eq!(lines("client"), lines("s_server"));
    assert_eq!(lines("client").len(), count);
}

async fn a_scheme_that_only_some_keys_have_is_used(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    for (argument, scheme, digest) in [
        (
            "rsa_pss_rsae_sha384",
            SignatureScheme::RSA_PSS_RSAE_SHA384,
            "SHA384",
        ),
        (
            "rsa_pss_rsae_sha512",
            SignatureScheme::RSA_PSS_RSAE_SHA512,
            "SHA512",
        ),
    ] {
        // The issuers are signed with ECDSA P-256, which the client must accept besides.
        let list = format!("{argument}:ecdsa_secp256r1_sha256");
        let identity = world.localhost(KeyType::Rsa2048);

        let (listener, address) = Listener::new().await;
        let mut client = s_client(address, &[version, "-sigalgs", &list]);
        let config = ServerConfig::builder()
            .certificate(certified(&identity))
            .build()
            .unwrap();
        let mut stream = listener.accept(config).await.unwrap();
        assert_eq!(stream.info().signature_scheme(), Some(scheme));
        client.wait_for("Verify return code").await;
        client.send(b"Q\n").await.unwrap();
        close(&mut stream).await;
        let negotiated = Negotiated::parse(&client.finish().await.text()).unwrap();
        assert_eq!(
            (negotiated.signature.as_str(), negotiated.digest.as_str()),
            ("RSA-PSS", digest)
        );

        let server = s_server(&world.files(&identity, "server"), &[version]).await;
        let config = world
            .client()
            .signature_schemes([scheme, SignatureScheme::ECDSA_SECP256R1_SHA256])
            .build()
            .unwrap();
        let mut stream = connect(server.address, config).await.unwrap();
        assert_eq!(stream.info().signature_scheme(), Some(scheme));
        close(&mut stream).await;
        assert_no_error(&server.process.finish().await);
    }
}
