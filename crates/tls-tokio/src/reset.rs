//! A transport that breaks under a writer: the peer may have said why before it did.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use tls_core::{ErrorKind, ReadEvent, Writer};
use tokio::io::AsyncRead;
use tokio::time::{Sleep, sleep};

use crate::error::to_io;
use crate::stream::TlsStream;
use crate::transfer::poll_fill;

/// After a reset nothing more comes: this is only for the runtime to notice what has come already. It counts where a
/// transport has lost its writing side and not its reading side.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What is known of a transport that refused a write.
pub(crate) struct Broken {
    /// The first who asks gets it whole, others its kind.
    error: Option<io::Error>,
    kind: io::ErrorKind,
    timer: Option<Pin<Box<Sleep>>>,
    /// Nothing more is expected of the transport.
    silent: bool,
}

impl Broken {
    pub(crate) fn new(error: io::Error) -> Self {
        Self {
            kind: error.kind(),
            error: Some(error),
            timer: None,
            silent: false,
        }
    }

    pub(crate) const fn kind(&self) -> io::ErrorKind {
        self.kind
    }

    fn error(&mut self) -> io::Error {
        self.error.take().unwrap_or_else(|| self.kind.into())
    }

    /// In a write half, which cannot read: the alert that the read half finds meanwhile, else the error.
    pub(crate) fn poll_half(&mut self, writer: &mut Writer, cx: &mut Context<'_>) -> Poll<io::Error> {
        writer.control().register(cx.waker());
        let alert = writer.apply_control().ok().and_then(|()| writer.ended_by_peer());
        if let Some(alert) = alert {
            return Poll::Ready(to_io(alert));
        }
        // The other one who has it is the read half.
        if !self.silent && Arc::strong_count(writer.control()) > 1 {
            ready!(self.poll_silence(cx));
        }
        Poll::Ready(self.error())
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(LAST_WORDS)));
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        self.silent = true;
        Poll::Ready(())
    }
}

impl<IO: AsyncRead + Unpin> TlsStream<IO> {
    /// The peer's alert if there is one to be read, else the error that broke the transport. Data before the alert is
    /// kept for reading.
    pub(crate) fn poll_broken<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let alert = ready!(self.poll_last_words(cx));
        let error = match (alert, &mut self.broken) {
            (Some(alert), _) => to_io(alert),
            (None, Some(broken)) => broken.error(),
            (None, None) => io::ErrorKind::ConnectionReset.into(),
        };
        Poll::Ready(Err(error))
    }

    fn poll_last_words(&mut self, cx: &mut Context<'_>) -> Poll<Option<tls_core::Error>> {
        loop {
            match self.reader.read_ahead() {
                Ok(ReadEvent::NeedMore) => {}
                Ok(_) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(is_alert(&error).then_some(error)),
            }
            let Some(broken) = self.broken.as_mut().filter(|broken| !broken.silent) else {
                return Poll::Ready(None);
            };
            match poll_fill(&mut self.reader, &mut self.out.io, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => broken.silent = true,
                Poll::Pending => {
                    // The transport knows our waker now, and no longer that of who reads.
                    if let Some(waker) = self.reading.take()
                        && !waker.will_wake(cx.waker())
                    {
                        waker.wake();
                    }
                    ready!(broken.poll_silence(cx));
                }
            }
        }
    }

    /// While a write waits: whether the peer's alert has come, or the transport broke. Only where nobody else reads, and
    /// no further than the next data, so that what nobody reads still holds the peer up.
    pub(crate) fn has_ended_meanwhile(&mut self, cx: &mut Context<'_>) -> bool {
        if self
            .reading
            .as_ref()
            .is_some_and(|waker| !waker.will_wake(cx.waker()))
        {
            return false;
        }
        loop {
            match self.reader.process() {
                Ok(ReadEvent::NeedMore) => {}
                Ok(_) => return false,
                Err(error) => return is_alert(&error),
            }
            match poll_fill(&mut self.reader, &mut self.out.io, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    let mut broken = Broken::new(error);
                    broken.silent = true;
                    self.broken = Some(Box::new(broken));
                    return true;
                }
                Poll::Pending => return false,
            }
        }
    }
}

fn is_alert(error: &tls_core::Error) -> bool {
    matches!(error.kind(), ErrorKind::AlertReceived(_))
}
