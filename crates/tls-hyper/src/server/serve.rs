//! A whole server.

use core::fmt;
use core::future::{Future, IntoFuture};
use core::pin::Pin;
use core::time::Duration;
use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioExecutor;
use hyper_util::service::TowerToHyperService;
use tls_tokio::{Drained, Listen, ListenerHandle, TlsListener};

use super::connection::{self, BoxError, Protocols};

/// Serves HTTP/2 and HTTP/1.1 to all who come by this listener, as ALPN chose, by a tower `Service`: a `Router` of axum,
/// `Routes` of tonic, `ServeDir` of tower-http. Nothing happens until this is awaited.
///
/// The configuration of the listener's acceptor offers the protocols: `.alpn(["h2", "http/1.1"])`. A client that
/// negotiates none speaks HTTP/1.
///
/// Each request has a [`TlsConnectInfo`](crate::TlsConnectInfo) as an extension: whose it is, and what was negotiated.
///
/// ```no_run
/// use std::time::Duration;
/// use tls_hyper::{CertifiedKey, ServerConfig, TlsAcceptor, TlsListener};
/// # use axum::{Router, routing::get};
///
/// # async fn example(chain_pem: &[u8], key_pem: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let key = CertifiedKey::from_pem(chain_pem, key_pem)?;
/// let config = ServerConfig::builder().certificate(key).alpn(["h2", "http/1.1"]).build()?;
/// let tcp = tokio::net::TcpListener::bind("127.0.0.1:8443").await?;
/// let listener = TlsListener::new(tcp, TlsAcceptor::new(config));
/// let app = Router::new().route("/", get(|| async { "hello\n" }));
///
/// let stop = async { drop(tokio::signal::ctrl_c().await) };
/// println!("{:?}", tls_hyper::serve(listener, app).until(stop, Duration::from_secs(10)).await);
/// # Ok(())
/// # }
/// ```
///
/// **Limits**, each to be set otherwise with [`Serve::http1`] and [`Serve::http2`]: a client of HTTP/1 has 30 seconds from
/// one response to the end of the next request's head, idle time among it; one of HTTP/2 is asked after 30 silent seconds
/// whether it is still there, and has 20 to say so, and 30 for its first bytes. A client that takes nothing of what it is
/// sent for 30 seconds is dropped ([`Serve::write_timeout`]). (One of HTTP/2 that answers, but opens no window for a
/// response, keeps it waiting.) What the listener limits is in [`TlsListener`].
///
/// **The end** begins with [`ListenerHandle::drain`], or with [`Serve::until`]. Who is connected by then is served, and no
/// request that the server has begun is cut off:
///
/// - A connection of HTTP/2 gets GOAWAY: requests that came are answered, the client takes others elsewhere.
/// - One of HTTP/1 answers the request that is under way, or the next one if it comes within a second, with `Connection:
///   close`. A response that has begun already goes on to its end, and then a request may come for another second.
/// - Then it is closed with close_notify, and waits up to 2 seconds for the client to close, so that no reset destroys
///   what the client has not read yet.
/// - At the drain's deadline the rest is dropped. Upgraded connections (WebSockets) are left alone until then, when reading
///   and writing them fails.
pub fn serve<L, S, B>(listener: TlsListener<L>, service: S) -> Serve<L, TowerToHyperService<S>>
where
    L: Listen,
    S: tower_service::Service<Request<Incoming>, Response = Response<B>> + Clone,
{
    serve_hyper(listener, TowerToHyperService::new(service))
}

/// As [`serve`], by a [`Service`] of hyper: a `service_fn`, for example.
pub fn serve_hyper<L, S, B>(listener: TlsListener<L>, service: S) -> Serve<L, S>
where
    L: Listen,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
{
    Serve {
        listener,
        service,
        protocols: Protocols::default(),
    }
}

/// A server: await it, or [`Self::until`]. Made by [`serve`].
///
/// Awaited, it ends when the listener was drained and all its connections are over. It is not cancel safe: dropped, it
/// closes the socket, and connections go on by themselves.
///
/// ```
/// use std::time::Duration;
/// use axum::Router;
/// use hyper_util::rt::TokioTimer;
/// use tls_hyper::{TlsListener, serve};
/// use tokio::net::TcpListener;
///
/// async fn run(listener: TlsListener<TcpListener>, app: Router) {
///     let server = serve(listener, app)
///         .http1(|http1| drop(http1.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(5))))
///         .http2(|http2| drop(http2.max_concurrent_streams(100)));
///     // For whoever ends it, or asks how many are connected.
///     let handle = server.handle();
///     server.await;
///     println!("{}", handle.counts());
/// }
/// ```
#[must_use = "nothing is served until this is awaited"]
pub struct Serve<L: Listen, S> {
    listener: TlsListener<L>,
    service: S,
    protocols: Protocols,
}

impl<L: Listen, S> Serve<L, S> {
    /// Sets how HTTP/1 is spoken.
    pub fn http1(mut self, set: impl FnOnce(&mut http1::Builder)) -> Self {
        set(&mut self.protocols.http1);
        self
    }

    /// Sets how HTTP/2 is spoken.
    pub fn http2(mut self, set: impl FnOnce(&mut http2::Builder<TokioExecutor>)) -> Self {
        set(&mut self.protocols.http2);
        self
    }

    /// For how long a client may take nothing of what it is sent; `None` for ever. Default: 30 seconds.
    pub const fn write_timeout(mut self, limit: Option<Duration>) -> Self {
        self.protocols.write_timeout = limit;
        self
    }

    /// What drains the server, and knows its numbers.
    #[must_use]
    pub fn handle(&self) -> ListenerHandle {
        self.listener.handle()
    }
}

impl<L, S, B> Serve<L, S>
where
    L: Listen + Send,
    L::Address: Clone + Unpin + Sync + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// Serves until the signal comes, or somebody else drains the listener; then drains within this limit, and says how that
    /// went.
    ///
    /// Not cancel safe, as [`Serve`].
    pub async fn until(self, signal: impl Future<Output = ()>, limit: Duration) -> Drained {
        let handle = self.handle();
        let ending = async {
            let draining = handle.draining();
            // Another handle may be the first; then this one waits for the same end.
            tokio::select! {
                () = signal => {}
                () = draining.cancelled() => {}
            }
            handle.drain(limit).await
        };
        let (drained, ()) = tokio::join!(ending, self.accept());
        drained
    }

    /// Takes connections until there are no more.
    async fn accept(mut self) {
        let protocols = Arc::new(self.protocols);
        while let Some(accepted) = self.listener.accept().await {
            let serving = connection::run(Arc::clone(&protocols), accepted, self.service.clone());
            tokio::spawn(serving);
        }
    }
}

impl<L, S, B> IntoFuture for Serve<L, S>
where
    L: Listen + Send,
    L::Address: Clone + Unpin + Sync + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Output = ();
    type IntoFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let handle = self.handle();
            self.accept().await;
            // It drains already: what is left is to wait.
            handle.drain(Duration::MAX).await;
        })
    }
}

impl<L: Listen, S> fmt::Debug for Serve<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}
