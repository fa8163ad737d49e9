//! The writing side of a connection with its transport, and what becomes of it when nobody closed it.

use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::io::{self, IoSlice};
use std::sync::Arc;

use tls_core::Writer;
use tokio::io::AsyncWrite;

use crate::observer::EndKind;
use crate::shutdown::Closing;
use crate::transfer;
use crate::watch::StreamWatch;

/// What writes: the whole of a stream's transport, or the half of it that writes. Dropped open, it says goodbye to the
/// peer as far as that takes no waiting.
pub(crate) struct Outgoing<W>(Option<Parts<W>>);

pub(crate) struct Parts<W> {
    pub(crate) io: W,
    pub(crate) writer: Writer,
    pub(crate) closing: Closing,
    /// Who is told how the stream ends, if anybody.
    pub(crate) watch: Option<Arc<StreamWatch>>,
    /// [`say_goodbye`] for this transport: a drop knows nothing of what the transport can do.
    goodbye: fn(&mut Self) -> bool,
}

impl<W: AsyncWrite + Unpin> Outgoing<W> {
    pub(crate) fn new(io: W, writer: Writer, closing: Closing, watch: Option<Arc<StreamWatch>>) -> Self {
        Self(Some(Parts {
            io,
            writer,
            closing,
            watch,
            goodbye: say_goodbye::<W>,
        }))
    }
}

impl<W> Outgoing<W> {
    /// The parts, which are not closed when they are dropped.
    #[expect(clippy::expect_used, reason = "only this takes them, and only once")]
    pub(crate) fn dismantle(mut self) -> Parts<W> {
        self.0.take().expect("not dismantled")
    }
}

impl<W> Parts<W> {
    /// Nothing more is to be said to the peer, not even goodbye.
    pub(crate) fn abort(&mut self) {
        if !self.closing.is_over() {
            self.closing.set_over();
            self.note(EndKind::Aborted);
        }
    }

    fn note(&self, how: EndKind) {
        if let Some(watch) = &self.watch {
            watch.note(how);
        }
    }
}

impl<W> Deref for Outgoing<W> {
    type Target = Parts<W>;

    #[expect(
        clippy::expect_used,
        reason = "only `dismantle` takes them, and nothing is left to call then"
    )]
    fn deref(&self) -> &Parts<W> {
        self.0.as_ref().expect("not dismantled")
    }
}

impl<W> DerefMut for Outgoing<W> {
    #[expect(
        clippy::expect_used,
        reason = "only `dismantle` takes them, and nothing is left to call then"
    )]
    fn deref_mut(&mut self) -> &mut Parts<W> {
        self.0.as_mut().expect("not dismantled")
    }
}

impl<W> Drop for Outgoing<W> {
    fn drop(&mut self) {
        let Some(parts) = &mut self.0 else { return };
        if parts.closing.is_over() {
            return;
        }
        if std::thread::panicking() {
            // What was being said is not finished: the peer must not take it for that.
            parts.note(EndKind::Panicked);
            return;
        }
        let sent = (parts.goodbye)(parts);
        if let Some(watch) = &parts.watch {
            watch.dropped_open(sent);
        }
    }
}

/// Sends what is pending and close_notify behind it, as far as the transport takes it now: whether that was all of it,
/// and close_notify the end, and not an alert.
/// A record that was half written goes on where it was, so that nothing comes out of order.
fn say_goodbye<W: AsyncWrite + Unpin>(parts: &mut Parts<W>) -> bool {
    let cx = &mut Context::from_waker(Waker::noop());
    let Parts { io, writer, .. } = parts;
    if writer.apply_control().is_err() || writer.ended_by_peer().is_some() || writer.close_notify().is_err() {
        return false;
    }
    let sent = matches!(transfer::poll_push(writer, io, cx), Poll::Ready(Ok(())));
    // Also where not all was taken: it ends what the other half, which may live on, can no longer use. A transport that
    // buffers is flushed by it.
    let _ = Pin::new(io).poll_shutdown(cx);
    sent && writer.said_goodbye()
}

impl<W: AsyncWrite + Unpin> Parts<W> {
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        transfer::poll_write(&mut self.writer, &mut self.io, cx, data)
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        transfer::poll_flush(&mut self.writer, &mut self.io, cx)
    }

    /// Shuts the transport's write side down if nobody has: the peer does not take what is pending.
    pub(crate) fn close_transport(&mut self, cx: &mut Context<'_>) {
        if !self.closing.is_over() {
            self.note(EndKind::TimedOut);
            self.closing.give_up(&mut self.io, cx);
        }
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closing.poll(&mut self.writer, &mut self.io, cx)
    }
}
