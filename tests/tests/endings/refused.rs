//! A client that the server refuses learns why: though its handshake was over before, and though the connection is reset.

use super::*;
use tls_core::{ClientConfig, ServerConfig};
use tls_tests::both_versions;
use tls_tests::pair::{authority, certified, roots};
use tls_tests::pki::{KeyType, Leaf, Validity};
use tls_tests::sides::{acceptor, establish, scripted};
use tls_tokio::{HandshakeFailure, MemorySessionCache, Shutdown, TlsAcceptor, TlsConnector};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

both_versions!(
    async
    a_client_learns_of_its_refusal_before_it_says_anything,
    a_confirmation_is_the_first_sign_of_the_server_and_keeps_its_data,
    a_confirmation_fails_where_the_server_does_not_say_anything,
    a_write_that_is_reset_reports_the_alert_that_came_before,
    data_before_the_alert_is_kept_for_reading,
    a_reset_without_an_alert_is_a_reset,
    a_half_that_meets_a_reset_waits_for_its_reader_and_no_longer,
    an_alert_ends_a_write_that_waits,
    an_alert_ends_a_write_that_waits_while_another_task_reads,
    a_write_that_waits_leaves_data_where_it_is,
);

mod real {
    use super::*;
    both_versions!(
        real async
        over_tcp_a_refused_client_that_writes_learns_why,
        over_tcp_the_alert_before_a_reset_is_reported_100_times_of_100,
    );
}

type A = AlertDescription;

fn client(version: ProtocolVersion, leaf: Option<Leaf>) -> ClientConfig {
    // With a cache: servers give tickets only to clients that can use them.
    let client = client_builder()
        .only(version)
        .session_cache(Arc::new(MemorySessionCache::new(4)));
    match leaf {
        Some(leaf) => client.certificate(certified(&authority().issue(&leaf))),
        None => client,
    }
    .build()
    .unwrap()
}

fn requiring(version: ProtocolVersion) -> ServerConfig {
    server_builder()
        .only(version)
        .client_roots(roots())
        .build()
        .unwrap()
}

fn leaf() -> Leaf {
    Leaf::new(KeyType::P256, &["client.test"]).client()
}

/// What a client that connects and waits for confirmation gets to know.
async fn refusal<IO>(client: ClientConfig, io: IO) -> io::Result<TlsStream<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send,
{
    let connected = TlsConnector::new(client).connect(server_name(), io).await;
    let mut tls = connected.map_err(HandshakeFailure::into_error)?;
    tls.confirmed().await?;
    Ok(tls)
}

async fn a_client_learns_of_its_refusal_before_it_says_anything(version: ProtocolVersion) {
    let is_13 = version == ProtocolVersion::TLS13;
    for (leaf, expected) in [
        (
            None,
            if is_13 {
                A::CERTIFICATE_REQUIRED
            } else {
                A::HANDSHAKE_FAILURE
            },
        ),
        (Some(leaf().validity(Validity::Expired)), A::CERTIFICATE_EXPIRED),
    ] {
        let (near, far) = duplex(64 * 1024);
        let acceptor = TlsAcceptor::new(requiring(version));
        let (connected, accepted) = tokio::join!(refusal(client(version, leaf), near), acceptor.accept(far));
        assert_eq!(alert_in(&connected.unwrap_err()), Some(expected));
        accepted.expect_err("it refused");
    }
    let (near, far) = duplex(64 * 1024);
    let acceptor = TlsAcceptor::new(requiring(version));
    let client = client(version, Some(leaf()));
    let (connected, accepted) = tokio::join!(refusal(client, near), acceptor.accept(far));
    let (mut connected, mut accepted) = (connected.unwrap(), accepted.unwrap());
    say(&mut connected, b"hello").await.unwrap();
    accepted.read_exact(&mut [0; 5]).await.unwrap();
}

async fn a_confirmation_is_the_first_sign_of_the_server_and_keeps_its_data(version: ProtocolVersion) {
    // Tickets, which come with the handshake.
    let (near, far) = scripted(Script::new().pending_every(1));
    let (connector, acceptor) = (TlsConnector::new(client(version, None)), acceptor());
    let (ours, server) = tokio::join!(connector.connect(server_name(), near), acceptor.accept(far));
    let (mut ours, _server) = (ours.unwrap(), server.unwrap());
    timeout(SOON, ours.confirmed()).await.unwrap().unwrap();
    // A server knows from the handshake alone.
    let (mut ours, _, _peer) = established(Role::server(version), version, Script::new()).await;
    timeout(SOON, ours.confirmed()).await.unwrap().unwrap();
    if version == ProtocolVersion::TLS12 {
        return;
    }

    // Without tickets, data.
    let (near, far) = duplex(4096);
    let server = server_builder().only(version).tickets(0).build().unwrap();
    let acceptor = TlsAcceptor::new(server);
    let (client, server) = tokio::join!(Role::client(version).handshake(near, None), acceptor.accept(far));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    assert!(
        timeout(SECOND, client.confirmed()).await.is_err(),
        "nothing has come"
    );
    say(&mut server, b"welcome").await.unwrap();
    for _ in 0..2 {
        timeout(SOON, client.confirmed()).await.unwrap().unwrap();
    }
    let mut data = [0; 7];
    client.read_exact(&mut data).await.unwrap();
    assert_eq!(&data, b"welcome");
}

async fn a_confirmation_fails_where_the_server_does_not_say_anything(version: ProtocolVersion) {
    if version == ProtocolVersion::TLS12 {
        return;
    }
    let (near, far) = duplex(4096);
    let server = server_builder().only(version).tickets(0).build().unwrap();
    let acceptor = TlsAcceptor::new(server);
    let (client, server) = tokio::join!(Role::client(version).handshake(near, None), acceptor.accept(far));
    server.unwrap().abort();
    let error = client.unwrap().confirmed().await.unwrap_err();
    assert_eq!(error.kind(), Io::UnexpectedEof);
}

/// Our end cannot write after its handshake.
async fn reset(role: Role, version: ProtocolVersion) -> (TlsStream<Scripted>, Peer) {
    reset_by(role, version, Script::new()).await
}

async fn reset_by(role: Role, version: ProtocolVersion, script: Script) -> (TlsStream<Scripted>, Peer) {
    let (_, written) = handshake_bytes(role, version).await;
    let script = script.write_error_after(written, Io::ConnectionReset);
    let (ours, _, peer) = established(role, version, script).await;
    (ours, peer)
}

async fn a_write_that_is_reset_reports_the_alert_that_came_before(version: ProtocolVersion) {
    for role in Role::both(version) {
        for how in 0..8 {
            // Also where the runtime has not noticed yet that there is something to read.
            let script = match how {
                0..4 => Script::new(),
                _ => (0..40).fold(Script::new(), Script::pending_at_read),
            };
            let (mut ours, mut peer) = reset_by(role, version, script).await;
            peer.alert(A::CERTIFICATE_REVOKED).await;
            let error = match how % 4 {
                0 => ours.write(b"data").await.unwrap_err(),
                1 => say(&mut ours, &[7; 100_000]).await.unwrap_err(),
                2 => ours.shutdown().await.unwrap_err(),
                _ => match ours.graceful_shutdown(SECOND).await {
                    Shutdown::Failed(error) => error,
                    other => panic!("{other:?}"),
                },
            };
            assert_eq!(
                alert_in(&error),
                Some(A::CERTIFICATE_REVOKED),
                "{role:?} {how}: {error}"
            );
            // Reads say the same.
            assert_eq!(
                alert_in(&read_all(&mut ours).await.1.unwrap_err()),
                alert_in(&error)
            );
        }
    }
}

async fn data_before_the_alert_is_kept_for_reading(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (mut ours, mut peer) = reset(role, version).await;
        peer.send(b"one ").await;
        peer.send(b"two").await;
        peer.alert(A::ACCESS_DENIED).await;
        let mut first = [0; 1];
        ours.read_exact(&mut first).await.unwrap();
        for _ in 0..2 {
            let error = say(&mut ours, b"data").await.unwrap_err();
            assert_eq!(alert_in(&error), Some(A::ACCESS_DENIED), "{role:?}: {error}");
        }
        let (data, end) = read_all(&mut ours).await;
        assert_eq!(data, b"ne two");
        assert_eq!(alert_in(&end.unwrap_err()), Some(A::ACCESS_DENIED));
    }
}

async fn a_reset_without_an_alert_is_a_reset(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (mut ours, mut peer) = reset(role, version).await;
        peer.send(b"data").await;
        assert_eq!(
            say(&mut ours, b"data").await.unwrap_err().kind(),
            Io::ConnectionReset
        );
        // What came before it can be read.
        let mut data = [0; 4];
        ours.read_exact(&mut data).await.unwrap();
        assert_eq!(&data, b"data");
    }
}

async fn a_half_that_meets_a_reset_waits_for_its_reader_and_no_longer(version: ProtocolVersion) {
    for role in Role::both(version) {
        for how in ["an alert", "silence", "nobody"] {
            let (ours, mut peer) = reset(role, version).await;
            let (mut read, mut write) = ours.into_split();
            let reading = tokio::spawn(async move {
                if how != "nobody" {
                    let _ = timeout(SECOND, read.read(&mut [0; 9])).await;
                }
            });
            tokio::task::yield_now().await;
            let started = Instant::now();
            let writing = tokio::spawn(async move {
                let error = write.write_all(b"data").await.unwrap_err();
                let again = timeout(SOON, write.flush()).await.expect("no waiting again");
                (error, again.unwrap_err())
            });
            tokio::time::sleep(SECOND / 50).await;
            if how == "an alert" {
                peer.alert(A::ACCESS_DENIED).await;
            }
            let (error, again) = writing.await.unwrap();
            let took = started.elapsed().as_millis();
            let expected = match how {
                "an alert" => Some(A::ACCESS_DENIED),
                _ => None,
            };
            assert_eq!(alert_in(&error), expected, "{role:?} {how}: {error}");
            assert_eq!(again.kind(), error.kind());
            assert_eq!(took >= 100, how == "silence", "{role:?} {how}: {took} ms");
            reading.await.unwrap();
        }
    }
}

async fn an_alert_ends_a_write_that_waits(version: ProtocolVersion) {
    for role in Role::both(version) {
        for flush in [false, true] {
            let (mut ours, _, mut peer) = established_by(role, version, Script::new(), 4096).await;
            let writing = async {
                // In the second write: the first is accepted and waits here.
                loop {
                    ours.write_all(&[7; 60_000]).await?;
                    if flush {
                        ours.flush().await?;
                    }
                }
            };
            let refusing = async {
                tokio::time::sleep(SECOND).await;
                peer.alert(A::CERTIFICATE_UNKNOWN).await;
            };
            let (written, ()): (io::Result<()>, ()) =
                tokio::join!(async { timeout(SECOND + SOON, writing).await.unwrap() }, refusing);
            let error = written.unwrap_err();
            assert_eq!(
                alert_in(&error),
                Some(A::CERTIFICATE_UNKNOWN),
                "{role:?}: {error}"
            );
        }
    }
}

async fn an_alert_ends_a_write_that_waits_while_another_task_reads(version: ProtocolVersion) {
    for role in Role::both(version) {
        let (near, far) = duplex(4096);
        let (ours, peer) = tokio::join!(role.handshake(near, None), Peer::new(role.other(), version, far));
        for split in [false, true] {
            if split {
                // Once more, with halves that share no lock.
                let (near, far) = duplex(4096);
                let (ours, mut peer) =
                    tokio::join!(role.handshake(near, None), Peer::new(role.other(), version, far));
                let (mut read, mut write) = ours.unwrap().into_split();
                let writing = tokio::spawn(async move { write.write_all(&[7; 1 << 20]).await });
                let reading = tokio::spawn(async move { read.read(&mut [0; 9]).await });
                tokio::time::sleep(SECOND).await;
                peer.alert(A::ACCESS_DENIED).await;
                let written = timeout(SECOND, writing).await.expect("it waits no more").unwrap();
                assert_eq!(alert_in(&written.unwrap_err()), Some(A::ACCESS_DENIED));
                assert_eq!(
                    alert_in(&reading.await.unwrap().unwrap_err()),
                    Some(A::ACCESS_DENIED)
                );
            }
        }
        let mut peer = peer;
        let (mut read, mut write) = tokio::io::split(ours.unwrap());
        let writing = tokio::spawn(async move { write.write_all(&[7; 1 << 20]).await });
        let reading = tokio::spawn(async move { read.read(&mut [0; 9]).await });
        tokio::time::sleep(SECOND).await;
        peer.alert(A::ACCESS_DENIED).await;
        let written = timeout(SECOND, writing).await.expect("it waits no more").unwrap();
        assert_eq!(alert_in(&written.unwrap_err()), Some(A::ACCESS_DENIED));
        assert_eq!(
            alert_in(&reading.await.unwrap().unwrap_err()),
            Some(A::ACCESS_DENIED)
        );
    }
}

async fn a_write_that_waits_leaves_data_where_it_is(version: ProtocolVersion) {
    // Nobody reads: a peer with much to say is held up, and nothing of it is lost.
    let (near, far) = duplex(4096);
    let (mut ours, mut peer) = establish(version, near, far).await;
    let data: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    let sent = data.clone();
    let sending = tokio::spawn(async move {
        say(&mut peer, &sent)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        peer
    });
    assert!(
        timeout(SECOND / 4, ours.write_all(&[7; 1 << 20])).await.is_err(),
        "nobody reads it"
    );
    assert!(!sending.is_finished(), "nobody reads that either");
    let mut got = vec![0; data.len()];
    ours.read_exact(&mut got).await.unwrap();
    assert!(got == data);
    drop(sending.await.unwrap());
}

async fn over_tcp_a_refused_client_that_writes_learns_why(version: ProtocolVersion) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for _ in 0..20 {
        let client = client(version, None);
        let client = tokio::spawn(async move {
            let tcp = TcpStream::connect(address).await.unwrap();
            let connected = TlsConnector::new(client).connect(server_name(), tcp).await;
            let mut tls = connected.map_err(HandshakeFailure::into_error)?;
            loop {
                tls.write_all(&[7; 100_000]).await?;
            }
        });
        let (tcp, _) = listener.accept().await.unwrap();
        drop(
            TlsAcceptor::new(requiring(version))
                .accept(tcp)
                .await
                .expect_err("refused"),
        );
        let ended: io::Result<()> = client.await.unwrap();
        let error = ended.unwrap_err();
        let expected = match version {
            ProtocolVersion::TLS13 => A::CERTIFICATE_REQUIRED,
            _ => A::HANDSHAKE_FAILURE,
        };
        assert_eq!(alert_in(&error), Some(expected), "{error}");
    }
}

/// Writes until that fails.
async fn refused<W: AsyncWrite + Unpin>(write: &mut W) -> io::Error {
    loop {
        match write.write_all(b"data").await {
            Ok(()) => tokio::task::yield_now().await,
            Err(error) => return error,
        }
    }
}

async fn over_tcp_the_alert_before_a_reset_is_reported_100_times_of_100(version: ProtocolVersion) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for round in 0..100 {
        let role = Role::both(version)[round % 2];
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (near, far) = (near.unwrap(), far.unwrap().0);
        far.set_nodelay(true).unwrap();
        let (ours, peer) = tokio::join!(role.handshake(near, None), Peer::new(role.other(), version, far));
        let (mut ours, mut peer) = (ours.unwrap(), peer);
        peer.send(b"one more thing").await;
        peer.alert(A::ACCESS_DENIED).await;
        // Everything arrives before the reset does.
        let mut seen = [0; 1024];
        while ours.get_ref().peek(&mut seen).await.unwrap() < 14 + 22 + 2 + 22 {}
        peer.io.set_zero_linger().unwrap();
        drop(peer);
        let (error, (data, end)) = if round % 4 < 2 {
            (refused(&mut ours).await, read_all(&mut ours).await)
        } else {
            let (mut read, mut write) = ours.into_split();
            tokio::join!(refused(&mut write), async {
                // The writer comes first.
                tokio::time::sleep(Duration::from_millis(5)).await;
                read_all(&mut read).await
            })
        };
        assert_eq!(alert_in(&error), Some(A::ACCESS_DENIED), "{round}: {error}");
        assert_eq!(data, b"one more thing", "{round}");
        assert_eq!(alert_in(&end.unwrap_err()), Some(A::ACCESS_DENIED), "{round}");
    }
}
