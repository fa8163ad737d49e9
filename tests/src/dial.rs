//! A listener's source of connections in memory, and what dials it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use tls_tokio::Listen;
use tokio::io::{AsyncBufRead, BufReader, DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The server's end of a connection. It can say whether there is something to read.
pub type ServerEnd = BufReader<DuplexStream>;

/// Bytes under way in each direction.
const PIPE: usize = 16 * 1024;

/// What a [`TlsListener`](tls_tokio::TlsListener) accepts from.
pub struct Source {
    incoming: UnboundedReceiver<io::Result<(ServerEnd, SocketAddr)>>,
    polls: Arc<AtomicUsize>,
}

/// Connects to a [`Source`].
#[derive(Clone)]
pub struct Dialer {
    outgoing: UnboundedSender<io::Result<(ServerEnd, SocketAddr)>>,
    polls: Arc<AtomicUsize>,
}

/// Both ends.
#[must_use]
pub fn dial() -> (Dialer, Source) {
    let (outgoing, incoming) = unbounded_channel();
    let polls = Arc::default();
    let source = Source {
        incoming,
        polls: Arc::clone(&polls),
    };
    (Dialer { outgoing, polls }, source)
}

impl Dialer {
    /// A connection from this address; `None` where nobody listens any more.
    ///
    /// # Panics
    /// If it is no address.
    #[must_use]
    pub fn connect(&self, address: &str) -> Option<DuplexStream> {
        let address = address.parse().expect("an address and a port");
        let (client, server) = duplex(PIPE);
        // Room for a byte is enough: reads that ask for more go past it.
        let server = BufReader::with_capacity(16, server);
        self.outgoing.send(Ok((server, address))).ok()?;
        Some(client)
    }

    /// An attempt to accept that fails.
    pub fn fail(&self, error: io::Error) {
        let _ = self.outgoing.send(Err(error));
    }

    /// How often the source was asked.
    #[must_use]
    pub fn polls(&self) -> usize {
        self.polls.load(Relaxed)
    }

    /// Whether nobody listens any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.outgoing.is_closed()
    }
}

impl Listen for Source {
    type Io = ServerEnd;
    type Address = SocketAddr;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(ServerEnd, SocketAddr)>> {
        self.polls.fetch_add(1, Relaxed);
        match self.incoming.poll_recv(cx) {
            Poll::Ready(Some(accepted)) => Poll::Ready(accepted),
            // Nobody will ever dial again.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_first_byte(io: &mut ServerEnd, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(io).poll_fill_buf(cx).map_ok(|_| ())
    }

    fn socket_address(address: &SocketAddr) -> Option<SocketAddr> {
        Some(*address)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}
