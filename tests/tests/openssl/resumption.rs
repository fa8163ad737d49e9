//! TLS 1.3 sessions resumed by the one that the other made.

use std::sync::Arc;

use tls_core::NamedGroup;
use tls_tests::openssl::{Negotiated, s_client, s_server};
use tls_tests::pki::KeyType;
use tls_tests::process::require_or_skip;
use tls_tokio::{CipherSuite, MemorySessionCache, ServerConfig};

use crate::{Listener, World, assert_no_error, close, connect, expect, path, send};

const SUITES: [(CipherSuite, &str); 2] = [
    (CipherSuite::TLS_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256"),
    (CipherSuite::TLS_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"),
];

/// One connection of `s_client` to our server: whether both say that it was resumed, which must be the same.
async fn openssl_comes(config: &ServerConfig, arguments: &[&str], expects_retry: bool) -> bool {
    let (listener, address) = Listener::new().await;
    let mut client = s_client(address, arguments);
    let mut stream = listener.accept(config.clone()).await.unwrap();
    send(&mut stream, b"greeting\n").await;
    client.wait_for("greeting").await;
    client.send(b"data\n").await.unwrap();
    expect(&mut stream, b"data\n").await;
    client.send(b"Q\n").await.unwrap();
    close(&mut stream).await;
    let finished = client.finish().await;
    assert_no_error(&finished);
    let seen = Negotiated::parse(&finished.text()).unwrap();
    assert_eq!(seen.version, "TLSv1.3");
    assert_eq!(seen.reused, stream.info().is_resumed(), "{}", finished.text());
    assert_eq!(stream.info().had_hello_retry_request(), expects_retry);
    seen.reused
}

#[tokio::test]
async fn openssl_resumes_at_our_server_by_ticket_and_by_store_and_after_a_retry() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let session = world.directory.path().join("session.pem");
    for (suite, name) in SUITES {
        for is_stateful in [false, true] {
            for group in [NamedGroup::X25519, NamedGroup::SECP256R1] {
                let mut config = world.server().groups([group]).cipher_suites([suite]);
                if is_stateful {
                    config = config.session_store(Arc::new(tls_tokio::MemorySessionStore::new(10)));
                }
                let config = config.build().unwrap();
                let retries = group != NamedGroup::X25519;
                let base = [
                    "-tls1_3",
                    "-ciphersuites",
                    name,
                    "-servername",
                    "localhost",
                    "-groups",
                    "X25519:P-256",
                ];
                let out = [&base[..], &["-sess_out", path(&session)]].concat();
                let into = [&base[..], &["-sess_in", path(&session)]].concat();
                let comes = |config, arguments| Box::pin(openssl_comes(config, arguments, retries));
                assert!(!comes(&config, &out).await);
                assert!(comes(&config, &into).await);
                // By ticket it would be resumed again; a stored session is gone.
                assert_eq!(comes(&config, &into).await, !is_stateful);
                // Another server cannot open it, and goes on without.
                let other = world.server().groups([group]).build().unwrap();
                assert!(!comes(&other, &into).await);
            }
        }
    }
}

#[tokio::test]
async fn openssl_that_reconnects_before_it_reads_its_tickets_is_served_each_time() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let config = world.server().build().unwrap();
    let (listener, address) = Listener::new().await;
    let client = s_client(address, &["-tls1_3", "-reconnect", "-servername", "localhost"]);
    for _ in 0..6 {
        // It closes right after its Finished: there is no ticket yet to resume with, and often nobody to send one to.
        let stream = listener.accept(config.clone()).await.unwrap();
        assert!(!stream.info().is_resumed());
    }
    drop(client);
}

#[tokio::test]
async fn our_client_resumes_at_openssl_also_after_a_retry() {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    for (suite, _) in SUITES {
        for (group, retries) in [("X25519", false), ("P-256", true)] {
            for more in [&["-no_anti_replay"][..], &["-no_ticket"], &["-num_tickets", "1"]] {
                let arguments = [&["-tls1_3", "-naccept", "3", "-groups", group][..], more].concat();
                let server = s_server(&files, &arguments).await;
                let config = world
                    .client()
                    .groups([NamedGroup::X25519, NamedGroup::SECP256R1])
                    .key_shares([NamedGroup::X25519])
                    .cipher_suites([suite])
                    .session_cache(Arc::new(MemorySessionCache::new(16)))
                    .build()
                    .unwrap();
                let mut resumed = Vec::new();
                for _ in 0..3 {
                    let mut stream = connect(server.address, config.clone()).await.unwrap();
                    assert_eq!(stream.info().had_hello_retry_request(), retries);
                    assert!(!stream.info().peer_certificates().is_empty());
                    send(&mut stream, b"data after it\n").await;
                    close(&mut stream).await;
                    resumed.push(stream.info().is_resumed());
                }
                assert_eq!(resumed, [false, true, true], "{group} {more:?}");
                assert_no_error(&server.process.finish().await);
            }
        }
    }
}
