//! How a listener treats its connections.

use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::sync::Arc;

use tls_core::ConnectionContext;
use tokio::sync::Semaphore;

use super::listen::Listen;
use crate::acceptor::TlsAcceptor;
use crate::error::HandshakeFailure;

/// Handshakes at once, unless set otherwise. One that waits for the peer in the middle of a message holds about 24 KiB,
/// so that this is about 100 MiB at the worst.
pub const DEFAULT_MAX_HANDSHAKES: usize = 4096;

/// Connections that wait for their first byte or for a handshake, unless set otherwise. Each holds about 1 KiB, and a file
/// descriptor.
pub const DEFAULT_MAX_WAITING: usize = 8192;

/// How long a client may take to say something, unless set otherwise.
pub const DEFAULT_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);

/// What happens when as many connections wait as may, and another one comes.
///
/// ```
/// use tls_tokio::{TlsAcceptor, TlsListener, WhenFull};
/// use tokio::net::TcpListener;
///
/// fn listener(tcp: TcpListener, acceptor: TlsAcceptor) -> TlsListener<TcpListener> {
///     // Behind a load balancer that sees to silent clients itself.
///     TlsListener::new(tcp, acceptor).max_waiting(1000).when_full(WhenFull::Wait)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The one that has waited longest is closed. Clients that connect and say nothing then keep nobody out: they are the
    /// oldest. (Default.)
    #[default]
    RefuseOldest,
    /// Nothing more is accepted until there is room. New clients wait in the kernel, as many as its backlog takes. Nobody
    /// is refused, and clients that say nothing hold everybody up, each until its first-byte limit.
    Wait,
}

/// The answer of a handshake function: an established stream, or what went wrong, with the transport.
pub(super) type Handshaking<L, S> =
    Pin<Box<dyn Future<Output = Result<S, HandshakeFailure<<L as Listen>::Io>>> + Send>>;

type Handshake<L, S> =
    Arc<dyn Fn(TlsAcceptor, <L as Listen>::Io, ConnectionContext) -> Handshaking<L, S> + Send + Sync>;

type OnFailure<L> = Arc<dyn Fn(<L as Listen>::Address, HandshakeFailure<<L as Listen>::Io>) + Send + Sync>;

/// One for all connections that are accepted under it.
pub(super) struct Settings<L: Listen, S> {
    pub(super) acceptor: TlsAcceptor,
    pub(super) handshake: Handshake<L, S>,
    pub(super) on_failure: Option<OnFailure<L>>,
    pub(super) first_byte_timeout: Option<Duration>,
    pub(super) places: Arc<Semaphore>,
    pub(super) max_waiting: usize,
    pub(super) when_full: WhenFull,
    pub(super) max_per_address: Option<usize>,
}

impl<L: Listen, S> Settings<L, S> {
    pub(super) fn new(acceptor: TlsAcceptor, handshake: Handshake<L, S>) -> Self {
        Self {
            acceptor,
            handshake,
            on_failure: None,
            first_byte_timeout: Some(DEFAULT_FIRST_BYTE_TIMEOUT),
            places: Arc::new(Semaphore::new(DEFAULT_MAX_HANDSHAKES)),
            max_waiting: DEFAULT_MAX_WAITING,
            when_full: WhenFull::default(),
            max_per_address: None,
        }
    }

    /// Tells whoever wants to know that a connection was not established.
    pub(super) fn report(&self, address: L::Address, failure: HandshakeFailure<L::Io>) {
        tracing::debug!(?address, error = %failure, "a connection was not established");
        if let Some(on_failure) = &self.on_failure {
            on_failure(address, failure);
        }
    }
}

/// A copy for connections to come, while others still have the old one.
impl<L: Listen, S> Clone for Settings<L, S> {
    fn clone(&self) -> Self {
        Self {
            acceptor: self.acceptor.clone(),
            handshake: Arc::clone(&self.handshake),
            on_failure: self.on_failure.clone(),
            first_byte_timeout: self.first_byte_timeout,
            places: Arc::clone(&self.places),
            max_waiting: self.max_waiting,
            when_full: self.when_full,
            max_per_address: self.max_per_address,
        }
    }
}
