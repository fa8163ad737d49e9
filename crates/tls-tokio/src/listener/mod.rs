//! A server's listener: handshakes beside the accept loop, within limits, and an orderly end.

mod backoff;
mod connection;
mod counts;
mod drain;
mod listen;
mod network;
mod settings;
mod state;

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

use futures_core::Stream;
use tls_core::ConnectionContext;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, coop};
use tokio::time::{Sleep, sleep};

use self::backoff::{Backoff, Seldom};
use self::connection::{Admitted, admit};
pub use self::counts::{Counts, Failures, TimedOut};
pub use self::drain::{Drained, ListenerHandle, StreamGuard};
pub use self::listen::Listen;
use self::network::Network;
use self::settings::Settings;
pub use self::settings::{DEFAULT_FIRST_BYTE_TIMEOUT, DEFAULT_MAX_HANDSHAKES, DEFAULT_MAX_WAITING, WhenFull};
use self::state::{Shared, Stage};
use crate::acceptor::TlsAcceptor;
use crate::error::HandshakeFailure;
use crate::observer::Observer;
use crate::stream::TlsStream;

/// Connections taken from the kernel in one go, so that those who wait for a stream get their turn.
const ACCEPTED_AT_ONCE: usize = 64;

/// Connections that the kernel has ready are still accepted when a drain begins: at most so many.
const ACCEPTED_AT_LAST: usize = 4096;

/// When a drain begins, a client that has sent nothing gets this long: its first bytes may be on their way.
const LAST_WORD: Duration = Duration::from_secs(1);

/// When the time of a drain is over, handshakes get this long to say so to their clients.
const LAST_ALERT: Duration = Duration::from_millis(250);

/// Accepts TLS connections: give it a listening socket and a [`TlsAcceptor`], and take established streams out of it.
///
/// Each handshake runs in a task of its own, so that no client ever holds up another. What clients can make the server
/// hold is bounded:
///
/// | | default |
/// | --- | --- |
/// | [`first_byte_timeout`](Self::first_byte_timeout): until a client says anything; it costs about 1 KiB until then | 10 s |
/// | [`TlsAcceptor::handshake_timeout`]: from the first byte to the established stream | 10 s |
/// | [`max_handshakes`](Self::max_handshakes): handshakes at once, and streams that nobody has taken | 4,096 |
/// | [`max_waiting`](Self::max_waiting): connections that wait for their first byte or their handshake | 8,192 |
/// | [`when_full`](Self::when_full): what happens if one more comes | the oldest is closed |
/// | [`max_per_address`](Self::max_per_address): connections of one client without a finished handshake | no limit |
///
/// Failed handshakes go to [`on_failure`](Self::on_failure), to [`Counts`] and to `tracing`, never to the accept loop;
/// that connections are turned away by a limit is a warning every ten seconds at most. When accepting itself fails, for
/// want of file descriptors mostly, it is tried again after a pause, with a warning too.
///
/// All of this happens while somebody waits in [`Self::accept`]; what runs in between are the handshakes. Dropping the
/// listener closes the socket and drops handshakes in progress; streams that were taken live on.
///
/// ```no_run
/// use std::time::Duration;
///
/// use tls_tokio::{Accepted, TlsAcceptor, TlsListener};
/// use tokio::io::AsyncWriteExt;
/// use tokio::net::TcpListener;
///
/// # async fn terminated() {}
/// # async fn example(acceptor: TlsAcceptor) -> std::io::Result<()> {
/// let tcp = TcpListener::bind("127.0.0.1:8443").await?;
/// let mut listener = TlsListener::new(tcp, acceptor).max_per_address(Some(100));
///
/// let handle = listener.handle();
/// let ending = tokio::spawn(async move {
///     terminated().await;
///     handle.drain(Duration::from_secs(10)).await
/// });
///
/// while let Some(Accepted { mut stream, guard, .. }) = listener.accept().await {
///     let draining = guard.draining();
///     tokio::spawn(guard.run(async move {
///         while !draining.is_cancelled() {
///             stream.write_all(b"tick\n").await?;
///             tokio::time::sleep(Duration::from_secs(1)).await;
///         }
///         stream.shutdown().await
///     }));
/// }
/// println!("{:?}", ending.await?);
/// # Ok(())
/// # }
/// ```
pub struct TlsListener<L: Listen, S = TlsStream<<L as Listen>::Io>> {
    /// `None` once it is closed.
    listen: Option<L>,
    settings: Arc<Settings<L, S>>,
    shared: Arc<Shared>,
    connections: Connections<S, L::Address>,
    backoff: Backoff,
    turned_away: Seldom,
    last: Last,
}

/// A task for each connection that is not established yet.
type Connections<S, A> = JoinSet<Option<Box<Admitted<S, A>>>>;

/// What is left to do in a drain.
#[derive(Default)]
enum Last {
    #[default]
    Nothing,
    /// End those that are silent then.
    Silent(Pin<Box<Sleep>>),
    /// End all that are left then; `None` when that is done.
    All(Option<Pin<Box<Sleep>>>),
}

/// A stream that was accepted.
///
/// Example: that of [`TlsListener`](crate::TlsListener).
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted<S, A> {
    /// The established stream.
    pub stream: S,
    /// Whose it is.
    pub address: A,
    /// To be kept by whoever serves the stream: a drain waits for it.
    pub guard: StreamGuard,
}

impl<L: Listen> TlsListener<L> {
    /// Accepts from this socket with this acceptor, whose time limit is that of each handshake.
    #[must_use]
    pub fn new(listen: L, acceptor: TlsAcceptor) -> Self {
        Self::with_handshake(listen, acceptor, |acceptor, io, context| async move {
            acceptor.accept_with(io, context).await
        })
    }
}

impl<L: Listen, S: Send + 'static> TlsListener<L, S> {
    /// The same with a handshake of your own, for example one that reads early data
    /// ([`TlsAcceptor::accept_early_with`]). Use the acceptor that it is given: it has the deadline and ends with the
    /// listener. What the function returns, a `TlsStream` or more, is what [`Self::accept`] gives.
    #[must_use]
    pub fn with_handshake<H, F>(listen: L, acceptor: TlsAcceptor, handshake: H) -> Self
    where
        H: Fn(TlsAcceptor, L::Io, ConnectionContext) -> F + Send + Sync + 'static,
        F: Future<Output = Result<S, HandshakeFailure<L::Io>>> + Send + 'static,
    {
        // On the heap only once it begins: a connection that is silent does not have it.
        let handshake = move |acceptor, io, context| Box::pin(handshake(acceptor, io, context)) as _;
        Self {
            listen: Some(listen),
            settings: Arc::new(Settings::new(acceptor, Arc::new(handshake))),
            shared: Arc::default(),
            connections: JoinSet::new(),
            backoff: Backoff::default(),
            turned_away: Seldom::default(),
            last: Last::default(),
        }
    }

    /// Handshakes at once, and established streams that nobody has taken: at least 1. Others wait for their turn, under
    /// the deadline of their handshake. Default: [`DEFAULT_MAX_HANDSHAKES`].
    ///
    /// A client that is slow on purpose can keep a place for the whole time limit of a handshake, so this should be well
    /// above what honest clients need: it is for the memory's sake. Against few clients with many connections there is
    /// [`Self::max_per_address`].
    #[must_use]
    pub fn max_handshakes(self, limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        self.set(|settings| settings.places = Arc::new(Semaphore::new(limit)))
    }

    /// Connections that wait for their first byte, or for their turn: at least 1. [`Self::when_full`] says what happens to
    /// one more. Default: [`DEFAULT_MAX_WAITING`].
    #[must_use]
    pub fn max_waiting(self, limit: usize) -> Self {
        self.set(|settings| settings.max_waiting = limit.max(1))
    }

    /// What happens when [`Self::max_waiting`] is reached. Default: the oldest is closed.
    #[must_use]
    pub fn when_full(self, policy: WhenFull) -> Self {
        self.set(|settings| settings.when_full = policy)
    }

    /// Connections of one address without a finished handshake; further ones are closed at once. An IPv6 client counts by
    /// its /64 network. `None`, the default, for no limit: clients behind a proxy or a large NAT have one address.
    #[must_use]
    pub fn max_per_address(self, limit: Option<usize>) -> Self {
        self.set(|settings| settings.max_per_address = limit)
    }

    /// How long a client may take from its connection to its first byte; `None` for ever. Default: 10 seconds.
    #[must_use]
    pub fn first_byte_timeout(self, limit: Option<Duration>) -> Self {
        self.set(|settings| settings.first_byte_timeout = limit)
    }

    /// Calls this with each connection that was not established: its address, why, and the transport, which is closed when
    /// it is dropped. It is called in the connection's own task, and must not block.
    ///
    /// Connections that were refused or shed, or that a stopping listener closes before their handshake, are only counted.
    #[must_use]
    pub fn on_failure(
        self,
        hook: impl Fn(L::Address, HandshakeFailure<L::Io>) + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.on_failure = Some(Arc::new(hook)))
    }

    /// Tells this observer what becomes of each connection from the beginning of its handshake, instead of the acceptor's
    /// own. Connections that never come to a handshake are in [`Counts`] alone.
    #[must_use]
    pub fn observer(self, observer: Arc<dyn Observer>) -> Self {
        self.set(|settings| settings.acceptor = settings.acceptor.clone().observer(observer))
    }

    fn set(mut self, set: impl FnOnce(&mut Settings<L, S>)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }

    /// What drains the listener, and knows its numbers.
    #[must_use]
    pub fn handle(&self) -> ListenerHandle {
        ListenerHandle(Arc::clone(&self.shared))
    }

    /// What became of the connections so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// What is listened on; `None` once it is closed.
    #[must_use]
    pub fn get_ref(&self) -> Option<&L> {
        self.listen.as_ref()
    }

    /// The next established stream; `None` when the listener was drained and no handshake is left.
    ///
    /// Cancel safe: no connection is lost.
    ///
    /// # Panics
    /// Outside a Tokio runtime with timers.
    pub async fn accept(&mut self) -> Option<Accepted<S, L::Address>> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// As [`Self::accept`], for those who poll; `Stream` does the same.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Accepted<S, L::Address>>> {
        let stage = self.shared.look(cx);
        if stage == Stage::Open {
            let mut left = ACCEPTED_AT_ONCE;
            while left > 0 && self.poll_connection(cx).is_ready() {
                left -= 1;
            }
            if left == 0 {
                cx.waker().wake_by_ref();
            }
        }
        if stage > Stage::Open {
            self.end(stage, cx);
        }
        while let Poll::Ready(ended) = self.connections.poll_join_next(cx) {
            match ended {
                Some(Ok(Some(admitted))) => {
                    let Admitted {
                        stream,
                        address,
                        guard,
                        ..
                    } = *admitted;
                    return Poll::Ready(Some(Accepted {
                        stream,
                        address,
                        guard,
                    }));
                }
                Some(Ok(None)) => {}
                Some(Err(error)) if error.is_panic() => tracing::error!(%error, "a handshake panicked"),
                Some(Err(_)) => {}
                None if self.listen.is_none() => return Poll::Ready(None),
                None => break,
            }
        }
        Poll::Pending
    }

    /// Tries to accept one connection. Pending where there is none, or none is wanted now.
    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(listen) = &mut self.listen else {
            return Poll::Pending;
        };
        let settings = &self.settings;
        let is_full = self
            .shared
            .is_full(settings.max_waiting, settings.when_full == WhenFull::Wait);
        if is_full && settings.when_full == WhenFull::Wait {
            return Poll::Pending;
        }
        if self.backoff.poll(cx).is_pending() {
            return Poll::Pending;
        }
        match listen.poll_accept(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => {
                let mut state = self.shared.lock();
                state.counts.accept_errors = state.counts.accept_errors.saturating_add(1);
                drop(state);
                self.backoff.failed(&error);
            }
            Poll::Ready(Ok((io, address))) => {
                self.backoff.succeeded();
                self.admit(io, address, is_full);
            }
        }
        Poll::Ready(())
    }

    /// Gives a new connection its task, if it may have one.
    fn admit(&mut self, io: L::Io, address: L::Address, is_full: bool) {
        let network = L::socket_address(&address).map(|address| Network::from(address.ip()));
        let Some(entry) = self.shared.admit(network, self.settings.max_per_address) else {
            if let Some(connections) = self.turned_away.happened() {
                tracing::warn!(
                    ?address,
                    connections,
                    "refused: too many connections of one address"
                );
            }
            return;
        };
        if is_full {
            self.shared.shed_oldest();
            if let Some(connections) = self.turned_away.happened() {
                tracing::warn!(connections, "too many connections wait; the oldest are closed");
            }
        }
        let number = entry.number();
        let task = self
            .connections
            .spawn(admit(Arc::clone(&self.settings), io, address, entry));
        self.shared.attach(number, task);
    }

    /// Closes the socket, and ends what is not to go on.
    fn end(&mut self, stage: Stage, cx: &mut Context<'_>) {
        if self.listen.is_some() {
            for _ in 0..ACCEPTED_AT_LAST {
                if stage == Stage::Forced {
                    break;
                }
                if self.poll_connection(cx).is_pending() {
                    // There may be more where only this task's share of time is used up; it is polled again then.
                    if !coop::has_budget_remaining() {
                        return;
                    }
                    break;
                }
            }
            self.listen = None;
            self.shared.closed();
            self.last = Last::Silent(Box::pin(sleep(LAST_WORD)));
        }
        if stage == Stage::Forced && !matches!(self.last, Last::All(_)) {
            self.shared.stop_waiting(true);
            self.last = Last::All(Some(Box::pin(sleep(LAST_ALERT))));
        }
        match &mut self.last {
            Last::Silent(time) => {
                if time.as_mut().poll(cx).is_ready() {
                    self.shared.stop_waiting(false);
                    self.last = Last::Nothing;
                }
            }
            Last::All(Some(time)) => {
                if time.as_mut().poll(cx).is_ready() {
                    self.connections.abort_all();
                    self.last = Last::All(None);
                }
            }
            Last::All(None) | Last::Nothing => {}
        }
    }
}

/// See [`TlsListener::accept`].
impl<L: Listen, S: Send + 'static> Stream for TlsListener<L, S> {
    type Item = Accepted<S, L::Address>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_accept(cx)
    }
}

impl<L: Listen, S> Drop for TlsListener<L, S> {
    fn drop(&mut self) {
        self.listen = None;
        self.shared.closed();
    }
}

impl<L: Listen, S> fmt::Debug for TlsListener<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener")
            .field("counts", &self.shared.lock().counts)
            .finish_non_exhaustive()
    }
}
