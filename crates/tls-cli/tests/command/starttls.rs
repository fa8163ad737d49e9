//! `tls connect --starttls`: servers that speak in plain text first.

use tls_tests::openssl::s_client;
use tls_tests::pki::{Authority, KeyType};
use tls_tests::postgres_server::PostgresServer;
use tls_tests::process::{Process, require_or_skip};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::errors::assert_one_line;
use crate::support::{Server, TLS, path, run, stderr};

/// What a server says before TLS, each with the beginning of the client's answer; a line is read to its end.
type Script = &'static [(&'static [u8], &'static [u8])];

const SMTP: Script = &[
    (b"220-mx.example.com ESMTP\r\n220 ready\r\n", b"EHLO "),
    (
        b"250-mx.example.com\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 HELP\r\n",
        b"STARTTLS\r\n",
    ),
    (b"220 go ahead\r\n", b""),
];

/// The tag of a command is the client's affair.
const IMAP: &[&[u8]] = &[
    b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n",
    b"* OK begin after this\r\n",
];

const POSTGRES: Script = &[(b"", b"\0\0\0\x08\x04\xd2\x16\x2f"), (b"S", b"")];

/// Says and hears what is before TLS.
async fn preamble(protocol: &str, tcp: &mut TcpStream) {
    match protocol {
        "smtp" => play(SMTP, tcp).await,
        "postgres" => play(POSTGRES, tcp).await,
        "imap" => {
            tcp.write_all(b"* OK ready\r\n").await.unwrap();
            for (command, untagged) in ["CAPABILITY", "STARTTLS"].iter().zip(IMAP) {
                let line = String::from_utf8(line(tcp).await).unwrap();
                let (tag, rest) = line.split_once(' ').unwrap();
                assert_eq!(rest, format!("{command}\r\n"));
                let answer = [*untagged, tag.as_bytes(), b" OK done\r\n"].concat();
                tcp.write_all(&answer).await.unwrap();
            }
        }
        other => panic!("no script for {other}"),
    }
}

async fn play(script: Script, tcp: &mut TcpStream) {
    for (says, hears) in script {
        tcp.write_all(says).await.unwrap();
        let heard = if hears.first().is_some_and(u8::is_ascii_uppercase) {
            line(tcp).await
        } else {
            let mut heard = vec![0; hears.len()];
            tcp.read_exact(&mut heard).await.unwrap();
            heard
        };
        assert!(heard.starts_with(hears), "{}", heard.escape_ascii());
    }
}

/// To the line's end and no further.
async fn line(tcp: &mut TcpStream) -> Vec<u8> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        line.push(tcp.read_u8().await.unwrap());
    }
    line
}

/// A server that comes to TLS by this protocol, in front of one that speaks TLS at once; for so many connections.
async fn in_front_of(
    server: &Server,
    protocol: &'static str,
    connections: usize,
) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let backend = server.port;
    let serving = tokio::spawn(async move {
        for _ in 0..connections {
            let (mut client, _) = listener.accept().await.unwrap();
            preamble(protocol, &mut client).await;
            let mut server = TcpStream::connect(("127.0.0.1", backend)).await.unwrap();
            // How it ends is for the client to say.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    });
    (target, serving)
}

#[tokio::test]
async fn tls_begins_where_the_servers_go_ahead_ends() {
    let server = Server::start(&["--echo"]).await;
    for protocol in ["smtp", "imap", "postgres"] {
        let (target, serving) = in_front_of(&server, protocol, 1).await;
        let ca = server.ca();
        let arguments = ["connect", &target, "--ca", path(&ca), "--starttls", protocol];
        let mut client = Process::spawn(TLS, arguments);
        client.send(b"hello\n").await.unwrap();
        assert_eq!(client.wait_for_stdout(6).await, b"hello\n");
        client.close_stdin();
        let finished = client.finish().await;
        assert!(finished.status.success(), "{}", finished.text());
        let shown = stderr(&finished);
        let row = shown
            .lines()
            .find(|line| line.trim_start().starts_with("STARTTLS "));
        assert!(row.is_some_and(|row| row.contains(protocol)), "{shown}");
        serving.await.unwrap();
    }
}

/// So that the servers of these tests are what real clients expect.
#[tokio::test]
async fn openssl_takes_the_same_way() {
    if !require_or_skip("openssl") {
        return;
    }
    let server = Server::start(&["--echo"]).await;
    for protocol in ["smtp", "imap", "postgres"] {
        let (target, serving) = in_front_of(&server, protocol, 1).await;
        let (ca, starttls) = (server.ca(), ["-starttls", protocol]);
        let arguments = ["-quiet", "-no_ign_eof", "-nocommands", "-CAfile", path(&ca)];
        let mut client = s_client(target.parse().unwrap(), &[&arguments[..], &starttls].concat());
        client.send(b"hello\n").await.unwrap();
        assert!(
            client.wait_for_stdout(6).await.ends_with(b"hello\n"),
            "{protocol}"
        );
        client.close_stdin();
        client.finish().await;
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn each_reconnection_comes_to_tls_anew() {
    let server = Server::start(&["--echo"]).await;
    let (target, serving) = in_front_of(&server, "smtp", 2).await;
    let ca = server.ca();
    let client = run(&[
        "connect",
        &target,
        "--ca",
        path(&ca),
        "--starttls",
        "smtp",
        "--resume",
        "1",
        "--json",
    ])
    .await;
    assert!(client.status.success(), "{}", client.text());
    let json: serde_json::Value = serde_json::from_slice(&client.stdout).unwrap();
    assert_eq!(json["starttls"], "smtp");
    assert!(json["starttls_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(json["handshakes"][1]["resumed"], true);
    serving.await.unwrap();
}

/// The client's one line about a server that does this.
async fn refused<F>(protocol: &'static str, options: &[&str], serve: impl FnOnce(TcpStream) -> F) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let root = Authority::new().write_root(directory.path());
    let mut arguments = vec!["connect", &target, "--starttls", protocol, "--ca", path(&root)];
    arguments.extend(options);
    let client = Process::spawn(TLS, &arguments);
    let (tcp, _) = listener.accept().await.unwrap();
    let serving = tokio::spawn(serve(tcp));
    let finished = client.finish().await;
    serving.await.unwrap();
    assert_one_line(&finished, &["no TLS with 127.0.0.1:"]);
    assert_eq!(finished.status.code(), Some(1));
    stderr(&finished)
}

#[tokio::test]
async fn a_server_without_tls_is_a_failure_and_hears_no_handshake() {
    let line = refused("postgres", &[], async |mut tcp: TcpStream| {
        let mut heard = [0; 8];
        tcp.read_exact(&mut heard).await.unwrap();
        tcp.write_all(b"N").await.unwrap();
        let mut more = Vec::new();
        tcp.read_to_end(&mut more).await.unwrap();
        assert_eq!(more, b"");
    });
    let line = line.await;
    assert!(
        line.contains("by postgres: the server does not offer TLS"),
        "{line}"
    );
}

#[tokio::test]
async fn plain_text_behind_the_go_ahead_is_refused_whenever_it_comes() {
    const INJECTED: &[u8] = b"250 trust me, this came through TLS\r\n";
    let at_once = refused("smtp", &[], async |mut tcp: TcpStream| {
        let [greeting, (offer, _), (go_ahead, _)] = SMTP else {
            panic!("three answers");
        };
        play(core::slice::from_ref(greeting), &mut tcp).await;
        tcp.write_all(offer).await.unwrap();
        line(&mut tcp).await;
        tcp.write_all(&[go_ahead, INJECTED].concat()).await.unwrap();
        // No ClientHello comes: the client has gone.
        assert!(matches!(tcp.read(&mut [0; 64]).await, Ok(0) | Err(_)));
    });
    let at_once = at_once.await;
    assert!(
        at_once.contains("37 bytes of plain text came unasked"),
        "{at_once}"
    );

    let later = refused("smtp", &[], async |mut tcp: TcpStream| {
        play(SMTP, &mut tcp).await;
        // The ClientHello has begun.
        assert_eq!(tcp.read_u8().await.unwrap(), 22);
        tcp.write_all(INJECTED).await.unwrap();
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    });
    let later = later.await;
    assert!(later.contains("not TLS"), "{later}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_within_the_time_for_connecting() {
    let line = refused("imap", &["--timeout", "0.3"], async |mut tcp: TcpStream| {
        tcp.write_all(b"* OK but then").await.unwrap();
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    });
    let line = line.await;
    assert!(line.contains("no answer within 300ms"), "{line}");
}

#[tokio::test]
async fn postgres_lets_us_in() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let identity = authority.leaf(KeyType::P256, &["localhost"]);
    let root = authority.write_root(directory.path());
    let Some(server) = PostgresServer::start(&identity).await else {
        return;
    };
    let target = format!("localhost:{}", server.port());
    let arguments = ["connect", &target, "--ca", path(&root), "--starttls", "postgres"];
    let mut client = Process::spawn(TLS, arguments);
    // StartupMessage: length, version 3.0, the user.
    client
        .send(b"\0\0\0\x13\0\x03\0\0user\0nobody\0\0")
        .await
        .unwrap();
    // AuthenticationOk begins with R, an ErrorResponse with E.
    let answer = client.wait_for_stdout(1).await;
    assert!(b"RE".contains(&answer[0]), "{}", answer.escape_ascii());
    assert!(client.text().contains("TLSv1.3"), "{}", client.text());
}
