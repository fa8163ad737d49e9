//! What a connector connects: TLS, or the transport as it is.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tls_tokio::{TlsInfo, TlsStream};

/// A connection by TLS, or in the clear where the URI says `http`.
///
/// `T` is what the connector below gives, a `TokioIo<TcpStream>` mostly. Reads and writes go straight through, vectored
/// writes too.
///
/// ```
/// use tls_hyper::MaybeHttpsStream;
///
/// fn describe<T>(stream: &MaybeHttpsStream<T>) -> String {
///     match stream.tls_info() {
///         Some(info) => format!("{} {}", info.version(), info.cipher_suite()),
///         None => "in the clear".to_owned(),
///     }
/// }
/// ```
#[non_exhaustive]
pub enum MaybeHttpsStream<T> {
    /// In the clear.
    Http(T),
    /// By TLS. In a box: it is several times as large.
    Https(Box<TokioIo<TlsStream<TokioIo<T>>>>),
}

impl<T> MaybeHttpsStream<T> {
    pub(super) fn https(stream: TlsStream<TokioIo<T>>) -> Self {
        Self::Https(Box::new(TokioIo::new(stream)))
    }

    /// What the handshake agreed on; `None` in the clear.
    #[must_use]
    pub fn tls_info(&self) -> Option<TlsInfo> {
        match self {
            Self::Http(_) => None,
            Self::Https(stream) => Some(stream.inner().info()),
        }
    }
}

/// Says to the pool whether HTTP/2 was negotiated. What the transport has to say (`HttpInfo`: the addresses) and
/// [`TlsInfo`] become extensions of each response.
impl<T: Connection> Connection for MaybeHttpsStream<T> {
    fn connected(&self) -> Connected {
        match self {
            Self::Http(transport) => transport.connected(),
            Self::Https(stream) => {
                let info = stream.inner().info();
                let transport = stream.inner().get_ref().inner().connected();
                let is_http2 = info.alpn() == Some(b"h2");
                // Requests within TLS go to the server itself, whoever forwards the bytes.
                let connected = transport.proxy(false).extra(info);
                if is_http2 {
                    connected.negotiated_h2()
                } else {
                    connected
                }
            }
        }
    }
}

impl<T: Read + Write + Unpin> Read for MaybeHttpsStream<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Http(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Https(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
        }
    }
}

impl<T: Read + Write + Unpin> Write for MaybeHttpsStream<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Http(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Https(stream) => Pin::new(&mut **stream).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Http(stream) => Pin::new(stream).poll_write_vectored(cx, data),
            Self::Https(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Http(stream) => stream.is_write_vectored(),
            Self::Https(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Http(stream) => Pin::new(stream).poll_flush(cx),
            Self::Https(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Http(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Https(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}

impl<T> fmt::Debug for MaybeHttpsStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(_) => f.write_str("Http(..)"),
            Self::Https(stream) => f.debug_tuple("Https").field(stream.inner()).finish(),
        }
    }
}
