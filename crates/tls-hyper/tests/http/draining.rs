//! How a server ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request as AxumRequest;
use axum::response::{IntoResponse as _, Response as AxumResponse};
use axum::routing::{get as route, post};
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tls_hyper::tls_tokio::{TlsConnector, TlsStream};
use tls_hyper::{ServerName, TlsAcceptor, TlsListener};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout};

use crate::support::{PATIENCE, World, client, get, read, tcp, try_get};

/// Longer than any test, and shorter than the patience.
const LIMIT: Duration = Duration::from_secs(40);

/// Requests to `/slow` that have come, and leave to answer them.
#[derive(Clone)]
struct Work {
    begun: Arc<Semaphore>,
    leave: Arc<Semaphore>,
}

impl Work {
    fn new() -> Self {
        Self {
            begun: Arc::new(Semaphore::new(0)),
            leave: Arc::new(Semaphore::new(0)),
        }
    }

    fn app(&self) -> Router {
        let work = self.clone();
        let slow = move || async move {
            work.begun.add_permits(1);
            work.leave.acquire().await.unwrap().forget();
            "slow"
        };
        Router::new()
            .route("/slow", route(slow))
            .route("/", route(|| async { "hello" }))
    }

    async fn begun(&self, requests: u32) {
        timeout(PATIENCE, self.begun.acquire_many(requests))
            .await
            .unwrap()
            .unwrap()
            .forget();
    }
}

/// A client of HTTP/1 that shows each byte.
struct Raw(BufReader<TlsStream<TcpStream>>);

impl Raw {
    async fn connect(world: &World, address: SocketAddr) -> Self {
        let config = world.client_config().alpn(["http/1.1"]).build().unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        Self(BufReader::new(
            TlsConnector::new(config).connect(name, tcp).await.unwrap(),
        ))
    }

    async fn ask(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).await.unwrap();
    }

    /// The head of the next response, in lower case; its body is read.
    async fn answer(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = timeout(PATIENCE, self.0.read_line(&mut head))
                .await
                .unwrap()
                .unwrap();
            assert_ne!(read, 0, "{head}");
        }
        let head = head.to_ascii_lowercase();
        let length = head
            .split_once("content-length: ")
            .unwrap()
            .1
            .lines()
            .next()
            .unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        head
    }

    /// That the server's close_notify comes next.
    async fn end(mut self) {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.0.read_to_end(&mut rest))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(rest, b"");
        self.0.get_mut().shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_request_of_http_1_under_way_is_answered_as_the_last_one() {
    let (world, work) = (World::new(), Work::new());
    let server = world.serve(work.app()).await;
    let mut raw = Raw::connect(&world, server.address).await;
    raw.ask("/").await;
    assert!(!raw.answer().await.contains("connection: close"));
    raw.ask("/slow").await;
    work.begun(1).await;
    let (address, draining) = (server.address, server.handle.draining());
    let ending = server.stop(LIMIT);
    timeout(PATIENCE, draining.cancelled()).await.unwrap();
    work.leave.add_permits(1);
    assert!(raw.answer().await.contains("connection: close"));
    raw.end().await;
    let drained = ending.drained().await;
    assert_eq!((drained.finished, drained.forced, drained.left), (1, 0, 0));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_request_of_http_1_that_comes_just_after_the_drain_began_is_answered() {
    let world = World::new();
    let server = world.serve(Work::new().app()).await;
    let mut raw = Raw::connect(&world, server.address).await;
    raw.ask("/").await;
    raw.answer().await;
    let draining = server.handle.draining();
    let ending = server.stop(LIMIT);
    draining.cancelled().await;
    // As one that was on its way.
    raw.ask("/").await;
    assert!(raw.answer().await.contains("connection: close"));
    raw.end().await;
    assert_eq!(ending.drained().await.finished, 1);
}

#[tokio::test]
async fn an_idle_connection_of_http_1_is_closed_a_moment_later() {
    let world = World::new();
    let server = world.serve(Work::new().app()).await;
    let mut used = Raw::connect(&world, server.address).await;
    used.ask("/").await;
    used.answer().await;
    let fresh = Raw::connect(&world, server.address).await;
    let established = async {
        while server.handle.counts().established < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, established).await.unwrap();
    let began = Instant::now();
    let ending = server.stop(LIMIT);
    used.end().await;
    // It has the time of a request on its way.
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );
    fresh.end().await;
    let drained = ending.drained().await;
    assert_eq!((drained.finished, drained.forced), (2, 0));
}

#[tokio::test]
async fn requests_of_http_2_under_way_are_answered_and_others_find_the_server_gone() {
    let (world, work) = (World::new(), Work::new());
    let server = world.serve(work.app()).await;
    let client = client(world.connector().enable_http2().wrap_connector(tcp()).unwrap());
    get(&client, server.uri("/")).await;
    let (slow, page) = (server.uri("/slow"), server.uri("/"));
    let asked: Vec<_> = (0..5).map(|_| tokio::spawn(client.get(slow.clone()))).collect();
    work.begun(5).await;
    let counts = server.handle.counts();
    assert_eq!(counts.open, 1);
    let ending = server.stop(LIMIT);
    // Once GOAWAY has come, the client looks for another connection, which there is not.
    let refused = async { while try_get(&client, page.clone()).await.is_ok() {} };
    timeout(PATIENCE, refused).await.unwrap();
    work.leave.add_permits(5);
    for asked in asked {
        let response = timeout(PATIENCE, asked).await.unwrap().unwrap().unwrap();
        assert_eq!(read(response).await.unwrap().1, "slow");
    }
    let drained = ending.drained().await;
    assert_eq!((drained.finished, drained.forced, drained.left), (1, 0, 0));
}

#[tokio::test]
async fn what_does_not_end_is_cut_off_at_the_deadline() {
    let (world, work) = (World::new(), Work::new());
    let server = world.serve(work.app()).await;
    let (http1, http2) = (world.connector().enable_http1(), world.connector().enable_http2());
    let mut asked = Vec::new();
    for builder in [http1, http2] {
        let client = client(builder.wrap_connector(tcp()).unwrap());
        asked.push(tokio::spawn(client.get(server.uri("/slow"))));
    }
    work.begun(2).await;
    let drained = server.stop(Duration::from_millis(50)).drained().await;
    assert_eq!((drained.finished, drained.forced, drained.left), (0, 2, 0));
    for asked in asked {
        assert!(timeout(PATIENCE, asked).await.unwrap().unwrap().is_err());
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_does_not_keep_a_connection() {
    let world = World::new();
    let begun = Arc::new(Notify::new());
    let come = Arc::clone(&begun);
    let app = post(async move |_unread: AxumRequest| {
        come.notify_one();
        std::future::pending::<()>().await;
    });
    let server = world.serve(Router::new().route("/", app)).await;
    let mut raw = Raw::connect(&world, server.address).await;
    let request = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nhalf of it";
    raw.0.get_mut().write_all(request).await.unwrap();
    timeout(PATIENCE, begun.notified()).await.unwrap();
    let drained = server.stop(Duration::from_millis(50)).drained().await;
    assert_eq!((drained.finished, drained.forced, drained.left), (0, 1, 0));
}

#[tokio::test]
async fn the_last_response_arrives_whole_though_the_client_says_more_than_is_read() {
    const BODY: usize = 2_000_000;
    let world = World::new();
    let app = Router::new().route("/", route(|| async { vec![b'x'; BODY] }));
    let server = world.serve(app).await;
    for _ in 0..10 {
        let (mut reading, mut writing) = tokio::io::split(Raw::connect(&world, server.address).await.0);
        let speaking = tokio::spawn(async move {
            let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            writing.write_all(request).await.unwrap();
            // As a pipeline would. Once the server has gone, it fails.
            let _ = writing.write_all(&[b'x'; 600_000]).await;
            let _ = writing.shutdown().await;
        });
        let mut response = Vec::new();
        let whole = timeout(PATIENCE, reading.read_to_end(&mut response))
            .await
            .unwrap();
        assert!(
            whole.is_ok() && response.len() > BODY,
            "{whole:?} after {}",
            response.len()
        );
        timeout(PATIENCE, speaking).await.unwrap().unwrap();
    }
}

/// Answers an upgrade with bytes from beyond HTTP: sends back what comes.
async fn upgrade(mut request: AxumRequest) -> AxumResponse {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgraded.await.unwrap());
        let mut bytes = [0; 100];
        while let Ok(length @ 1..) = stream.read(&mut bytes).await {
            stream.write_all(&bytes[..length]).await.unwrap();
            stream.flush().await.unwrap();
        }
    });
    let headers = [("connection", "upgrade"), ("upgrade", "echo")];
    (hyper::StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

#[tokio::test]
async fn an_upgraded_connection_lives_on_until_the_deadline() {
    let world = World::new();
    let server = world.serve(Router::new().route("/", route(upgrade))).await;
    let client = client(world.connector().enable_http1().wrap_connector(tcp()).unwrap());
    let request = hyper::Request::get(server.uri("/"))
        .header("connection", "upgrade")
        .header("upgrade", "echo")
        .body(Default::default())
        .unwrap();
    let response = timeout(PATIENCE, client.request(request)).await.unwrap().unwrap();
    assert_eq!(response.status(), 101);
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let handle = server.handle.clone();
    let ending = server.stop(LIMIT);
    handle.draining().cancelled().await;
    let mut echoed = [0; 4];
    for word in [b"once", b"more"] {
        stream.write_all(word).await.unwrap();
        stream.flush().await.unwrap();
        let read = timeout(PATIENCE, stream.read_exact(&mut echoed)).await;
        read.unwrap().unwrap();
        assert_eq!(&echoed, word);
        // Longer than an idle connection gets.
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    assert_eq!(handle.counts().open, 1);
    let drained = handle.drain(Duration::ZERO).await;
    assert_eq!((drained.finished, drained.forced, drained.left), (0, 1, 0));
    let ended = timeout(PATIENCE, stream.read(&mut echoed)).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    ending.drained().await;
}

#[tokio::test]
async fn until_ends_with_its_signal_and_a_response_that_streams_ends_whole() {
    let world = World::new();
    let tcp_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp_listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::new(world.server_config().build().unwrap());
    let (stop, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let leave = Arc::clone(&go_on);
    // By a service of hyper: a stream of three pieces, the last of which waits.
    let service = service_fn(move |_: hyper::Request<hyper::body::Incoming>| {
        let leave = Arc::clone(&leave);
        async move {
            let (mut sender, body) = http_body_util::channel::Channel::<Bytes>::new(1);
            tokio::spawn(async move {
                sender.send_data("one ".into()).await.unwrap();
                sender.send_data("two ".into()).await.unwrap();
                leave.notified().await;
                sender.send_data("three".into()).await.unwrap();
            });
            Ok::<_, Infallible>(hyper::Response::new(Body::new(body)))
        }
    });
    let serve = tls_hyper::serve_hyper(TlsListener::new(tcp_listener, acceptor), service);
    let signal = Arc::clone(&stop);
    let ending = tokio::spawn(serve.until(async move { signal.notified().await }, LIMIT));
    for builder in [world.connector().enable_http1(), world.connector().enable_http2()] {
        let client = client(builder.wrap_connector(tcp()).unwrap());
        let uri = format!("https://localhost:{}/", address.port()).parse().unwrap();
        let response = timeout(PATIENCE, client.get(uri)).await.unwrap().unwrap();
        let mut body = response.into_body();
        let first = timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
        assert!(first.data_ref().unwrap().starts_with(b"one "));
        if ending.is_finished() {
            panic!("it ended before its signal");
        }
        go_on.notify_one();
        assert!(
            timeout(PATIENCE, body.collect())
                .await
                .unwrap()
                .unwrap()
                .to_bytes()
                .ends_with(b"three")
        );
    }
    // Once more, with the signal between the pieces.
    let client = client(world.connector().wrap_connector(tcp()).unwrap());
    let uri = format!("https://localhost:{}/", address.port()).parse().unwrap();
    let response = timeout(PATIENCE, client.get(uri)).await.unwrap().unwrap();
    stop.notify_one();
    let gone = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, gone).await.unwrap();
    go_on.notify_one();
    assert_eq!(read(response).await.unwrap().1, "one two three");
    let drained = timeout(PATIENCE, ending).await.unwrap().unwrap();
    assert_eq!((drained.forced, drained.left), (0, 0), "{drained:?}");
}

#[tokio::test]
async fn until_ends_also_if_another_handle_drains() {
    let world = World::new();
    let tcp_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let acceptor = TlsAcceptor::new(world.server_config().build().unwrap());
    let serving = tls_hyper::serve(TlsListener::new(tcp_listener, acceptor), Work::new().app());
    let handle = serving.handle();
    let ended = tokio::spawn(serving.until(std::future::pending(), LIMIT));
    assert_eq!(handle.drain(LIMIT).await.forced, 0);
    assert_eq!(timeout(PATIENCE, ended).await.unwrap().unwrap().forced, 0);
}

#[tokio::test]
async fn behind_a_response_of_http_1_that_began_before_the_drain_there_may_be_another() {
    let world = World::new();
    let go_on = Arc::new(Notify::new());
    let leave = Arc::clone(&go_on);
    let streamed = async move || {
        let (mut body, response) = http_body_util::channel::Channel::<Bytes, Infallible>::new(1);
        tokio::spawn(async move {
            body.send_data("one".into()).await.unwrap();
            leave.notified().await;
            body.send_data("two".into()).await.unwrap();
        });
        AxumResponse::new(Body::new(response))
    };
    let app = Router::new()
        .route("/streamed", route(streamed))
        .route("/", route(|| async { "hello" }));
    let server = world.serve(app).await;
    let mut raw = Raw::connect(&world, server.address).await;
    raw.ask("/streamed").await;
    let mut text = String::new();
    while !text.ends_with("one\r\n") {
        assert_ne!(
            timeout(PATIENCE, raw.0.read_line(&mut text))
                .await
                .unwrap()
                .unwrap(),
            0
        );
    }
    assert!(!text.to_ascii_lowercase().contains("connection: close"), "{text}");
    let draining = server.handle.draining();
    let ending = server.stop(LIMIT);
    draining.cancelled().await;
    // Longer than an idle connection gets.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    raw.ask("/").await;
    go_on.notify_one();
    timeout(PATIENCE, raw.0.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    let (_, second) = text.split_once("two\r\n0\r\n\r\n").unwrap();
    let second = second.to_ascii_lowercase();
    assert!(
        second.contains("connection: close") && second.ends_with("hello"),
        "{second}"
    );
    raw.0.get_mut().shutdown().await.unwrap();
    assert_eq!(ending.drained().await.finished, 1);
}
