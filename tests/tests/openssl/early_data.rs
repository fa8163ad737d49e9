//! Early data, accepted and rejected, with OpenSSL at the other end.

use std::sync::Arc;

use tls_core::{EarlyData, MemoryReplayGuard, NamedGroup};
use tls_tests::openssl::{s_client, s_server};
use tls_tests::pki::KeyType;
use tls_tests::process::{LIMIT, require_or_skip};
use tls_tokio::{MemorySessionCache, ServerConfig, ServerName, TlsAcceptor, TlsConnector, TlsStream};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Listener, World, assert_no_error, close, connect, expect, noise, path, send};

/// What our server does with the next client.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// Reads early data before the handshake is over, and answers it.
    Reads,
    /// Takes it, and leaves it to be read afterwards.
    Finishes,
    /// Takes none.
    Accepts,
}

/// One connection of `s_client` to our server. Returns what it says of its early data.
async fn openssl_comes(config: &ServerConfig, how: How, arguments: &[&str], early: &[u8]) -> String {
    let (listener, address) = Listener::new().await;
    let base = ["-tls1_3", "-servername", "localhost", "-groups", "X25519:P-256"];
    let mut client = s_client(address, &[&base[..], arguments].concat());
    let (tcp, _) = timeout(LIMIT, listener.0.accept()).await.unwrap().unwrap();
    let acceptor = TlsAcceptor::new(config.clone()).handshake_timeout(Some(LIMIT));
    let mut stream = if how == How::Accepts {
        acceptor.accept(tcp).await.unwrap()
    } else {
        let mut stream = acceptor.accept_early(tcp).await.unwrap();
        if how == How::Reads {
            let mut read = Vec::new();
            // s_client says the end of it when it has seen our flight.
            timeout(LIMIT, stream.read_to_end(&mut read))
                .await
                .unwrap()
                .unwrap();
            let accepted = stream.negotiated().early_data() == EarlyData::Accepted;
            assert!(read == if accepted { early } else { &[] });
        }
        let mut stream = stream.finish().await.unwrap();
        if how == How::Finishes && stream.info().early_data() == EarlyData::Accepted {
            expect(&mut stream, early).await;
        }
        stream
    };
    send(&mut stream, b"greeting\n").await;
    client.wait_for("greeting").await;
    client.send(b"data\n").await.unwrap();
    expect(&mut stream, b"data\n").await;
    client.send(b"Q\n").await.unwrap();
    close(&mut stream).await;
    let finished = client.finish().await;
    assert_no_error(&finished);
    let text = finished.text();
    let said = text.lines().find_map(|line| line.strip_prefix("Early data was "));
    let said = said.unwrap_or_else(|| panic!("{text}")).to_owned();
    let expected = match stream.info().early_data() {
        EarlyData::NotOffered => "not sent",
        EarlyData::Accepted => "accepted",
        _ => "rejected",
    };
    assert_eq!(said, expected, "both sides say the same");
    assert_eq!(stream.info().is_resumed(), arguments.contains(&"-sess_in"));
    said
}

#[tokio::test]
async fn openssl_sends_early_data_to_our_server() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let keys = Arc::new(tls_core::RotatingTicketKeys::new());
    let early = noise(12_000, 3);
    let file = world.directory.path().join("early");
    std::fs::write(&file, &early).unwrap();
    let session = world.directory.path().join("session.pem");
    let out = ["-sess_out", path(&session)];
    let with_early = ["-sess_in", path(&session), "-early_data", path(&file)];
    for is_stateful in [false, true] {
        let server = |group, limit| {
            let mut config = world.server().ticket_keys(keys.clone());
            if is_stateful {
                config = config.session_store(Arc::new(tls_tokio::MemorySessionStore::new(10)));
            }
            let guard = MemoryReplayGuard::default().with_new_keys();
            config = config
                .groups([group])
                .max_early_data(limit)
                .replay_guard(Arc::new(guard));
            config.build().unwrap()
        };
        let config = server(NamedGroup::X25519, 12_000);
        for (how, expected) in [
            (How::Reads, "accepted"),
            (How::Finishes, "accepted"),
            (How::Accepts, "rejected"),
        ] {
            let first = Box::pin(openssl_comes(&config, How::Accepts, &out, &[])).await;
            assert_eq!(first, "not sent");
            let second = Box::pin(openssl_comes(&config, how, &with_early, &early)).await;
            assert_eq!(second, expected, "{how:?}");
        }
        if is_stateful {
            continue;
        }
        // The ticket says that early data may be sent, but this server asks for another key share, or has none of it.
        let retries = server(NamedGroup::SECP256R1, 12_000);
        let none = server(NamedGroup::X25519, 0);
        for (other, group) in [(&retries, "X25519:P-256"), (&none, "X25519")] {
            Box::pin(openssl_comes(&config, How::Accepts, &out, &[])).await;
            let arguments = [&with_early[..], &["-groups", group]].concat();
            let said = Box::pin(openssl_comes(other, How::Reads, &arguments, &early)).await;
            assert_eq!(said, "rejected");
        }
    }
}

type Connected<'d> = (TlsStream<TcpStream>, &'d [u8]);

#[tokio::test]
async fn our_client_sends_early_data_to_openssl() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    let data = b"early question, asked before anybody answered\n";
    for (arguments, accepted) in [
        (&["-early_data", "-max_early_data", "1000"][..], data.len()),
        // No more than it allows.
        (&["-early_data", "-max_early_data", "20"], 20),
        // Its tickets allow some, but it never reads any.
        (&["-max_early_data", "1000"], 0),
        // It asks for another key share. (With its guard against replays it would look at each ticket once only.)
        (&["-early_data", "-no_anti_replay", "-groups", "P-256"], 0),
        // Its tickets allow none.
        (&[], 0),
    ] {
        let arguments = [&["-tls1_3", "-naccept", "2"][..], arguments].concat();
        let server = s_server(&files, &arguments).await;
        let config = world
            .client()
            .groups([NamedGroup::X25519, NamedGroup::SECP256R1])
            .key_shares([NamedGroup::X25519])
            .session_cache(Arc::new(MemorySessionCache::new(16)))
            .build()
            .unwrap();
        let mut stream = connect(server.address, config.clone()).await.unwrap();
        send(&mut stream, b"data after it\n").await;
        close(&mut stream).await;

        let tcp = TcpStream::connect(server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::new(config).handshake_timeout(Some(LIMIT));
        let (mut stream, rest): Connected<'_> = connector.connect_early(name, tcp, data).await.unwrap();
        assert!(stream.info().is_resumed(), "{arguments:?}");
        assert_eq!(rest, &data[accepted..], "{arguments:?}");
        let expected = match accepted {
            0 if arguments.len() == 3 => EarlyData::NotOffered,
            0 => EarlyData::Rejected,
            _ => EarlyData::Accepted,
        };
        assert_eq!(stream.info().early_data(), expected);
        send(&mut stream, rest).await;
        send(&mut stream, b"data after it\n").await;
        close(&mut stream).await;
        let finished = server.process.finish().await;
        assert_no_error(&finished);
        let text = finished.text();
        // OpenSSL prints early data as it reads it, and says afterwards that it was early.
        let before = text.split_once("Early data received:").map(|(before, _)| before);
        assert_eq!(before.is_some(), accepted > 0, "{text}");
        if let Some(before) = before {
            let early = |length| String::from_utf8_lossy(&data[..length]);
            assert!(before.contains(&*early(accepted)), "{text}");
            assert!(
                accepted == data.len() || !before.contains(&*early(accepted + 1)),
                "{text}"
            );
        }
    }
}
