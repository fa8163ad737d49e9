//! Transports that misbehave as told: [`Script`] says how, [`ScriptedIo`] does it to any transport, and [`Memory`]
//! is a transport that needs no other end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tls_tokio::SplitTransport;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};

use crate::counting::{CountingIo, Counts};

/// What goes wrong and when. The default is a transport without faults.
///
/// Calls are counted from 0 and separately for reads, writes, flushes and shutdowns; a call counts when it is
/// answered, so that a `Pending` and the poll after it are one call. Every `Pending` made by the script (but not a
/// stall) wakes the task at once. Faults stay: after an error every later call of that direction fails too.
#[derive(Clone, Debug, Default)]
pub struct Script {
    read: Direction,
    write: Direction,
    pending_every: Option<u64>,
    stall_shutdown: bool,
    random: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Direction {
    chunk: Option<usize>,
    pending_at: Vec<u64>,
    fault_at_call: Option<(u64, Fault)>,
    fault_at_byte: Option<(u64, Fault)>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Error(io::ErrorKind),
    Eof,
    Stall,
}

impl Script {
    /// No faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `Pending` and short reads and writes (1 to 64 bytes) by chance; the same seed gives the same faults.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        // Zero is the one state that xorshift never leaves.
        Self {
            random: Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            ..Self::default()
        }
    }

    /// `Pending` once before every `n`-th call of each kind; 1 means before each.
    #[must_use]
    pub fn pending_every(mut self, n: u64) -> Self {
        self.pending_every = Some(n.max(1));
        self
    }

    /// `Pending` once before this read.
    #[must_use]
    pub fn pending_at_read(mut self, call: u64) -> Self {
        self.read.pending_at.push(call);
        self
    }

    /// `Pending` once before this write.
    #[must_use]
    pub fn pending_at_write(mut self, call: u64) -> Self {
        self.write.pending_at.push(call);
        self
    }

    /// The first write is `Pending` once: as with a socket that is not writable at once.
    #[must_use]
    pub fn first_write_pending(self) -> Self {
        self.pending_at_write(0)
    }

    /// No read gives more bytes than this.
    #[must_use]
    pub fn read_chunk(mut self, bytes: usize) -> Self {
        self.read.chunk = Some(bytes.max(1));
        self
    }

    /// No write takes more bytes than this.
    #[must_use]
    pub fn write_chunk(mut self, bytes: usize) -> Self {
        self.write.chunk = Some(bytes.max(1));
        self
    }

    /// This read fails.
    #[must_use]
    pub fn read_error_at(mut self, call: u64, kind: io::ErrorKind) -> Self {
        self.read.fault_at_call = Some((call, Fault::Error(kind)));
        self
    }

    /// This write fails.
    #[must_use]
    pub fn write_error_at(mut self, call: u64, kind: io::ErrorKind) -> Self {
        self.write.fault_at_call = Some((call, Fault::Error(kind)));
        self
    }

    /// Reads fail after this many bytes.
    #[must_use]
    pub fn read_error_after(mut self, bytes: u64, kind: io::ErrorKind) -> Self {
        self.read.fault_at_byte = Some((bytes, Fault::Error(kind)));
        self
    }

    /// Writes fail after this many bytes.
    #[must_use]
    pub fn write_error_after(mut self, bytes: u64, kind: io::ErrorKind) -> Self {
        self.write.fault_at_byte = Some((bytes, Fault::Error(kind)));
        self
    }

    /// Reads end (EOF) after this many bytes.
    #[must_use]
    pub fn eof_after(mut self, bytes: u64) -> Self {
        self.read.fault_at_byte = Some((bytes, Fault::Eof));
        self
    }

    /// Reads are `Pending` for ever after this many bytes, and nothing wakes the task.
    #[must_use]
    pub fn read_stall_after(mut self, bytes: u64) -> Self {
        self.read.fault_at_byte = Some((bytes, Fault::Stall));
        self
    }

    /// Writes are `Pending` for ever after this many bytes, and nothing wakes the task.
    #[must_use]
    pub fn write_stall_after(mut self, bytes: u64) -> Self {
        self.write.fault_at_byte = Some((bytes, Fault::Stall));
        self
    }

    /// Shutting the transport down never completes.
    #[must_use]
    pub fn stall_shutdown(mut self) -> Self {
        self.stall_shutdown = true;
        self
    }
}

/// What went through a [`ScriptedIo`]; stays readable after the transport is gone.
#[derive(Debug)]
pub struct Tape {
    counts: Arc<Counts>,
    read: Mutex<Vec<u8>>,
    written: Mutex<Vec<u8>>,
}

impl Tape {
    /// All bytes that reads gave so far.
    #[must_use]
    pub fn read(&self) -> Vec<u8> {
        self.read.lock().unwrap().clone()
    }

    /// All bytes that writes took so far.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        self.written.lock().unwrap().clone()
    }

    /// How many calls reached the transport behind the script, whether it was shut down, whether it was dropped.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

/// Does to `IO` what its [`Script`] says, and records every byte.
#[derive(Debug)]
pub struct ScriptedIo<IO> {
    inner: CountingIo<IO>,
    script: Script,
    tape: Arc<Tape>,
    reads: Progress,
    writes: Progress,
    flushes: Progress,
    shutdowns: Progress,
}

#[derive(Debug, Default)]
struct Progress {
    calls: u64,
    bytes: u64,
    was_pending: bool,
}

impl<IO> ScriptedIo<IO> {
    /// Around this transport.
    pub fn new(inner: IO, script: Script) -> Self {
        let inner = CountingIo::new(inner);
        let tape = Tape {
            counts: inner.counts(),
            read: Mutex::default(),
            written: Mutex::default(),
        };
        Self {
            inner,
            script,
            tape: Arc::new(tape),
            reads: Progress::default(),
            writes: Progress::default(),
            flushes: Progress::default(),
            shutdowns: Progress::default(),
        }
    }

    /// The recording, to be kept beside the transport.
    #[must_use]
    pub fn tape(&self) -> Arc<Tape> {
        Arc::clone(&self.tape)
    }
}

/// What a call may do.
enum Verdict {
    Go { at_most: usize },
    Pending,
    Fault(Fault),
}

/// Decides about one poll of one direction.
fn judge(
    direction: &Direction,
    progress: &mut Progress,
    pending_every: Option<u64>,
    random: &mut Option<u64>,
) -> Verdict {
    let due = direction.pending_at.contains(&progress.calls)
        || pending_every.is_some_and(|n| (progress.calls + 1).is_multiple_of(n))
        || random.as_mut().is_some_and(|state| next(state).is_multiple_of(3));
    if due && !progress.was_pending {
        progress.was_pending = true;
        return Verdict::Pending;
    }
    let mut at_most = direction.chunk.unwrap_or(usize::MAX);
    if let Some(state) = random {
        at_most = at_most.min(1 + (next(state) % 64) as usize);
    }
    if let Some((call, fault)) = direction.fault_at_call
        && progress.calls >= call
    {
        return Verdict::Fault(fault);
    }
    if let Some((bytes, fault)) = direction.fault_at_byte {
        let left = bytes.saturating_sub(progress.bytes);
        if left == 0 {
            return Verdict::Fault(fault);
        }
        at_most = at_most.min(usize::try_from(left).unwrap_or(usize::MAX));
    }
    Verdict::Go { at_most }
}

/// xorshift64*.
fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
}

impl Progress {
    fn answered(&mut self, bytes: usize) {
        self.calls += 1;
        self.bytes += bytes as u64;
        self.was_pending = false;
    }

    /// For calls that move no bytes: `Pending` once where the script asks for it everywhere.
    fn pends(&mut self, pending_every: Option<u64>, cx: &Context<'_>) -> bool {
        let due = pending_every.is_some_and(|n| (self.calls + 1).is_multiple_of(n)) && !self.was_pending;
        if due {
            self.was_pending = true;
            cx.waker().wake_by_ref();
        }
        due
    }
}

fn fail<T>(kind: io::ErrorKind) -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::new(kind, "the script says so")))
}

impl<IO: AsyncRead + Unpin> AsyncRead for ScriptedIo<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let script = &mut this.script;
        match judge(
            &script.read,
            &mut this.reads,
            script.pending_every,
            &mut script.random,
        ) {
            Verdict::Pending => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Verdict::Fault(Fault::Stall) => Poll::Pending,
            Verdict::Fault(Fault::Error(kind)) => {
                this.reads.answered(0);
                fail(kind)
            }
            Verdict::Fault(Fault::Eof) => {
                this.reads.answered(0);
                Poll::Ready(Ok(()))
            }
            Verdict::Go { at_most } => {
                let mut space = vec![0; at_most.min(buf.remaining())];
                let mut part = ReadBuf::new(&mut space);
                ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
                this.reads.answered(part.filled().len());
                this.tape.read.lock().unwrap().extend_from_slice(part.filled());
                buf.put_slice(part.filled());
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for ScriptedIo<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let script = &mut this.script;
        match judge(
            &script.write,
            &mut this.writes,
            script.pending_every,
            &mut script.random,
        ) {
            Verdict::Pending => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Verdict::Fault(Fault::Stall) => Poll::Pending,
            Verdict::Fault(Fault::Error(kind)) => {
                this.writes.answered(0);
                fail(kind)
            }
            Verdict::Fault(Fault::Eof) => {
                this.writes.answered(0);
                fail(io::ErrorKind::WriteZero)
            }
            Verdict::Go { at_most } => {
                let part = &buf[..at_most.min(buf.len())];
                let taken = ready!(Pin::new(&mut this.inner).poll_write(cx, part))?;
                this.writes.answered(taken);
                this.tape
                    .written
                    .lock()
                    .unwrap()
                    .extend_from_slice(&part[..taken]);
                Poll::Ready(Ok(taken))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.flushes.pends(this.script.pending_every, cx) {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        this.flushes.answered(0);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.script.stall_shutdown || this.shutdowns.pends(this.script.pending_every, cx) {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
        this.shutdowns.answered(0);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> SplitTransport for ScriptedIo<IO> {
    type Read = ReadHalf<Self>;
    type Write = WriteHalf<Self>;

    fn split_transport(self) -> (Self::Read, Self::Write) {
        tokio::io::split(self)
    }
}

/// A peer that has said all it will ever say: reads give this input, writes vanish (a [`Tape`] has them).
#[derive(Debug)]
pub struct Memory {
    input: Vec<u8>,
    position: usize,
    silent_at_end: bool,
}

impl Memory {
    /// This input, then EOF.
    pub fn new(input: impl Into<Vec<u8>>) -> Self {
        Self {
            input: input.into(),
            position: 0,
            silent_at_end: false,
        }
    }

    /// This input, then silence: reads are `Pending` for ever.
    pub fn then_silent(input: impl Into<Vec<u8>>) -> Self {
        Self {
            silent_at_end: true,
            ..Self::new(input)
        }
    }
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = &self.input[self.position..];
        if left.is_empty() && self.silent_at_end {
            return Poll::Pending;
        }
        let taken = left.len().min(buf.remaining());
        buf.put_slice(&left[..taken]);
        self.position += taken;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Polls this future at most `polls` times, then drops it: for tests that drop a handshake at every await.
///
/// Gives its output if it was ready by then. Between two polls other tasks run, so that a peer can go on.
pub async fn poll_times<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}
