//! A transport that counts, and says what became of it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a [`CountingIo`] saw; stays readable after the transport is gone.
#[derive(Debug, Default)]
pub struct Counts {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    flushes: AtomicU64,
    shut_down: AtomicBool,
    dropped: AtomicBool,
}

impl Counts {
    /// Bytes that reads gave.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Relaxed)
    }

    /// Bytes that writes took.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Relaxed)
    }

    /// Read polls that were ready, with bytes, EOF or an error.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Relaxed)
    }

    /// Write polls that were ready.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes.load(Relaxed)
    }

    /// Flush polls that were ready.
    #[must_use]
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Relaxed)
    }

    /// Whether `poll_shutdown` completed.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.shut_down.load(Relaxed)
    }

    /// Whether the transport was dropped.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.dropped.load(Relaxed)
    }
}

/// Passes everything on to `IO` and counts.
#[derive(Debug)]
pub struct CountingIo<IO> {
    inner: IO,
    counts: Arc<Counts>,
}

impl<IO> CountingIo<IO> {
    /// Around this transport.
    pub fn new(inner: IO) -> Self {
        Self {
            inner,
            counts: Arc::default(),
        }
    }

    /// What it counts, to be kept beside it.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }
}

impl<IO> Drop for CountingIo<IO> {
    fn drop(&mut self) {
        self.counts.dropped.store(true, Relaxed);
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for CountingIo<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        self.counts.reads.fetch_add(1, Relaxed);
        self.counts
            .bytes_in
            .fetch_add((buf.filled().len() - before) as u64, Relaxed);
        Poll::Ready(result)
    }
}

impl<IO> CountingIo<IO> {
    fn count_write(&self, result: io::Result<usize>) -> Poll<io::Result<usize>> {
        self.counts.writes.fetch_add(1, Relaxed);
        if let Ok(taken) = &result {
            self.counts.bytes_out.fetch_add(*taken as u64, Relaxed);
        }
        Poll::Ready(result)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for CountingIo<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_write(cx, buf));
        self.count_write(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs));
        self.count_write(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.inner).poll_flush(cx));
        self.counts.flushes.fetch_add(1, Relaxed);
        Poll::Ready(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
        self.counts.shut_down.store(true, Relaxed);
        Poll::Ready(Ok(()))
    }
}
