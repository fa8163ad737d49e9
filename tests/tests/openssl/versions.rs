//! Which version comes of what both sides allow, and what is said where nothing does: to the peer by its alert, to our
//! side by an error that names what the peer has, what we have, and what to change.

use tls_core::{AlertDescription as Alert, ErrorKind, Misbehaviour, NothingInCommon, ProtocolVersion};
use tls_tests::openssl::{s_client, s_server};
use tls_tests::pki::KeyType;
use tls_tests::process::require_or_skip;
use tls_tokio::ServerConfig;

use crate::{
    Listener, World, assert_no_error, assert_refused_with, certified, close, connect, expect, kind, send,
};

const TLS12: ProtocolVersion = ProtocolVersion::TLS12;
const TLS13: ProtocolVersion = ProtocolVersion::TLS13;

/// Our minimum and maximum, OpenSSL's options, and the version if there is one.
const CASES: [(ProtocolVersion, ProtocolVersion, &[&str], Option<ProtocolVersion>); 9] = [
    (TLS12, TLS12, &["-tls1_2"], Some(TLS12)),
    (TLS12, TLS12, &["-tls1_3"], None),
    (TLS12, TLS12, &[], Some(TLS12)),
    (TLS13, TLS13, &["-tls1_2"], None),
    (TLS13, TLS13, &["-tls1_3"], Some(TLS13)),
    (TLS13, TLS13, &[], Some(TLS13)),
    (TLS12, TLS13, &["-tls1_2"], Some(TLS12)),
    (TLS12, TLS13, &["-tls1_3"], Some(TLS13)),
    (TLS12, TLS13, &[], Some(TLS13)),
];

#[tokio::test]
async fn our_client_and_openssl_find_the_best_version_of_both() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    for (min, max, theirs, expected) in CASES {
        let server = s_server(&files, theirs).await;
        let config = world.client().min_version(min).max_version(max).build().unwrap();
        let connected = connect(server.address, config).await;
        let Some(expected) = expected else {
            let error = connected.unwrap_err();
            assert_refused_with(&error, Alert::PROTOCOL_VERSION);
            assert!(error.to_string().contains("TLS versions we offer"), "{error}");
            let text = server.process.finish().await.text();
            assert!(text.contains("unsupported protocol"), "{text}");
            continue;
        };
        let mut stream = connected.unwrap();
        assert_eq!(stream.info().version(), expected, "{min} to {max}, {theirs:?}");
        send(&mut stream, b"data\n").await;
        close(&mut stream).await;
        let finished = server.process.finish().await;
        assert!(finished.text().contains("data\n"), "{}", finished.text());
        assert_no_error(&finished);
    }
}

#[tokio::test]
async fn our_server_and_openssl_find_the_best_version_of_both() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    for (min, max, theirs, expected) in CASES {
        let (listener, address) = Listener::new().await;
        let mut client = s_client(address, &[&["-brief", "-nocommands"], theirs].concat());
        let config = world.server().min_version(min).max_version(max).build().unwrap();
        let accepted = listener.accept(config).await;
        let Some(expected) = expected else {
            let error = accepted.unwrap_err();
            let offered = if min == TLS12 { TLS13 } else { TLS12 };
            assert!(
                matches!(kind(&error), ErrorKind::NothingInCommon(NothingInCommon::Version { theirs, ours })
                    if *theirs == [offered] && *ours == [min]),
                "{error}"
            );
            assert!(error.to_string().contains("widen the minimum"), "{error}");
            assert_eq!(client.finish().await.alert_seen(), Some(70));
            continue;
        };
        let mut stream = accepted.unwrap();
        assert_eq!(stream.info().version(), expected, "{min} to {max}, {theirs:?}");
        client.send(b"data\n").await.unwrap();
        expect(&mut stream, b"data\n").await;
        client.close_stdin();
        close(&mut stream).await;
        assert_no_error(&client.finish().await);
    }
}

#[tokio::test]
async fn a_client_that_fell_back_is_refused_where_both_speak_better() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let arguments = ["-tls1_2", "-fallback_scsv", "-brief", "-nocommands"];
    let (listener, address) = Listener::new().await;
    let client = s_client(address, &arguments);
    let error = listener
        .accept(world.server().build().unwrap())
        .await
        .unwrap_err();
    assert!(
        matches!(
            kind(&error),
            ErrorKind::Misbehaved(Misbehaviour::InappropriateFallback)
        ),
        "{error}"
    );
    assert_eq!(client.finish().await.alert_seen(), Some(86));

    let mut client = s_client(address, &arguments);
    client.close_stdin();
    let config = world.server().max_version(TLS12).build().unwrap();
    let mut stream = listener.accept(config).await.unwrap();
    close(&mut stream).await;
    assert_no_error(&client.finish().await);
}

/// What an `s_client` offers that must be refused, the alert it sees, and what our error says.
const REFUSED_CLIENTS: [(&[&str], u8, &[&str]); 6] = [
    (
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        70,
        &[
            "[TLSv1.1]",
            "[TLSv1.3, TLSv1.2]",
            "let the peer speak TLS 1.2 or 1.3",
        ],
    ),
    (
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        70,
        &[
            "[TLSv1.0]",
            "[TLSv1.3, TLSv1.2]",
            "let the peer speak TLS 1.2 or 1.3",
        ],
    ),
    (
        &["-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384:@SECLEVEL=0"],
        40,
        &[
            "TLS_RSA_WITH_AES_128_CBC_SHA,",
            "TLS_RSA_WITH_AES_256_GCM_SHA384,",
            "we have [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,",
            "let the peer offer ECDHE",
        ],
    ),
    (
        &[
            "-tls1_2",
            "-cipher",
            "ECDHE+AES128+SHA:ECDHE+SHA384:!AESGCM:@SECLEVEL=0",
        ],
        40,
        &[
            "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,",
            "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384,",
            "let the peer offer ECDHE",
        ],
    ),
    (
        &["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"],
        40,
        &["TLS_DHE_RSA_WITH_AES_128_GCM_SHA256,", "let the peer offer ECDHE"],
    ),
    // The suite would do for a certificate that this server has not.
    (
        &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
        40,
        &["rsa_pss_rsae_sha256", "add a certificate", "RSA"],
    ),
];

#[tokio::test]
async fn clients_that_have_only_what_is_obsolete_are_refused_and_we_say_what_to_change() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    for (arguments, alert, parts) in REFUSED_CLIENTS {
        let (listener, address) = Listener::new().await;
        let client = s_client(address, arguments);
        let error = listener
            .accept(world.server().build().unwrap())
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(matches!(kind(&error), ErrorKind::NothingInCommon(_)), "{text}");
        for part in parts {
            assert!(text.contains(part), "{arguments:?}: no {part:?} in {text}");
        }
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
async fn servers_that_have_only_what_is_obsolete_refuse_us_and_we_say_what_to_change() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::Rsa2048);
    for arguments in [
        ["-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"],
    ] {
        let server = s_server(&files, &arguments).await;
        let error = connect(server.address, world.client().build().unwrap())
            .await
            .unwrap_err();
        assert_refused_with(&error, Alert::HANDSHAKE_FAILURE);
        assert!(error.to_string().contains("and ECDHE with"), "{error}");
        let text = server.process.finish().await.text();
        assert!(text.contains("no shared cipher"), "{text}");
    }
    for version in ["-tls1_1", "-tls1"] {
        for max in [TLS12, TLS13] {
            let server = s_server(&files, &[version, "-cipher", "ALL:@SECLEVEL=0"]).await;
            let config = world.client().max_version(max).build().unwrap();
            let error = connect(server.address, config).await.unwrap_err();
            let text = error.to_string();
            server.process.finish().await;
            // With supported_versions it knows at once; without, it takes its version, and then has no suite for it.
            let (alert, hint) = match max {
                TLS12 => (Alert::HANDSHAKE_FAILURE, "the peer needs TLS 1.2 or 1.3"),
                _ => (Alert::PROTOCOL_VERSION, "TLS 1.1 and older are not supported"),
            };
            assert_refused_with(&error, alert);
            assert!(text.contains(hint), "{version} {max}: {text}");
        }
    }
}

#[tokio::test]
async fn of_two_certificates_the_one_is_presented_that_the_suites_allow() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let config = ServerConfig::builder()
        .certificate(certified(&world.localhost(KeyType::P256)))
        .certificate(certified(&world.localhost(KeyType::Rsa2048)))
        .build()
        .unwrap();
    for (suite, signature) in [
        ("ECDHE-RSA-AES256-GCM-SHA384", "Peer signature type: RSA-PSS"),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", "Peer signature type: ECDSA"),
        // Ours is the choice, and ECDSA is cheaper.
        ("ECDHE+AESGCM:ECDHE+CHACHA20", "Peer signature type: ECDSA"),
    ] {
        let (listener, address) = Listener::new().await;
        let mut client = s_client(address, &["-tls1_2", "-cipher", suite]);
        let mut stream = listener.accept(config.clone()).await.unwrap();
        client.wait_for("Verify return code").await;
        client.send(b"Q\n").await.unwrap();
        close(&mut stream).await;
        let finished = client.finish().await;
        assert!(
            finished.text().contains(signature),
            "{suite}: {}",
            finished.text()
        );
        assert_no_error(&finished);
    }
}
