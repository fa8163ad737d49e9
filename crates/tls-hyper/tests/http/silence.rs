//! Clients that do not begin, and clients that do not read.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get as route;
use tls_hyper::tls_tokio::{TlsConnector, TlsStream};
use tls_hyper::{ListenerHandle, ServerName};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{PATIENCE, Server, World};

const HALF_A_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Longer than any limit, and no more than a moment where time is paused.
const AN_HOUR: Duration = Duration::from_secs(3600);

/// A client that has said this.
async fn connect(world: &World, server: &Server, alpn: &str, said: &[u8]) -> TlsStream<TcpStream> {
    let config = world.client_config().alpn([alpn]).build().unwrap();
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::new(config);
    let mut stream = Box::pin(connector.connect(name, tcp)).await.unwrap();
    stream.write_all(said).await.unwrap();
    stream.flush().await.unwrap();
    let open = async {
        while server.handle.counts().open == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, open).await.unwrap();
    stream
}

/// How long it takes until there is no connection, by a clock that does not wait.
async fn until_dropped(handle: &ListenerHandle) -> Duration {
    tokio::time::pause();
    let began = Instant::now();
    while handle.counts().open > 0 && began.elapsed() < AN_HOUR {
        sleep(Duration::from_secs(1)).await;
    }
    let elapsed = began.elapsed();
    tokio::time::resume();
    elapsed
}

#[tokio::test]
async fn a_client_of_http_2_that_does_not_begin_is_dropped_in_time() {
    let world = World::new();
    let server = world.serve(Router::new()).await;
    for said in [b"", HALF_A_PREFACE] {
        let stream = connect(&world, &server, "h2", said).await;
        let elapsed = until_dropped(&server.handle).await;
        assert!(elapsed < Duration::from_secs(60), "{elapsed:?}");
        drop(stream);
    }
}

#[tokio::test]
async fn a_client_of_http_2_that_has_begun_may_be_silent() {
    let world = World::new();
    let server = world.serve(Router::new()).await;
    let said = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
    ]
    .concat();
    let stream = connect(&world, &server, "h2", &said).await;
    let elapsed = until_dropped(&server.handle).await;
    // It does not answer when it is asked after 30 seconds.
    assert!(
        elapsed > Duration::from_secs(40) && elapsed < AN_HOUR,
        "{elapsed:?}"
    );
    drop(stream);
}

#[tokio::test]
async fn a_client_of_http_2_that_does_not_begin_does_not_hold_up_a_drain() {
    let world = World::new();
    let server = world.serve(Router::new()).await;
    let stream = connect(&world, &server, "h2", HALF_A_PREFACE).await;
    let drained = server.stop(AN_HOUR).drained().await;
    assert_eq!((drained.finished, drained.forced, drained.left), (1, 0, 0));
    drop(stream);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_in_time() {
    let world = World::new();
    let asked = Arc::new(Notify::new());
    let come = Arc::clone(&asked);
    let large = async move || {
        come.notify_one();
        vec![b'x'; 50_000_000]
    };
    let server = world.serve(Router::new().route("/", route(large))).await;
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let stream = connect(&world, &server, "http/1.1", request).await;
    timeout(PATIENCE, asked.notified()).await.unwrap();
    let elapsed = until_dropped(&server.handle).await;
    assert!(elapsed < AN_HOUR, "{elapsed:?}");
    drop(stream);
}
