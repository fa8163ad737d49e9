//! What a listener accepts connections from.

use core::fmt;
#[cfg(unix)]
use core::mem::MaybeUninit;
use core::task::{Context, Poll, ready};
use std::io;
use std::net::SocketAddr;

#[cfg(unix)]
use socket2::SockRef;
#[cfg(unix)]
use tokio::io::Interest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A source of connections for a [`TlsListener`](crate::TlsListener): TCP, Unix sockets, or something of your own.
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
/// use std::task::{Context, Poll};
/// use tls_tokio::Listen;
/// use tokio::net::{TcpListener, TcpStream};
///
/// /// TCP with Nagle's algorithm, for peers that are paid by the packet.
/// struct Patient(TcpListener);
///
/// impl Listen for Patient {
///     type Io = TcpStream;
///     type Address = SocketAddr;
///
///     fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
///         self.0.poll_accept(cx)
///     }
///
///     fn poll_first_byte(io: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
///         <TcpListener as Listen>::poll_first_byte(io, cx)
///     }
///
///     fn socket_address(address: &SocketAddr) -> Option<SocketAddr> {
///         Some(*address)
///     }
/// }
/// ```
pub trait Listen: Unpin + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Whose connection it is.
    type Address: fmt::Debug + Send + 'static;

    /// Waits for the next connection.
    ///
    /// # Errors
    /// Accepting failed. It is tried again, after a pause where the error is not that of a single connection: an error
    /// never ends the listener.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Io, Self::Address)>>;

    /// Waits until there is something to read on a new connection: a byte, its end, or an error. Nothing is taken from
    /// it: a look ahead like `poll_peek` of TCP or `poll_fill_buf` of a `BufReader` does it. Until then a connection costs no more than a small task, and has the listener's
    /// [`first_byte_timeout`](crate::TlsListener::first_byte_timeout).
    ///
    /// A transport that cannot tell returns `Ready` at once: the handshake waits for the first byte then.
    ///
    /// # Errors
    /// The connection failed.
    fn poll_first_byte(io: &mut Self::Io, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// The address as one of the internet, for the limit per address and for hooks
    /// ([`ConnectionContext::peer_address`](tls_core::ConnectionContext::peer_address)). Default: none.
    fn socket_address(address: &Self::Address) -> Option<SocketAddr> {
        let _ = address;
        None
    }
}

/// Connections get TCP_NODELAY: a TLS stream writes whole flights and records, and waiting to put them together only
/// makes them late. (`set_nodelay(false)` on the stream's transport undoes it.)
impl Listen for TcpListener {
    type Io = TcpStream;
    type Address = SocketAddr;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (tcp, address) = ready!(Self::poll_accept(self, cx))?;
        // Fails where the client is gone already, which will be seen.
        let _ = tcp.set_nodelay(true);
        Poll::Ready(Ok((tcp, address)))
    }

    fn poll_first_byte(io: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Readiness alone is not enough: Tokio takes a new socket for ready until it has been tried.
        io.poll_peek(cx, &mut ReadBuf::new(&mut [0; 1])).map_ok(|_| ())
    }

    fn socket_address(address: &SocketAddr) -> Option<SocketAddr> {
        Some(*address)
    }
}

#[cfg(unix)]
impl Listen for tokio::net::UnixListener {
    type Io = tokio::net::UnixStream;
    type Address = tokio::net::unix::SocketAddr;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Io, Self::Address)>> {
        Self::poll_accept(self, cx)
    }

    fn poll_first_byte(io: &mut Self::Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(io.poll_read_ready(cx))?;
            let peek = || SockRef::from(&*io).peek(&mut [MaybeUninit::uninit()]);
            match io.try_io(Interest::READABLE, peek) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                peeked => return Poll::Ready(peeked.map(|_| ())),
            }
        }
    }
}
