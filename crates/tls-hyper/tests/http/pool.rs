//! Many requests over few connections: how many, and which of them resumed, is counted.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::Router;
use axum::routing::{get as route, post};
use hyper::{Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpInfo;
use hyper_util::rt::TokioExecutor;
use tls_hyper::HttpsConnector;
use tls_hyper::tls_tokio::{MemorySessionCache, ProtocolVersion};
use tls_hyper::{HttpsConnectorBuilder, TlsInfo};
use tls_tests::both_versions;
use tls_tests::versions::Only as _;
use tokio::task::JoinSet;

use crate::support::{HttpsClient, Server, World, client, get, read, request, tcp};

both_versions!(real async each_new_connection_resumes);

/// Connections of HTTP/1 for thousands of requests. As many as are asked at once would do, but the pool begins another one
/// when the one before is not back yet.
pub(crate) const MOST_OF_HTTP_1: usize = 100;

/// What was seen by all requests together.
#[derive(Default)]
pub(crate) struct Seen {
    /// By the client's side: one address each.
    pub(crate) connections: HashSet<SocketAddr>,
    pub(crate) resumed: HashSet<SocketAddr>,
    pub(crate) responses: u64,
}

/// So many GETs, so many at a time; all must succeed, with this version of HTTP and this body.
pub(crate) async fn storm(
    client: &HttpsClient,
    uri: Uri,
    total: u64,
    at_once: u64,
    version: Version,
    body: &str,
) -> Seen {
    let left = Arc::new(AtomicU64::new(total));
    let mut tasks = JoinSet::new();
    for _ in 0..at_once {
        let (client, uri, left, body) = (client.clone(), uri.clone(), Arc::clone(&left), body.to_owned());
        tasks.spawn(async move {
            let mut seen = Seen::default();
            while left
                .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
                .is_ok()
            {
                let (response, page) = get(&client, uri.clone()).await;
                assert_eq!((response.status().as_u16(), response.version()), (200, version));
                assert!(page.contains(&body), "{page}");
                let info: &TlsInfo = response.extensions().get().unwrap();
                let address = response.extensions().get::<HttpInfo>().unwrap().local_addr();
                seen.connections.insert(address);
                if info.is_resumed() {
                    seen.resumed.insert(address);
                }
                seen.responses += 1;
            }
            seen
        });
    }
    let mut all = Seen::default();
    while let Some(seen) = tasks.join_next().await {
        let seen = seen.unwrap();
        all.connections.extend(seen.connections);
        all.resumed.extend(seen.resumed);
        all.responses += seen.responses;
    }
    assert_eq!(all.responses, total);
    all
}

pub(crate) fn pooled(builder: HttpsConnectorBuilder) -> HttpsClient {
    client(builder.wrap_connector(tcp()).unwrap())
}

fn hello() -> Router {
    Router::new()
        .route("/", route(|| async { "hello" }))
        .route("/echo", post(|body: axum::body::Bytes| async { body }))
}

#[tokio::test]
async fn ten_thousand_requests_go_over_one_connection_of_http_2() {
    let world = World::new();
    let server = world.serve(hello()).await;
    let client = pooled(world.connector().enable_http2());
    // The first one alone: those that find no connection each begin one.
    get(&client, server.uri("/")).await;
    let seen = storm(&client, server.uri("/"), 10_000, 50, Version::HTTP_2, "hello").await;
    assert_eq!(seen.connections.len(), 1);
    assert_eq!(server.handle.counts().accepted, 1);
}

#[tokio::test]
async fn ten_thousand_requests_go_over_few_connections_of_http_1() {
    let world = World::new();
    let server = world.serve(hello()).await;
    let client = pooled(world.connector().enable_http1());
    let seen = storm(&client, server.uri("/"), 10_000, 8, Version::HTTP_11, "hello").await;
    assert!(
        seen.connections.len() <= MOST_OF_HTTP_1,
        "{}",
        seen.connections.len()
    );
    let counts = server.handle.counts();
    assert!(
        counts.accepted <= MOST_OF_HTTP_1 as u64 && counts.failed.total() == 0,
        "{counts:?}"
    );
}

async fn each_new_connection_resumes(version: ProtocolVersion) {
    const REQUESTS: u64 = 40;
    let world = World::new();
    let server = Server::start(world.server_config().only(version).build().unwrap(), hello()).await;
    for builder in [
        HttpsConnector::builder().enable_http1(),
        HttpsConnector::builder().enable_http2(),
    ] {
        let cache = Arc::new(MemorySessionCache::new(16));
        let config = world.client_config().session_cache(cache).build().unwrap();
        let connector = builder.with_tls_config(config).wrap_connector(tcp()).unwrap();
        let mut addresses = HashSet::new();
        let mut resumed = 0;
        for _ in 0..REQUESTS {
            // A pool of its own for each request.
            let client: HttpsClient = Client::builder(TokioExecutor::new()).build(connector.clone());
            let (response, _) = get(&client, server.uri("/")).await;
            addresses.insert(response.extensions().get::<HttpInfo>().unwrap().local_addr());
            let info: &TlsInfo = response.extensions().get().unwrap();
            assert_eq!(info.version(), version);
            resumed += u64::from(info.is_resumed());
        }
        assert_eq!(addresses.len() as u64, REQUESTS);
        assert_eq!(resumed, REQUESTS - 1);
    }
}

#[tokio::test]
async fn large_bodies_come_back_whole() {
    let world = World::new();
    let server = world
        .serve(hello().layer(axum::extract::DefaultBodyLimit::disable()))
        .await;
    let body: String = (0..150_000).map(|number: u32| format!("{number:07}\n")).collect();
    for builder in [world.connector().enable_http1(), world.connector().enable_http2()] {
        let client = pooled(builder);
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            let (client, request, body) = (
                client.clone(),
                request(server.uri("/echo"), body.clone()),
                body.clone(),
            );
            tasks.spawn(async move {
                let (_, echoed) = read(client.request(request).await.unwrap()).await.unwrap();
                assert!(
                    echoed == body,
                    "{} bytes came back of {}",
                    echoed.len(),
                    body.len()
                );
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    }
}
