//! The two ends of the transport, and their halves.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tls_tokio::SplitTransport;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::net::NetHandle;

/// One end of the transport.
pub(super) struct SimIo {
    read: SimRead,
    write: SimWrite,
}

/// The half that reads.
pub(super) struct SimRead {
    net: NetHandle,
    end: usize,
}

/// The half that writes.
pub(super) struct SimWrite {
    net: NetHandle,
    end: usize,
}

impl SimIo {
    pub(super) fn new(net: &NetHandle, end: usize) -> Self {
        let (read, write) = (net.clone(), net.clone());
        Self {
            read: SimRead { net: read, end },
            write: SimWrite { net: write, end },
        }
    }
}

impl Drop for SimRead {
    fn drop(&mut self) {
        self.net.lock().drop_half(self.end, 0);
    }
}

impl Drop for SimWrite {
    fn drop(&mut self) {
        self.net.lock().drop_half(self.end, 1);
    }
}

impl SplitTransport for SimIo {
    type Read = SimRead;
    type Write = SimWrite;

    fn split_transport(self) -> (SimRead, SimWrite) {
        (self.read, self.write)
    }
}

impl AsyncRead for SimRead {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.net.lock().poll_read(self.end, cx, buf)
    }
}

impl AsyncWrite for SimWrite {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.net.lock().poll_write(self.end, cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.net.lock().poll_flush(self.end, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.net.lock().poll_shutdown(self.end, cx)
    }
}

impl AsyncRead for SimIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl AsyncWrite for SimIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}
