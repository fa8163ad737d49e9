//! A Tokio stream as the core's `Link`, and one that remembers what was read.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use tls_core::{Link, Phase};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::watch::HandshakeWatch;

/// The transport, and who is told what is done with it.
pub(crate) struct IoLink<'a, IO>(pub(crate) &'a mut IO, pub(crate) Option<&'a HandshakeWatch>);

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Link for IoLink<'_, IO> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut *self.0).poll_read(cx, &mut buf))?;
        let count = buf.filled().len();
        if let Some(watch) = self.1 {
            watch.moved(count, 0);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut *self.0).poll_write(cx, buf))?;
        if let Some(watch) = self.1 {
            watch.moved(0, count);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn phase_changed(&mut self, phase: Phase) {
        if let Some(watch) = self.1 {
            watch.phase_changed(phase);
        }
    }
}

/// Keeps a copy of all that is read, until something is written: then nobody will go on in our place. What a peer can
/// make it keep is bounded by the ClientHello's limit, 64 KiB, and up to five bytes of record header for each of them.
pub(crate) struct Recorder<'a, IO> {
    io: &'a mut IO,
    pub(crate) received: Vec<u8>,
    is_over: bool,
}

impl<'a, IO> Recorder<'a, IO> {
    pub(crate) fn new(io: &'a mut IO) -> Self {
        Self {
            io,
            received: Vec::new(),
            is_over: false,
        }
    }

    fn end(&mut self) {
        (self.received, self.is_over) = (Vec::new(), true);
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Recorder<'_, IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut *this.io).poll_read(cx, buf))?;
        if !this.is_over {
            let new = buf.filled().get(before..).unwrap_or_default();
            this.received.extend_from_slice(new);
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Recorder<'_, IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.end();
        Pin::new(&mut *this.io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.end();
        Pin::new(&mut *this.io).poll_shutdown(cx)
    }
}
