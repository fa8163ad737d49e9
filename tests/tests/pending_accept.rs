//! A server that looks at the ClientHello before it decides: goes on, refuses, or gives the connection back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

use std::time::Duration;

use tls_core::{AlertDescription, CipherSuite, ErrorKind, HandshakeType, Phase, ProtocolVersion, Side};
use tls_tests::both_versions;
use tls_tests::hello::{Hello, record, records};
use tls_tests::script::{Script, ScriptedIo};
use tls_tests::sides::{Role, acceptor, client_builder, connector, scripted, server_builder, server_name};
use tls_tests::versions::Only;
use tls_tokio::{
    ConnectionContext, Error, HandshakeFailure, MemorySessionCache, PendingAccept, TlsAcceptor, TlsConnector,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::{Instant, sleep};

both_versions!(
    async the_caller_chooses_the_configuration_by_the_hello,
    a_refused_client_reads_the_alert,
    the_bytes_are_given_back_as_they_came,
    somebody_else_can_go_on_with_the_bytes,
    a_hello_may_come_in_any_pieces,
    the_deadline_covers_everything_from_the_beginning,
    a_failure_after_the_hello_has_it,
);

const LIMIT: Duration = Duration::from_secs(7);

/// What a client sends first.
async fn first_flight(version: ProtocolVersion) -> Vec<u8> {
    let (io, mut other) = duplex(64 * 1024);
    let connecting = tokio::spawn(async move { drop(connector(version).connect(server_name(), io).await) });
    let mut flight = vec![0; 16 * 1024];
    let length = other.read(&mut flight).await.unwrap();
    connecting.abort();
    flight.truncate(length);
    flight
}

/// The alert by which the peer says that it refused us.
fn received<T, IO>(result: Result<T, HandshakeFailure<IO>>) -> AlertDescription {
    let failure = result.err().expect("the peer refused us");
    assert!(failure.client_hello().is_none(), "a client has read none");
    match failure.error() {
        Error::Tls(error) => match error.kind() {
            ErrorKind::AlertReceived(description) => *description,
            other => panic!("{other:?}"),
        },
        other => panic!("{other}"),
    }
}

async fn the_caller_chooses_the_configuration_by_the_hello(version: ProtocolVersion) {
    let config = client_builder()
        .only(version)
        .alpn(["one", "two"])
        .build()
        .unwrap();
    let (ours, theirs) = duplex(64 * 1024);
    let client = async {
        let mut tls = TlsConnector::new(config)
            .connect(server_name(), ours)
            .await
            .unwrap();
        tls.write_all(b"hello").await.unwrap();
        tls.flush().await.unwrap();
        let mut all = Vec::new();
        tls.read_to_end(&mut all).await.unwrap();
        (all, tls.info().alpn().map(<[u8]>::to_vec))
    };
    let server = async {
        let pending = acceptor().read_client_hello(theirs).await.unwrap();
        let hello = pending.client_hello();
        assert_eq!(hello.server_name(), Some("localhost"));
        assert_eq!(hello.alpn().collect::<Vec<_>>(), [b"one", b"two"]);
        let chosen = server_builder().alpn(["two"]).build().unwrap();
        let mut tls = pending.accept(&chosen).await.unwrap();
        assert_eq!(tls.info().server_name(), Some("localhost"));
        let mut five = [0; 5];
        tls.read_exact(&mut five).await.unwrap();
        tls.write_all(&five).await.unwrap();
        tls.shutdown().await.unwrap();
        // Its reads go on until the client closes.
        tls
    };
    let ((echo, alpn), _) = tokio::join!(client, server);
    assert_eq!((echo, alpn), (b"hello".to_vec(), Some(b"two".to_vec())));
}

async fn a_refused_client_reads_the_alert(version: ProtocolVersion) {
    for alert in [
        AlertDescription::UNRECOGNIZED_NAME,
        AlertDescription::ACCESS_DENIED,
    ] {
        let (io, peer) = scripted(Script::new());
        let tape = io.tape();
        let server = async {
            let pending = acceptor().read_client_hello(io).await.unwrap();
            assert!(tape.written().is_empty());
            let failure = pending.refuse(alert).await;
            let hello = failure.client_hello().expect("it was read");
            assert_eq!(hello.server_name(), Some("localhost"));
            assert!(tape.counts().is_shut_down() && !tape.counts().is_dropped());
            let Error::Tls(error) = failure.error() else {
                panic!("{failure}")
            };
            assert!(matches!(error.kind(), ErrorKind::Refused(with) if *with == alert));
            assert_eq!(error.side(), Some(Side::Server));
            assert_eq!(error.phase(), Some(Phase::Reading(HandshakeType::CLIENT_HELLO)));
            drop(failure.into_io());
        };
        let connector = connector(version);
        let ((), client) = tokio::join!(server, connector.connect(server_name(), peer));
        assert_eq!(received(client), alert);
        assert_eq!(records(&tape.written()), [(21, vec![2, alert.0])]);
    }
}

async fn the_bytes_are_given_back_as_they_came(version: ProtocolVersion) {
    let flight = first_flight(version).await;
    for behind in [&b""[..], b"\x17\x03\x03\0\x04data", &[0x5a; 5000]] {
        let (mut client, theirs) = duplex(64 * 1024);
        let all = [&flight[..], behind].concat();
        client.write_all(&all).await.unwrap();
        let pending = acceptor().read_client_hello(theirs).await.unwrap();
        let (mut io, bytes) = pending.into_parts();
        assert_eq!(bytes, all);
        // What comes later is still in the transport, and nothing was written.
        client.write_all(b"later").await.unwrap();
        drop(client);
        let mut rest = Vec::new();
        io.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"later");
    }
}

async fn somebody_else_can_go_on_with_the_bytes(version: ProtocolVersion) {
    let (ours, theirs) = duplex(64 * 1024);
    let (router_side, backend_side) = duplex(64 * 1024);
    let router = async {
        let pending = PendingAccept::read(theirs, ConnectionContext::new(), Some(LIMIT))
            .await
            .unwrap();
        let (mut io, bytes) = pending.into_parts();
        let mut backend = router_side;
        backend.write_all(&bytes).await.unwrap();
        tokio::io::copy_bidirectional(&mut io, &mut backend)
            .await
            .unwrap();
    };
    let client = async {
        let mut tls = Role::client(version).handshake(ours, Some(LIMIT)).await.unwrap();
        tls.write_all(b"ping").await.unwrap();
        let mut pong = [0; 4];
        tls.read_exact(&mut pong).await.unwrap();
        tls.shutdown().await.unwrap();
        (tls, pong)
    };
    let backend = async {
        let mut tls = Role::server(version)
            .handshake(backend_side, Some(LIMIT))
            .await
            .unwrap();
        let mut ping = [0; 4];
        tls.read_exact(&mut ping).await.unwrap();
        tls.write_all(b"pong").await.unwrap();
        tls.flush().await.unwrap();
        assert_eq!(tls.read(&mut [0]).await.unwrap(), 0);
        tls.shutdown().await.unwrap();
        (tls, ping)
    };
    // The ends live until the router is through.
    let ((), (_client, pong), (_backend, ping)) = tokio::join!(router, client, backend);
    assert_eq!((&ping, &pong), (b"ping", b"pong"));
}

async fn a_hello_may_come_in_any_pieces(version: ProtocolVersion) {
    let flight = first_flight(version).await;
    let [(22, message)] = &records(&flight)[..] else {
        panic!("one record")
    };
    // As one record and as many, of one byte and more.
    for piece in [1, 5, 100, message.len()] {
        let sent: Vec<u8> = message
            .chunks(piece)
            .flat_map(|piece| record(22, piece))
            .collect();
        for chunk in [1, 7, 1000, sent.len()] {
            let (mut client, theirs) = duplex(64 * 1024);
            let io = ScriptedIo::new(theirs, Script::new().read_chunk(chunk).pending_every(3));
            client.write_all(&sent).await.unwrap();
            let pending = acceptor().read_client_hello(io).await.unwrap();
            assert_eq!(pending.client_hello().raw(), message);
            let (io, bytes) = pending.into_parts();
            assert_eq!(bytes, sent, "in pieces of {piece} and {chunk}");
            assert!(!io.tape().counts().is_shut_down() && io.tape().written().is_empty());
        }
    }
}

async fn the_deadline_covers_everything_from_the_beginning(version: ProtocolVersion) {
    let limited = acceptor().handshake_timeout(Some(LIMIT));
    let flight = first_flight(version).await;

    // Silence, after each of a few bytes.
    for length in [0, 3, flight.len() - 1] {
        let (mut client, theirs) = duplex(64 * 1024);
        client.write_all(&flight[..length]).await.unwrap();
        let started = Instant::now();
        let failure = limited.read_client_hello(theirs).await.expect_err("no hello");
        assert_eq!(started.elapsed().as_secs(), LIMIT.as_secs());
        let Error::Timeout(timeout) = failure.error() else {
            panic!("{failure}")
        };
        assert_eq!(timeout.phase, Phase::Reading(HandshakeType::CLIENT_HELLO));
        assert_eq!(timeout.bytes_in, length as u64);
        assert!(failure.client_hello().is_none());
    }

    // Three seconds for the hello, two for the decision, and the rest for the client's next flight.
    let (mut client, theirs) = duplex(64 * 1024);
    let started = Instant::now();
    let (pending, ()) = tokio::join!(limited.read_client_hello(theirs), async {
        sleep(Duration::from_secs(3)).await;
        client.write_all(&flight).await.unwrap();
    });
    let pending = pending.unwrap();
    assert_eq!(pending.deadline(), Some(started + LIMIT));
    sleep(Duration::from_secs(2)).await;
    let failure = pending.accept(acceptor().config()).await.expect_err("silence");
    assert_eq!(started.elapsed().as_secs(), LIMIT.as_secs());
    let Error::Timeout(timeout) = failure.error() else {
        panic!("{failure}")
    };
    assert_eq!(timeout.elapsed.as_secs(), LIMIT.as_secs());
    assert_eq!(timeout.bytes_in, flight.len() as u64);
    assert!(timeout.bytes_out > 0);
    // Who was it?
    assert_eq!(failure.client_hello().unwrap().server_name(), Some("localhost"));
}

async fn a_failure_after_the_hello_has_it(version: ProtocolVersion) {
    let (wanted, other) = match version {
        ProtocolVersion::TLS13 => (
            CipherSuite::TLS_AES_128_GCM_SHA256,
            CipherSuite::TLS_AES_256_GCM_SHA384,
        ),
        _ => (
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        ),
    };
    let client = client_builder()
        .only(version)
        .cipher_suites([wanted])
        .build()
        .unwrap();
    let server = server_builder()
        .only(version)
        .cipher_suites([other])
        .build()
        .unwrap();
    let (ours, theirs) = duplex(64 * 1024);
    let (connector, acceptor) = (TlsConnector::new(client), TlsAcceptor::new(server));
    let (client, server) = tokio::join!(connector.connect(server_name(), ours), acceptor.accept(theirs));
    assert_eq!(received(client), AlertDescription::HANDSHAKE_FAILURE);
    let failure = server.expect_err("nothing in common");
    let hello = failure.client_hello().expect("it was read");
    assert_eq!(hello.cipher_suites(), [wanted]);
    assert_eq!(hello.server_name(), Some("localhost"));
    let (error, io) = failure.into_parts();
    drop((error, io));
}

#[tokio::test]
async fn other_protocols_are_not_tls_and_come_back_untouched() {
    let (mut client, theirs) = duplex(1024);
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let failure = acceptor().read_client_hello(theirs).await.expect_err("no hello");
    let (error, mut io) = failure.into_parts();
    let Error::Tls(error) = error else {
        panic!("{error}")
    };
    let ErrorKind::NotTls { first_bytes } = error.kind() else {
        panic!("{error}")
    };
    assert_eq!(first_bytes, b"GET / HTTP/1.1\r\n\r\n");
    io.write_all(b"HTTP/1.1 400").await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
}

#[tokio::test(start_paused = true)]
async fn a_hello_that_does_not_parse_is_answered_with_an_alert() {
    let flight = first_flight(ProtocolVersion::TLS13).await;
    let mut hello = Hello::parse(&flight);
    hello.suites.clear();
    let (mut client, theirs) = duplex(64 * 1024);
    client.write_all(&hello.record()).await.unwrap();
    let failure = acceptor().read_client_hello(theirs).await.expect_err("no suites");
    assert!(failure.client_hello().is_none());
    drop(failure);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(
        records(&answer),
        [(21, vec![2, AlertDescription::DECODE_ERROR.0])]
    );
}

#[tokio::test]
async fn a_pending_accept_that_is_dropped_closes_the_transport() {
    let flight = first_flight(ProtocolVersion::TLS13).await;
    let (mut client, theirs) = duplex(64 * 1024);
    let io = ScriptedIo::new(theirs, Script::new());
    let tape = io.tape();
    client.write_all(&flight).await.unwrap();
    let pending = acceptor().read_client_hello(io).await.unwrap();
    assert!(!tape.counts().is_dropped());
    drop(pending);
    assert!(tape.counts().is_dropped());
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn early_data_behind_the_hello_is_read_after_the_decision() {
    let cache = std::sync::Arc::new(MemorySessionCache::default());
    let client = client_builder().session_cache(cache).build().unwrap();
    let connector = TlsConnector::new(client);
    let acceptor = TlsAcceptor::new(server_builder().max_early_data(1000).build().unwrap());

    let (ours, theirs) = duplex(64 * 1024);
    let (first, second) = tokio::join!(connector.connect(server_name(), ours), acceptor.accept(theirs));
    let (mut first, mut second) = (first.unwrap(), second.unwrap());
    second.write_all(b"x").await.unwrap();
    first.read_exact(&mut [0]).await.unwrap();

    let (ours, theirs) = duplex(64 * 1024);
    let client = async {
        let (tls, rest) = connector
            .connect_early(server_name(), ours, b"early")
            .await
            .unwrap();
        assert!(rest.is_empty());
        tls
    };
    let server = async {
        let pending = acceptor.read_client_hello(theirs).await.unwrap();
        assert!(pending.client_hello().offers_early_data());
        assert_eq!(pending.client_hello().psk_identities().count(), 1);
        let mut early = pending.accept_early(acceptor.config()).await.unwrap();
        let mut data = Vec::new();
        early.read_to_end(&mut data).await.unwrap();
        assert_eq!(data, b"early");
        early.finish().await.unwrap()
    };
    let (client, server) = tokio::join!(client, server);
    assert!(client.info().is_resumed() && server.info().is_resumed());
}
