//! What a handshake on Tokio can fail with, and how errors become `io::Error`.

use core::fmt;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use tls_core::{ClientHello, ErrorKind, Phase, Side};

/// Why a handshake or a connection failed.
///
/// Example: that of [`HandshakeFailure`](crate::HandshakeFailure).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The protocol, the peer, a hook or the transport: see [`tls_core::ErrorKind`].
    Tls(tls_core::Error),
    /// The handshake did not finish before its deadline.
    Timeout(HandshakeTimeout),
    /// The handshake was given up because the [`TlsListener`](crate::TlsListener) that ran it stops.
    Stopped,
}

/// A handshake that did not finish before its deadline: what it was waiting for, and how far it came.
///
/// Example: that of [`HandshakeFailure`](crate::HandshakeFailure).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HandshakeTimeout {
    /// Which side we were.
    pub side: Side,
    /// What the handshake was waiting for: a message, room to write, or a hook.
    pub phase: Phase,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// How long it took: the handshake's whole time limit.
    pub elapsed: Duration,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(error) => fmt::Display::fmt(error, f),
            Self::Timeout(HandshakeTimeout {
                side,
                phase,
                bytes_in,
                bytes_out,
                elapsed,
            }) => write!(
                f,
                "TLS {side}: the handshake timed out after {elapsed:?}, {phase} ({bytes_in} bytes in, {bytes_out} \
                 bytes out)"
            ),
            Self::Stopped => f.write_str("TLS server: the handshake was given up, since the server stops"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tls(error) => error.source(),
            Self::Timeout(_) | Self::Stopped => None,
        }
    }
}

impl From<tls_core::Error> for Error {
    fn from(error: tls_core::Error) -> Self {
        Self::Tls(error)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Tls(error) => error.into(),
            Error::Timeout(_) => Self::new(io::ErrorKind::TimedOut, error),
            Error::Stopped => Self::new(io::ErrorKind::ConnectionAborted, error),
        }
    }
}

/// The core's own conversion, for `map_err`.
pub(crate) fn to_io(error: tls_core::Error) -> io::Error {
    error.into()
}

/// Whether the peer, or something on the way to it, has reset the connection: the transport says so, not TLS.
pub(crate) fn is_reset(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    of_core(error).is_none()
        && matches!(
            error.kind(),
            K::ConnectionReset | K::BrokenPipe | K::ConnectionAborted | K::NotConnected
        )
}

/// Whether the peer ended the connection by a fatal alert.
pub(crate) fn is_alert(error: &io::Error) -> bool {
    of_core(error).is_some_and(|error| matches!(error.kind(), ErrorKind::AlertReceived(_)))
}

/// What [`to_io`] made an `io::Error` of.
pub(crate) fn of_core(error: &io::Error) -> Option<&tls_core::Error> {
    error.get_ref()?.downcast_ref()
}

/// A handshake that failed, with the transport it failed on.
///
/// The alert, if the failure calls for one, has been sent and the write side of the transport shut down. Where the
/// peer turned out not to speak TLS ([`ErrorKind::NotTls`]) nothing was written, so that it can still be answered
/// in its own language.
///
/// ```
/// use tls_tokio::{Error, PlainHttpAnswer, TlsAcceptor};
/// use tokio::net::TcpStream;
///
/// async fn serve(acceptor: TlsAcceptor, tcp: TcpStream) {
///     match acceptor.accept(tcp).await {
///         Ok(_stream) => { /* serve it */ }
///         Err(failure) => {
///             let ja4 = failure.client_hello().map(|hello| hello.ja4());
///             match failure.error() {
///                 Error::Timeout(timeout) => eprintln!("{ja4:?}: {} after {:?}", timeout.phase, timeout.elapsed),
///                 other => eprintln!("{ja4:?}: {other}"),
///             }
///             // Nothing but an answer for those who meant http://.
///             let _ = failure.answer_plain_http(PlainHttpAnswer::RedirectTo { authority: "example.com" }).await;
///         }
///     }
/// }
/// ```
pub struct HandshakeFailure<IO> {
    pub(crate) error: Error,
    pub(crate) client_hello: Option<Arc<ClientHello>>,
    pub(crate) io: IO,
}

impl<IO> HandshakeFailure<IO> {
    /// Why it failed.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The client's first message, on a server that had read it by then: who was it that failed? Its
    /// [`ja4`](ClientHello::ja4) and server name are also in the debug event of the failure.
    #[must_use]
    pub fn client_hello(&self) -> Option<&ClientHello> {
        self.client_hello.as_deref()
    }

    /// Why it failed, without the transport, which is dropped and so closed.
    #[must_use]
    pub fn into_error(self) -> Error {
        self.error
    }

    /// The transport.
    #[must_use]
    pub fn into_io(self) -> IO {
        self.io
    }

    /// Both.
    #[must_use]
    pub fn into_parts(self) -> (Error, IO) {
        (self.error, self.io)
    }
}

impl<IO> fmt::Debug for HandshakeFailure<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeFailure")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<IO> fmt::Display for HandshakeFailure<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl<IO> std::error::Error for HandshakeFailure<IO> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl<IO> From<HandshakeFailure<IO>> for Error {
    fn from(failure: HandshakeFailure<IO>) -> Self {
        failure.error
    }
}

impl<IO> From<HandshakeFailure<IO>> for io::Error {
    fn from(failure: HandshakeFailure<IO>) -> Self {
        failure.error.into()
    }
}
