//! The other end of the connection, as the handshake sees it: read a message, send a message, ask a hook.

use core::future::poll_fn;
use core::task::{Context, Poll, ready};
use std::io;
use std::sync::Arc;

use crate::alert::{Alert, AlertDescription};
use crate::crypto::aead::{OpeningKey, SealingKey};
use crate::crypto::suites::Suite;
use crate::error::{Error, ErrorKind, Misbehaviour, Phase, Side};
use crate::hooks::{Answer, ConnectionContext};
use crate::key_schedule::TrafficKeys;
use crate::messages::{HEADER_LEN, Message, decode_message, encode_message};
use crate::record::{Incoming, Input, Output};
use crate::registry::{ContentType, HandshakeType};
use crate::transcript::Transcript;

/// A transport of bytes. A Tokio stream, memory, a recording and a fuzzer's input implement it.
///
/// Both methods follow the rules of [`core::future::Future::poll`]: where they return `Pending`, nothing was moved
/// and the waker is registered.
pub trait Link: Send {
    /// Reads into `buf` and says how many bytes; 0 means that the peer has closed its side.
    ///
    /// # Errors
    /// The transport failed.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes from `buf` and says how many bytes were taken: at least one.
    ///
    /// # Errors
    /// The transport failed.
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>;

    /// Sees to it that what was written is on its way, for transports that buffer.
    ///
    /// # Errors
    /// The transport failed.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.output.finish_flight()?;
        while !self.output.pending().is_empty() {
            match ready!(self.link.poll_write(cx, self.output.pending()))? {
                0 => return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into())),
                count => {
                    self.bytes_out = self.bytes_out.saturating_add(count as u64);
                    self.output.sent(count);
                }
            }
        }
        self.link.poll_flush(cx).map_err(Error::from)
    }

    /// Reads under these keys from here on (section 7.3). Refused where handshake bytes run across the change.
    pub(crate) fn set_read_keys(&mut self, suite: &Suite, keys: &TrafficKeys) -> Result<(), Error> {
        self.input.set_keys(OpeningKey::new(suite.aead, keys.key(), *keys.iv())?)
    }

    /// Writes under these keys from here on.
    pub(crate) fn set_write_keys(&mut self, suite: &Suite, keys: &TrafficKeys) -> Result<(), Error> {
        self.output.set_keys(SealingKey::new(suite.aead, keys.key(), *keys.iv())?, suite.record_limit)
    }

    /// Waits for a hook's answer.
    pub(crate) async fn ask<T>(&mut self, hook: &'static str, answer: Answer<'_, T>) -> T {
        match answer {
            Answer::Now(answer) => answer,
            Answer::Later(future) => {
                self.phase = Phase::Hook(hook);
                future.await
            }
        }
    }

    /// The same error, saying where we were when it happened.
    pub(crate) fn explain(&self, error: Error) -> Error {
        error.in_phase(self.side, self.phase)
    }

    /// The handshake is over: what remains is the record layer.
    pub(crate) fn finish(&mut self) -> (Input, Output) {
        self.phase = Phase::Established;
        (core::mem::replace(&mut self.input, Input::new()), core::mem::replace(&mut self.output, Output::new()))
    }
}
