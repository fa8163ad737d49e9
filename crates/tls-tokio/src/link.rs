//! A Tokio stream as the core's `Link`.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use tls_core::Link;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) struct IoLink<'a, IO>(pub(crate) &'a mut IO);

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Link for IoLink<'_, IO> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut *self.0).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }
}
