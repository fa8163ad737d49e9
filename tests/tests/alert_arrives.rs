//! A handshake that fails tells the peer why, and the alert gets there. Somebody who does not speak TLS is told
//! nothing, so that he can be answered in his own language.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

use std::time::Duration;

use tls_core::{AlertDescription, ErrorKind, ProtocolVersion};
use tls_tests::both_versions;
use tls_tests::pki::{KeyType, Leaf};
use tls_tests::script::{Memory, Script, ScriptedIo};
use tls_tests::sides::{
    Role, acceptor, client_builder, connector, records, scripted, server_builder, server_name,
};
use tls_tests::versions::Only;
use tls_tokio::{Error, HandshakeFailure, TlsAcceptor, TlsConnector};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

both_versions!(
    async the_alert_arrives_although_writes_are_pending_at_first,
    a_peer_that_stays_holds_a_failed_handshake_for_a_second_at_most,
    a_server_reads_why_the_client_refused_its_certificate,
    a_client_reads_why_the_server_refused_it,
    plain_http_is_told_nothing_and_can_still_be_answered,
    a_client_that_meets_something_else_says_so,
);

mod real {
    use super::*;
    both_versions!(
        real async over_tcp_the_alert_arrives_200_times_of_200_although_input_is_unread,
        over_tcp_the_alert_arrives_although_the_peer_never_stops_sending,
        both_read_the_alert_of_the_other_over_tcp,
    );
}

const LIMIT: Option<Duration> = Some(Duration::from_secs(10));

/// A TLS record with the beginning of a handshake message that nobody can take for a hello: a type that does not
/// exist here, of length 0.
const NOT_A_HELLO: [u8; 9] = [22, 3, 3, 0, 4, 99, 0, 0, 0];

/// What answers it: a fatal alert, unexpected_message.
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 10];

fn is_unexpected<IO>(failure: &HandshakeFailure<IO>) -> bool {
    matches!(failure.error(), Error::Tls(error) if error.alert() == Some(AlertDescription::UNEXPECTED_MESSAGE))
}

/// The alert by which the peer says that it refused us.
fn received<T, IO>(result: Result<T, HandshakeFailure<IO>>) -> AlertDescription {
    let failure = result.err().expect("the peer refused us");
    match failure.error() {
        Error::Tls(error) => match error.kind() {
            ErrorKind::AlertReceived(description) => *description,
            other => panic!("{other:?}"),
        },
        other => panic!("{other}"),
    }
}

/// Sends rubbish, and more behind it that nobody will read; then reads all there is. Returns the last bytes.
async fn rubbish_peer<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO, more: usize) -> Vec<u8> {
    io.write_all(&NOT_A_HELLO).await.unwrap();
    io.write_all(&vec![0x5a; more]).await.unwrap();
    // Time for the handshake to fail: a reset would come now, and end the writing.
    tokio::time::sleep(Duration::from_millis(1)).await;
    io.write_all(&vec![0x5a; more]).await.expect("no reset");
    let mut got = Vec::new();
    io.read_to_end(&mut got)
        .await
        .expect("the end, and no reset before it");
    got
}

async fn the_alert_arrives_although_writes_are_pending_at_first(version: ProtocolVersion) {
    for role in Role::both(version) {
        for script in [
            Script::new().first_write_pending(),
            Script::new().pending_at_write(1),
            Script::new().pending_every(1),
            Script::new().pending_every(1).write_chunk(1),
        ] {
            let (io, peer) = scripted(script);
            let tape = io.tape();
            let (subject, got) = tokio::join!(
                async {
                    let failure = role
                        .handshake(io, LIMIT)
                        .await
                        .expect_err("rubbish is no handshake");
                    assert!(is_unexpected(&failure), "{role:?}: {failure}");
                    assert!(tape.counts().is_shut_down());
                },
                rubbish_peer(peer, 1000)
            );
            let () = subject;
            assert_eq!(got[got.len() - 7..], ALERT, "{role:?}");
            assert_eq!(records(&got).len(), if role.is_client() { 2 } else { 1 });
        }
    }
}

async fn over_tcp_the_alert_arrives_200_times_of_200_although_input_is_unread(version: ProtocolVersion) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for round in 0..200 {
        let role = Role::both(version)[round % 2];
        // More than one read of the handshake takes, before the failure and after it.
        let peer =
            tokio::spawn(
                async move { rubbish_peer(TcpStream::connect(address).await.unwrap(), 60_000).await },
            );
        let (tcp, _) = listener.accept().await.unwrap();
        let failure = role
            .handshake(tcp, LIMIT)
            .await
            .expect_err("rubbish is no handshake");
        assert!(is_unexpected(&failure), "{round}: {failure}");
        drop(failure);
        let got = peer.await.unwrap();
        assert!(got.ends_with(&ALERT), "{round}: {got:?}");
    }
}

async fn over_tcp_the_alert_arrives_although_the_peer_never_stops_sending(version: ProtocolVersion) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for role in Role::both(version) {
        let peer = tokio::spawn(async move {
            let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
            write.write_all(&NOT_A_HELLO).await.unwrap();
            let sending = tokio::spawn(async move { while write.write_all(&[0; 1000]).await.is_ok() {} });
            let mut got = Vec::new();
            // A reset may come after the alert, but not instead of it.
            let _ = read.read_to_end(&mut got).await;
            drop(read);
            sending.await.unwrap();
            got
        });
        let (tcp, _) = listener.accept().await.unwrap();
        let failure = role
            .handshake(tcp, LIMIT)
            .await
            .expect_err("rubbish is no handshake");
        drop(failure);
        let got = peer.await.unwrap();
        assert!(got.ends_with(&ALERT), "{role:?}: {got:?}");
    }
}

/// Bytes that a client writes before it reads.
async fn client_hello_len(version: ProtocolVersion) -> u64 {
    let io = ScriptedIo::new(Memory::new([]), Script::new());
    let tape = io.tape();
    Role::client(version)
        .handshake(io, LIMIT)
        .await
        .expect_err("nobody is there");
    tape.written().len() as u64
}

async fn a_peer_that_stays_holds_a_failed_handshake_for_a_second_at_most(version: ProtocolVersion) {
    for role in Role::both(version) {
        for (limit, most) in [
            (None, 1000),
            (LIMIT, 1000),
            (Some(Duration::from_millis(300)), 300),
        ] {
            // One that does not read the alert, and one that reads it and does not close.
            // One that does not read the alert (a client writes its hello before), one that reads it and does not
            // close, and one that cannot be closed.
            let before = if role.is_client() {
                client_hello_len(version).await
            } else {
                0
            };
            for script in [
                Script::new().write_stall_after(before + 3),
                Script::new(),
                Script::new().stall_shutdown(),
            ] {
                let io = ScriptedIo::new(Memory::then_silent(NOT_A_HELLO), script.clone());
                let tape = io.tape();
                let started = Instant::now();
                let failure = role
                    .handshake(io, limit)
                    .await
                    .expect_err("rubbish is no handshake");
                let took = started.elapsed();
                assert!(is_unexpected(&failure), "{role:?}: {failure}");
                assert!(
                    took <= Duration::from_millis(most + 2),
                    "{role:?} {script:?}: {took:?}"
                );
                assert!(!tape.counts().is_dropped());
            }
        }
    }
}

async fn a_server_reads_why_the_client_refused_its_certificate(version: ProtocolVersion) {
    let other = Leaf::new(KeyType::Ed25519, &["elsewhere"]).self_signed();
    let config = client_builder()
        .only(version)
        .dangerously_pin_certificate(other.leaf())
        .build()
        .unwrap();
    let (a, b) = duplex(4096);
    let (connector, acceptor) = (TlsConnector::new(config), acceptor());
    let (client, server) = tokio::join!(connector.connect(server_name(), a), acceptor.accept(b));
    let refused = client.expect_err("another certificate");
    assert!(
        matches!(refused.error(), Error::Tls(error) if matches!(error.kind(), ErrorKind::Certificate(_)))
    );
    assert_eq!(received(server), AlertDescription::ACCESS_DENIED);
}

async fn a_client_reads_why_the_server_refused_it(version: ProtocolVersion) {
    let server = TlsAcceptor::new(server_builder().alpn(["h2"]).build().unwrap());
    let client = TlsConnector::new(client_builder().only(version).alpn(["smtp"]).build().unwrap());
    let (a, b) = duplex(4096);
    let (client, server) = tokio::join!(client.connect(server_name(), a), server.accept(b));
    server.expect_err("nothing in common");
    assert_eq!(received(client), AlertDescription::NO_APPLICATION_PROTOCOL);
}

async fn both_read_the_alert_of_the_other_over_tcp(version: ProtocolVersion) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let picky = TlsAcceptor::new(server_builder().alpn(["h2"]).build().unwrap());
    let stranger = Leaf::new(KeyType::Ed25519, &["elsewhere"]).self_signed();
    let distrusting = client_builder()
        .only(version)
        .dangerously_pin_certificate(stranger.leaf())
        .build()
        .unwrap();
    let clients = [
        TlsConnector::new(client_builder().only(version).alpn(["smtp"]).build().unwrap()),
        TlsConnector::new(distrusting),
    ];
    for round in 0..50 {
        let client = clients[round % 2].clone();
        let client = tokio::spawn(async move {
            let tcp = TcpStream::connect(address).await.unwrap();
            client
                .connect(server_name(), tcp)
                .await
                .map_err(HandshakeFailure::into_parts)
        });
        let (tcp, _) = listener.accept().await.unwrap();
        let server = picky.accept(tcp).await;
        let client = client.await.unwrap();
        if round % 2 == 0 {
            let (Error::Tls(error), _) = client.expect_err("no protocol in common") else {
                panic!("a timeout");
            };
            assert!(error.to_string().contains("no_application_protocol"), "{error}");
        } else {
            client.expect_err("not the pinned certificate");
            assert_eq!(received(server), AlertDescription::ACCESS_DENIED, "{round}");
        }
    }
}

async fn plain_http_is_told_nothing_and_can_still_be_answered(version: ProtocolVersion) {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";
    for script in [
        Script::new(),
        Script::new().read_chunk(1),
        Script::new().pending_every(1),
    ] {
        let (io, mut peer) = scripted(script);
        let tape = io.tape();
        peer.write_all(REQUEST).await.unwrap();
        let started = Instant::now();
        let failure = Role::server(version)
            .handshake(io, LIMIT)
            .await
            .expect_err("it is not TLS");
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert!(tape.written().is_empty());
        assert!(!tape.counts().is_shut_down());
        let (error, mut io) = failure.into_parts();
        let Error::Tls(error) = error else {
            panic!("{error}")
        };
        let ErrorKind::NotTls { first_bytes } = error.kind() else {
            panic!("{error}");
        };
        assert!(
            !first_bytes.is_empty() && REQUEST.starts_with(first_bytes),
            "{first_bytes:?}"
        );
        io.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        io.shutdown().await.unwrap();
        let mut got = String::new();
        peer.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "HTTP/1.1 400 Bad Request\r\n\r\n");
    }
}

async fn a_client_that_meets_something_else_says_so(version: ProtocolVersion) {
    let (io, mut peer) = scripted(Script::new());
    peer.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
    let tape = io.tape();
    let failure = connector(version)
        .connect(server_name(), io)
        .await
        .expect_err("it is not TLS");
    let Error::Tls(error) = failure.error() else {
        panic!("{failure}")
    };
    assert!(matches!(error.kind(), ErrorKind::NotTls { .. }), "{error}");
    assert_eq!(
        records(&tape.written()).len(),
        1,
        "more than a ClientHello was written"
    );
}
