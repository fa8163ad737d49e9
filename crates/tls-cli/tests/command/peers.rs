//! `tls serve` with other programs: curl and OpenSSL.

use tls_tests::openssl::{curl, s_client};
use tls_tests::process::require_or_skip;

use crate::support::{Server, path};

#[tokio::test]
async fn the_printed_curl_line_works() {
    if !require_or_skip("curl") {
        return;
    }
    let server = Server::start(&[]).await;
    let text = server.process.wait_for("curl --cacert").await;
    let line = text.lines().find(|line| line.starts_with("curl ")).unwrap();
    let arguments: Vec<&str> = line.split(' ').skip(1).collect();
    let finished = curl(&[&["--tlsv1.3"], arguments.as_slice()].concat())
        .finish()
        .await;
    assert!(finished.status.success(), "{}", finished.text());
    let page = String::from_utf8(finished.stdout).unwrap();
    assert!(
        page.contains("<td>TLSv1.3") && page.contains("<td>http/1.1"),
        "{page}"
    );
    let log = server.process.wait_for("GET / 200").await;
    assert!(log.contains("name localhost, alpn http/1.1"), "{log}");
}

#[tokio::test]
async fn curl_gets_json_by_name_and_by_address() {
    if !require_or_skip("curl") {
        return;
    }
    let server = Server::start(&[]).await;
    let ca = server.ca();
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{}/json", server.port);
        let finished = curl(&["--cacert", path(&ca), "--tlsv1.3", &url]).finish().await;
        assert!(finished.status.success(), "{}", finished.text());
        let json: serde_json::Value = serde_json::from_slice(&finished.stdout).unwrap();
        assert_eq!(json["version"], "TLSv1.3");
    }
}

#[tokio::test]
async fn curl_posts_get_their_answer_before_the_close() {
    if !require_or_skip("curl") {
        return;
    }
    let server = Server::start(&[]).await;
    let (ca, url) = (server.ca(), server.url("/"));
    let body = "x".repeat(100_000);
    let arguments = [
        "--cacert",
        path(&ca),
        "--data",
        &body,
        "--write-out",
        "%{http_code}",
        "--output",
        "/dev/null",
        &url,
    ];
    let finished = curl(&arguments).finish().await;
    assert_eq!(finished.stdout, b"405", "{}", finished.text());
}

#[tokio::test]
async fn openssl_is_asked_for_a_key_update_and_reads_on() {
    if !require_or_skip("openssl") {
        return;
    }
    let server = Server::start(&[]).await;
    let ca = server.ca();
    let address = ([127, 0, 0, 1], server.port).into();
    let arguments = [
        "-CAfile",
        path(&ca),
        "-servername",
        "localhost",
        "-verify_return_error",
        "-msg",
        "-ign_eof",
    ];
    let mut client = s_client(address, &arguments);
    client.send(b"GET /keyupdate HTTP/1.1\r\n\r\n").await.unwrap();
    let text = client.wait_for("</html>").await;
    assert!(
        text.contains("<<< TLS 1.3, Handshake [length 0005], KeyUpdate"),
        "{text}"
    );
    server.process.wait_for("GET /keyupdate 200").await;
}
