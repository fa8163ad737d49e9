//! `axum::serve` on a [`TlsListener`].

use core::fmt;
use core::future::{Future, pending};
use std::io;
use std::net::SocketAddr;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::serve::{IncomingStream, Listener};
use tls_tokio::{Listen, TlsListener};
use tokio::net::TcpListener;

use crate::server::{ServedStream, TlsConnectInfo};

/// A [`TlsListener`] for `axum::serve`.
///
/// [`serve`](crate::serve) serves a `Router` as well, and ends better: `axum::serve` closes idle connections of HTTP/1 at
/// once when it is told to stop, while the client's next request may be on its way.
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
/// let handle = listener.handle();
/// axum::serve(AxumListener::new(listener), app.into_make_service_with_connect_info::<TlsConnectInfo>())
///     .with_graceful_shutdown(async move { handle.draining().cancelled().await })
///     .await
/// # }
/// ```
///
/// The listener's handle drains: give its token to `with_graceful_shutdown` as above. At the deadline, reading and
/// writing what is left fails.
pub struct AxumListener<L: Listen>(TlsListener<L>);

impl<L: Listen> AxumListener<L> {
    /// Gives axum the streams of this listener.
    #[must_use]
    pub const fn new(listener: TlsListener<L>) -> Self {
        Self(listener)
    }
}

impl Listener for AxumListener<TcpListener> {
    type Io = ServedStream<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.0.accept().await {
            Some(accepted) => {
                let stream = ServedStream::new(accepted);
                let address = stream.client().address;
                (stream, address)
            }
            // It was drained: there will be no more, and axum knows by the token.
            None => pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self.0.get_ref() {
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
        f.debug_tuple("AxumListener").field(&self.0).finish()
    }
}
