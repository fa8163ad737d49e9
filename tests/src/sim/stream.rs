//! What sides read from and write to: streams, streams shared by two tasks, and halves.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tls_tokio::{ReadHalf, TlsStream, WriteHalf};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::ends::{SimIo, SimRead, SimWrite};
use super::plan::How;

/// What one read gives goes here.
pub(super) type Taker<'a> = &'a mut dyn FnMut(&[u8]);

/// Something to read from.
pub(super) trait Take {
    /// One read of at most so many bytes. 0 bytes are the end.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        how: How,
        most: usize,
        taker: Taker<'_>,
    ) -> Poll<io::Result<usize>>;
}

/// Something to write to.
pub(super) trait Give {
    fn poll_give(&mut self, cx: &mut Context<'_>, data: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn request_key_update(&mut self) -> io::Result<()>;
}

/// A stream for two tasks.
#[derive(Clone)]
pub(super) struct Shared(pub(super) Rc<RefCell<TlsStream<SimIo>>>);

impl Take for Shared {
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        how: How,
        most: usize,
        taker: Taker<'_>,
    ) -> Poll<io::Result<usize>> {
        poll_take(&mut *self.0.borrow_mut(), cx, how, most, taker)
    }
}

impl Take for ReadHalf<SimRead> {
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        how: How,
        most: usize,
        taker: Taker<'_>,
    ) -> Poll<io::Result<usize>> {
        poll_take(self, cx, how, most, taker)
    }
}

fn poll_take<R: AsyncRead + AsyncBufRead + Unpin>(
    reader: &mut R,
    cx: &mut Context<'_>,
    how: How,
    most: usize,
    taker: Taker<'_>,
) -> Poll<io::Result<usize>> {
    let mut reader = Pin::new(reader);
    match how {
        How::Lent(size) => {
            let lent = ready!(reader.as_mut().poll_fill_buf(cx))?;
            let count = lent.len().min(size).min(most);
            taker(&lent[..count]);
            reader.consume(count);
            Poll::Ready(Ok(count))
        }
        How::Initialised(size) => {
            let mut space = vec![0; size.min(most)];
            let mut buf = ReadBuf::new(&mut space);
            ready!(reader.poll_read(cx, &mut buf))?;
            taker(buf.filled());
            Poll::Ready(Ok(buf.filled().len()))
        }
        How::Uninitialised(size) => {
            let mut space = vec![MaybeUninit::uninit(); size.min(most)];
            let mut buf = ReadBuf::uninit(&mut space);
            ready!(reader.poll_read(cx, &mut buf))?;
            taker(buf.filled());
            Poll::Ready(Ok(buf.filled().len()))
        }
    }
}

impl Give for Shared {
    fn poll_give(&mut self, cx: &mut Context<'_>, data: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        poll_give(&mut *self.0.borrow_mut(), cx, data)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }

    fn request_key_update(&mut self) -> io::Result<()> {
        self.0.borrow_mut().request_key_update()
    }
}

impl Give for WriteHalf<SimWrite> {
    fn poll_give(&mut self, cx: &mut Context<'_>, data: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        poll_give(self, cx, data)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(self), cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(self), cx)
    }

    fn request_key_update(&mut self) -> io::Result<()> {
        Self::request_key_update(self)
    }
}

fn poll_give<W: AsyncWrite + Unpin>(
    writer: &mut W,
    cx: &mut Context<'_>,
    data: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    match data {
        [one] => Pin::new(writer).poll_write(cx, one),
        several => Pin::new(writer).poll_write_vectored(cx, several),
    }
}
