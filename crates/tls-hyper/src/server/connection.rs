//! One connection, from its handshake to its end.

use core::fmt;
use core::future::Future;
use core::pin::{Pin, pin};
use core::time::Duration;
use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tls_tokio::{Accepted, TlsStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::request::OnConnection;
use super::stream::{DEFAULT_WRITE_TIMEOUT, ServedStream};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// When a drain begins, a connection of HTTP/1 without a request gets this long to send one: it may be on its way. So does
/// one whose response had begun by then, when that is at its end: it was not told that there will be no other.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// How long a client that has negotiated HTTP/2 may take to begin it.
const PREFACE: Duration = Duration::from_secs(30);

/// Bytes with which a client begins HTTP/2 (RFC 9113 section 3.4). From there on hyper looks after silent clients.
const PREFACE_LEN: usize = 24;

/// How long a client of HTTP/2 may be silent until it is asked whether it is there, and then until it has answered.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How HTTP is spoken, on every connection.
#[derive(Clone, Debug)]
pub(super) struct Protocols {
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<TokioExecutor>,
    pub(super) write_timeout: Option<Duration>,
}

impl Default for Protocols {
    fn default() -> Self {
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new());
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2.timer(TokioTimer::new()).keep_alive_interval(KEEP_ALIVE);
        Self {
            http1,
            http2,
            write_timeout: Some(DEFAULT_WRITE_TIMEOUT),
        }
    }
}

/// What hyper makes of a stream: it serves, and can be asked to come to an end.
trait Serving: Future<Output = hyper::Result<()>> {
    fn graceful_shutdown(self: Pin<&mut Self>);
}

/// Serves one client to the end.
pub(super) async fn run<IO, A, S, B>(
    protocols: Arc<Protocols>,
    accepted: Accepted<TlsStream<IO>, A>,
    service: S,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Clone + fmt::Debug + Unpin + Send + Sync + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let draining = accepted.guard.draining().child_token();
    let forced = accepted.guard.forced().child_token();
    let mut stream = ServedStream::new(accepted);
    stream.set_write_timeout(protocols.write_timeout);
    let client = stream.client().clone();
    // RFC 9113 section 3.2: over TLS it is ALPN that says so, and nothing else.
    let is_http2 = client.alpn() == Some(b"h2");
    if is_http2 {
        stream.expect_soon(PREFACE_LEN, soon(draining.clone()));
    }
    let activity = Activity::new();
    let service = OnConnection {
        service,
        client: client.clone(),
        ending: (!is_http2).then(|| (activity.clone(), draining.clone())),
    };
    let io = TokioIo::new(stream);
    let served = async {
        if is_http2 {
            if client.server_name().is_none() {
                tracing::debug!(client = ?client.address, "HTTP/2 without a server name (RFC 9113 section 9.2)");
            }
            let connection = protocols.http2.serve_connection(io, service);
            // GOAWAY tells what is under way from what comes too late.
            until_drained(connection, draining.cancelled()).await
        } else {
            let connection = protocols.http1.serve_connection(io, service).with_upgrades();
            let last_call = async {
                draining.cancelled().await;
                activity.idle_for(LAST_REQUEST).await;
            };
            until_drained(connection, last_call).await
        }
    };
    match forced.run_until_cancelled(Box::pin(served)).await {
        Some(Ok(())) | None => {}
        Some(Err(error)) => {
            let cause = std::error::Error::source(&error);
            tracing::debug!(client = ?client.address, %error, cause, "an HTTP connection failed");
        }
    }
}

/// When a client has had the time to begin: less if a drain begins.
async fn soon(draining: CancellationToken) {
    tokio::select! {
        () = sleep(PREFACE) => {}
        () = async {
            draining.cancelled().await;
            sleep(LAST_REQUEST).await;
        } => {}
    }
}

/// Serves until the client closes. After the last call it is asked to end once nothing is under way.
async fn until_drained<C: Serving>(connection: C, last_call: impl Future<Output = ()>) -> hyper::Result<()> {
    let mut connection = pin!(connection);
    tokio::select! {
        // A request that is here already is not idleness.
        biased;
        ended = connection.as_mut() => return ended,
        () = last_call => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

impl<IO, S, B> Serving for http2::Connection<IO, S, TokioExecutor>
where
    IO: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<IO, S, B> Serving for http1::UpgradeableConnection<IO, S>
where
    IO: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
