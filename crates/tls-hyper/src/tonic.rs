//! tonic's server on a [`TlsListener`].

use core::convert::Infallible;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::Stream;
use tls_tokio::{Listen, TlsListener};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::server::Connected;

use crate::server::{ServedStream, TlsConnectInfo};

/// The streams of a listener for tonic's `serve_with_incoming` and `serve_with_incoming_shutdown`. Each request has a
/// [`TlsConnectInfo`] as an extension: whose it is, by certificate and address.
///
/// The listener's acceptor must offer HTTP/2: `.alpn(["h2"])`.
///
/// ```no_run
/// # use tls_hyper::TlsListener;
/// # use tonic::service::Routes;
/// # async fn example(listener: TlsListener<tokio::net::TcpListener>, routes: Routes)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// tonic::transport::Server::builder()
///     .add_routes(routes)
///     .serve_with_incoming_shutdown(tls_hyper::incoming(listener), core::future::pending())
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// The listener's [handle](TlsListener::handle) drains. Then these streams end when nobody is left to accept, upon which
/// tonic sends GOAWAY and ends when all connections have. At the deadline, reading and writing what is left fails.
///
/// Give tonic a signal that never comes, as above. With one that comes earlier, such as
/// [`ListenerHandle::draining`](crate::ListenerHandle::draining), it drops the listener, and with it handshakes under way;
/// with none at all (`serve_with_incoming`) it sends no GOAWAY and waits for no connection.
pub fn incoming<L: Listen>(listener: TlsListener<L>) -> Incoming<L> {
    Incoming(listener)
}

/// See [`incoming`].
///
/// ```
/// use tls_hyper::{Incoming, TlsListener, incoming};
/// use tokio::net::TcpListener;
///
/// /// What `serve_with_incoming` takes.
/// fn streams(listener: TlsListener<TcpListener>) -> Incoming<TcpListener> {
///     incoming(listener)
/// }
/// ```
pub struct Incoming<L: Listen>(TlsListener<L>);

impl<L: Listen> Stream for Incoming<L> {
    type Item = Result<ServedStream<L::Io, L::Address>, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = self.get_mut().0.poll_accept(cx);
        accepted.map(|accepted| accepted.map(|accepted| Ok(ServedStream::new(accepted))))
    }
}

impl<IO, A> Connected for ServedStream<IO, A>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Clone + Send + Sync + 'static,
{
    type ConnectInfo = TlsConnectInfo<A>;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.client().clone()
    }
}

impl<L: Listen> fmt::Debug for Incoming<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Incoming").field(&self.0).finish()
    }
}
