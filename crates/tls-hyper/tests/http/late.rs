//! Clients whose handshake is under way when a drain begins, at the servers of axum and of tonic; and who is refused there.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use axum::serve::Listener as _;
use tls_hyper::tls_tokio::TlsConnector;
use tls_hyper::{AxumListener, ServerName, TlsAcceptor, TlsListener};
use tls_tests::pki::{KeyType, Leaf};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};
use tonic::service::Routes;
use tonic::transport::Server;

use crate::rpc::tonic_mtls::{self, Client};
use crate::support::{PATIENCE, World, certified, client, read, request, tcp};

/// Clients at once: one is accepted after the other.
const CLIENTS: usize = 5;

/// What a client has to say, in bytes: far more than its Finished, so that much held means that it has asked.
const WORDS: usize = 10_000;

/// A way to a server that a client's ClientHello passes, and what follows it only when it is opened.
struct Held {
    address: SocketAddr,
    bytes: watch::Receiver<usize>,
    open: oneshot::Sender<()>,
}

impl Held {
    async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (held, bytes) = watch::channel(0);
        let (open, mut opened) = oneshot::channel();
        tokio::spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let server = TcpStream::connect(server).await.unwrap();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });

            let mut bytes = vec![0; 2 * WORDS];
            let hello = from_client.read(&mut bytes).await.unwrap();
            to_server.write_all(&bytes[..hello]).await.unwrap();
            let mut later = Vec::new();
            loop {
                tokio::select! {
                    read = from_client.read_buf(&mut later) => assert_ne!(read.unwrap(), 0, "the client gave up"),
                    _ = &mut opened => break,
                }
                held.send_replace(later.len());
            }
            // The server may be gone: that is seen at the client.
            let _ = to_server.write_all(&later).await;
            let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        });
        Self { address, bytes, open }
    }

    /// Until the client thinks that it is connected, and has asked. The server waits for its Finished.
    async fn asked(&mut self) {
        let asked = self.bytes.wait_for(|bytes| *bytes >= WORDS);
        timeout(PATIENCE, asked).await.unwrap().unwrap();
    }
}

/// Until the server has closed its socket: it knows that it shall end.
async fn closed(address: SocketAddr) {
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, closed).await.unwrap();
}

#[tokio::test]
async fn axum_serves_those_whose_handshake_is_under_way_when_a_drain_begins() {
    let world = World::new();
    let tcp_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp_listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::new(world.server_config().build().unwrap()).handshake_timeout(Some(PATIENCE));
    let listener = TlsListener::new(tcp_listener, acceptor);
    let handle = listener.handle();
    let listener = AxumListener::new(listener);
    let drained = listener.drained();
    let app = Router::new().route("/", post(|words: String| async move { words.len().to_string() }));
    let serving = axum::serve(listener, app).with_graceful_shutdown(drained.cancelled_owned());
    let serving = tokio::spawn(serving.into_future());

    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut held = Held::before(address).await;
        let connector = match number % 2 {
            0 => world.connector().enable_http1(),
            _ => world.connector().enable_http2(),
        };
        let uri = format!("https://localhost:{}/", held.address.port());
        let asked = client(connector.wrap_connector(tcp()).unwrap())
            .request(request(uri.parse().unwrap(), vec![b'x'; WORDS]));
        let asked = tokio::spawn(asked);
        held.asked().await;
        clients.push((held, asked));
    }
    assert_eq!(handle.counts().handshaking, CLIENTS as u64);
    let ending = tokio::spawn(async move { handle.drain(PATIENCE).await });
    closed(address).await;
    let answers: Vec<_> = clients
        .into_iter()
        .map(|(held, asked)| {
            held.open.send(()).unwrap();
            asked
        })
        .collect();
    for answer in answers {
        let answer = timeout(PATIENCE, answer).await.unwrap().unwrap().unwrap();
        assert_eq!(read(answer).await.unwrap().1, WORDS.to_string());
    }
    timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
    let drained = ending.await.unwrap();
    assert_eq!((drained.forced, drained.left), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn axum_is_told_to_stop_a_second_after_the_listener_has_ended() {
    let world = World::new();
    let tcp_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let acceptor = TlsAcceptor::new(world.server_config().build().unwrap());
    let listener = TlsListener::new(tcp_listener, acceptor);
    let handle = listener.handle();
    let mut listener = AxumListener::new(listener);
    let drained = listener.drained();
    tokio::spawn(async move { listener.accept().await });
    handle.drain(PATIENCE).await;
    let ended = Instant::now();
    drained.cancelled().await;
    // The clock stands still but for those who wait for it.
    assert!(
        ended.elapsed() >= Duration::from_millis(990),
        "{:?}",
        ended.elapsed()
    );
}

#[tokio::test]
async fn tonic_serves_those_whose_handshake_is_under_way_when_a_drain_begins() {
    let world = World::new();
    let tcp_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp_listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let (key, roots) = (certified(&world.server), world.roots());
    let serving = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        tonic_mtls::serve(tcp_listener, key, roots, stopped)
            .await
            .unwrap();
    });

    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut held = Held::before(address).await;
        let leaf = Leaf::new(KeyType::P256, &["alice.example"]).client();
        let key = certified(&world.authority.issue(&leaf));
        let (url, roots) = (format!("https://{}", held.address), world.roots());
        let asked = tokio::spawn(async move {
            let mut alice = Client::connect(url, key, roots).await.unwrap();
            alice.greet(&"x".repeat(WORDS)).await
        });
        held.asked().await;
        clients.push((held, asked));
    }
    stop.send(()).unwrap();
    closed(address).await;
    let answers: Vec<_> = clients
        .into_iter()
        .map(|(held, asked)| {
            held.open.send(()).unwrap();
            asked
        })
        .collect();
    for answer in answers {
        let answer = timeout(PATIENCE, answer).await.unwrap().unwrap().unwrap();
        assert_eq!(answer.len(), "Hello, alice.example: ".len() + WORDS);
    }
    timeout(PATIENCE, serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn tonic_gets_no_stream_without_http_2_by_alpn() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let world = World::new();
    let tcp_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp_listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::new(world.server_config().build().unwrap());
    let incoming = tls_hyper::incoming(TlsListener::new(tcp_listener, acceptor));
    let server = Server::builder().add_routes(Routes::default());
    tokio::spawn(server.serve_with_incoming_shutdown(incoming, std::future::pending()));
    for (alpn, is_served) in [(None, false), (Some("http/1.1"), false), (Some("h2"), true)] {
        let config = world.client_config().alpn(alpn).build().unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::new(config).connect(name, tcp).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        stream.flush().await.unwrap();
        // Either the server's SETTINGS, which are type 4 of frames, or a close_notify.
        let mut header = Vec::new();
        let mut first = stream.take(9);
        timeout(PATIENCE, first.read_to_end(&mut header))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(header.get(3), is_served.then_some(&4), "{alpn:?}");
    }
}
