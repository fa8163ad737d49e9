//! `tls connect`, mostly with `tls serve`.

use tls_tests::pki::{Authority, KeyType};
use tls_tests::process::Process;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::{Server, TLS, path, port, run, stderr};

#[tokio::test]
async fn stdin_and_stdout_are_joined_to_the_stream() {
    let server = Server::start(&["--echo"]).await;
    let mut client = server.connect(&[]);
    client.send(b"hello\n").await.unwrap();
    assert_eq!(client.wait_for_stdout(6).await, b"hello\n");
    client.send(b"again\n").await.unwrap();
    client.close_stdin();
    let finished = client.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    assert_eq!(finished.stdout, b"hello\nagain\n");
    assert!(
        stderr(&finished).ends_with("the peer closed with close_notify\n"),
        "{}",
        finished.text()
    );
}

#[tokio::test]
async fn the_handshake_is_shown_on_stderr() {
    let server = Server::start(&["--echo"]).await;
    let mut client = server.connect(&[]);
    client.close_stdin();
    let finished = client.finish().await;
    let text = stderr(&finished);
    for expected in [
        "TLSv1.3",
        "TLS_AES_128_GCM_SHA256",
        "X25519MLKEM768",
        "ecdsa_secp256r1_sha256",
        "CN=tls serve development CA",
        "localhost, 127.0.0.1, ::1",
        "TCP connect",
        "handshake",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(finished.stdout.is_empty());
}

#[tokio::test]
async fn megabytes_go_both_ways_at_once() {
    let server = Server::start(&["--echo"]).await;
    let data: Vec<u8> = (0..3 << 20)
        .map(|i: u32| if i % 1000 == 999 { b'\n' } else { b'x' })
        .collect();
    let mut client = server.connect(&[]);
    let mut stdin = client.take_stdin().unwrap();
    let sent = data.clone();
    let sending = tokio::spawn(async move { stdin.write_all(&sent).await.unwrap() });
    let finished = client.finish().await;
    sending.await.unwrap();
    assert!(finished.status.success(), "{}", stderr(&finished));
    assert!(
        finished.stdout == data,
        "{} of {} bytes",
        finished.stdout.len(),
        data.len()
    );
}

#[tokio::test]
async fn json_is_one_object_on_stdout() {
    let server = Server::start(&["--alpn", "a,b"]).await;
    let finished = server.connect(&["--json", "--alpn", "b"]).finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    assert!(finished.stderr.is_empty(), "{}", finished.text());
    let json: serde_json::Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(json["version"], "TLSv1.3");
    assert_eq!(json["alpn"], "b");
    assert_eq!(json["certificate_checked"], true);
    assert_eq!(json["closed"], "close_notify");
    assert_eq!(json["chain"][0]["subject"], "CN=tls serve");
    assert_eq!(json["chain"][0]["names"][0], "localhost");
    assert!(json["chain"][0]["not_after"].as_str().unwrap().ends_with('Z'));
    assert!(json["handshake_ms"].as_f64().unwrap() > 0.0);
    assert!(json["tcp_connect_ms"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn a_given_certificate_is_shown_with_its_whole_chain() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let files = authority
        .leaf(KeyType::Rsa2048, &["example.test"])
        .write_to(directory.path(), "server");
    let root = authority.write_root(directory.path());
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--cert",
        path(&files.chain),
        "--key",
        path(&files.key),
    ];
    let server = Process::spawn(TLS, arguments);
    let target = format!("127.0.0.1:{}", port(&server).await);

    let client = run(&[
        "connect",
        &target,
        "--ca",
        path(&root),
        "--name",
        "example.test",
        "--json",
    ])
    .await;
    assert!(client.status.success(), "{}", client.text());
    let json: serde_json::Value = serde_json::from_slice(&client.stdout).unwrap();
    assert_eq!(json["server_name"], "example.test");
    assert_eq!(json["chain"].as_array().unwrap().len(), 2);
    assert_eq!(json["chain"][0]["key"], "RSA, 2048 bits");
    // A number follows each name.
    let begins = |field: &str, name| json["chain"][1][field].as_str().unwrap().starts_with(name);
    assert!(begins("subject", "CN=Test intermediate") && begins("issuer", "CN=Test root"));

    let wrong_name = run(&["connect", &target, "--ca", path(&root), "--json"]).await;
    assert!(!wrong_name.status.success());
    let insecure = run(&["connect", &target, "--insecure", "--json"]).await;
    assert!(insecure.status.success(), "{}", insecure.text());
    assert!(stderr(&insecure).contains("NOT checked"), "{}", insecure.text());
    let json: serde_json::Value = serde_json::from_slice(&insecure.stdout).unwrap();
    assert_eq!(json["certificate_checked"], false);
}

/// How a proxy ends a connection that it was told to cut.
#[derive(Clone, Copy)]
enum Cut {
    Close,
    Reset,
}

/// `tls connect` through a proxy that cuts the connection once a line was echoed.
async fn cut(how: Cut) -> String {
    let server = Server::start(&["--echo"]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let (now, wait) = oneshot::channel::<()>();
    let upstream = server.port;
    let proxy = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => panic!("it ended by itself"),
            _ = wait => {}
        }
        if let Cut::Reset = how {
            client.set_zero_linger().unwrap();
        }
    });
    let ca = server.ca();
    let mut client = Process::spawn(TLS, ["connect", &target, "--ca", path(&ca)]);
    client.send(b"hello\n").await.unwrap();
    client.wait_for_stdout(6).await;
    now.send(()).unwrap();
    proxy.await.unwrap();
    let finished = client.finish().await;
    assert_eq!(finished.status.code(), Some(1), "{}", finished.text());
    assert_eq!(finished.stdout, b"hello\n");
    stderr(&finished).lines().last().unwrap().to_owned()
}

#[tokio::test]
async fn a_close_without_close_notify_is_called_truncated() {
    let line = cut(Cut::Close).await;
    assert!(line.starts_with("tls: truncated: "), "{line}");
}

#[tokio::test]
async fn a_reset_is_called_reset() {
    let line = cut(Cut::Reset).await;
    assert!(line.starts_with("tls: reset: "), "{line}");
}

#[tokio::test]
async fn a_peer_that_does_not_close_is_given_up() {
    let server = Server::start(&["--echo"]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let upstream = server.port;
    // Lets everything through but the end: no close_notify ever comes back.
    let proxy = tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let copied = tokio::spawn(async move {
            tokio::io::copy(&mut from_server, &mut to_client)
                .await
                .map(|_| to_client)
        });
        // The handshake's end and the line, but not the close_notify after it.
        let mut handshake_and_line = [0; 16 * 1024];
        loop {
            use tokio::io::AsyncReadExt as _;
            let count = from_client.read(&mut handshake_and_line).await.unwrap();
            if count <= 24 {
                break;
            }
            to_server.write_all(&handshake_and_line[..count]).await.unwrap();
        }
        (to_server, copied.await)
    });
    let ca = server.ca();
    let mut client = Process::spawn(
        TLS,
        ["connect", &target, "--ca", path(&ca), "--close-timeout", "0.3"],
    );
    client.send(b"hello, this is a line\n").await.unwrap();
    client.wait_for_stdout(22).await;
    client.close_stdin();
    let finished = client.finish().await;
    proxy.abort();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.text());
    assert!(
        stderr(&finished).contains("tls: timed out: "),
        "{}",
        finished.text()
    );
}
