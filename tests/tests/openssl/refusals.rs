//! Handshakes that must fail, with the alert that the other side sees.

use tls_core::{AlertDescription as Alert, CertificateError, ErrorKind, NothingInCommon};
use tls_core::{CipherSuite, NamedGroup, SignatureScheme};
use tls_tests::openssl::{s_client, s_server};
use tls_tests::pki::{Authority, Identity, KeyType, Leaf, Validity};
use tls_tests::process::require_or_skip;
use tls_tokio::ServerConfig;
use tokio::io::AsyncReadExt;

use crate::{Listener, World, assert_refused_with, certified, connect, connect_as, kind};

both_versions! {
    our_client_refuses_a_bad_chain_and_openssl_sees_the_alert,
    a_chain_of_an_authority_that_was_made_anew_is_refused_with_a_hint,
    openssl_refuses_our_bad_chain_and_we_see_its_alert,
    no_protocol_in_common_is_said_by_both,
    a_bad_pin_is_refused,
    a_key_of_another_certificate_is_noticed_by_openssl,
}

type IsExpected = fn(&CertificateError) -> bool;
type IsMissing = fn(&NothingInCommon) -> bool;

/// A chain that must be refused, the name that is asked for, and what the refusal is.
struct Bad {
    what: &'static str,
    identity: Identity,
    name: &'static str,
    alert: u8,
    error: IsExpected,
}

fn bad_chains(world: &World) -> Vec<Bad> {
    use CertificateError as E;
    let leaf = Leaf::new(KeyType::P256, &["localhost"]);
    let bad = |what, identity, alert, error: IsExpected| Bad {
        what,
        identity,
        name: "localhost",
        alert,
        error,
    };
    let issued = |leaf: Leaf| world.authority.issue(&leaf);
    vec![
        Bad {
            name: "other.example",
            ..bad("wrong name", issued(leaf.clone()), 42, |error| {
                matches!(error, E::NotValidForName { expected, presented }
                    if expected.contains("other.example") && presented.iter().any(|name| name.contains("localhost")))
            })
        },
        Bad {
            name: "127.0.0.1",
            ..bad("wrong address", issued(leaf.clone()), 42, |error| {
                matches!(error, E::NotValidForName { .. })
            })
        },
        bad(
            "expired",
            issued(leaf.clone().validity(Validity::Expired)),
            45,
            |error| matches!(error, E::Expired { .. }),
        ),
        bad(
            "not yet valid",
            issued(leaf.clone().validity(Validity::NotYet)),
            45,
            |error| matches!(error, E::NotYetValid { .. }),
        ),
        bad("unknown issuer", Authority::new().issue(&leaf), 48, |error| {
            matches!(error, E::UnknownIssuer)
        }),
        bad(
            "an issuer of a known name with another key",
            world.authority.made_anew().issue(&leaf),
            42,
            |error| matches!(error, E::BadSignature),
        ),
        bad("self-signed", leaf.clone().self_signed(), 48, |error| {
            matches!(error, E::UnknownIssuer)
        }),
        bad(
            "self-signed and a CA",
            leaf.clone().ca().self_signed(),
            48,
            |error| matches!(error, E::CaUsedAsEndEntity | E::UnknownIssuer),
        ),
        bad("for clients", issued(leaf.client()), 43, |error| {
            matches!(error, E::WrongUsage(_))
        }),
    ]
}

async fn our_client_refuses_a_bad_chain_and_openssl_sees_the_alert(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    for bad in bad_chains(&world) {
        let files = world.files(&bad.identity, "bad");
        let server = s_server(&files, &[version]).await;
        let config = world.client().build().unwrap();
        let error = connect_as(server.address, config, bad.name).await.unwrap_err();
        assert!(
            matches!(kind(&error), ErrorKind::Certificate(fault) if (bad.error)(fault)),
            "{}: {error}",
            bad.what
        );
        let finished = server.process.finish().await;
        assert_eq!(
            finished.alert_seen(),
            Some(bad.alert),
            "{}: {}",
            bad.what,
            finished.text()
        );
    }
}

async fn a_chain_of_an_authority_that_was_made_anew_is_refused_with_a_hint(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let anew = world.authority.made_anew().leaf(KeyType::P256, &["localhost"]);
    let server = s_server(&world.files(&anew, "anew"), &[version]).await;
    let error = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("made anew"), "{error}");
    server.process.finish().await;
}

async fn openssl_refuses_our_bad_chain_and_we_see_its_alert(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let leaf = Leaf::new(KeyType::P256, &["localhost"]);
    let cases = [
        (Authority::new().issue(&leaf), "localhost", Alert::UNKNOWN_CA),
        (
            world.authority.made_anew().issue(&leaf),
            "localhost",
            Alert::UNKNOWN_CA,
        ),
        (leaf.clone().self_signed(), "localhost", Alert::UNKNOWN_CA),
        (
            world.authority.issue(&leaf),
            "other.example",
            Alert::BAD_CERTIFICATE,
        ),
        (
            world.authority.issue(&leaf.clone().validity(Validity::Expired)),
            "localhost",
            Alert::CERTIFICATE_EXPIRED,
        ),
        (
            world.authority.issue(&leaf.clone().client()),
            "localhost",
            Alert::UNSUPPORTED_CERTIFICATE,
        ),
    ];
    for (identity, name, alert) in cases {
        let (listener, address) = Listener::new().await;
        let verify = [
            version,
            "-CAfile",
            world.root(),
            "-verify_return_error",
            "-verify_hostname",
            name,
        ];
        let client = s_client(address, &verify);
        let config = ServerConfig::builder()
            .certificate(certified(&identity))
            .build()
            .unwrap();
        let error = listener.accept(config).await.unwrap_err();
        assert_refused_with(&error, alert);
        assert!(!client.finish().await.status.success());
    }
}

async fn no_protocol_in_common_is_said_by_both(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let client = s_client(address, &[version, "-alpn", "foo,bar"]);
    let config = world.server().alpn(["h2"]).build().unwrap();
    let error = listener.accept(config).await.unwrap_err();
    assert!(
        matches!(
            kind(&error),
            ErrorKind::NothingInCommon(NothingInCommon::ApplicationProtocol { .. })
        ),
        "{error}"
    );
    assert_eq!(client.finish().await.alert_seen(), Some(120));

    let files = world.localhost_files(KeyType::P256);
    let server = s_server(&files, &[version, "-alpn", "foo"]).await;
    let config = world.client().alpn(["h2"]).build().unwrap();
    let error = connect(server.address, config).await.unwrap_err();
    assert_refused_with(&error, Alert::NO_APPLICATION_PROTOCOL);
    server.process.kill().await;
}

#[tokio::test]
async fn our_server_says_when_nothing_is_in_common() {
    if !require_or_skip("openssl") {
        return;
    }
    use NothingInCommon as N;
    let world = World::new();
    let config = || {
        world
            .server()
            .cipher_suites([CipherSuite::TLS_CHACHA20_POLY1305_SHA256])
            .groups([NamedGroup::X25519])
            .build()
            .unwrap()
    };
    let cases: [(&[&str], u8, IsMissing); 4] = [
        (
            &["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"],
            40,
            |what| matches!(what, N::CipherSuite { theirs, .. } if theirs.contains(&CipherSuite::TLS_AES_128_GCM_SHA256)),
        ),
        (
            &["-tls1_3", "-groups", "P-256:P-384"],
            40,
            |what| matches!(what, N::Group { theirs, .. } if *theirs == [NamedGroup::SECP256R1, NamedGroup::SECP384R1]),
        ),
        (
            &["-tls1_3", "-sigalgs", "ed25519"],
            40,
            |what| matches!(what, N::SignatureScheme { theirs } if theirs.contains(&SignatureScheme::ED25519)),
        ),
        (&["-tls1_2"], 70, |what| matches!(what, N::Version { .. })),
    ];
    for (arguments, alert, is_expected) in cases {
        let (listener, address) = Listener::new().await;
        let client = s_client(address, arguments);
        let error = listener.accept(config()).await.unwrap_err();
        assert!(
            matches!(kind(&error), ErrorKind::NothingInCommon(what) if is_expected(what)),
            "{arguments:?}: {error}"
        );
        let finished = client.finish().await;
        assert_eq!(
            finished.alert_seen(),
            Some(alert),
            "{arguments:?}: {}",
            finished.text()
        );
    }
}

#[tokio::test]
async fn our_client_hears_when_nothing_is_in_common() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    let cases: [(&[&str], Alert); 4] = [
        (
            &["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"],
            Alert::HANDSHAKE_FAILURE,
        ),
        (&["-tls1_3", "-groups", "P-256"], Alert::HANDSHAKE_FAILURE),
        // Without a scheme for its certificate, OpenSSL has no TLS 1.3 to speak.
        (&["-tls1_3", "-sigalgs", "ed25519"], Alert::PROTOCOL_VERSION),
        (&["-tls1_2"], Alert::PROTOCOL_VERSION),
    ];
    for (arguments, alert) in cases {
        let server = s_server(&files, arguments).await;
        let config = world
            .client()
            .cipher_suites([CipherSuite::TLS_CHACHA20_POLY1305_SHA256])
            .groups([NamedGroup::X25519])
            .build()
            .unwrap();
        let error = connect(server.address, config).await.unwrap_err();
        assert!(
            matches!(kind(&error), ErrorKind::AlertReceived(got) if *got == alert),
            "{arguments:?}: {error}"
        );
        server.process.kill().await;
    }
}

#[tokio::test]
async fn a_server_that_insists_on_a_certificate_tells_us_with_the_first_read() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    // s_server asks for a certificate; we have none, and that is fine as long as it does not insist.
    let files = world.localhost_files(KeyType::P256);
    let server = s_server(&files, &["-tls1_3", "-verify", "1"]).await;
    let mut stream = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap();
    crate::close(&mut stream).await;
    server.process.finish().await;

    // If it does, its alert comes when our handshake is over, with the first read.
    let server = s_server(&files, &["-tls1_3", "-Verify", "1"]).await;
    let mut stream = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap();
    let error = stream.read(&mut [0; 16]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted, "{error}");
    assert!(error.to_string().contains("certificate_required"), "{error}");
    server.process.finish().await;
}

async fn a_bad_pin_is_refused(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (pinned, other) = (world.localhost(KeyType::P256), world.localhost(KeyType::P256));
    let config = tls_tokio::ClientConfig::builder()
        .dangerously_pin_certificate(pinned.leaf())
        .build()
        .unwrap();
    let good = s_server(&world.files(&pinned, "pinned"), &[version]).await;
    let mut stream = connect(good.address, config.clone()).await.unwrap();
    assert_eq!(stream.info().peer_certificates()[0], pinned.leaf());
    crate::close(&mut stream).await;
    let bad = s_server(&world.files(&other, "other"), &[version]).await;
    let error = connect(bad.address, config).await.unwrap_err();
    assert!(matches!(kind(&error), ErrorKind::Certificate(_)), "{error}");
    assert!(bad.process.finish().await.alert_seen().is_some());
}

async fn a_key_of_another_certificate_is_noticed_by_openssl(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    // `CertifiedKey::new` takes chain and key as they are: whether they fit is seen by the peer.
    let world = World::new();
    let (one, two) = (world.localhost(KeyType::P256), world.localhost(KeyType::P256));
    let key = tls_core::SigningKey::from_der(&two.key()).unwrap();
    let mixed = tls_tokio::CertifiedKey::new(one.chain(), std::sync::Arc::new(key)).unwrap();
    let (listener, address) = Listener::new().await;
    let client = s_client(address, &[version]);
    let config = ServerConfig::builder().certificate(mixed).build().unwrap();
    let error = listener.accept(config).await.unwrap_err();
    assert_refused_with(&error, Alert::DECRYPT_ERROR);
    assert!(!client.finish().await.status.success());
}
