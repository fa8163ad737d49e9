//! Resumption in TLS 1.2 with OpenSSL, by ticket and by session id, in both roles.

use std::net::SocketAddr;
use std::sync::Arc;

use tls_core::{Answer, ClientSessionCache as _};
use tls_tests::openssl::{s_client, s_server};
use tls_tests::pki::KeyType;
use tls_tests::process::require_or_skip;
use tls_tokio::{ConnectionContext, MemorySessionCache, MemorySessionStore, ServerConfig, ServerName};

use crate::{Listener, World, close, connect, expect, path, send};

/// `s_client -reconnect` makes so many connections more.
const RECONNECTIONS: usize = 5;

/// Servers that resume by ticket, and by session id.
fn servers(world: &World) -> [(&'static [&'static str], ServerConfig); 2] {
    let with_store = world
        .server()
        .session_store(Arc::new(MemorySessionStore::new(100)));
    [
        (&[], world.server().build().unwrap()),
        (&["-no_ticket"], with_store.build().unwrap()),
    ]
}

#[tokio::test]
async fn openssl_reconnects_to_our_server_with_its_session() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    for (options, config) in servers(&world) {
        let (listener, address) = Listener::new().await;
        let client = s_client(address, &[&["-tls1_2", "-reconnect"], options].concat());
        for round in 0..=RECONNECTIONS {
            let mut stream = listener.accept(config.clone()).await.unwrap();
            assert_eq!(
                stream.info().is_resumed(),
                round > 0,
                "{options:?}, connection {round}"
            );
            assert_eq!(stream.info().group().is_none(), round > 0);
            if round == RECONNECTIONS {
                send(&mut stream, b"resumed\n").await;
                client.wait_for("resumed").await;
            }
            close(&mut stream).await;
        }
        let text = client.finish().await.text();
        assert_eq!(text.matches("New, TLSv1.2").count(), 1, "{text}");
        assert_eq!(text.matches("Reused, TLSv1.2").count(), RECONNECTIONS, "{text}");
    }
}

/// One connection of `s_client` with these options: what it said, and whether we resumed.
async fn one(
    listener: &Listener,
    address: SocketAddr,
    config: &ServerConfig,
    options: &[&str],
) -> (String, bool) {
    let mut client = s_client(address, &[&["-tls1_2"], options].concat());
    let mut stream = listener.accept(config.clone()).await.unwrap();
    client.wait_for("Verify return code").await;
    client.send(b"line\n").await.unwrap();
    expect(&mut stream, b"line\n").await;
    client.send(b"Q\n").await.unwrap();
    close(&mut stream).await;
    (client.finish().await.text(), stream.info().is_resumed())
}

#[tokio::test]
async fn openssl_resumes_with_a_session_from_a_file() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    for (number, (options, config)) in servers(&world).into_iter().enumerate() {
        let (listener, address) = Listener::new().await;
        let file = world.directory.path().join(format!("session{number}"));
        let out = [&["-sess_out", path(&file)], options].concat();
        let (text, resumed) = Box::pin(one(&listener, address, &config, &out)).await;
        assert!(text.contains("New, TLSv1.2") && !resumed, "{text}");
        for _ in 0..2 {
            let (text, resumed) = Box::pin(one(
                &listener,
                address,
                &config,
                &[&["-sess_in", path(&file)], options].concat(),
            ))
            .await;
            assert!(text.contains("Reused, TLSv1.2") && resumed, "{text}");
            assert!(text.contains("Extended master secret: yes"), "{text}");
        }
        // Another server does not know the session, and says so by a full handshake.
        let (_, stranger) = servers(&world).into_iter().nth(number).unwrap();
        let (text, resumed) = Box::pin(one(
            &listener,
            address,
            &stranger,
            &[&["-sess_in", path(&file)], options].concat(),
        ))
        .await;
        assert!(text.contains("New, TLSv1.2") && !resumed, "{text}");
    }
}

#[tokio::test]
async fn our_client_resumes_at_openssl() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    for (options, by_ticket) in [(&[][..], true), (&["-no_ticket"], false)] {
        let options = [&["-tls1_2", "-naccept", "4"], options].concat();
        let mut server = s_server(&files, &options).await;
        let cache = Arc::new(MemorySessionCache::new(16));
        let client = world.client().session_cache(cache.clone()).build().unwrap();
        for round in 0..4 {
            let mut stream = connect(server.address, client.clone()).await.unwrap();
            let line = format!("line {round}\n");
            server.process.send(line.as_bytes()).await.unwrap();
            expect(&mut stream, line.as_bytes()).await;
            assert_eq!(
                stream.info().is_resumed(),
                round > 0,
                "ticket: {by_ticket}, {round}"
            );
            assert_eq!(stream.info().peer_certificates().len(), 2);
            close(&mut stream).await;
        }
        let text = server.process.finish().await.text();
        assert_eq!(text.matches("Reused session-id").count(), 3, "{text}");
        let key = client.session_key(&ServerName::try_from("localhost").unwrap());
        let Answer::Now(Ok(Some(session))) = cache.take(&key, &ConnectionContext::new()) else {
            panic!("no session");
        };
        assert_eq!(
            (session.ticket().is_empty(), session.session_id().is_empty()),
            (!by_ticket, by_ticket)
        );
    }
}

#[tokio::test]
async fn our_client_falls_back_to_a_full_handshake_at_a_server_that_forgot() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    let client = world
        .client()
        .session_cache(Arc::new(MemorySessionCache::new(16)))
        .build()
        .unwrap();
    for options in [
        &["-tls1_2"][..],
        &["-tls1_2", "-no_ticket"],
        &["-tls1_3"],
        &["-tls1_2"],
    ] {
        let mut server = s_server(&files, options).await;
        let mut stream = connect(server.address, client.clone()).await.unwrap();
        assert!(!stream.info().is_resumed());
        server.process.send(b"line\n").await.unwrap();
        expect(&mut stream, b"line\n").await;
        close(&mut stream).await;
        server.process.finish().await;
    }
}
