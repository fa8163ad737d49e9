//! What is told of a handshake and of the stream it becomes: to an observer, and to `tracing`.
//!
//! Both exist only where somebody listens. Without one a connection has a `None` for it.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::task::Poll;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tls_core::{
    AlertDescription, ClientHello, ConnectionContext, EarlyData, Phase, ReadEvent, Reader, ServerName, Side,
};
use tokio::time::Instant;
use tracing::field::{Empty, display};
use tracing::span::Entered;
use tracing::{Level, Span};

use crate::error::{Error, is_reset, of_core};
use crate::info::TlsInfo;
use crate::observer::{EndKind, HandshakeFailed, HandshakeFinished, Observed, Observer, Reason, StreamEnd};
use crate::transfer::Readable;

/// Where the spans and events of handshakes are filed.
const HANDSHAKE: &str = "tls_tokio::handshake";
/// Where the events of streams are.
const STREAM: &str = "tls_tokio::stream";

/// Numbers of connections.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Whom it is about, and who is told.
struct Subject {
    id: u64,
    side: Side,
    context: ConnectionContext,
    server_name: Option<Box<str>>,
    observer: Option<Arc<dyn Observer>>,
}

impl Subject {
    fn tell(&self, what: impl FnOnce(&dyn Observer, &Observed<'_>)) {
        let Some(observer) = &self.observer else { return };
        let observed = Observed {
            id: self.id,
            side: self.side,
            context: &self.context,
            server_name: self.server_name.as_deref(),
        };
        // It may be in a drop, while another panic is under way.
        if catch_unwind(AssertUnwindSafe(|| what(&**observer, &observed))).is_err() {
            tracing::error!(connection = self.id, "an observer of TLS connections panicked");
        }
    }
}

/// A handshake in progress. Dropped, it is told to have been.
pub(crate) struct HandshakeWatch {
    /// `None` once its end was told.
    subject: Option<Subject>,
    span: Span,
    started: Instant,
    progress: Mutex<Progress>,
}

#[derive(Clone, Copy)]
struct Progress {
    phase: Phase,
    bytes_in: u64,
    bytes_out: u64,
    /// Data that was read and written before the end of the handshake.
    early_in: u64,
    early_out: u64,
}

impl HandshakeWatch {
    /// One that begins now, if anybody wants to know.
    pub(crate) fn start(
        side: Side,
        server_name: Option<&ServerName<'static>>,
        context: &ConnectionContext,
        observer: Option<&Arc<dyn Observer>>,
        started: Instant,
    ) -> Option<Box<Self>> {
        // At this level and not above: a server that logs nothing but what is out of the ordinary shall not make a span for
        // each connection.
        let wanted = observer.is_some()
            || tracing::enabled!(target: HANDSHAKE, Level::DEBUG)
            || tracing::enabled!(target: STREAM, Level::DEBUG);
        wanted.then(|| Self::make(side, server_name, context, observer.cloned(), started))
    }

    #[cold]
    fn make(
        side: Side,
        server_name: Option<&ServerName<'static>>,
        context: &ConnectionContext,
        observer: Option<Arc<dyn Observer>>,
        started: Instant,
    ) -> Box<Self> {
        let subject = Subject {
            id: NEXT.fetch_add(1, Relaxed),
            side,
            context: context.clone(),
            server_name: server_name.map(|name| name.to_str().into()),
            observer,
        };
        let span = tracing::debug_span!(
            target: HANDSHAKE,
            "tls_handshake",
            connection = subject.id,
            %side,
            peer = context.peer_address().map(display),
            server_name = subject.server_name.as_deref(),
            version = Empty,
            cipher_suite = Empty,
            group = Empty,
            resumed = Empty,
            early_data = Empty,
            outcome = Empty,
            alert_sent = Empty,
            alert_received = Empty,
            error = Empty,
            elapsed = Empty,
            bytes_in = Empty,
            bytes_out = Empty,
        );
        subject.tell(|observer, observed| observer.handshake_started(observed));
        Box::new(Self {
            subject: Some(subject),
            span,
            started,
            progress: Mutex::new(Progress {
                phase: Phase::Starting,
                bytes_in: 0,
                bytes_out: 0,
                early_in: 0,
                early_out: 0,
            }),
        })
    }

    /// To be held while it is worked on.
    pub(crate) fn enter(&self) -> Entered<'_> {
        self.span.enter()
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn phase_changed(&self, phase: Phase) {
        self.progress().phase = phase;
        if let Some(subject) = &self.subject {
            subject.tell(|observer, observed| observer.phase_changed(observed, phase));
        }
    }

    /// Bytes that the transport gave or took.
    pub(crate) fn moved(&self, bytes_in: usize, bytes_out: usize) {
        let mut progress = self.progress();
        progress.bytes_in = progress.bytes_in.saturating_add(bytes_in as u64);
        progress.bytes_out = progress.bytes_out.saturating_add(bytes_out as u64);
    }

    /// Data that was read or written before the end of the handshake.
    pub(crate) fn moved_early(&self, data_in: usize, data_out: usize) {
        let mut progress = self.progress();
        progress.early_in = progress.early_in.saturating_add(data_in as u64);
        progress.early_out = progress.early_out.saturating_add(data_out as u64);
    }

    /// It is over, and there is a stream.
    pub(crate) fn finished(mut self: Box<Self>, info: TlsInfo) -> Option<Arc<StreamWatch>> {
        let mut subject = self.subject.take()?;
        if subject.server_name.is_none() {
            subject.server_name = info.server_name().map(Into::into);
        }
        let elapsed = info.handshake_time();
        let progress = *self.progress();
        let Progress {
            bytes_in, bytes_out, ..
        } = progress;
        let span = &self.span;
        if !span.is_disabled() {
            span.record("server_name", subject.server_name.as_deref())
                .record("version", display(info.version()))
                .record("cipher_suite", display(info.cipher_suite()))
                .record("group", info.group().map(display))
                .record("resumed", info.is_resumed())
                .record("early_data", early_data(info.early_data()));
            self.record_end("established", elapsed, progress);
            let _entered = span.enter();
            tracing::debug!(target: HANDSHAKE, ?elapsed, "handshake finished");
        }
        let finished = HandshakeFinished {
            info: &info,
            elapsed,
            bytes_in,
            bytes_out,
        };
        subject.tell(|observer, observed| observer.handshake_finished(observed, &finished));
        Some(Arc::new(StreamWatch {
            subject,
            info,
            established: Instant::now(),
            bytes_in: AtomicU64::new(progress.early_in),
            bytes_out: AtomicU64::new(progress.early_out),
            end: Mutex::new(End {
                how: EndKind::Closed,
                close_notify_sent: false,
                close_notify_received: false,
            }),
        }))
    }

    /// It is over, and there is none. `phase` is what it waited for where that is not the last thing that it did: an
    /// alert was sent since.
    pub(crate) fn failed(
        &mut self,
        reason: Reason<'_>,
        phase: Option<Phase>,
        alert_sent: Option<AlertDescription>,
        client_hello: Option<&ClientHello>,
    ) {
        let Some(mut subject) = self.subject.take() else {
            return;
        };
        if subject.server_name.is_none() {
            subject.server_name = client_hello.and_then(ClientHello::server_name).map(Into::into);
        }
        let progress = *self.progress();
        let failed = HandshakeFailed {
            reason,
            phase: phase.unwrap_or(progress.phase),
            alert_sent,
            client_hello,
            elapsed: self.started.elapsed(),
            bytes_in: progress.bytes_in,
            bytes_out: progress.bytes_out,
        };
        let span = &self.span;
        if !span.is_disabled() {
            span.record("server_name", subject.server_name.as_deref())
                .record("alert_sent", alert_sent.map(display))
                .record("alert_received", failed.alert_received().map(display))
                .record("error", display(reason));
            self.record_end(reason.name(), failed.elapsed, progress);
        }
        let _entered = span.enter();
        match reason {
            Reason::Error(error) => tell_of_failure(error, client_hello),
            Reason::Dropped => {
                tracing::debug!(target: HANDSHAKE, phase = %progress.phase, "handshake dropped");
            }
            Reason::PassedOn => tracing::debug!(target: HANDSHAKE, "handshake passed on"),
        }
        subject.tell(|observer, observed| observer.handshake_failed(observed, &failed));
    }

    fn record_end(&self, outcome: &str, elapsed: core::time::Duration, progress: Progress) {
        self.span
            .record("outcome", outcome)
            .record("elapsed", tracing::field::debug(elapsed))
            .record("bytes_in", progress.bytes_in)
            .record("bytes_out", progress.bytes_out);
    }
}

impl Drop for HandshakeWatch {
    fn drop(&mut self) {
        self.failed(Reason::Dropped, None, None, None);
    }
}

/// The event of a handshake that failed.
pub(crate) fn tell_of_failure(error: &Error, client_hello: Option<&ClientHello>) {
    tracing::debug!(
        target: HANDSHAKE,
        %error,
        server_name = client_hello.and_then(ClientHello::server_name),
        ja4 = client_hello.map(|hello| display(hello.ja4())),
        "handshake failed"
    );
}

const fn early_data(early_data: EarlyData) -> &'static str {
    match early_data {
        EarlyData::Accepted => "accepted",
        EarlyData::Rejected => "rejected",
        _ => "none",
    }
}

/// A stream. Both its halves have it; with the last of them its end is told.
pub(crate) struct StreamWatch {
    subject: Subject,
    info: TlsInfo,
    established: Instant,
    /// Each is changed by one half only.
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    end: Mutex<End>,
}

struct End {
    /// The worst so far.
    how: EndKind,
    close_notify_sent: bool,
    close_notify_received: bool,
}

// Cold, so that streams that nobody watches keep their way to themselves.
impl StreamWatch {
    /// What a read came to; `count` bytes of data were delivered.
    #[cold]
    pub(crate) fn read(&self, count: usize, read: &Poll<io::Result<Readable>>, reader: &mut Reader) {
        match read {
            Poll::Pending => {}
            Poll::Ready(Ok(Readable::Data)) => self.consumed(count),
            Poll::Ready(Ok(Readable::Closed)) => {
                if matches!(reader.process(), Ok(ReadEvent::Closed)) {
                    self.end().close_notify_received = true;
                    self.note(EndKind::Clean);
                } else {
                    self.note(EndKind::WithoutCloseNotify);
                }
            }
            Poll::Ready(Err(error)) => self.failed(error),
        }
    }

    /// So much data was taken.
    #[cold]
    pub(crate) fn consumed(&self, count: usize) {
        add(&self.bytes_in, count);
    }

    /// So much data was accepted.
    #[cold]
    pub(crate) fn accepted(&self, count: usize) {
        add(&self.bytes_out, count);
    }

    /// What a write came to.
    #[cold]
    pub(crate) fn wrote(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => {}
            Poll::Ready(Ok(count)) => self.accepted(*count),
            Poll::Ready(Err(error)) => self.failed(error),
        }
    }

    /// What a flush, or something else that is waited for, came to.
    #[cold]
    pub(crate) fn flushed(&self, flushed: &Poll<io::Result<()>>) {
        if let Poll::Ready(Err(error)) = flushed {
            self.failed(error);
        }
    }

    /// What a shutdown came to, and whether it said close_notify, and not an alert, or nothing.
    #[cold]
    pub(crate) fn shut_down(&self, shut_down: &Poll<io::Result<()>>, said_goodbye: bool) {
        match shut_down {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.end().close_notify_sent |= said_goodbye,
            Poll::Ready(Err(error)) => self.failed(error),
        }
    }

    /// It was dropped without a shutdown; whether its goodbye left.
    pub(crate) fn dropped_open(&self, close_notify_sent: bool) {
        self.end().close_notify_sent = close_notify_sent;
        self.note(EndKind::DroppedOpen);
    }

    /// This happened to it; what is told in the end is the worst of all that did.
    pub(crate) fn note(&self, how: EndKind) {
        let mut end = self.end();
        if how.severity() > end.how.severity() {
            end.how = how;
        }
    }

    #[cold]
    fn failed(&self, error: &io::Error) {
        if let Some(how) = kind_of(error) {
            self.note(how);
        }
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There is one writer: no locked instruction is needed.
fn add(counter: &AtomicU64, count: usize) {
    counter.store(counter.load(Relaxed).saturating_add(count as u64), Relaxed);
}

/// What an error says of the stream; `None` where it says nothing, as for a write after a shutdown.
fn kind_of(error: &io::Error) -> Option<EndKind> {
    use tls_core::ErrorKind as K;
    Some(match of_core(error).map(|error| (error.kind(), error.alert())) {
        Some((K::Misuse(_), _)) => return None,
        Some((K::AlertReceived(alert), _)) => EndKind::AlertReceived(*alert),
        Some((K::Truncated, _)) => EndKind::Truncated,
        Some((_, Some(alert))) => EndKind::AlertSent(alert),
        None if is_reset(error) => EndKind::Reset,
        None if error.kind() == io::ErrorKind::TimedOut => EndKind::TimedOut,
        _ => EndKind::Failed(error.kind()),
    })
}

impl Drop for StreamWatch {
    fn drop(&mut self) {
        let duration = self.established.elapsed();
        let end = self.end.get_mut().unwrap_or_else(PoisonError::into_inner);
        let end = StreamEnd {
            info: &self.info,
            how: end.how,
            close_notify_sent: end.close_notify_sent,
            close_notify_received: end.close_notify_received,
            bytes_in: *self.bytes_in.get_mut(),
            bytes_out: *self.bytes_out.get_mut(),
            duration,
        };
        let subject = &self.subject;
        tracing::debug!(
            target: STREAM,
            connection = subject.id,
            side = %subject.side,
            peer = subject.context.peer_address().map(display),
            server_name = subject.server_name.as_deref(),
            how = end.how.name(),
            alert = end.how.alert().map(display),
            close_notify_sent = end.close_notify_sent,
            close_notify_received = end.close_notify_received,
            bytes_in = end.bytes_in,
            bytes_out = end.bytes_out,
            ?duration,
            "a TLS stream ended"
        );
        subject.tell(|observer, observed| observer.stream_ended(observed, &end));
    }
}

#[cfg(test)]
mod tests {
    use tracing::level_filters::LevelFilter;
    use tracing::span::{Attributes, Id, Record};
    use tracing::subscriber::Interest;
    use tracing::{Dispatch, Event, Metadata, Subscriber};

    use super::*;

    /// Wants what is at this level or above, and keeps nothing.
    struct Wants(LevelFilter);

    impl Subscriber for Wants {
        fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
            Interest::sometimes()
        }
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= self.0
        }
        fn max_level_hint(&self) -> Option<LevelFilter> {
            Some(self.0)
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// Wants to know, and does nothing with it.
    #[derive(Debug)]
    struct Deaf;

    impl Observer for Deaf {}

    #[test]
    fn where_nobody_wants_to_know_nothing_is_made() {
        // With one subscriber only, `tracing` would decide for all threads by what the first of them says, which may be
        // another test.
        let _another = Dispatch::new(Wants(LevelFilter::OFF));
        let context = ConnectionContext::new();
        let is_made = |observer| {
            HandshakeWatch::start(Side::Server, None, &context, observer, Instant::now()).is_some()
        };
        let observer: Arc<dyn Observer> = Arc::new(Deaf);
        assert!(!is_made(None));
        assert!(is_made(Some(&observer)));
        for (level, made) in [
            (LevelFilter::OFF, false),
            (LevelFilter::INFO, false),
            (LevelFilter::DEBUG, true),
            (LevelFilter::TRACE, true),
        ] {
            tracing::subscriber::with_default(Wants(level), || {
                assert_eq!(is_made(None), made, "{level}");
                assert!(is_made(Some(&observer)));
            });
        }
        assert!(!is_made(None), "nobody listens any more");
    }
}
