//! Whoever wants to know what becomes of handshakes and streams.

use core::fmt;
use core::time::Duration;
use std::io;

use tls_core::{AlertDescription, ClientHello, ConnectionContext, Phase, Side};

use crate::error::Error;
use crate::info::TlsInfo;

/// Is told what becomes of each handshake and each stream: given to
/// [`TlsConnector::observer`](crate::TlsConnector::observer), [`TlsAcceptor::observer`](crate::TlsAcceptor::observer) or
/// [`TlsListener::observer`](crate::TlsListener::observer).
///
/// - Each [`handshake_started`](Self::handshake_started) is followed by exactly one
///   [`handshake_finished`](Self::handshake_finished) or [`handshake_failed`](Self::handshake_failed), and a finished one
///   by exactly one [`stream_ended`](Self::stream_ended), whatever happens: a deadline, a panic, a future that is dropped.
///   (Unless a future or stream is leaked, as by [`core::mem::forget`].) [`Observed::id`] tells connections apart.
/// - The methods are called where things happen, in the task of the connection and often in a drop: they must not block.
/// - A panic of an observer is caught, and logged as an error by `tracing`; the connection does not notice. (Not where
///   panics abort the process.)
/// - Nothing secret is passed: no keys, no session tickets, no data.
///
/// All methods do nothing unless they are implemented. `tracing` says the same without an observer: see the crate's
/// documentation.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use tls_tokio::{HandshakeFailed, Observed, Observer, StreamEnd};
///
/// #[derive(Debug, Default)]
/// struct Bytes(AtomicU64);
///
/// impl Observer for Bytes {
///     fn handshake_failed(&self, connection: &Observed<'_>, failed: &HandshakeFailed<'_>) {
///         eprintln!("{:?}: {}", connection.context.peer_address(), failed.reason);
///     }
///
///     fn stream_ended(&self, _: &Observed<'_>, end: &StreamEnd<'_>) {
///         self.0.fetch_add(end.bytes_in + end.bytes_out, Ordering::Relaxed);
///     }
/// }
///
/// # fn example(acceptor: tls_tokio::TlsAcceptor) {
/// let acceptor = acceptor.observer(Arc::new(Bytes::default()));
/// # }
/// ```
pub trait Observer: fmt::Debug + Send + Sync {
    /// A handshake begins: `connect`, `accept` or `read_client_hello` was called, or the listener gives it its turn.
    fn handshake_started(&self, connection: &Observed<'_>) {
        let _ = connection;
    }

    /// The handshake waits for something else: a message, room to write, or a hook of this name.
    fn phase_changed(&self, connection: &Observed<'_>, phase: Phase) {
        let _ = (connection, phase);
    }

    /// The handshake is over, and there is a stream.
    fn handshake_finished(&self, connection: &Observed<'_>, finished: &HandshakeFinished<'_>) {
        let _ = (connection, finished);
    }

    /// The handshake is over, and there is no stream.
    fn handshake_failed(&self, connection: &Observed<'_>, failed: &HandshakeFailed<'_>) {
        let _ = (connection, failed);
    }

    /// A stream is over: it was dropped, or both its halves were.
    fn stream_ended(&self, connection: &Observed<'_>, end: &StreamEnd<'_>) {
        let _ = (connection, end);
    }
}

/// The connection that an [`Observer`] is told of.
///
/// ```
/// fn name(connection: &tls_tokio::Observed<'_>) -> String {
///     let peer = connection.context.peer_address();
///     format!("{} {} with {peer:?}", connection.side, connection.id)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Observed<'a> {
    /// A number of its own, as long as the process runs. Spans and events have it too, as `connection`.
    pub id: u64,
    /// Which end of it we are.
    pub side: Side,
    /// What the caller said of it: the peer's address, and data of the caller's own.
    pub context: &'a ConnectionContext,
    /// The server that the client wants; on a server known once the handshake is over, and `None` if the client names
    /// none.
    pub server_name: Option<&'a str>,
}

/// A handshake that succeeded.
///
/// ```
/// fn log(finished: &tls_tokio::HandshakeFinished<'_>) {
///     let (version, suite) = (finished.info.version(), finished.info.cipher_suite());
///     println!("{version} with {suite} after {:?}", finished.elapsed);
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HandshakeFinished<'a> {
    /// What it agreed on.
    pub info: &'a TlsInfo,
    /// From the call that began it.
    pub elapsed: Duration,
    /// Bytes received, as on the wire.
    pub bytes_in: u64,
    /// Bytes sent, as on the wire.
    pub bytes_out: u64,
}

/// A handshake that came to nothing.
///
/// ```
/// fn log(failed: &tls_tokio::HandshakeFailed<'_>) {
///     let who = failed.client_hello.map(|hello| hello.ja4());
///     eprintln!("{who:?} {}: {}", failed.reason.name(), failed.reason);
///     if let Some(alert) = failed.alert_received() {
///         eprintln!("the peer said {alert}");
///     }
/// }
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct HandshakeFailed<'a> {
    /// Why.
    pub reason: Reason<'a>,
    /// What it was waiting for.
    pub phase: Phase,
    /// The alert that the peer was sent, as far as the transport took it.
    pub alert_sent: Option<AlertDescription>,
    /// The client's first message, on a server that had read it.
    pub client_hello: Option<&'a ClientHello>,
    /// From the call that began it.
    pub elapsed: Duration,
    /// Bytes received, as on the wire.
    pub bytes_in: u64,
    /// Bytes sent, as on the wire.
    pub bytes_out: u64,
}

/// Why a handshake came to nothing.
///
/// ```
/// use tls_tokio::{Error, Reason};
///
/// assert_eq!(Reason::Error(&Error::Stopped).name(), "stopped");
/// assert_eq!(Reason::Dropped.name(), "dropped");
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Reason<'a> {
    /// It failed, took too long ([`Error::Timeout`]), or the listener stopped ([`Error::Stopped`]).
    Error(&'a Error),
    /// It was dropped half way: its future, or what one of its stages gave.
    Dropped,
    /// A server took the transport back after the ClientHello, to pass it on:
    /// [`PendingAccept::into_parts`](crate::PendingAccept::into_parts).
    PassedOn,
}

impl HandshakeFailed<'_> {
    /// The alert by which the peer ended the handshake.
    #[must_use]
    pub fn alert_received(&self) -> Option<AlertDescription> {
        self.reason.alert_received()
    }
}

impl Reason<'_> {
    /// In a word, as spans and metrics have it: `failed`, `timed_out`, `stopped`, `dropped` or `passed_on`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error(Error::Timeout(_)) => "timed_out",
            Self::Error(Error::Stopped) => "stopped",
            Self::Error(_) => "failed",
            Self::Dropped => "dropped",
            Self::PassedOn => "passed_on",
        }
    }

    fn alert_received(self) -> Option<AlertDescription> {
        match self {
            Self::Error(Error::Tls(error)) => match error.kind() {
                tls_core::ErrorKind::AlertReceived(description) => Some(*description),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => fmt::Display::fmt(error, f),
            Self::Dropped => f.write_str("the handshake was dropped half way"),
            Self::PassedOn => f.write_str("the connection was passed on"),
        }
    }
}

/// Without the ClientHello, which is long, and has session tickets in it.
impl fmt::Debug for HandshakeFailed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeFailed")
            .field("reason", &self.reason)
            .field("phase", &self.phase)
            .field("alert_sent", &self.alert_sent)
            .field("alert_received", &self.alert_received())
            .field("elapsed", &self.elapsed)
            .field("bytes_in", &self.bytes_in)
            .field("bytes_out", &self.bytes_out)
            .finish_non_exhaustive()
    }
}

/// How a stream ended, and what it moved.
///
/// ```
/// fn log(end: &tls_tokio::StreamEnd<'_>) {
///     println!("{}: {} bytes in, {} out", end.how.name(), end.bytes_in, end.bytes_out);
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StreamEnd<'a> {
    /// What its handshake had agreed on.
    pub info: &'a TlsInfo,
    /// How it ended.
    pub how: EndKind,
    /// Whether close_notify was sent. After a drop, whether the transport took it at once, and all that was before it.
    pub close_notify_sent: bool,
    /// Whether the peer's close_notify was seen. It is only by reading to the end.
    pub close_notify_received: bool,
    /// Bytes of data that were read from the stream, early data included, and what a graceful shutdown threw away. What came
    /// and nobody read does not count.
    pub bytes_in: u64,
    /// Bytes of data that the stream accepted, early data that the server accepted included. Where it ended badly, not all
    /// of it left.
    pub bytes_out: u64,
    /// From the end of the handshake.
    pub duration: Duration,
}

/// How a stream ended: the worst that happened to it. Only what somebody met by reading, writing or closing is known.
///
/// ```
/// use tls_tokio::{AlertDescription, EndKind};
///
/// let refused = EndKind::AlertReceived(AlertDescription::ACCESS_DENIED);
/// assert_eq!(refused.name(), "alert_received");
/// assert_eq!(refused.alert(), Some(AlertDescription::ACCESS_DENIED));
/// assert_eq!(EndKind::Clean.alert(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndKind {
    /// Both sides said close_notify.
    Clean,
    /// We said close_notify, and the transport ended without the peer's, which was no loss
    /// ([`EofPolicy`](crate::EofPolicy), [`mark_complete`](crate::TlsStream::mark_complete)).
    WithoutCloseNotify,
    /// We said close_notify, and did not wait for the peer's.
    Closed,
    /// It was dropped, or its write half was, without a shutdown. Close_notify may have left all the same.
    DroppedOpen,
    /// By [`TlsStream::abort`](crate::TlsStream::abort), or that of the write half.
    Aborted,
    /// It was dropped by a panic.
    Panicked,
    /// The peer did not take our close_notify in time, or the transport says that something took too long.
    TimedOut,
    /// The transport failed in a way of its own.
    Failed(io::ErrorKind),
    /// The transport ended without close_notify.
    Truncated,
    /// The peer, or something on the way, reset the connection.
    Reset,
    /// The peer broke the protocol, and we ended the connection with this alert.
    AlertSent(AlertDescription),
    /// The peer ended the connection with this alert.
    AlertReceived(AlertDescription),
}

impl EndKind {
    /// In a word, as events and metrics have it: `clean`, `without_close_notify`, `closed`, `dropped_open`, `aborted`,
    /// `panicked`, `timed_out`, `failed`, `truncated`, `reset`, `alert_sent` or `alert_received`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::WithoutCloseNotify => "without_close_notify",
            Self::Closed => "closed",
            Self::DroppedOpen => "dropped_open",
            Self::Aborted => "aborted",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed_out",
            Self::Failed(_) => "failed",
            Self::Truncated => "truncated",
            Self::Reset => "reset",
            Self::AlertSent(_) => "alert_sent",
            Self::AlertReceived(_) => "alert_received",
        }
    }

    /// The alert, where one ended the stream.
    #[must_use]
    pub const fn alert(self) -> Option<AlertDescription> {
        match self {
            Self::AlertSent(alert) | Self::AlertReceived(alert) => Some(alert),
            _ => None,
        }
    }

    /// How bad it is: of two things that happened the worse one is told.
    pub(crate) const fn severity(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::WithoutCloseNotify => 1,
            Self::Clean => 2,
            Self::DroppedOpen => 3,
            Self::Aborted => 4,
            Self::Panicked => 5,
            Self::TimedOut => 6,
            Self::Failed(_) => 7,
            Self::Truncated => 8,
            Self::Reset => 9,
            Self::AlertSent(_) => 10,
            Self::AlertReceived(_) => 11,
        }
    }
}
