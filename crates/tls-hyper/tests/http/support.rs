//! A server with a page for each test, and clients that trust it.

use std::future::{Ready, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use tls_hyper::tls_tokio::MemorySessionCache;
use tls_hyper::tls_tokio::tls_core::{ClientConfigBuilder, ServerConfigBuilder};
use tls_hyper::{
    CertifiedKey, ClientConfig, Drained, HttpsConnector, HttpsConnectorBuilder, ListenerHandle, RootStore,
    ServerConfig, TlsAcceptor, TlsListener,
};
use tls_tests::pki::{Authority, Identity, KeyType};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_service::Service;

/// No wait of a test is longer: a busy machine is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What resolves every name to 127.0.0.1, so that no test depends on where `localhost` is.
#[derive(Clone)]
pub(crate) struct Loopback;

impl Service<Name> for Loopback {
    type Response = std::iter::Once<SocketAddr>;
    type Error = std::io::Error;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(std::iter::once(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))))
    }
}

pub(crate) type Connector = HttpsConnector<HttpConnector<Loopback>>;
pub(crate) type HttpsClient = Client<Connector, Full<Bytes>>;

/// TCP to 127.0.0.1, whatever the name.
pub(crate) fn tcp() -> HttpConnector<Loopback> {
    let mut tcp = HttpConnector::new_with_resolver(Loopback);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp
}

/// An authority, and a server of its own: `localhost`, `one.example` and 127.0.0.1.
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) server: Identity,
}

impl World {
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        let names = ["localhost", "one.example", "127.0.0.1"];
        let server = authority.leaf(KeyType::P256, &names);
        Self { authority, server }
    }

    pub(crate) fn roots(&self) -> RootStore {
        RootStore::from_pem(self.authority.root_pem().as_bytes()).unwrap()
    }

    /// For both protocols.
    pub(crate) fn server_config(&self) -> ServerConfigBuilder {
        ServerConfig::builder()
            .certificate(certified(&self.server))
            .alpn(["h2", "http/1.1"])
    }

    /// Without ALPN: that is the connector's.
    pub(crate) fn client_config(&self) -> ClientConfigBuilder {
        ClientConfig::builder().roots(self.roots())
    }

    /// A connector that remembers sessions.
    pub(crate) fn connector(&self) -> HttpsConnectorBuilder {
        let cache = Arc::new(MemorySessionCache::new(16));
        let config = self.client_config().session_cache(cache).build().unwrap();
        HttpsConnector::builder().with_tls_config(config)
    }

    pub(crate) async fn serve(&self, app: Router) -> Server {
        Server::start(self.server_config().build().unwrap(), app).await
    }
}

pub(crate) fn certified(identity: &Identity) -> CertifiedKey {
    CertifiedKey::from_pem(identity.chain_pem().as_bytes(), identity.key_pem().as_bytes()).unwrap()
}

pub(crate) fn client(connector: Connector) -> HttpsClient {
    Client::builder(TokioExecutor::new()).build(connector)
}

/// `tls_hyper::serve` on a free port.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) handle: ListenerHandle,
    stop: oneshot::Sender<Duration>,
    ended: JoinHandle<Drained>,
}

impl Server {
    pub(crate) async fn start(config: ServerConfig, app: Router) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let serve = tls_hyper::serve(TlsListener::new(tcp, TlsAcceptor::new(config)), app);
        let handle = serve.handle();
        let draining = serve.handle();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(async move {
            let ending = async {
                match stopped.await {
                    Ok(limit) => draining.drain(limit).await,
                    Err(_) => Drained::default(),
                }
            };
            let ((), drained) = tokio::join!(serve.into_future(), ending);
            drained
        });
        Self {
            address,
            handle,
            stop,
            ended,
        }
    }

    pub(crate) fn uri(&self, path: &str) -> Uri {
        self.uri_at("localhost", path)
    }

    pub(crate) fn uri_at(&self, host: &str, path: &str) -> Uri {
        let port = self.address.port();
        format!("https://{host}:{port}{path}").parse().unwrap()
    }

    /// Begins to drain.
    pub(crate) fn stop(self, limit: Duration) -> Ending {
        self.stop.send(limit).unwrap();
        Ending(self.ended)
    }
}

/// A server that drains.
pub(crate) struct Ending(JoinHandle<Drained>);

impl Ending {
    pub(crate) async fn drained(self) -> Drained {
        tokio::time::timeout(PATIENCE, self.0).await.unwrap().unwrap()
    }
}

/// A GET, and all of the response's body as text.
pub(crate) async fn get(client: &HttpsClient, uri: Uri) -> (Response<()>, String) {
    try_get(client, uri)
        .await
        .unwrap_or_else(|error| panic!("{error:?}"))
}

pub(crate) async fn try_get(
    client: &HttpsClient,
    uri: Uri,
) -> Result<(Response<()>, String), Box<dyn std::error::Error + Send + Sync>> {
    read(tokio::time::timeout(PATIENCE, client.get(uri)).await??).await
}

/// All of a response.
pub(crate) async fn read(
    response: Response<Incoming>,
) -> Result<(Response<()>, String), Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = response.into_parts();
    let body = tokio::time::timeout(PATIENCE, body.collect()).await??.to_bytes();
    Ok((Response::from_parts(head, ()), String::from_utf8(body.to_vec())?))
}

pub(crate) fn request(uri: Uri, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(uri).body(Full::new(body.into())).unwrap()
}
