//! Real sockets.

use std::time::Duration;

use tls_core::ProtocolVersion;
use tls_tests::sides::{acceptor, connector, server_name};
use tls_tokio::{Accepted, TlsListener};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn tcp_connections_are_accepted_with_nodelay_and_refused_after_a_drain() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let mut listener = TlsListener::new(tcp, acceptor()).max_per_address(Some(2));
    assert_eq!(listener.get_ref().unwrap().local_addr().unwrap(), address);
    let handle = listener.handle();
    let client = tokio::spawn(async move {
        let _silent = TcpStream::connect(address).await.unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        let from = tcp.local_addr().unwrap();
        let mut stream = connector(ProtocolVersion::TLS13)
            .connect(server_name(), tcp)
            .await
            .unwrap();
        let mut read = [0; 5];
        stream.read_exact(&mut read).await.unwrap();
        (from, read)
    });
    let Accepted {
        mut stream,
        address: from,
        guard,
        ..
    } = timeout(LONG, listener.accept()).await.unwrap().unwrap();
    assert!(stream.get_ref().nodelay().unwrap());
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(client.await.unwrap(), (from, *b"hello"));
    drop((stream, guard));
    let (drained, accepted) = tokio::join!(handle.drain(LONG), listener.accept());
    assert!(accepted.is_none());
    assert!(listener.get_ref().is_none());
    assert_eq!((drained.left, drained.forced), (0, 0));
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    // Another listener may have the port while this one is not dropped yet.
    TcpListener::bind(address).await.unwrap();
}

#[tokio::test]
async fn a_silent_tcp_connection_ends_at_its_limit() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let mut listener = TlsListener::new(tcp, acceptor()).first_byte_timeout(Some(Duration::from_millis(50)));
    let handle = listener.handle();
    tokio::spawn(async move { listener.accept().await.is_some() });
    let mut silent = TcpStream::connect(address).await.unwrap();
    let read = timeout(LONG, silent.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert_eq!(handle.counts().timed_out.first_byte, 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_silent_unix_connection_ends_at_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let unix = tokio::net::UnixListener::bind(&path).unwrap();
    let mut listener = TlsListener::new(unix, acceptor()).first_byte_timeout(Some(Duration::from_millis(50)));
    let handle = listener.handle();
    tokio::spawn(async move { listener.accept().await.is_some() });
    let mut silent = tokio::net::UnixStream::connect(&path).await.unwrap();
    let read = timeout(LONG, silent.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert_eq!(handle.counts().timed_out.first_byte, 1);
}

#[cfg(unix)]
#[tokio::test]
async fn unix_sockets_are_accepted_from() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let unix = tokio::net::UnixListener::bind(&path).unwrap();
    // They have no addresses to be limited by.
    let mut listener = TlsListener::new(unix, acceptor()).max_per_address(Some(1));
    let _silent = tokio::net::UnixStream::connect(&path).await.unwrap();
    let client = tokio::spawn(async move {
        let unix = tokio::net::UnixStream::connect(&path).await.unwrap();
        let mut stream = connector(ProtocolVersion::TLS13)
            .connect(server_name(), unix)
            .await
            .unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let mut accepted = timeout(LONG, listener.accept()).await.unwrap().unwrap();
    let mut read = String::new();
    accepted.stream.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "hello");
    client.await.unwrap();
}

#[tokio::test]
async fn it_is_a_stream_of_streams() {
    use std::pin::Pin;

    fn next<S: futures_core::Stream + Unpin>(stream: &mut S) -> impl Future<Output = Option<S::Item>> {
        std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx))
    }

    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let mut listener = TlsListener::new(tcp, acceptor());
    let client = tokio::spawn(async move {
        let tcp = TcpStream::connect(address).await.unwrap();
        connector(ProtocolVersion::TLS13)
            .connect(server_name(), tcp)
            .await
            .map(drop)
    });
    timeout(LONG, next(&mut listener)).await.unwrap().unwrap();
    client.await.unwrap().unwrap();
    let handle = listener.handle();
    let (_, end) = tokio::join!(handle.drain(LONG), next(&mut listener));
    assert!(end.is_none());
}
