//! `tls serve` as a web server.

use tls_tokio::{ClientConfig, RootStore, ServerName, TlsConnector};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::Server;

/// The whole response to a request sent in these pieces, each in a record of its own. It must end with close_notify.
async fn exchange(server: &Server, pieces: &[&[u8]]) -> String {
    let mut stream = server.stream().await;
    for piece in pieces {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut response = String::new();
    stream
        .read_to_string(&mut response)
        .await
        .expect("a close_notify at the end");
    response
}

#[tokio::test]
async fn a_request_may_be_split_anyhow() {
    let server = Server::start(&[]).await;
    let requests: [&[u8]; 3] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"\r\nGET / HTTP/1.0\r\n\n",
    ];
    for request in requests {
        for size in [1, 2, 7, request.len()] {
            let pieces: Vec<&[u8]> = request.chunks(size).collect();
            let response = exchange(&server, &pieces).await;
            assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{size}: {response}");
            assert!(response.contains("X25519MLKEM768"), "{size}: {response}");
            assert!(response.ends_with("</html>\n"), "{size}: {response}");
        }
    }
}

#[tokio::test]
async fn json_says_what_was_negotiated() {
    let server = Server::start(&[]).await;
    let response = exchange(&server, &[b"GET /json HTTP/1.1\r\n\r\n"]).await;
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Type: application/json"), "{head}");
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}"
    );
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(json["version"], "TLSv1.3");
    assert_eq!(json["cipher_suite"], "TLS_AES_128_GCM_SHA256");
    assert_eq!(json["group"], "X25519MLKEM768");
    assert_eq!(json["signature_scheme"], "ecdsa_secp256r1_sha256");
    assert_eq!(json["server_name"], "localhost");
    assert!(json["alpn"].is_null());
    assert!(json["handshake_ms"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn a_response_is_one_record() {
    let server = Server::start(&[]).await;
    for target in ["/", "/json", "/nothing"] {
        let mut stream = server.stream().await;
        stream
            .write_all(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes())
            .await
            .unwrap();
        // What is lent is never more than a record.
        let first = stream.fill_buf().await.unwrap().len();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        assert_eq!(first, all.len(), "{target}");
    }
}

#[tokio::test]
async fn the_page_comes_after_a_key_update_too() {
    let server = Server::start(&[]).await;
    let mut stream = server.stream().await;
    stream
        .write_all(b"GET /keyupdate HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.contains("under a new key"), "{response}");
    stream.shutdown().await.unwrap();
    // Our answer to the KeyUpdate, and the close_notify under the new key, were understood.
    let log = server.process.wait_for("GET /keyupdate 200").await;
    assert!(log.contains("closed by close_notify"), "{log}");
}

#[tokio::test]
async fn other_requests_get_their_status() {
    let server = Server::start(&[]).await;
    let long = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 20_000]].concat();
    let cases: [(&[u8], &str); 4] = [
        (b"GET /nothing HTTP/1.1\r\n\r\n", "404 Not Found"),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            "405 Method Not Allowed",
        ),
        (b"hello\r\n\r\n", "400 Bad Request"),
        (&long, "431 Request Header Fields Too Large"),
    ];
    for (request, status) in cases {
        let response = exchange(&server, &[request]).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{response}"
        );
    }
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_in_peace() {
    let server = Server::start(&[]).await;
    let mut stream = server.stream().await;
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    server.process.wait_for(" no request, ").await;
}

#[tokio::test]
async fn plain_http_gets_a_readable_answer() {
    let server = Server::start(&[]).await;
    let mut tcp = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut response = String::new();
    tcp.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
    assert!(response.contains("https"), "{response}");
    server.process.wait_for("this is plain HTTP").await;
}

#[tokio::test]
async fn other_nonsense_gets_no_http() {
    let server = Server::start(&[]).await;
    let mut tcp = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    tcp.write_all(b"ssh-2.0-something\r\n").await.unwrap();
    let mut response = Vec::new();
    let _ = tcp.read_to_end(&mut response).await;
    assert!(!response.starts_with(b"HTTP"), "{response:?}");
    server.process.wait_for("not TLS").await;
}

#[tokio::test]
async fn the_protocol_is_http_1_1() {
    let server = Server::start(&[]).await;
    let roots = RootStore::from_pem(&std::fs::read(server.ca()).unwrap()).unwrap();
    let config = ClientConfig::builder()
        .roots(roots)
        .alpn(["h2", "http/1.1"])
        .build()
        .unwrap();
    let tcp = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TlsConnector::new(config).connect(name, tcp).await.unwrap();
    assert_eq!(stream.info().alpn(), Some(&b"http/1.1"[..]));
}
