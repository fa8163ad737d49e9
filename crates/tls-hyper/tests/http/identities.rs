//! Who asks: certificates of clients in handlers, by our server and by axum's own.

use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get as route;
use hyper::Version;
use tls_hyper::tls_tokio::{ClientAuth, WebPkiVerifier};
use tls_hyper::{AxumListener, ConnectError, HttpsConnector, TlsAcceptor, TlsConnectInfo, TlsListener};
use tls_tests::pki::{KeyType, Leaf};
use tokio::net::TcpListener;

use crate::support::{HttpsClient, PATIENCE, Server, World, certified, client, get, tcp, try_get};

fn name(client: &TlsConnectInfo) -> String {
    let names = client.peer_names();
    let name = names.map_or_else(|| "nobody".to_owned(), |names| format!("{:?}", names.dns_names));
    assert!(client.address.ip().is_loopback());
    format!(
        "{name} {:?}",
        client
            .alpn()
            .map(<[u8]>::escape_ascii)
            .map(|name| name.to_string())
    )
}

fn who() -> Router {
    Router::new()
        .route("/", route(|client: TlsConnectInfo| async move { name(&client) }))
        .route(
            "/connect-info",
            route(|ConnectInfo(client): ConnectInfo<TlsConnectInfo>| async move { name(&client) }),
        )
}

/// A client with a certificate, if it has a name.
fn known_as(world: &World, name: Option<&str>, version: Version) -> HttpsClient {
    let mut config = world.client_config();
    if let Some(name) = name {
        let leaf = Leaf::new(KeyType::P256, &[name]).client();
        config = config.certificate(certified(&world.authority.issue(&leaf)));
    }
    let builder = HttpsConnector::builder().with_tls_config(config.build().unwrap());
    let builder = match version {
        Version::HTTP_2 => builder.enable_http2(),
        _ => builder.enable_http1(),
    };
    client(builder.wrap_connector(tcp()).unwrap())
}

#[tokio::test]
async fn a_handler_knows_the_clients_certificate() {
    let world = World::new();
    let verifier = std::sync::Arc::new(WebPkiVerifier::new(world.roots()));
    let config = world.server_config().client_auth(ClientAuth::requested(verifier));
    let server = Server::start(config.build().unwrap(), who()).await;
    for (version, alpn) in [(Version::HTTP_2, "h2"), (Version::HTTP_11, "http/1.1")] {
        for (certificate, name) in [(Some("alice.example"), "[\"alice.example\"]"), (None, "nobody")] {
            let client = known_as(&world, certificate, version);
            let (_, page) = get(&client, server.uri("/")).await;
            assert_eq!(page, format!("{name} Some({alpn:?})"));
        }
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_learns_that_it_needs_one() {
    let world = World::new();
    let config = world.server_config().client_roots(world.roots()).build().unwrap();
    let server = Server::start(config, who()).await;
    for version in [Version::HTTP_2, Version::HTTP_11] {
        let refused = try_get(&known_as(&world, None, version), server.uri("/")).await;
        let mut told = String::new();
        let error = refused.unwrap_err();
        let mut cause: Option<&dyn std::error::Error> = Some(&*error);
        while let Some(error) = cause {
            assert!(
                error.downcast_ref::<ConnectError>().is_none(),
                "TLS 1.3 learns it later: {error:?}"
            );
            told += &format!("{error}: ");
            cause = error.source();
        }
        assert!(told.contains("certificate_required"), "{version:?}: {told}");
        let (_, page) = get(&known_as(&world, Some("bob.example"), version), server.uri("/")).await;
        assert!(page.starts_with("[\"bob.example\"]"), "{page}");
    }
}

#[tokio::test]
async fn axums_own_server_has_it_as_connect_info_and_drains_with_the_listener() {
    let world = World::new();
    let config = world.server_config().client_roots(world.roots()).build().unwrap();
    let tcp_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp_listener.local_addr().unwrap();
    let listener = TlsListener::new(tcp_listener, TlsAcceptor::new(config));
    let handle = listener.handle();
    let listener = AxumListener::new(listener);
    let drained = listener.drained();
    assert_eq!(axum::serve::Listener::local_addr(&listener).unwrap(), address);
    let app = who().into_make_service_with_connect_info::<TlsConnectInfo>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(drained.cancelled_owned());
    let serving = tokio::spawn(serving.into_future());
    for (version, alpn) in [(Version::HTTP_2, "h2"), (Version::HTTP_11, "http/1.1")] {
        let client = known_as(&world, Some("alice.example"), version);
        for path in ["/", "/connect-info"] {
            let uri = format!("https://localhost:{}{path}", address.port())
                .parse()
                .unwrap();
            let (_, page) = get(&client, uri).await;
            assert_eq!(page, format!("[\"alice.example\"] Some({alpn:?})"));
        }
    }
    let drained = handle.drain(Duration::from_secs(30)).await;
    assert_eq!((drained.forced, drained.left), (0, 0), "{drained:?}");
    tokio::time::timeout(PATIENCE, serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_handler_without_tls_says_what_is_missing() {
    let tcp_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", tcp_listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(axum::serve(tcp_listener, who()).into_future());
    let client = client(
        World::new()
            .connector()
            .https_or_http()
            .wrap_connector(tcp())
            .unwrap(),
    );
    let (response, page) = get(&client, uri).await;
    assert_eq!(response.status(), 500);
    assert!(page.contains("TlsConnectInfo needs"), "{page}");
}
