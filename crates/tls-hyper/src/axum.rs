//! `axum::serve` on a [`TlsListener`].

use core::fmt;
use core::future::{Future, pending};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::serve::{IncomingStream, Listener};
use tls_tokio::{Listen, TlsListener};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::server::{ServedStream, TlsConnectInfo};

/// From the end of a drained listener until axum is told to stop. Axum then closes connections of HTTP/1 without a request
/// at once, and the request of the client that was accepted last may be on its way.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// A [`TlsListener`] for `axum::serve`.
///
/// [`serve`](crate::serve) serves a `Router` as well, and knows more of TLS:
///
/// - It speaks HTTP/2 if ALPN says so, and only then. `axum::serve` looks at the first bytes: to a client that sends
///   HTTP/2 it speaks HTTP/2, whatever was agreed on (RFC 9113 section 3.2 wants that agreed by ALPN).
/// - In a drain, it tells each connection at once. `axum::serve` can be told only when there is nobody left to accept.
///
/// ```no_run
/// use axum::extract::ConnectInfo;
/// use axum::{Router, routing::get};
/// use tls_hyper::{AxumListener, TlsConnectInfo, TlsListener};
///
/// async fn hello(ConnectInfo(client): ConnectInfo<TlsConnectInfo>) -> String {
///     match client.peer_names() {
///         Some(names) => format!("hello {:?} at {}\n", names.common_name, client.address),
///         None => "hello whoever you are\n".to_owned(),
///     }
/// }
///
/// # async fn example(listener: TlsListener<tokio::net::TcpListener>) -> std::io::Result<()> {
/// let app = Router::new().route("/", get(hello));
/// let listener = AxumListener::new(listener);
/// let drained = listener.drained();
/// axum::serve(listener, app.into_make_service_with_connect_info::<TlsConnectInfo>())
///     .with_graceful_shutdown(drained.cancelled_owned())
///     .await
/// # }
/// ```
///
/// The listener's [handle](TlsListener::handle) drains: give [`Self::drained`] to `with_graceful_shutdown` as above. At the
/// deadline, reading and writing what is left fails.
pub struct AxumListener<L: Listen> {
    listener: TlsListener<L>,
    drained: CancellationToken,
}

impl<L: Listen> AxumListener<L> {
    /// Gives axum the streams of this listener.
    #[must_use]
    pub fn new(listener: TlsListener<L>) -> Self {
        Self {
            listener,
            drained: CancellationToken::new(),
        }
    }

    /// Cancelled when a drained listener has given axum all who were connected before, and a second for their first
    /// requests has passed: the signal for `with_graceful_shutdown`.
    ///
    /// [`ListenerHandle::draining`](crate::ListenerHandle::draining) would be too early: axum drops the listener on its
    /// signal, and with it handshakes under way.
    #[must_use]
    pub fn drained(&self) -> CancellationToken {
        self.drained.clone()
    }
}

impl Listener for AxumListener<TcpListener> {
    type Io = ServedStream<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.listener.accept().await {
            Some(accepted) => {
                let stream = ServedStream::new(accepted);
                let address = stream.client().address;
                (stream, address)
            }
            // It was drained: there will be no more, and axum knows by the token.
            None => {
                sleep(LAST_REQUEST).await;
                self.drained.cancel();
                pending().await
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self.listener.get_ref() {
            Some(listener) => listener.local_addr(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Connected<IncomingStream<'_, AxumListener<TcpListener>>> for TlsConnectInfo {
    fn connect_info(stream: IncomingStream<'_, AxumListener<TcpListener>>) -> Self {
        stream.io().client().clone()
    }
}

/// Whose request it is, by [`serve`](crate::serve) or by `axum::serve`. A server that is neither answers with status 500.
impl<S: Sync, A: Clone + Send + Sync + 'static> FromRequestParts<S> for TlsConnectInfo<A> {
    type Rejection = (StatusCode, &'static str);

    fn from_request_parts(
        parts: &mut Parts,
        _state: &S,
    ) -> impl Future<Output = Result<Self, Self::Rejection>> + Send {
        let extensions = &parts.extensions;
        let info = extensions.get::<Self>().or_else(|| {
            extensions
                .get::<ConnectInfo<Self>>()
                .map(|ConnectInfo(info)| info)
        });
        let missing = "TlsConnectInfo needs tls_hyper::serve, or into_make_service_with_connect_info";
        let info = info.cloned().ok_or((StatusCode::INTERNAL_SERVER_ERROR, missing));
        core::future::ready(info)
    }
}

impl<L: Listen> fmt::Debug for AxumListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AxumListener").field(&self.listener).finish()
    }
}
