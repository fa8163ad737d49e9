//! The end of a listener, and of the streams it gave out.

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::sync::Arc;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::counts::Counts;
use super::state::{Open, Shared, Stage};

/// What is ended by force is gone by then, unless its task is busy or does not listen.
const SETTLE: Duration = Duration::from_secs(1);

/// Stops a [`TlsListener`](crate::TlsListener) from anywhere, and knows its numbers. Cheap to clone; outlives it.
///
/// Example: that of [`TlsListener`](crate::TlsListener).
#[derive(Clone)]
pub struct ListenerHandle(pub(super) Arc<Shared>);

/// How a drain ended.
///
/// Example: that of [`TlsListener`](crate::TlsListener).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Streams that ended by themselves after the drain began.
    pub finished: u64,
    /// Streams that were ended when the time was over: their futures ([`StreamGuard::run`]) were dropped, or they ended
    /// right then.
    pub forced: u64,
    /// Streams that are still open: their tasks use [`StreamGuard::run`] not at all, or are busy without ever waiting.
    pub left: u64,
    /// Connections given up before their handshake was over, in time or not: those that had sent nothing, and those
    /// that the end of the time found in their handshake. The latter were sent an alert if they took it at once.
    pub handshakes: u64,
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} finished", self.finished)?;
        for (count, what) in [
            (self.forced, "cut off"),
            (self.left, "still open"),
            (self.handshakes, "handshakes given up"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

impl ListenerHandle {
    /// Stops accepting, and waits until all is over that was accepted before.
    ///
    /// - What the kernel has connected already is still accepted, then the socket is closed: others get "connection
    ///   refused", and another process can listen there.
    /// - Handshakes go on, and their streams are given out by [`accept`](crate::TlsListener::accept); **go on calling it
    ///   until it returns `None`**. A connection that has sent nothing gets one more second.
    /// - [`StreamGuard::draining`] tells the open streams.
    /// - When `limit` is over, handshakes are given up after an attempt at an alert, and the futures in
    ///   [`StreamGuard::run`] are dropped. This returns then, or up to a second later if some task does not end.
    ///
    /// Called again (for a second signal, say, with a limit of zero) the earlier limit counts.
    ///
    /// Cancel safe: the listener drains on, without a limit.
    pub async fn drain(&self, limit: Duration) -> Drained {
        self.0.enter(Stage::Draining);
        if timeout(limit, self.idle()).await.is_err() {
            self.0.enter(Stage::Forced);
            let _ = timeout(SETTLE, self.idle()).await;
        }
        let state = self.0.lock();
        Drained {
            left: state.counts.open,
            ..state.drained
        }
    }

    /// Cancelled when the listener begins to drain: for whoever accepts from it within something that has an end of its
    /// own, such as a server that takes a signal.
    #[must_use]
    pub fn draining(&self) -> CancellationToken {
        self.0.draining.clone()
    }

    /// What became of the connections so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.lock().counts
    }

    async fn idle(&self) {
        loop {
            let progress = self.0.progress.notified();
            if self.0.lock().is_idle() {
                return;
            }
            progress.await;
        }
    }
}

impl fmt::Debug for ListenerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerHandle")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// Comes with an accepted stream and stays with whoever serves it: while it lives the stream counts as open, and a
/// drain waits for it.
///
/// Example: that of [`TlsListener`](crate::TlsListener).
#[derive(Debug)]
pub struct StreamGuard {
    pub(super) open: Open,
}

impl StreamGuard {
    /// Cancelled when the listener begins to drain: finish what is under way, begin nothing new, and close.
    #[must_use]
    pub fn draining(&self) -> CancellationToken {
        self.open.shared.draining.clone()
    }

    /// Cancelled when the drain's time is over: for whoever serves the stream where [`Self::run`] cannot, as within a
    /// library that takes the stream. Drop the stream then.
    #[must_use]
    pub fn forced(&self) -> CancellationToken {
        self.open.shared.force.clone()
    }

    /// Runs what serves the stream. If the drain's time is over before it ends, it is dropped, and with it the stream
    /// that it owns; the result is `None` then.
    ///
    /// Not cancel safe unless the future is.
    pub async fn run<F: Future>(self, serve: F) -> Option<F::Output> {
        let force = self.open.shared.force.clone();
        force.run_until_cancelled(serve).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_says_what_did_not_finish_only_where_there_is_such() {
        let mut drained = Drained {
            finished: 3,
            ..Drained::default()
        };
        assert_eq!(drained.to_string(), "3 finished");
        drained.handshakes = 2;
        drained.forced = 1;
        assert_eq!(
            drained.to_string(),
            "3 finished, 1 cut off, 2 handshakes given up"
        );
    }
}
