//! The endings of tests/endings that OpenSSL, or curl with it, can bring about or can see.

use std::io::ErrorKind as Io;
use std::sync::Arc;
use std::time::Duration;

use tls_core::{Error as CoreError, ErrorKind};
use tls_tests::openssl::{curl, s_client, s_server};
use tls_tests::pki::KeyType;
use tls_tests::process::{LIMIT, Process, require_or_skip};
use tls_tokio::{EofPolicy, MemorySessionCache, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::{Listener, World, assert_no_error, connect, expect, kind, send};

both_versions! {
    a_stream_that_is_dropped_says_goodbye_to_openssl,
    halves_that_are_dropped_say_goodbye_to_openssl,
    an_aborted_stream_is_seen_to_be_cut,
    a_server_that_only_closes_its_socket_can_be_accepted,
    a_client_is_confirmed_by_openssl_or_learns_why_not,
    a_write_to_openssl_that_refused_us_says_why,
    a_stopped_openssl_cannot_hold_us,
    curl_takes_a_body_that_ends_with_a_dropped_stream,
}

async fn a_stream_that_is_dropped_says_goodbye_to_openssl(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let client = s_client(address, &[version, "-msg"]);
    let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    stream.write_all(b"the last words\n").await.unwrap();
    drop(stream);
    let finished = client.finish().await;
    assert_no_error(&finished);
    let text = finished.text();
    assert!(
        text.contains("the last words") && text.contains("warning close_notify"),
        "{text}"
    );

    let server = s_server(&world.localhost_files(KeyType::P256), &[version, "-msg"]).await;
    let mut stream = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap();
    stream.write_all(b"the last words\n").await.unwrap();
    drop(stream);
    let finished = server.process.finish().await;
    assert_no_error(&finished);
    assert!(finished.text().contains("the last words"), "{}", finished.text());
}

async fn halves_that_are_dropped_say_goodbye_to_openssl(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let client = s_client(address, &[version]);
    let stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    write.write_all(b"the last words\n").await.unwrap();
    drop(write);
    let end = timeout(LIMIT, read.read(&mut [0; 16])).await.unwrap();
    assert_eq!(end.unwrap(), 0, "s_client says goodbye too");
    let finished = client.finish().await;
    assert_no_error(&finished);
    assert!(finished.text().contains("the last words"), "{}", finished.text());
}

async fn an_aborted_stream_is_seen_to_be_cut(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let client = s_client(address, &[version]);
    let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    send(&mut stream, b"the last words\n").await;
    client.wait_for("the last words").await;
    stream.abort();
    let finished = client.finish().await;
    assert!(finished.text().contains("unexpected eof"), "{}", finished.text());
}

async fn a_server_that_only_closes_its_socket_can_be_accepted(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    // As s_server does at Q.
    let world = World::new();
    for complete in [false, true] {
        let mut server = s_server(&world.localhost_files(KeyType::P256), &[version]).await;
        let mut stream = connect(server.address, world.client().build().unwrap())
            .await
            .unwrap();
        server.process.send(b"all there is\n").await.unwrap();
        expect(&mut stream, b"all there is\n").await;
        if complete {
            stream.mark_complete();
        } else {
            stream.set_eof_policy(EofPolicy::AcceptAtRecordBoundary);
        }
        server.process.send(b"Q\n").await.unwrap();
        let read = timeout(LIMIT, stream.read(&mut [0; 16])).await.unwrap();
        assert_eq!(read.unwrap(), 0);
        let end = stream.graceful_shutdown(LIMIT).await;
        // Its socket may be closed before our goodbye is there.
        assert!(
            matches!(end, Shutdown::WithoutCloseNotify | Shutdown::Reset),
            "{end:?}"
        );
        server.process.finish().await;
    }
}

/// The alert by which the server refuses a client without a certificate.
fn refusal(version: &str) -> &'static str {
    if version == "-tls1_3" {
        "certificate_required"
    } else {
        "handshake_failure"
    }
}

async fn a_client_is_confirmed_by_openssl_or_learns_why_not(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let files = world.localhost_files(KeyType::P256);
    let config = world
        .client()
        .session_cache(Arc::new(MemorySessionCache::new(4)))
        .build()
        .unwrap();
    let server = s_server(&files, &[version]).await;
    let mut stream = connect(server.address, config.clone()).await.unwrap();
    timeout(LIMIT, stream.confirmed()).await.unwrap().unwrap();
    drop(stream);
    server.process.kill().await;

    let server = s_server(&files, &[version, "-Verify", "1"]).await;
    match connect(server.address, config).await {
        Ok(mut stream) => {
            assert_eq!(version, "-tls1_3");
            let error = timeout(LIMIT, stream.confirmed()).await.unwrap().unwrap_err();
            assert!(error.to_string().contains(refusal(version)), "{error}");
        }
        Err(error) => {
            assert!(matches!(kind(&error), ErrorKind::AlertReceived(_)), "{error}");
            assert!(error.to_string().contains(refusal(version)), "{error}");
        }
    }
    server.process.kill().await;
}

async fn a_write_to_openssl_that_refused_us_says_why(version: &str) {
    if !require_or_skip("openssl") || version != "-tls1_3" {
        return;
    }
    let world = World::new();
    for _ in 0..5 {
        let server = s_server(&world.localhost_files(KeyType::P256), &[version, "-Verify", "1"]).await;
        let config = world.client().build().unwrap();
        let mut stream = connect(server.address, config).await.unwrap();
        // It closes its socket with our data unread.
        let writing = async {
            loop {
                if let Err(error) = stream.write_all(&[7; 100_000]).await {
                    return error;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let error = timeout(LIMIT, writing).await.unwrap();
        assert_eq!(error.kind(), Io::ConnectionAborted, "{error}");
        let inner = error.get_ref().unwrap().downcast_ref::<CoreError>().unwrap();
        assert!(matches!(inner.kind(), ErrorKind::AlertReceived(_)), "{error}");
        assert!(error.to_string().contains(refusal(version)), "{error}");
        server.process.kill().await;
    }
}

async fn a_stopped_openssl_cannot_hold_us(version: &str) {
    if !require_or_skip("openssl") || !require_or_skip("kill") {
        return;
    }
    const SHORT: Duration = Duration::from_millis(200);
    let world = World::new();
    for fill in [false, true] {
        let (listener, address) = Listener::new().await;
        let client = s_client(address, &[version]);
        let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
        send(&mut stream, b"hello\n").await;
        client.wait_for("hello").await;
        let id = client.id().unwrap().to_string();
        assert!(
            Process::spawn("kill", ["-STOP", &id])
                .finish()
                .await
                .status
                .success()
        );
        if fill {
            while timeout(SHORT, stream.write_all(&[b'x'; 100_000])).await.is_ok() {}
        }
        let end = timeout(LIMIT, stream.graceful_shutdown(SHORT)).await.unwrap();
        assert!(matches!(end, Shutdown::TimedOut), "{end:?}");
        drop(stream);
        // Unless all was full it learns, when it runs again, that we said goodbye.
        assert!(
            Process::spawn("kill", ["-CONT", &id])
                .finish()
                .await
                .status
                .success()
        );
        let finished = client.finish().await;
        if !fill {
            assert_no_error(&finished);
        }
    }
}

async fn curl_takes_a_body_that_ends_with_a_dropped_stream(version: &str) {
    if !require_or_skip("curl") {
        return;
    }
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let url = format!("https://localhost:{}/", address.port());
    let version: &[&str] = if version == "-tls1_3" {
        &["--tlsv1.3"]
    } else {
        &["--tls-max", "1.2"]
    };
    let client = curl(&[version, &["--cacert", world.root(), &url]].concat());
    let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap());
    }
    send(&mut stream, b"HTTP/1.0 200 OK\r\n\r\nthe body").await;
    drop(stream);
    let finished = client.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    assert_eq!(finished.stdout, b"the body");
    assert!(!finished.text().contains("eof"), "{}", finished.text());
}
