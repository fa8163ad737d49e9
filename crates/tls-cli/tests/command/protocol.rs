//! `--min-version`, `--max-version`, `--suite` and `--group`, of both commands.

use serde_json::Value;
use tls_tests::openssl::{curl, s_client};
use tls_tests::process::require_or_skip;

use crate::support::{Server, path, run, stderr};

/// What `tls connect --json` says about a connection with these options on the two sides.
async fn negotiated(server: &[&str], client: &[&str]) -> Value {
    let server = Server::start(server).await;
    let mut process = server.connect(&[client, &["--json"]].concat());
    process.close_stdin();
    let finished = process.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    serde_json::from_slice(&finished.stdout).unwrap()
}

#[tokio::test]
async fn the_options_of_either_side_decide() {
    const ECDSA_AES_256: &str = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    let cases: [(&[&str], &str, &str); 6] = [
        (&[], "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
        (&["--min-version", "1.3"], "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
        (
            &["--max-version", "1.2"],
            "TLSv1.2",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ),
        (&["--suite", ECDSA_AES_256], "TLSv1.2", ECDSA_AES_256),
        (
            &["--suite", "TLS_CHACHA20_POLY1305_SHA256,TLS_AES_256_GCM_SHA384"],
            "TLSv1.3",
            "TLS_CHACHA20_POLY1305_SHA256",
        ),
        (
            &[
                "--suite",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                "--suite",
                ECDSA_AES_256,
            ],
            "TLSv1.2",
            ECDSA_AES_256,
        ),
    ];
    for (options, version, suite) in cases {
        for (server, client) in [(options, &[][..]), (&[], options), (options, options)] {
            let json = negotiated(server, client).await;
            assert_eq!(json["version"], version, "{options:?}");
            assert_eq!(json["cipher_suite"], suite, "{options:?}");
            assert_eq!(json["closed"], "close_notify", "{options:?}");
        }
    }
}

#[tokio::test]
async fn groups_are_taken_in_the_order_of_the_server() {
    for version in ["1.2", "1.3"] {
        let server = ["--group", "secp384r1,secp521r1", "--max-version", version];
        let json = negotiated(&server, &[]).await;
        assert_eq!(json["group"], "secp384r1");
        // In TLS 1.2 the client's list has the curve of the certificate too.
        let client = ["--group", "secp521r1,secp256r1", "--max-version", version];
        let json = negotiated(&["--group", "secp521r1"], &client).await;
        assert_eq!(json["group"], "secp521r1");
        assert_eq!(json["hello_retry_request"], false);
    }
}

#[tokio::test]
async fn nothing_in_common_is_said_by_both() {
    let server = Server::start(&["--min-version", "1.3"]).await;
    let finished = server.connect(&["--max-version", "1.2"]).finish().await;
    let text = stderr(&finished);
    assert!(
        !finished.status.success() && text.contains("protocol_version"),
        "{text}"
    );
    let log = server.process.wait_for("no common version").await;
    assert!(log.contains("the peer has [TLSv1.2], we have [TLSv1.3]"), "{log}");

    let server = Server::start(&["--group", "secp521r1"]).await;
    let finished = server.connect(&["--group", "x25519"]).finish().await;
    assert!(
        stderr(&finished).contains("handshake_failure"),
        "{}",
        finished.text()
    );
    let log = server.process.wait_for("no common group").await;
    assert!(
        log.contains("the peer has [x25519], we have [secp521r1]"),
        "{log}"
    );
}

#[tokio::test]
async fn options_without_meaning_are_refused_with_what_is_known() {
    let cases: [(&[&str], &[&str]); 6] = [
        (
            &["--suite", "RC4"],
            &["RC4", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
        ),
        (&["--suite", "TLS_FALLBACK_SCSV"], &["TLS_AES_128_GCM_SHA256"]),
        (&["--group", "secp256k1"], &["secp256k1", "x25519", "secp521r1"]),
        (&["--min-version", "1.1"], &["1.1", "1.2 and 1.3"]),
        (
            &["--min-version", "1.3", "--max-version", "1.2"],
            &["no version between"],
        ),
        (
            &[
                "--min-version",
                "1.3",
                "--suite",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            ],
            &["no version between"],
        ),
    ];
    for (options, parts) in cases {
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        for command in [&serve[..], &["connect", "localhost:1", "--insecure"]] {
            let finished = run(&[command, options].concat()).await;
            let text = stderr(&finished);
            assert!(!finished.status.success(), "{text}");
            for part in parts {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn help_shows_them() {
    for command in ["serve", "connect"] {
        let text = run(&[command, "--help"]).await.text();
        for option in ["--min-version", "--max-version", "--suite", "--group"] {
            assert!(text.contains(option), "{option}: {text}");
        }
    }
}

#[tokio::test]
async fn curl_and_openssl_get_tls_1_2() {
    if !require_or_skip("curl") || !require_or_skip("openssl") {
        return;
    }
    let server = Server::start(&["--max-version", "1.2"]).await;
    let ca = server.ca();
    let finished = curl(&["--cacert", path(&ca), &server.url("/json")])
        .finish()
        .await;
    assert!(finished.status.success(), "{}", finished.text());
    let json: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(json["version"], "TLSv1.2");
    assert_eq!(json["server_name"], "localhost");

    // TLS 1.2 has no KeyUpdate: the page says so instead.
    let page = curl(&["--cacert", path(&ca), &server.url("/keyupdate")])
        .finish()
        .await;
    assert!(page.text().contains("has no KeyUpdate"), "{}", page.text());

    let address = ([127, 0, 0, 1], server.port).into();
    let mut client = s_client(address, &["-tls1_3"]);
    client.close_stdin();
    assert_eq!(client.finish().await.alert_seen(), Some(70));
}
