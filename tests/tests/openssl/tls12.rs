//! What only TLS 1.2 has: renegotiation, signatures by RSA PKCS#1, warnings; and client certificates and stapled
//! OCSP responses where they are.

use std::time::Duration;

use tls_core::{AlertDescription as Alert, ErrorKind, Misbehaviour, SignatureScheme};
use tls_tests::openssl::{s_client, s_server};
use tls_tests::pki::{KeyType, Leaf};
use tls_tests::process::require_or_skip;
use tls_tokio::ServerConfig;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::{
    Listener, World, assert_no_error, assert_refused_with, certified, close, connect, expect, path, send,
};

const SHORT: Duration = Duration::from_secs(10);

both_versions! {
    a_stapled_ocsp_response_of_ours_is_seen_by_openssl,
    a_stapled_ocsp_response_of_openssl_is_delivered,
    our_client_presents_its_certificate,
    our_client_goes_on_without_a_certificate,
}

#[tokio::test]
async fn our_server_refuses_to_renegotiate_and_openssl_sees_the_alert() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let mut client = s_client(address, &["-tls1_2", "-legacy_renegotiation"]);
    let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    let text = client.wait_for("Extended master secret: yes").await;
    assert!(text.contains("Secure Renegotiation IS supported"), "{text}");
    client.send(b"before\n").await.unwrap();
    expect(&mut stream, b"before\n").await;
    client.send(b"R\n").await.unwrap();
    let error = timeout(SHORT, stream.read(&mut [0; 16]))
        .await
        .unwrap()
        .unwrap_err();
    let error = error.into_inner().unwrap().downcast::<tls_core::Error>().unwrap();
    assert!(
        matches!(error.kind(), ErrorKind::Misbehaved(Misbehaviour::Renegotiation)),
        "{error}"
    );
    let finished = client.finish().await;
    assert_eq!(finished.alert_seen(), Some(100), "{}", finished.text());
}

#[tokio::test]
async fn our_client_answers_a_hello_request_with_a_warning() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    for command in [b"r\n", b"R\n"] {
        let mut server = s_server(&files, &["-tls1_2", "-msg", "-legacy_renegotiation"]).await;
        let mut stream = connect(server.address, world.client().build().unwrap())
            .await
            .unwrap();
        server.process.send(b"before\n").await.unwrap();
        expect(&mut stream, b"before\n").await;
        server.process.send(command).await.unwrap();
        // We would go on; but OpenSSL takes the refusal for the end, as its application asked for a reason.
        let error = timeout(SHORT, stream.read(&mut [0; 16]))
            .await
            .unwrap()
            .unwrap_err();
        assert!(error.to_string().contains("handshake_failure"), "{error}");
        assert!(!error.to_string().contains("cipher suite"), "{error}");
        let text = server.process.finish().await.text();
        assert!(text.contains("HelloRequest"), "{text}");
        assert_eq!(text.matches(", warning no_renegotiation").count(), 1, "{text}");
    }
}

#[tokio::test]
async fn rsa_pkcs1_signatures_are_made_and_verified() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let identity = world.localhost(KeyType::Rsa2048);
    for (argument, scheme, digest) in [
        ("RSA+SHA256", SignatureScheme::RSA_PKCS1_SHA256, "SHA256"),
        ("RSA+SHA384", SignatureScheme::RSA_PKCS1_SHA384, "SHA384"),
        ("RSA+SHA512", SignatureScheme::RSA_PKCS1_SHA512, "SHA512"),
    ] {
        // The issuers are signed with ECDSA P-256, which the client must accept besides.
        let list = format!("{argument}:ECDSA+SHA256");
        let (listener, address) = Listener::new().await;
        let mut client = s_client(address, &["-tls1_2", "-sigalgs", &list]);
        let config = ServerConfig::builder()
            .certificate(certified(&identity))
            .build()
            .unwrap();
        let mut stream = listener.accept(config).await.unwrap();
        assert_eq!(stream.info().signature_scheme(), Some(scheme));
        client.wait_for("Verify return code").await;
        client.send(b"Q\n").await.unwrap();
        close(&mut stream).await;
        let text = client.finish().await.text();
        assert!(text.contains("Peer signature type: RSA\n"), "{text}");
        assert!(
            text.contains(&format!("Peer signing digest: {digest}\n")),
            "{text}"
        );

        let server = s_server(&world.files(&identity, "server"), &["-tls1_2"]).await;
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

#[tokio::test]
async fn a_warning_that_the_name_is_not_known_is_passed_over() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    let (certificate, key) = (path(&files.leaf), path(&files.key));
    let other = [
        "-servername",
        "other.example",
        "-cert2",
        certificate,
        "-key2",
        key,
        "-msg",
    ];
    let server = s_server(&files, &[&["-tls1_2"], &other[..]].concat()).await;
    let mut stream = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap();
    send(&mut stream, b"data\n").await;
    close(&mut stream).await;
    let text = server.process.finish().await.text();
    assert!(text.contains("warning unrecognized_name"), "{text}");

    let fatal = [&["-tls1_2", "-servername_fatal"], &other[..]].concat();
    let server = s_server(&files, &fatal).await;
    let error = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap_err();
    assert_refused_with(&error, Alert::UNRECOGNIZED_NAME);
    server.process.finish().await;
}

/// An OCSP response that says "try later" (RFC 6960 section 4.2.1): whole, and easily made.
const TRY_LATER: [u8; 5] = [0x30, 3, 0x0a, 1, 3];

async fn a_stapled_ocsp_response_of_ours_is_seen_by_openssl(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let identity = world.localhost(KeyType::P256);
    for (stapled, arguments, expected) in [
        (true, &["-status"][..], "OCSP Response Status: trylater (0x3)"),
        (false, &["-status"], "OCSP response: no response sent"),
        (true, &[], "Verify return code"),
    ] {
        let (listener, address) = Listener::new().await;
        let mut client = s_client(address, &[&[version, "-msg"], arguments].concat());
        let mut certificate = certified(&identity);
        if stapled {
            certificate = certificate.with_ocsp_response(TRY_LATER.to_vec());
        }
        let config = ServerConfig::builder().certificate(certificate).build().unwrap();
        let mut stream = listener.accept(config).await.unwrap();
        client.wait_for("Verify return code").await;
        client.send(b"Q\n").await.unwrap();
        close(&mut stream).await;
        let finished = client.finish().await;
        let text = finished.text();
        assert!(text.contains(expected), "{text}");
        let has_message = stapled && !arguments.is_empty() && version == "-tls1_2";
        assert_eq!(text.contains(", CertificateStatus"), has_message, "{text}");
        assert_no_error(&finished);
    }
}

async fn a_stapled_ocsp_response_of_openssl_is_delivered(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let response = world.directory.path().join("response.der");
    std::fs::write(&response, TRY_LATER).unwrap();
    let files = world.localhost_files(KeyType::P256);
    for (arguments, expected) in [
        (&["-status_file", path(&response)][..], Some(&TRY_LATER[..])),
        (&[], None),
    ] {
        let server = s_server(&files, &[&[version], arguments].concat()).await;
        let mut stream = connect(server.address, world.client().build().unwrap())
            .await
            .unwrap();
        let chain = stream.info().peer_chain().unwrap().clone();
        assert_eq!(chain.ocsp_response.as_deref(), expected);
        close(&mut stream).await;
        assert_no_error(&server.process.finish().await);
    }
}

async fn our_client_presents_its_certificate(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    let cases = [
        (KeyType::P256, None, "ECDSA", "SHA256"),
        (KeyType::P384, None, "ECDSA", "SHA384"),
        (KeyType::P521, None, "ECDSA", "SHA512"),
        (KeyType::Ed25519, None, "Ed25519", ""),
        (KeyType::Rsa2048, None, "RSA-PSS", "SHA256"),
        (KeyType::Rsa2048, Some("RSA+SHA384:ECDSA+SHA256"), "RSA", "SHA384"),
    ];
    for (key_type, schemes, signature, digest) in cases {
        // TLS 1.3 has no PKCS#1.
        if version == "-tls1_3" && schemes.is_some() {
            continue;
        }
        let mut arguments = vec![
            version,
            "-Verify",
            "3",
            "-verify_return_error",
            "-CAfile",
            world.root(),
        ];
        if let Some(schemes) = schemes {
            arguments.extend(["-client_sigalgs", schemes]);
        }
        let server = s_server(&files, &arguments).await;
        let identity = world
            .authority
            .issue(&Leaf::new(key_type, &["client.example"]).client());
        let config = world.client().certificate(certified(&identity)).build().unwrap();
        let mut stream = connect(server.address, config).await.unwrap();
        send(&mut stream, b"data\n").await;
        close(&mut stream).await;
        let finished = server.process.finish().await;
        let text = finished.text();
        assert!(text.contains("Client certificate"), "{text}");
        assert!(text.contains("subject=CN = client.example"), "{text}");
        assert!(
            text.lines()
                .any(|line| line.eq_ignore_ascii_case(&format!("Peer signature type: {signature}"))),
            "{text}"
        );
        if !digest.is_empty() {
            assert!(
                text.contains(&format!("Peer signing digest: {digest}\n")),
                "{text}"
            );
        }
        assert!(text.contains("data\n"), "{text}");
        assert_no_error(&finished);
    }
}

async fn our_client_goes_on_without_a_certificate(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    // Not one at all, or none that the server's schemes fit.
    let identity = world
        .authority
        .issue(&Leaf::new(KeyType::P384, &["client.example"]).client());
    for unfit in [false, true] {
        let arguments = [version, "-verify", "3", "-msg", "-client_sigalgs", "ECDSA+SHA256"];
        let server = s_server(&files, &arguments).await;
        let mut config = world.client();
        if unfit {
            config = config.certificate(certified(&identity));
        }
        let mut stream = connect(server.address, config.build().unwrap()).await.unwrap();
        send(&mut stream, b"data\n").await;
        close(&mut stream).await;
        let finished = server.process.finish().await;
        let text = finished.text();
        assert!(text.contains("CertificateRequest"), "{text}");
        assert!(
            text.contains("data\n") && !text.contains("Client certificate"),
            "{text}"
        );
        assert_no_error(&finished);
    }
}

#[tokio::test]
async fn a_server_that_insists_on_a_certificate_refuses_us_within_the_handshake() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    let server = s_server(&files, &["-tls1_2", "-Verify", "1"]).await;
    let error = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap_err();
    assert_refused_with(&error, Alert::HANDSHAKE_FAILURE);
    assert!(
        server
            .process
            .finish()
            .await
            .text()
            .contains("peer did not return a certificate")
    );
}
