//! What a side does: its handshake, its traffic, its end. Everything that it sees goes into its record.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tls_tokio::{EarlyTlsStream, HandshakeFailure, TlsAcceptor, TlsConnector, TlsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use super::ends::SimIo;
use super::executor::Spawner;
use super::net::NetHandle;
use super::plan::{Close, How, Plan, Served, SidePlan, Structure};
use super::record::{Ended, Graceful, Handshake, Record};
use super::rng::Rng;
use super::stream::{Give, Shared, Take};
use crate::sides::server_name;

/// A side's own patience, longer than everything that the library limits.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a side sleeps that has stopped: longer than a shutdown takes.
const SLEEP: Duration = Duration::from_secs(20);

/// The limit of a graceful shutdown: longer than the longest sleep.
const GRACE: Duration = Duration::from_secs(30);

/// What rounding of timers adds.
const ROUNDING: Duration = Duration::from_millis(3);

/// KeyUpdates in one direction.
const MAX_KEY_UPDATES: usize = 5;

/// One side of a run.
pub(super) struct Side {
    /// 0 is the client.
    pub(super) end: usize,
    pub(super) plan: Rc<Plan>,
    pub(super) net: NetHandle,
    pub(super) spawner: Spawner,
    pub(super) record: RefCell<Record>,
    /// What it writes.
    pub(super) out: &'static [u8],
    /// What it has to get.
    pub(super) due: &'static [u8],
    pub(super) rng: RefCell<Rng>,
    pub(super) stop: Stop,
}

/// Ends the writer when the reader says so.
#[derive(Default)]
pub(super) struct Stop {
    set: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Stop {
    fn set(&self) {
        self.set.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The future's output, or `None` if it was stopped.
    async fn unless<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = Box::pin(future);
        poll_fn(|cx: &mut Context<'_>| {
            if self.set.get() {
                return Poll::Ready(None);
            }
            self.waker.replace(Some(cx.waker().clone()));
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

impl Side {
    /// A client's life.
    pub(super) async fn connect(self: Rc<Self>, connector: TlsConnector, io: SimIo) {
        let deadline = Instant::now() + PATIENCE;
        let side = Rc::clone(&self);
        let life = Box::pin(async move {
            let offered = side.plan.early.map_or(0, |early| early.offer);
            // If the handshake fails nobody knows how much of it the server has seen.
            side.record.borrow_mut().sent = offered;
            let connected = match side.plan.early {
                None => Box::pin(connector.connect(server_name(), io))
                    .await
                    .map(|tls| (tls, [].as_slice())),
                Some(_) => Box::pin(connector.connect_early(server_name(), io, &side.out[..offered])).await,
            };
            match connected {
                Ok((stream, rest)) => {
                    side.record.borrow_mut().sent = offered - rest.len();
                    side.record.borrow_mut().early_rest = rest.len();
                    side.talk(stream, deadline).await;
                }
                Err(failure) => side.failed(failure),
            }
        });
        self.patiently(deadline, life).await;
    }

    /// A server's life.
    pub(super) async fn accept(self: Rc<Self>, acceptor: TlsAcceptor, io: SimIo) {
        let deadline = Instant::now() + PATIENCE;
        let side = Rc::clone(&self);
        let life = Box::pin(async move {
            let accepted = match side.plan.early.map(|early| early.served) {
                Some(Served::Accepted { read, write }) => match Box::pin(acceptor.accept_early(io)).await {
                    Ok(early) => side.early(early, read, write).await,
                    Err(failure) => Err(failure),
                },
                _ => Box::pin(acceptor.accept(io)).await,
            };
            match accepted {
                Ok(stream) => side.talk(stream, deadline).await,
                Err(failure) => side.failed(failure),
            }
        });
        self.patiently(deadline, life).await;
    }

    async fn patiently(&self, deadline: Instant, life: impl Future<Output = ()>) {
        let mut life = Box::pin(timeout_at(deadline, life));
        let mut polls = self.mine().abandon;
        let ended = poll_fn(|cx| {
            if polls == Some(0) {
                return Poll::Ready(None);
            }
            polls = polls.map(|polls| polls - 1);
            life.as_mut().poll(cx).map(Some)
        })
        .await;
        drop(life);
        match ended {
            None => self.record.borrow_mut().abandoned = true,
            Some(Err(_)) => self.record.borrow_mut().gave_up = true,
            Some(Ok(())) => {}
        }
    }

    fn failed(&self, failure: HandshakeFailure<SimIo>) {
        self.record.borrow_mut().handshake = Handshake::failed(failure.error());
        drop(failure);
    }

    /// Reads early data, or writes 0.5-RTT data, or both.
    async fn early(
        &self,
        mut early: EarlyTlsStream<SimIo>,
        read: usize,
        write: usize,
    ) -> Result<TlsStream<SimIo>, HandshakeFailure<SimIo>> {
        let write_first = self.rng.borrow_mut().chance(500);
        if write_first {
            self.write_early(&mut early, write).await;
        }
        let mut space = [0; 500];
        let mut done = 0;
        let ended = loop {
            let most = space.len().min(read - done);
            if most == 0 {
                break Ended::Stopped;
            }
            match early.read(&mut space[..most]).await {
                Ok(0) => break Ended::Clean,
                Ok(count) => {
                    self.check(&space[..count]);
                    done += count;
                }
                Err(error) => break Ended::Error(error.kind()),
            }
        };
        self.record.borrow_mut().early_reading = ended;
        if !write_first {
            self.write_early(&mut early, write).await;
        }
        Box::pin(early.finish()).await
    }

    async fn write_early(&self, early: &mut EarlyTlsStream<SimIo>, write: usize) {
        let mut ended = Ended::Clean;
        while self.sent() < write && ended == Ended::Clean {
            match early.write(&self.out[self.sent()..write]).await {
                Ok(count) => self.record.borrow_mut().sent += count,
                Err(error) => ended = Ended::Error(error.kind()),
            }
        }
        if ended == Ended::Clean {
            ended = Ended::from(&early.flush().await);
        }
        self.record.borrow_mut().early_writing = ended;
    }

    /// Everything after the handshake.
    async fn talk(self: &Rc<Self>, stream: TlsStream<SimIo>, deadline: Instant) {
        self.record.borrow_mut().handshake = Handshake::done(&stream.info());
        if self.mine().structure == Structure::Halves {
            let (read, write) = stream.into_split();
            if let Some((read, write)) = self.in_two_tasks(read, write, deadline).await {
                self.end(read, write).await;
            }
            return;
        }
        let shared = Shared(Rc::new(RefCell::new(stream)));
        let (mut reader, mut writer) = (shared.clone(), shared.clone());
        match self.mine().structure {
            Structure::WriteThenRead => {
                self.write(&mut writer).await;
                self.read(&mut reader, self.goal()).await;
                drop((reader, writer));
            }
            Structure::Together => {
                tokio::join!(self.read(&mut reader, self.goal()), self.write(&mut writer));
                drop((reader, writer));
            }
            Structure::TwoTasks | Structure::Halves => {
                if self.in_two_tasks(reader, writer, deadline).await.is_none() {
                    return;
                }
            }
        }
        if matches!(self.mine().close, Close::Graceful | Close::GracefulAfterBoth) {
            self.end_gracefully(shared).await;
        } else {
            self.end(shared.clone(), shared).await;
        }
    }

    /// Traffic by two tasks, which give back what they were given if there was time enough.
    async fn in_two_tasks<R, W>(
        self: &Rc<Self>,
        mut read: R,
        mut write: W,
        deadline: Instant,
    ) -> Option<(R, W)>
    where
        R: Take + 'static,
        W: Give + 'static,
    {
        let (reader_done, reader) = oneshot::channel();
        let side = Rc::clone(self);
        self.spawner.spawn(async move {
            if timeout_at(deadline, side.read(&mut read, side.goal()))
                .await
                .is_ok()
            {
                let _ = reader_done.send(read);
            }
        });
        let (writer_done, writer) = oneshot::channel();
        let side = Rc::clone(self);
        self.spawner.spawn(async move {
            if timeout_at(deadline, side.write(&mut write)).await.is_ok() {
                let _ = writer_done.send(write);
            }
        });
        match tokio::join!(reader, writer) {
            (Ok(reader), Ok(writer)) => Some((reader, writer)),
            _ => {
                self.record.borrow_mut().gave_up = true;
                None
            }
        }
    }

    async fn end<R: Take, W: Give>(&self, mut read: R, mut write: W) {
        match self.mine().close {
            Close::AfterBoth => {
                self.shut_down(&mut write).await;
                if self.record.borrow().reading == Ended::Stopped {
                    self.read(&mut read, usize::MAX).await;
                }
            }
            Close::ShutdownAndDrop => self.shut_down(&mut write).await,
            Close::Sleep => sleep(SLEEP).await,
            _ => {}
        }
    }

    async fn end_gracefully(&self, shared: Shared) {
        let stream = Rc::try_unwrap(shared.0).ok().map(RefCell::into_inner);
        let Some(mut stream) = stream else {
            self.odd("the stream is still in use".to_owned());
            return;
        };
        self.record.borrow_mut().closing = true;
        let started = Instant::now();
        let (graceful, discarded) = Graceful::of(stream.graceful_shutdown(GRACE).await);
        if started.elapsed() > GRACE + ROUNDING {
            self.odd(format!("a graceful shutdown took {:?}", started.elapsed()));
        }
        let mut record = self.record.borrow_mut();
        record.graceful = Some(graceful);
        record.discarded = discarded;
    }

    /// Reads up to a total of so many bytes, `usize::MAX` for the end.
    async fn read<R: Take>(&self, reader: &mut R, goal: usize) {
        let ended = loop {
            let most = goal.saturating_sub(self.record.borrow().got);
            if most == 0 {
                break Ended::Stopped;
            }
            match self.take(reader, most).await {
                Ok(0) => break Ended::Clean,
                Ok(_) => {}
                Err(error) => break Ended::Error(error.kind()),
            }
            self.dawdle().await;
        };
        if matches!(ended, Ended::Clean | Ended::Error(io::ErrorKind::UnexpectedEof)) {
            let again = match self.take(reader, usize::MAX).await {
                Ok(0) => Ended::Clean,
                Ok(_) => Ended::NotYet,
                Err(error) => Ended::Error(error.kind()),
            };
            if again != ended {
                self.odd(format!("reading ended with {ended:?}, then with {again:?}"));
            }
        }
        self.record.borrow_mut().reading = ended;
        if self.mine().close.is_in_the_middle() {
            self.stop.set();
        }
    }

    async fn take<R: Take>(&self, reader: &mut R, most: usize) -> io::Result<usize> {
        let how = match self.mine().how {
            How::Initialised(size) => How::Initialised(self.rng.borrow_mut().up_to(size)),
            How::Uninitialised(size) => How::Uninitialised(self.rng.borrow_mut().up_to(size)),
            How::Lent(size) => How::Lent(self.rng.borrow_mut().up_to(size)),
        };
        poll_fn(|cx| reader.poll_take(cx, how, most, &mut |data| self.check(data))).await
    }

    /// Writes all, unless it is stopped, and sees to it that it leaves.
    async fn write<W: Give>(&self, writer: &mut W) {
        let written = self.stop.unless(self.write_all(writer)).await;
        let ended = match &written {
            None => Ended::Stopped,
            Some(result) => Ended::from(result),
        };
        self.record.borrow_mut().writing = ended;
        // A side that cannot write has to say so, or its peer would wait.
        if matches!(ended, Ended::Error(_)) || ended == Ended::Clean && self.mine().close == Close::HalfClose
        {
            self.shut_down(writer).await;
        }
    }

    async fn write_all<W: Give>(&self, writer: &mut W) -> io::Result<()> {
        let mut key_updates = 0;
        while self.sent() < self.out.len() {
            let rest = &self.out[self.sent()..];
            let (count, is_vectored, flushes, updates) = {
                let (mut rng, plan) = (self.rng.borrow_mut(), self.mine());
                (
                    rng.up_to(plan.chunk).min(rest.len()),
                    rng.chance(plan.vectored),
                    rng.chance(plan.flushes),
                    rng.chance(plan.key_updates) && self.plan.version == tls_core::ProtocolVersion::TLS13,
                )
            };
            let piece = &rest[..count];
            let slices = if is_vectored {
                let (one, two) = piece.split_at(count / 3);
                vec![IoSlice::new(one), IoSlice::new(&[]), IoSlice::new(two)]
            } else {
                vec![IoSlice::new(piece)]
            };
            let taken = match poll_fn(|cx| writer.poll_give(cx, &slices)).await {
                Ok(taken) => taken,
                Err(error) => {
                    self.record.borrow_mut().failed_write = count;
                    return Err(error);
                }
            };
            if taken == 0 || taken > count {
                self.odd(format!("a write of {count} bytes took {taken}"));
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.record.borrow_mut().sent += taken;
            if flushes {
                self.flush(writer).await?;
            }
            if updates && key_updates < MAX_KEY_UPDATES {
                key_updates += 1;
                writer.request_key_update()?;
            }
            self.dawdle().await;
        }
        match self.mine().lazy {
            true => Ok(()),
            false => self.flush(writer).await,
        }
    }

    async fn flush<W: Give>(&self, writer: &mut W) -> io::Result<()> {
        poll_fn(|cx| writer.poll_flush(cx)).await?;
        let mark = (self.sent(), self.net.taken(self.end));
        self.record.borrow_mut().marks.push(mark);
        Ok(())
    }

    async fn shut_down<W: Give>(&self, writer: &mut W) {
        self.record.borrow_mut().closing = true;
        let started = Instant::now();
        let result = poll_fn(|cx| writer.poll_shutdown(cx)).await;
        if started.elapsed() > tls_tokio::DEFAULT_SHUTDOWN_TIMEOUT + ROUNDING {
            self.odd(format!("a shutdown took {:?}", started.elapsed()));
        }
        let mut record = self.record.borrow_mut();
        record.shutdown = Ended::from(&result);
        if result.is_ok() {
            record.closed = Some(self.net.taken(self.end));
        }
    }

    /// Compares what came with what was sent.
    fn check(&self, data: &[u8]) {
        let mut record = self.record.borrow_mut();
        let at = record.got;
        let right = self.due.get(at..).unwrap_or_default();
        if record.wrong.is_none() && !right.starts_with(data) {
            let same = data
                .iter()
                .zip(right)
                .take_while(|(one, other)| one == other)
                .count();
            record.wrong = Some(at + same);
        }
        record.got += data.len();
    }

    /// Lets others go first, now and then.
    async fn dawdle(&self) {
        let mut yields = self.rng.borrow_mut().chance(100);
        poll_fn(|cx: &mut Context<'_>| {
            if yields {
                yields = false;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    fn mine(&self) -> &SidePlan {
        &self.plan.sides[self.end]
    }

    fn sent(&self) -> usize {
        self.record.borrow().sent
    }

    /// How far to read before the end.
    fn goal(&self) -> usize {
        let mine = self.mine();
        match mine.close {
            Close::HalfClose => usize::MAX,
            close if close.is_in_the_middle() => mine.stop_at,
            _ => self.due.len(),
        }
    }

    fn odd(&self, what: String) {
        self.record.borrow_mut().odd.get_or_insert(what);
    }
}
