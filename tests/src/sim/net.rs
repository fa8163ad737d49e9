//! The transport: two pipes in memory, with everything that can go wrong.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::ReadBuf;

use super::ends::SimIo;
use super::plan::{Fault, PipePlan, Plan};
use super::rng::Rng;

/// What the transport does that no transport may do, to see that it is found out.
#[derive(Clone, Copy, Debug)]
pub enum Sabotage {
    /// A bit of this byte from the server is changed.
    Flip(u64),
    /// This byte from the server is left out.
    Skip(u64),
    /// This wakeup, of all that would be made, is not.
    LoseWake(u64),
    /// Reads tell of an end that nobody made, after so many bytes from the server.
    End(u64),
    /// Keeps the transport alive.
    Leak,
}

/// What a reader was told at the end of its pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is the end.
    Eof,
    /// An error.
    Error(io::ErrorKind),
}

/// What the transport knows of one direction.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Bytes taken from the writer.
    pub taken: u64,
    /// Bytes given to the reader.
    pub delivered: u64,
    /// How it ended, as the reader was told, if it was; sometimes first so and then so.
    pub told: Vec<Told>,
    /// The errors that the writer got.
    pub refused: Vec<io::ErrorKind>,
    /// Bytes, or the end, wait or vanished so that the reader can only wait.
    pub stuck: bool,
}

struct Pipe {
    plan: PipePlan,
    bytes: VecDeque<u8>,
    ended: bool,
    reader_gone: bool,
    reset: bool,
    /// As sockets do, each direction of an end knows whoever asked last.
    reader: Option<Waker>,
    writer: Option<Waker>,
    facts: Facts,
}

impl Pipe {
    fn deliver(&mut self, count: usize, buf: &mut ReadBuf<'_>, sabotage: Option<Sabotage>) {
        let first = self.facts.delivered;
        self.facts.delivered += count as u64;
        if sabotage.is_none() {
            let (head, tail) = self.bytes.as_slices();
            buf.put_slice(&head[..count.min(head.len())]);
            buf.put_slice(&tail[..count.saturating_sub(head.len())]);
            self.bytes.drain(..count);
            return;
        }
        for (byte, at) in self.bytes.drain(..count).zip(first..) {
            match sabotage {
                Some(Sabotage::Flip(flipped)) if flipped == at => buf.put_slice(&[byte ^ 0x10]),
                Some(Sabotage::Skip(skipped)) if skipped == at => {}
                _ => buf.put_slice(&[byte]),
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Reader,
    Writer,
}

pub(super) struct Net {
    /// From the client, from the server.
    pipes: [Pipe; 2],
    chaos: Rng,
    drop_resets: bool,
    /// Wakeups that are due, in no order.
    due: Vec<(usize, Waiting)>,
    wakes: u64,
    sabotage: Option<Sabotage>,
    leaked: Option<Arc<Mutex<Self>>>,
    /// Which halves of each end were dropped: read, write.
    dropped: [[bool; 2]; 2],
    trace: u64,
}

/// The transport as the simulation sees it.
#[derive(Clone)]
pub(super) struct NetHandle(Arc<Mutex<Net>>);

impl NetHandle {
    /// The two ends.
    pub(super) fn new(plan: &Plan, sabotage: Option<Sabotage>) -> (Self, [SimIo; 2]) {
        let pipe = |plan: &PipePlan| Pipe {
            plan: plan.clone(),
            bytes: VecDeque::new(),
            ended: false,
            reader_gone: false,
            reset: false,
            reader: None,
            writer: None,
            facts: Facts::default(),
        };
        let net = Net {
            pipes: [pipe(&plan.pipes[0]), pipe(&plan.pipes[1])],
            chaos: Rng::new(plan.seed, 2),
            drop_resets: plan.drop_resets,
            due: Vec::new(),
            wakes: 0,
            sabotage,
            leaked: None,
            dropped: [[false; 2]; 2],
            trace: 0xcbf2_9ce4_8422_2325,
        };
        let net = Self(Arc::new(Mutex::new(net)));
        if matches!(sabotage, Some(Sabotage::Leak)) {
            net.lock().leaked = Some(Arc::clone(&net.0));
        }
        let ends = [0, 1].map(|end| SimIo::new(&net, end));
        (net, ends)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Net> {
        self.0.lock().expect("nobody panicked with it")
    }

    /// From the client, from the server.
    pub(super) fn facts(&self) -> [Facts; 2] {
        let net = self.lock();
        net.pipes.each_ref().map(|pipe| pipe.facts.clone())
    }

    /// Bytes taken from this end.
    pub(super) fn taken(&self, end: usize) -> u64 {
        self.lock().pipes[end].facts.taken
    }

    /// A number that two runs share if the transport saw the same in both.
    pub(super) fn trace(&self) -> u64 {
        self.lock().trace
    }

    /// Wakeups that are due.
    pub(super) fn due(&self) -> usize {
        self.lock().due.len()
    }

    /// Makes one of them.
    pub(super) fn wake(&self, which: usize) {
        let waker = {
            let mut net = self.lock();
            let (pipe, waiting) = net.due.swap_remove(which);
            match waiting {
                Waiting::Reader => net.pipes[pipe].reader.take(),
                Waiting::Writer => net.pipes[pipe].writer.take(),
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether nothing but this handle knows the transport.
    pub(super) fn is_forgotten(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Ends what [`Sabotage::Leak`] did.
    pub(super) fn end_leak(&self) {
        let leaked = self.lock().leaked.take();
        drop(leaked);
    }
}

impl Net {
    fn note(&mut self, what: u64, end: usize, count: u64) {
        for value in [what, end as u64, count] {
            self.trace = (self.trace ^ value).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// Whoever waits will be woken some time; until then its task may have gone on by itself.
    fn wake_later(&mut self, pipe: usize, waiting: Waiting) {
        let is_waiting = match waiting {
            Waiting::Reader => self.pipes[pipe].reader.is_some(),
            Waiting::Writer => self.pipes[pipe].writer.is_some(),
        };
        if !is_waiting || self.due.contains(&(pipe, waiting)) {
            return;
        }
        self.wakes += 1;
        if !matches!(self.sabotage, Some(Sabotage::LoseWake(n)) if n == self.wakes) {
            self.due.push((pipe, waiting));
        }
    }

    fn wait(&mut self, pipe: usize, waiting: Waiting, cx: &Context<'_>) {
        let slot = match waiting {
            Waiting::Reader => &mut self.pipes[pipe].reader,
            Waiting::Writer => &mut self.pipes[pipe].writer,
        };
        *slot = Some(cx.waker().clone());
    }

    /// `Pending` for no reason.
    fn dawdles(&mut self, pipe: usize, waiting: Waiting, cx: &Context<'_>) -> bool {
        let dawdles = self.chaos.chance(self.pipes[pipe].plan.pending);
        if dawdles {
            self.wait(pipe, waiting, cx);
            self.wake_later(pipe, waiting);
        }
        dawdles
    }

    fn reset(&mut self) {
        for pipe in 0..2 {
            self.pipes[pipe].reset = true;
            self.pipes[pipe].bytes.clear();
            self.wake_later(pipe, Waiting::Reader);
            self.wake_later(pipe, Waiting::Writer);
        }
    }

    pub(super) fn poll_read(
        &mut self,
        end: usize,
        cx: &Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let from = 1 - end;
        if self.dawdles(from, Waiting::Reader, cx) {
            self.note(1, end, u64::MAX);
            return Poll::Pending;
        }
        if let Some((Fault::Reset, at)) = self.pipes[from].plan.fault
            && self.pipes[from].facts.delivered >= at
            && !self.pipes[from].reset
        {
            self.reset();
        }
        let chunk = self.chaos.up_to(self.pipes[from].plan.read_chunk);
        let sabotage = self.sabotage.filter(|_| from == 1);
        let pipe = &mut self.pipes[from];
        let left = match (pipe.plan.fault, sabotage) {
            (_, Some(Sabotage::End(at)))
            | (Some((Fault::Eof { .. } | Fault::ReadError(_) | Fault::Reset, at)), _) => {
                at - pipe.facts.delivered.min(at)
            }
            _ => u64::MAX,
        };
        let mut told = match pipe.plan.fault {
            _ if pipe.reset => Some(Told::Error(io::ErrorKind::ConnectionReset)),
            Some((Fault::Eof { .. }, _)) if left == 0 => Some(Told::Eof),
            Some((Fault::ReadError(kind), _)) if left == 0 => Some(Told::Error(kind)),
            _ if pipe.ended && pipe.bytes.is_empty() => Some(Told::Eof),
            _ => None,
        };
        if let Some(Sabotage::End(at)) = sabotage
            && pipe.facts.delivered >= at
        {
            return Poll::Ready(Ok(()));
        }
        if let Some(told) = told.take() {
            remember(&mut pipe.facts.told, told);
            self.note(1, end, u64::MAX - 1);
            return match told {
                Told::Eof => Poll::Ready(Ok(())),
                Told::Error(kind) => Poll::Ready(Err(kind.into())),
            };
        }
        let count = pipe
            .bytes
            .len()
            .min(buf.remaining())
            .min(chunk)
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        if count == 0 {
            self.wait(from, Waiting::Reader, cx);
            self.note(1, end, 0);
            return Poll::Pending;
        }
        pipe.deliver(count, buf, sabotage);
        self.wake_later(from, Waiting::Writer);
        self.note(1, end, count as u64);
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write(
        &mut self,
        end: usize,
        cx: &Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.dawdles(end, Waiting::Writer, cx) {
            self.note(2, end, u64::MAX);
            return Poll::Pending;
        }
        if let Some(kind) = self.refusal(end) {
            self.note(2, end, u64::MAX - 1);
            return Poll::Ready(Err(kind.into()));
        }
        let chunk = self.chaos.up_to(self.pipes[end].plan.write_chunk);
        let pipe = &mut self.pipes[end];
        let before = |at: u64| usize::try_from(at.saturating_sub(pipe.facts.taken)).unwrap_or(usize::MAX);
        // How much is taken at most, and how much of it will arrive.
        let (left, arrives) = match pipe.plan.fault {
            Some((Fault::Stall | Fault::WriteError(_), at)) => (before(at), usize::MAX),
            Some((Fault::Eof { .. } | Fault::ReadError(_) | Fault::Blackhole, at)) => {
                (usize::MAX, before(at))
            }
            _ => (usize::MAX, usize::MAX),
        };
        let room = match arrives {
            0 => usize::MAX,
            _ => pipe.plan.capacity.saturating_sub(pipe.bytes.len()),
        };
        let count = data.len().min(chunk).min(room).min(left);
        if count == 0 {
            pipe.facts.stuck |= left == 0;
            self.wait(end, Waiting::Writer, cx);
            self.note(2, end, 0);
            return Poll::Pending;
        }
        pipe.bytes.extend(&data[..count.min(arrives)]);
        pipe.facts.taken += count as u64;
        if matches!(pipe.plan.fault, Some((Fault::Blackhole, _))) && count > arrives {
            pipe.facts.stuck = true;
        }
        self.wake_later(end, Waiting::Reader);
        self.note(2, end, count as u64);
        Poll::Ready(Ok(count))
    }

    pub(super) fn poll_flush(&mut self, end: usize, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.dawdles(end, Waiting::Writer, cx) {
            return Poll::Pending;
        }
        // As with sockets, whether anybody is left to read is not its business.
        if self.pipes[end].reader_gone && !self.pipes[end].reset {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(match self.refusal(end) {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        })
    }

    pub(super) fn poll_shutdown(&mut self, end: usize, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.dawdles(end, Waiting::Writer, cx) {
            return Poll::Pending;
        }
        self.end(end);
        Poll::Ready(match self.refusal(end) {
            Some(kind) if self.pipes[end].reset => Err(kind.into()),
            _ => Ok(()),
        })
    }

    /// Why a write of this end fails.
    fn refusal(&mut self, end: usize) -> Option<io::ErrorKind> {
        let pipe = &mut self.pipes[end];
        let taken = pipe.facts.taken;
        let kind = match pipe.plan.fault {
            _ if pipe.reset => io::ErrorKind::ConnectionReset,
            Some((Fault::WriteError(kind), at)) if taken >= at => kind,
            Some((Fault::Eof { refuses: true }, at)) if pipe.facts.delivered >= at => {
                io::ErrorKind::BrokenPipe
            }
            _ if pipe.reader_gone || pipe.ended => io::ErrorKind::BrokenPipe,
            _ => return None,
        };
        remember(&mut pipe.facts.refused, kind);
        Some(kind)
    }

    /// The writer has ended. That does not arrive either where nothing does.
    fn end(&mut self, end: usize) {
        let pipe = &mut self.pipes[end];
        if let Some((Fault::Stall | Fault::Blackhole, at)) = pipe.plan.fault
            && pipe.facts.taken >= at
        {
            pipe.facts.stuck = true;
            return;
        }
        pipe.ended = true;
        self.wake_later(end, Waiting::Reader);
    }

    pub(super) fn drop_half(&mut self, end: usize, half: usize) {
        self.note(3, end, half as u64);
        self.dropped[end][half] = true;
        if half == 1 {
            self.end(end);
        }
        if self.dropped[end] != [true; 2] {
            return;
        }
        let incoming = &mut self.pipes[1 - end];
        let unread = !incoming.bytes.is_empty();
        incoming.reader_gone = true;
        incoming.bytes.clear();
        incoming.reader = None;
        self.pipes[end].writer = None;
        self.wake_later(1 - end, Waiting::Writer);
        if unread && self.drop_resets {
            self.reset();
        }
    }
}

fn remember<T: PartialEq>(all: &mut Vec<T>, new: T) {
    if !all.contains(&new) {
        all.push(new);
    }
}
