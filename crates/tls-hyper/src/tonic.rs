//! tonic's server on a [`TlsListener`].

use core::convert::Infallible;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use futures_core::Stream;
use tls_tokio::{Accepted, Listen, TlsListener, TlsStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::server::Connected;

use crate::server::{ServedStream, TlsConnectInfo};

/// How long a client that was refused gets to close, so that it reads our close_notify and no reset.
const LINGER: Duration = Duration::from_secs(2);

/// The streams of a listener for tonic's `serve_with_incoming` and `serve_with_incoming_shutdown`. Each request has a
/// [`TlsConnectInfo`] as an extension: whose it is, by certificate and address.
///
/// The listener's acceptor must offer HTTP/2: `.alpn(["h2"])`. Tonic speaks nothing else, and it is spoken only where ALPN
/// says so (RFC 9113 section 3.2): clients that agreed on anything else, or on nothing, are refused with a close_notify and
/// an event at level debug.
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
        let listener = &mut self.get_mut().0;
        loop {
            let Some(accepted) = ready!(listener.poll_accept(cx)) else {
                return Poll::Ready(None);
            };
            if accepted.stream.info().alpn() == Some(b"h2") {
                return Poll::Ready(Some(Ok(ServedStream::new(accepted))));
            }
            refuse(accepted);
        }
    }
}

/// Closes a stream that is not for HTTP/2, in a task of its own.
fn refuse<IO, A>(accepted: Accepted<TlsStream<IO>, A>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: fmt::Debug,
{
    let Accepted {
        mut stream,
        address,
        guard,
        ..
    } = accepted;
    let info = stream.info();
    let alpn = info.alpn().map(|name| name.escape_ascii().to_string());
    tracing::debug!(client = ?address, ?alpn, "refused: HTTP/2 was not agreed on by ALPN (RFC 9113 section 3.2)");
    tokio::spawn(guard.run(async move {
        // However it ends, there is nobody left to be told.
        let _ = stream.graceful_shutdown(LINGER).await;
    }));
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
