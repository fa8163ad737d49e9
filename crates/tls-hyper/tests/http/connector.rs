//! What the connector does with a URI, and what it says when that fails.

use std::future::pending;
use std::time::Duration;

use axum::Router;
use axum::extract::Request as AxumRequest;
use axum::routing::get as route;
use hyper::{Uri, Version};
use hyper_util::client::legacy::connect::{Connection as _, HttpInfo};
use tls_hyper::tls_tokio::{Error, ProtocolVersion};
use tls_hyper::{
    BuildError, ConnectError, EofPolicy, HttpsConnector, MaybeHttpsStream, ServerName, TlsAcceptor,
    TlsConnectInfo, TlsInfo,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tower_service::Service;

use crate::support::{Server, World, client, get, tcp, try_get};

/// Says what the server sees: SNI and the version of HTTP.
fn mirror() -> Router {
    let seen = |client: TlsConnectInfo, request: AxumRequest| async move {
        format!("{:?} {:?}", client.server_name(), request.version())
    };
    Router::new().route("/", route(seen))
}

#[tokio::test]
async fn the_best_protocol_of_both_is_spoken_and_the_response_knows_of_it() {
    let world = World::new();
    let server = world.serve(mirror()).await;
    for (builder, version, alpn) in [
        (world.connector(), Version::HTTP_2, &b"h2"[..]),
        (world.connector().enable_all_versions(), Version::HTTP_2, b"h2"),
        (world.connector().enable_http2(), Version::HTTP_2, b"h2"),
        (world.connector().enable_http1(), Version::HTTP_11, b"http/1.1"),
    ] {
        let client = client(builder.wrap_connector(tcp()).unwrap());
        let (response, page) = get(&client, server.uri("/")).await;
        assert_eq!(response.version(), version);
        assert_eq!(page, format!("Some(\"localhost\") {version:?}"));
        let info = response.extensions().get::<TlsInfo>().unwrap();
        assert_eq!(info.alpn(), Some(alpn));
        assert_eq!(info.version(), ProtocolVersion::TLS13);
        assert_eq!(info.peer_certificates()[0], world.server.leaf());
        let http = response.extensions().get::<HttpInfo>().unwrap();
        assert_eq!(http.remote_addr(), server.address);
    }
}

#[tokio::test]
async fn the_alpn_of_the_configuration_is_kept_where_the_builder_says_nothing() {
    let world = World::new();
    let server = world.serve(mirror()).await;
    let config = world.client_config().alpn(["http/1.1"]).build().unwrap();
    let connector = HttpsConnector::builder().with_tls_config(config.clone());
    let (response, _) = get(&client(connector.wrap_connector(tcp()).unwrap()), server.uri("/")).await;
    assert_eq!(response.version(), Version::HTTP_11);
    let connector = HttpsConnector::builder().with_tls_config(config).enable_http2();
    let (response, _) = get(&client(connector.wrap_connector(tcp()).unwrap()), server.uri("/")).await;
    assert_eq!(response.version(), Version::HTTP_2);
}

#[tokio::test]
async fn a_server_without_alpn_gets_http_1_or_is_refused() {
    let world = World::new();
    let config = world.server_config().alpn(Vec::<&str>::new()).build().unwrap();
    let server = Server::start(config, mirror()).await;
    let both = client(world.connector().wrap_connector(tcp()).unwrap());
    let (response, _) = get(&both, server.uri("/")).await;
    assert_eq!(response.version(), Version::HTTP_11);
    let refused = connect(
        world.connector().enable_http2().wrap_connector(tcp()),
        server.uri("/"),
    )
    .await;
    assert!(
        matches!(refused, Err(ConnectError::Protocol(None))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn nothing_in_common_is_a_failed_handshake() {
    let world = World::new();
    let config = world.server_config().alpn(["http/1.1"]).build().unwrap();
    let server = Server::start(config, mirror()).await;
    let refused = connect(
        world.connector().enable_http2().wrap_connector(tcp()),
        server.uri("/"),
    )
    .await;
    let Err(ConnectError::Handshake(error)) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.to_string().contains("no_application_protocol"), "{error}");
}

#[tokio::test]
async fn another_protocol_than_http_is_refused() {
    let world = World::new();
    let config = world.server_config().alpn(["irc"]).build().unwrap();
    let server = Server::start(config, mirror()).await;
    let config = world.client_config().alpn(["h2", "irc"]).build().unwrap();
    let connector = HttpsConnector::builder()
        .with_tls_config(config)
        .wrap_connector(tcp());
    let refused = connect(connector, server.uri("/")).await;
    assert!(
        matches!(&refused, Err(ConnectError::Protocol(Some(name))) if name == "irc"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_name_is_sent_without_its_last_dot_and_an_address_is_checked_but_not_sent() {
    let world = World::new();
    let server = world.serve(mirror()).await;
    let client = client(world.connector().wrap_connector(tcp()).unwrap());
    for (host, sni) in [
        ("localhost.", "Some(\"localhost\")"),
        ("one.example", "Some(\"one.example\")"),
        ("127.0.0.1", "None"),
    ] {
        let (_, page) = get(&client, server.uri_at(host, "/")).await;
        assert_eq!(page, format!("{sni} HTTP/2.0"), "{host}");
    }
    let refused = connect(
        world.connector().wrap_connector(tcp()),
        server.uri_at("two.example", "/"),
    )
    .await;
    let Err(ConnectError::Handshake(error)) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.to_string().contains("two.example"), "{error}");
}

#[tokio::test]
async fn the_server_may_be_asked_for_by_another_name() {
    let world = World::new();
    let server = world.serve(mirror()).await;
    let name = ServerName::try_from("one.example").unwrap();
    let builder = world.connector().with_server_name(name);
    let client = client(builder.wrap_connector(tcp()).unwrap());
    for host in ["two.example", "127.0.0.1"] {
        let (_, page) = get(&client, server.uri_at(host, "/")).await;
        assert_eq!(page, "Some(\"one.example\") HTTP/2.0", "{host}");
    }
    for wrong in ["three.example", "127.0.0.2"] {
        let name = ServerName::try_from(wrong).unwrap();
        let builder = world.connector().with_server_name(name);
        let refused = connect(builder.wrap_connector(tcp()), server.uri("/")).await;
        assert!(matches!(refused, Err(ConnectError::Handshake(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn http_is_refused_unless_it_is_allowed() {
    let world = World::new();
    let tcp_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp_listener.local_addr().unwrap();
    let app = Router::new().route("/", route(|| async { "in the clear" }));
    tokio::spawn(axum::serve(tcp_listener, app).into_future());
    let uri: Uri = format!("http://{address}/").parse().unwrap();

    for builder in [world.connector(), world.connector().https_or_http().https_only()] {
        let refused = connect(builder.wrap_connector(tcp()), uri.clone()).await;
        assert!(
            matches!(&refused, Err(ConnectError::Scheme(Some(scheme))) if scheme == "http"),
            "{refused:?}"
        );
    }
    let allowed = world.connector().https_or_http();
    let stream = connect(allowed.clone().wrap_connector(tcp()), uri.clone())
        .await
        .unwrap();
    assert!(matches!(stream, MaybeHttpsStream::Http(_)));
    let (response, page) = get(&client(allowed.wrap_connector(tcp()).unwrap()), uri).await;
    assert_eq!(page, "in the clear");
    assert!(response.extensions().get::<TlsInfo>().is_none());
    assert!(response.extensions().get::<HttpInfo>().is_some());
}

#[tokio::test]
async fn what_is_no_address_is_an_error_and_no_panic() {
    let world = World::new();
    for (uri, said) in [
        ("/path", "the URI has no scheme"),
        ("ftp://localhost/", "the scheme ftp is not allowed here"),
        (
            "https://-bad-/",
            "\"-bad-\" is neither a DNS name nor an IP address",
        ),
        (
            "https://a..b/",
            "\"a..b\" is neither a DNS name nor an IP address",
        ),
    ] {
        let refused = connect(world.connector().wrap_connector(tcp()), uri.parse().unwrap()).await;
        assert_eq!(refused.unwrap_err().to_string(), said, "{uri}");
    }
    let without = HttpsConnector::builder().enable_all_versions().build();
    assert!(matches!(without, Err(BuildError::NoTlsConfig)), "{without:?}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_a_transport_that_failed() {
    let world = World::new();
    // Bound, but not listening: nobody else can have it.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let uri = format!("https://{}/", socket.local_addr().unwrap())
        .parse()
        .unwrap();
    let refused = connect(world.connector().wrap_connector(tcp()), uri).await;
    assert!(matches!(refused, Err(ConnectError::Transport(_))), "{refused:?}");
}

/// Never connects.
#[derive(Clone)]
struct Nowhere;

impl Service<Uri> for Nowhere {
    type Response = hyper_util::rt::TokioIo<tokio::net::TcpStream>;
    type Error = std::io::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(pending())
    }
}

#[tokio::test(start_paused = true)]
async fn connecting_has_a_deadline() {
    let world = World::new();
    let uri = Uri::from_static("https://localhost/");
    for (builder, limit) in [
        (world.connector(), tls_hyper::DEFAULT_CONNECT_TIMEOUT),
        (
            world
                .connector()
                .connect_timeout(Some(Duration::from_millis(300))),
            Duration::from_millis(300),
        ),
    ] {
        let mut connector = builder.wrap_connector(Nowhere).unwrap();
        let started = tokio::time::Instant::now();
        let refused = connector.call(uri.clone()).await;
        assert!(
            matches!(refused, Err(ConnectError::Timeout(told)) if told == limit),
            "{refused:?}"
        );
        let over = started.elapsed().checked_sub(limit).unwrap();
        assert!(over < Duration::from_millis(10), "{over:?}");
    }
    let mut connector = world
        .connector()
        .connect_timeout(None)
        .wrap_connector(Nowhere)
        .unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    assert!(tokio::time::timeout(day, connector.call(uri)).await.is_err());
}

#[tokio::test]
async fn the_handshake_has_a_deadline_of_its_own() {
    let world = World::new();
    // Accepts by the kernel, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: Uri = format!("https://{}/", silent.local_addr().unwrap())
        .parse()
        .unwrap();
    let builder = world
        .connector()
        .connect_timeout(None)
        .handshake_timeout(Some(Duration::from_millis(100)));
    let refused = connect(builder.wrap_connector(tcp()), uri).await;
    let Err(ConnectError::Handshake(Error::Timeout(timeout))) = refused else {
        panic!("{refused:?}");
    };
    assert!(timeout.bytes_out > 0 && timeout.bytes_in == 0, "{timeout:?}");
}

#[tokio::test]
async fn the_pool_is_told_of_http_2_and_of_the_addresses() {
    let world = World::new();
    let server = world.serve(mirror()).await;
    for (builder, is_http2) in [
        (world.connector().enable_http2(), true),
        (world.connector().enable_http1(), false),
    ] {
        let stream = connect(builder.wrap_connector(tcp()), server.uri("/"))
            .await
            .unwrap();
        assert_eq!(stream.connected().is_negotiated_h2(), is_http2);
        let alpn: &[u8] = if is_http2 { b"h2" } else { b"http/1.1" };
        assert_eq!(stream.tls_info().unwrap().alpn(), Some(alpn));
    }
}

#[tokio::test]
async fn a_response_that_only_the_end_of_the_connection_ends_needs_a_close_notify() {
    let world = World::new();
    let cases = [
        ("\r\n", EofPolicy::default(), false),
        ("\r\n", EofPolicy::AcceptAtRecordBoundary, true),
        // With a length nothing can be cut off unnoticed.
        ("content-length: 8\r\n\r\n", EofPolicy::default(), true),
        (
            "content-length: 9\r\n\r\n",
            EofPolicy::AcceptAtRecordBoundary,
            false,
        ),
    ];
    for (head, policy, is_whole) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("https://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let config = world.server_config().alpn(["http/1.1"]).build().unwrap();
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = TlsAcceptor::new(config).accept(tcp).await.unwrap();
            let mut request = [0; 1000];
            assert_ne!(stream.read(&mut request).await.unwrap(), 0);
            let response = format!("HTTP/1.1 200 OK\r\n{head}all of i");
            stream.write_all(response.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            stream.abort();
        });
        let builder = world.connector().enable_http1().eof_policy(policy);
        let client = client(builder.wrap_connector(tcp()).unwrap());
        let got = try_get(&client, uri).await;
        assert_eq!(got.is_ok(), is_whole, "{head:?} {policy:?}: {got:?}");
        assert!(got.is_err() || got.unwrap().1 == "all of i");
    }
}

type Io = hyper_util::rt::TokioIo<tokio::net::TcpStream>;

async fn connect(
    connector: Result<crate::support::Connector, BuildError>,
    uri: Uri,
) -> Result<MaybeHttpsStream<Io>, ConnectError> {
    let mut connector = connector.unwrap();
    std::future::poll_fn(|cx| connector.poll_ready(cx)).await?;
    connector.call(uri).await
}
