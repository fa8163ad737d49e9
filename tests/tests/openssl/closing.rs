//! How connections end.

use std::io::ErrorKind as IoErrorKind;
use std::time::Duration;

use tls_core::ErrorKind;
use tls_tests::openssl::{s_client, s_server};
use tls_tests::pki::KeyType;
use tls_tests::process::require_or_skip;
use tls_tokio::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Listener, World, assert_no_error, close, connect, expect, kind, send};

both_versions! {
    our_server_closes_first_and_both_close_cleanly,
    our_client_closes_first_and_both_close_cleanly,
    close_notify_of_the_peer_is_the_end_of_file_and_we_may_go_on_writing,
    a_server_that_only_closes_its_socket_is_an_error_and_no_end_of_file,
    a_client_that_closes_at_once_is_a_good_client,
    a_peer_that_is_killed_is_an_error_and_no_end_of_file,
    a_transport_closed_without_close_notify_is_seen_by_openssl,
}

const SHORT: Duration = Duration::from_secs(10);

/// How many close_notify `-msg` shows as sent (`>>>`) or received (`<<<`).
fn close_notifies(text: &str, direction: &str, version: &str) -> usize {
    let version = version.trim_start_matches("-tls").replace('_', ".");
    let line = format!("{direction} TLS {version}, Alert [length 0002], warning close_notify");
    text.matches(&line).count()
}

async fn our_server_closes_first_and_both_close_cleanly(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let client = s_client(address, &[version, "-msg"]);
    let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    send(&mut stream, b"the last words\n").await;
    close(&mut stream).await;
    drop(stream);
    let finished = client.finish().await;
    assert!(finished.status.success());
    assert_no_error(&finished);
    let text = finished.text();
    assert!(
        text.contains("the last words") && text.contains("closed"),
        "{text}"
    );
    assert_eq!(close_notifies(&text, "<<<", version), 1, "{text}");
    assert_eq!(close_notifies(&text, ">>>", version), 1, "{text}");
}

async fn our_client_closes_first_and_both_close_cleanly(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let server = s_server(&world.localhost_files(KeyType::P256), &[version, "-msg"]).await;
    let mut stream = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap();
    send(&mut stream, b"the last words\n").await;
    close(&mut stream).await;
    drop(stream);
    let finished = server.process.finish().await;
    assert_no_error(&finished);
    let text = finished.text();
    assert!(text.contains("the last words"), "{text}");
    assert_eq!(close_notifies(&text, "<<<", version), 1, "{text}");
}

async fn close_notify_of_the_peer_is_the_end_of_file_and_we_may_go_on_writing(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let mut client = s_client(address, &[version, "-brief", "-nocommands"]);
    let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    client.send(b"the last words").await.unwrap();
    expect(&mut stream, b"the last words").await;
    client.close_stdin();
    let mut space = [0; 16];
    for _ in 0..2 {
        let read = timeout(SHORT, stream.read(&mut space)).await.unwrap();
        assert_eq!(read.unwrap(), 0);
    }
    close(&mut stream).await;
    assert_no_error(&client.finish().await);

    // The other way round: s_server -rev answers CLOSE by closing.
    let server = s_server(
        &world.localhost_files(KeyType::P256),
        &[version, "-rev", "-quiet"],
    )
    .await;
    let mut stream = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap();
    send(&mut stream, b"drawer\n").await;
    expect(&mut stream, b"reward\n").await;
    send(&mut stream, b"CLOSE\n").await;
    let read = timeout(SHORT, stream.read(&mut space)).await.unwrap();
    assert_eq!(read.unwrap(), 0);
    close(&mut stream).await;
    server.process.kill().await;
}

async fn a_server_that_only_closes_its_socket_is_an_error_and_no_end_of_file(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    // As s_server does at Q.
    let world = World::new();
    let mut server = s_server(&world.localhost_files(KeyType::P256), &[version]).await;
    let mut stream = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap();
    server.process.send(b"Q\n").await.unwrap();
    let read = timeout(SHORT, stream.read(&mut [0; 16])).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), IoErrorKind::UnexpectedEof);
    server.process.finish().await;
}

async fn a_client_that_closes_at_once_is_a_good_client(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    for arguments in [&[version][..], &[version, "-brief", "-nocommands"]] {
        let (listener, address) = Listener::new().await;
        let mut client = s_client(address, arguments);
        client.close_stdin();
        let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
        let read = timeout(SHORT, stream.read(&mut [0; 16])).await.unwrap();
        assert_eq!(read.unwrap(), 0);
        close(&mut stream).await;
        let finished = client.finish().await;
        assert!(finished.status.success());
        assert_no_error(&finished);
    }
}

async fn a_peer_that_is_killed_is_an_error_and_no_end_of_file(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let mut client = s_client(address, &[version]);
    let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    client.wait_for("Verify return code").await;
    client.send(b"some data\n").await.unwrap();
    client.wait_until("runs", |_| true).await;
    expect(&mut stream, b"some data\n").await;
    client.kill().await;
    let error = timeout(SHORT, stream.read(&mut [0; 16]))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), IoErrorKind::UnexpectedEof, "{error}");
    let end = stream.graceful_shutdown(SHORT).await;
    assert!(matches!(end, Shutdown::Truncated | Shutdown::Reset), "{end:?}");

    let mut server = s_server(&world.localhost_files(KeyType::P256), &[version]).await;
    let mut stream = connect(server.address, world.client().build().unwrap())
        .await
        .unwrap();
    server.process.send(b"some data\n").await.unwrap();
    expect(&mut stream, b"some data\n").await;
    server.process.kill().await;
    let error = timeout(SHORT, stream.read(&mut [0; 16]))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), IoErrorKind::UnexpectedEof, "{error}");
}

async fn a_transport_closed_without_close_notify_is_seen_by_openssl(version: &str) {
    if !require_or_skip("openssl") {
        return;
    }
    // What `assert_no_error` looks for elsewhere does show when it is there.
    let world = World::new();
    let (listener, address) = Listener::new().await;
    let client = s_client(address, &[version]);
    let mut stream = listener.accept(world.server().build().unwrap()).await.unwrap();
    send(&mut stream, b"the last words\n").await;
    client.wait_for("the last words").await;
    // The same socket by another name, shut down below TLS.
    shut_down_below(stream.get_ref());
    let finished = client.finish().await;
    assert!(finished.text().contains("unexpected eof"), "{}", finished.text());
}

/// Shuts the write side of a socket down without its owner's help.
fn shut_down_below(socket: &TcpStream) {
    use std::os::fd::AsFd;
    let same = socket.as_fd().try_clone_to_owned().unwrap();
    std::net::TcpStream::from(same)
        .shutdown(std::net::Shutdown::Write)
        .unwrap();
}

#[tokio::test]
async fn a_client_that_says_nothing_or_no_tls_has_a_name() {
    let world = World::new();
    let (listener, address) = Listener::new().await;
    drop(TcpStream::connect(address).await.unwrap());
    let error = listener
        .accept(world.server().build().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(kind(&error), ErrorKind::Truncated), "{error}");

    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let error = listener
        .accept(world.server().build().unwrap())
        .await
        .unwrap_err();
    assert!(
        matches!(kind(&error), ErrorKind::NotTls { first_bytes } if first_bytes.starts_with(b"GET")),
        "{error}"
    );
}
