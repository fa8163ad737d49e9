//! The other end of the connection, as the handshake sees it: read a message, send a message, ask a hook.

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::alert::{Alert, AlertDescription};
use crate::crypto::aead::{OpeningKey, SealingKey};
use crate::crypto::suites::Suite;
use crate::error::{Error, ErrorKind, Misbehaviour, Phase, Side};
use crate::hooks::{Answer, ConnectionContext, in_span};
use crate::key_schedule::TrafficKeys;
use crate::messages::client_hello::ClientHello;
use crate::messages::tls12::hello_request::HelloRequest;
use crate::messages::{HEADER_LEN, Message, decode_message, encode_message};
use crate::record::{ChangeCipherSpec, Incoming, Input, Output};
use crate::registry::{ContentType, HandshakeType};
use crate::tamper;
use crate::transcript::Transcript;

/// A transport of bytes. A Tokio stream, memory, a recording and a fuzzer's input implement it.
///
/// The methods follow the rules of [`core::future::Future::poll`]: where they return `Pending`, nothing was moved
/// and the waker is registered.
///
/// Example: that of [`Peer`](crate::Peer).
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
    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Is told what the handshake waits for from here on, whenever that changes: [`Peer::phase`] for those who cannot look
    /// at the [`Peer`], because the handshake has it. Does nothing unless it is overridden, and must not block.
    fn phase_changed(&mut self, _: Phase) {}
}

/// Bytes that every message fits into but certificates, and hellos with a post-quantum key share.
const SCRATCH: usize = 512;

/// One connection during its handshake: record layer, transcript and a borrowed [`Link`].
///
/// It outlives the handshake's future: whoever drives that keeps the `Peer`, asks it what the handshake was waiting
/// for when it ended or was dropped, and sends the alert of a failure with [`Peer::send_alert`] under the keys then
/// in force.
///
/// ```
/// use core::future::Future;
/// use core::pin::pin;
/// use core::task::{Context, Poll, Waker};
/// use tls_core::{ClientConfig, ConnectionContext, ErrorKind, Link, Peer, ServerName, Side, connect};
///
/// /// A server that takes what it is sent and hangs up.
/// #[derive(Default)]
/// struct HangsUp {
///     taken: usize,
/// }
///
/// impl Link for HangsUp {
///     fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<std::io::Result<usize>> {
///         Poll::Ready(Ok(0))
///     }
///
///     fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
///         self.taken += bytes.len();
///         Poll::Ready(Ok(bytes.len()))
///     }
/// }
///
/// let config = ClientConfig::builder().dangerously_accept_any_certificate().build()?;
/// let name = ServerName::try_from("localhost").unwrap();
/// let mut link = HangsUp::default();
/// let mut peer = Peer::new(Side::Client, &mut link, ConnectionContext::new());
/// // Polled by whatever runtime there is; this link never makes it wait.
/// let handshake = pin!(connect(&mut peer, &config, &name)).poll(&mut Context::from_waker(Waker::noop()));
/// let Poll::Ready(Err(error)) = handshake else { panic!("no server answered") };
/// assert!(matches!(error.kind(), ErrorKind::Truncated));
/// assert!(link.taken > 0);
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
pub struct Peer<'l> {
    link: &'l mut dyn Link,
    side: Side,
    phase: Phase,
    bytes_in: u64,
    bytes_out: u64,
    /// Whether something was queued that the peer waits for. A dummy change_cipher_spec alone can wait.
    must_flush: bool,
    alert_queued: bool,
    /// Early data is under way, in front of what is queued or towards us: who sends it may not read before it has
    /// written, and who gets it may not either. So writing never keeps us from reading.
    reads_while_writing: bool,
    /// The link does not take our bytes any more. What the peer has said before is reported instead, if there is such.
    write_error: Option<Error>,
    /// The type of the message that [`Self::peek`] found and nobody has read yet.
    peeked: Option<HandshakeType>,
    /// Where messages are encoded, so that only the first one allocates.
    scratch: Vec<u8>,
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) transcript: Transcript,
    pub(crate) context: Arc<ConnectionContext>,
    /// On a server, once it was read.
    pub(crate) client_hello: Option<Arc<ClientHello>>,
}

impl<'l> Peer<'l> {
    /// A connection on this link of which nothing was read or written yet.
    pub fn new(side: Side, link: &'l mut dyn Link, context: ConnectionContext) -> Self {
        Self {
            link,
            side,
            phase: Phase::Starting,
            bytes_in: 0,
            bytes_out: 0,
            must_flush: false,
            alert_queued: false,
            reads_while_writing: false,
            write_error: None,
            peeked: None,
            scratch: Vec::new(),
            input: Input::new(),
            output: Output::new(),
            transcript: Transcript::new(),
            context: Arc::new(context),
            client_hello: None,
        }
    }

    /// Which side we are.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }

    /// What the handshake is waiting for, or was when it ended.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Bytes received so far, as on the wire.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in
    }

    /// Bytes sent so far, as on the wire.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    /// The client's first message, on a server that has read it: also after a handshake that failed.
    #[must_use]
    pub fn client_hello(&self) -> Option<&Arc<ClientHello>> {
        self.client_hello.as_ref()
    }

    /// The error with which a server refuses a client for a reason of its own, to be sent by [`Self::send_alert`].
    #[must_use]
    pub fn refusal(&self, alert: AlertDescription) -> Error {
        self.explain(Error::new(ErrorKind::Refused(alert)))
    }

    /// Sends the alert that this error calls for, if any, under the keys in force, after what was queued before.
    /// Returns whether an alert was sent.
    ///
    /// Cancel safe: called again it goes on where it was.
    ///
    /// # Errors
    /// The link failed.
    pub async fn send_alert(&mut self, error: &Error) -> Result<bool, Error> {
        let Some(description) = error.alert() else {
            return Ok(false);
        };
        if !core::mem::replace(&mut self.alert_queued, true) {
            self.output
                .queue(ContentType::ALERT, &Alert::new(description).to_bytes())?;
        }
        self.flush().await?;
        Ok(true)
    }

    /// Waits for the next handshake message, which must be an `M`, and adds it to the transcript.
    pub(crate) async fn read<M: Message>(&mut self) -> Result<M, Error> {
        let got = self.wait_for_message(M::TYPE).await?;
        let message = self.decode::<M>(got)?;
        self.transcript.add(self.input.message());
        Ok(message)
    }

    /// As [`Self::read`], but adding the message to the transcript is left to the caller, who gets its bytes.
    pub(crate) async fn read_unhashed<M: Message>(&mut self) -> Result<(M, Vec<u8>), Error> {
        let got = self.wait_for_message(M::TYPE).await?;
        Ok((self.decode(got)?, self.input.message().to_vec()))
    }

    /// Waits for the next handshake message and says its type, leaving it there to be read.
    /// `expected` is what an error or a timeout will name.
    pub(crate) async fn peek(&mut self, expected: HandshakeType) -> Result<HandshakeType, Error> {
        let message_type = self.wait_for_message(expected).await?;
        self.peeked = Some(message_type);
        Ok(message_type)
    }

    fn decode<M: Message>(&self, got: HandshakeType) -> Result<M, Error> {
        if got != M::TYPE {
            return Err(Misbehaviour::UnexpectedMessage {
                expected: M::TYPE,
                got,
            }
            .into());
        }
        Ok(decode_message(
            self.input.message().get(HEADER_LEN..).unwrap_or_default(),
        )?)
    }

    /// Sends what is queued, then waits for a message. It stays lent by the input until the next call.
    async fn wait_for_message(&mut self, expected: HandshakeType) -> Result<HandshakeType, Error> {
        if let Some(message_type) = self.peeked.take() {
            return Ok(message_type);
        }
        if self.must_flush && !self.reads_while_writing {
            self.flush().await?;
        }
        self.enter(Phase::Reading(expected));
        poll_fn(|cx| {
            self.poll_flush_aside(cx);
            let message = self.poll_message(cx);
            self.or_write_error(message)
        })
        .await
    }

    /// From here on writing does not keep us from reading.
    pub(crate) fn read_while_writing(&mut self) {
        self.reads_while_writing = true;
    }

    /// What an error or a timeout will name, until something is waited for.
    pub(crate) fn expect(&mut self, expected: HandshakeType) {
        self.enter(Phase::Reading(expected));
    }

    fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.link.phase_changed(phase);
        }
    }

    /// Where writing goes on beside reading: writes what the link takes now.
    fn poll_flush_aside(&mut self, cx: &mut Context<'_>) {
        if !self.must_flush || !self.reads_while_writing || self.write_error.is_some() {
            return;
        }
        match self.poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.must_flush = false;
                // The early data has gone, and what follows it the server reads in any case. Towards us more may come.
                self.reads_while_writing = self.side == Side::Server;
            }
            Poll::Ready(Err(error)) => self.write_error = Some(error),
            Poll::Pending => {}
        }
    }

    /// A link that has ended is not the news, where it did not take our bytes before.
    fn or_write_error<T>(&mut self, read: Poll<Result<T, Error>>) -> Poll<Result<T, Error>> {
        match read {
            Poll::Ready(Err(error)) if matches!(error.kind(), ErrorKind::Link(_) | ErrorKind::Truncated) => {
                Poll::Ready(Err(self.write_error.take().unwrap_or(error)))
            }
            read => read,
        }
    }

    /// Sends data under the early traffic keys, until the link has taken all of it or the server has answered, and
    /// returns how many bytes were sealed.
    pub(crate) async fn write_early_data(&mut self, data: &[u8]) -> Result<usize, Error> {
        let mut rest = data;
        self.enter(Phase::Writing);
        (self.must_flush, self.reads_while_writing) = (true, true);
        poll_fn(|cx| {
            while self.must_flush {
                let was_empty = self.output.pending().is_empty();
                let sealed = self.output.write_application_data(&[IoSlice::new(rest)])?;
                rest = rest.get(sealed..).unwrap_or_default();
                self.poll_flush_aside(cx);
                let is_stuck = sealed == 0 && was_empty;
                if !self.must_flush && !rest.is_empty() && !is_stuck {
                    // There is room again.
                    (self.must_flush, self.reads_while_writing) = (true, true);
                } else if self.must_flush {
                    let message = self.poll_message(cx);
                    self.peeked = Some(ready!(self.or_write_error(message))?);
                    break;
                }
            }
            Poll::Ready(Ok::<_, Error>(()))
        })
        .await?;
        Ok(data.len() - rest.len())
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<HandshakeType, Error>> {
        Poll::Ready(match ready!(self.poll_incoming(cx))? {
            Incoming::Handshake(message_type) => Ok(message_type),
            other => Err(unexpected(other)),
        })
    }

    /// Sends what is queued, then waits for the change_cipher_spec of TLS 1.2 (RFC 5246 7.1), which must follow the
    /// message read last.
    pub(crate) async fn read_change_cipher_spec(&mut self) -> Result<(), Error> {
        self.input.set_change_cipher_spec(ChangeCipherSpec::Deliver);
        if self.must_flush {
            self.flush().await?;
        }
        self.enter(Phase::Reading(HandshakeType::FINISHED));
        match poll_fn(|cx| self.poll_incoming(cx)).await? {
            Incoming::ChangeCipherSpec => Ok(()),
            // Finished among them: it must not come before its keys.
            Incoming::Handshake(_) => Err(Misbehaviour::UnexpectedRecord(ContentType::HANDSHAKE).into()),
            other => Err(unexpected(other)),
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Error>> {
        loop {
            match self.input.next()? {
                Incoming::NeedMore => {}
                // It may come at any time, means nothing while there is a handshake, and is not hashed (RFC 5246
                // 7.4.1.1).
                Incoming::Handshake(HandshakeType::HELLO_REQUEST)
                    if self.side == Side::Client && self.input.may_be_tls12() =>
                {
                    self.decode::<HelloRequest>(HandshakeType::HELLO_REQUEST)?;
                    if self.input.are_hello_requests_fatal() {
                        return Poll::Ready(Err(Misbehaviour::Renegotiation.into()));
                    }
                    self.input.count_hello_request()?;
                    continue;
                }
                incoming => return Poll::Ready(Ok(incoming)),
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Reads from the link once.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Poll::Ready(read) = self.link.poll_read(cx, self.input.space()) else {
            // Whoever keeps us waiting shall not hold a buffer meanwhile.
            self.input.release_if_empty();
            return Poll::Pending;
        };
        match read? {
            0 => Poll::Ready(Err(Error::new(ErrorKind::Truncated))),
            count => {
                self.bytes_in = self.bytes_in.saturating_add(count as u64);
                self.input.filled(count);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Sends what is queued, and waits for more of the client's early data.
    pub(crate) async fn fill_with_early_data(&mut self) -> Result<(), Error> {
        self.expect(HandshakeType::END_OF_EARLY_DATA);
        poll_fn(|cx| {
            self.poll_flush_aside(cx);
            let filled = self.poll_fill(cx);
            self.or_write_error(filled)
        })
        .await
    }

    /// Queues a handshake message and adds it to the transcript. It leaves with the flight, at the next read.
    pub(crate) fn send<M: Message>(&mut self, message: &M) -> Result<(), Error> {
        let mut bytes = core::mem::take(&mut self.scratch);
        bytes.clear();
        bytes.reserve(SCRATCH);
        encode_message(message, &mut bytes);
        let sent = self.send_encoded(&bytes);
        self.scratch = bytes;
        sent
    }

    /// The same for a message that is encoded already.
    pub(crate) fn send_encoded(&mut self, message: &[u8]) -> Result<(), Error> {
        let message = &*tamper::instead_of(self.side, message);
        self.transcript.add(message);
        self.must_flush = true;
        self.output.queue(ContentType::HANDSHAKE, message)
    }

    /// Queues the dummy change_cipher_spec of the middlebox compatibility mode (section D.4).
    pub(crate) fn send_change_cipher_spec(&mut self) -> Result<(), Error> {
        self.output.queue_change_cipher_spec()
    }

    /// Waits until the link has taken all that was queued.
    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        self.enter(Phase::Writing);
        poll_fn(|cx| self.poll_flush(cx)).await?;
        self.must_flush = false;
        Ok(())
    }

    /// Sends the last flight: waits until the link has taken it, unless early data is before it.
    pub(crate) async fn flush_last_flight(&mut self) -> Result<(), Error> {
        match self.reads_while_writing {
            true => {
                self.flush_what_goes().await;
                Ok(())
            }
            false => self.flush().await,
        }
    }

    /// Writes what the link takes now and leaves the rest queued, also where the link fails: whoever writes next will
    /// learn of it.
    pub(crate) async fn flush_what_goes(&mut self) {
        poll_fn(|cx| {
            let _ = self.poll_flush(cx);
            Poll::Ready(())
        })
        .await;
    }

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
        self.input
            .set_keys(OpeningKey::new(suite.aead, keys.key(), *keys.iv())?)
    }

    /// Writes under these keys from here on.
    pub(crate) fn set_write_keys(&mut self, suite: &Suite, keys: &TrafficKeys) -> Result<(), Error> {
        self.output.set_keys(
            SealingKey::new(suite.aead, keys.key(), *keys.iv())?,
            suite.record_limit,
        )
    }

    /// The same in TLS 1.2, after a change_cipher_spec.
    pub(crate) fn set_read_keys12(&mut self, suite: &Suite, keys: &TrafficKeys) -> Result<(), Error> {
        self.input
            .set_keys12(OpeningKey::new(suite.aead, keys.key(), *keys.iv())?)
    }

    /// The same in TLS 1.2, after a change_cipher_spec.
    pub(crate) fn set_write_keys12(&mut self, suite: &Suite, keys: &TrafficKeys) -> Result<(), Error> {
        self.output.set_keys12(
            SealingKey::tls12(suite.aead, keys.key(), *keys.iv())?,
            suite.record_limit,
        )
    }

    /// Waits for a hook's answer.
    pub(crate) async fn ask<T>(&mut self, hook: &'static str, answer: Answer<'_, T>) -> T {
        match answer {
            Answer::Now(answer) => answer,
            Answer::Later(future) => {
                let before = self.phase;
                self.enter(Phase::Hook(hook));
                let answer = in_span(hook, future).await;
                self.enter(before);
                answer
            }
        }
    }

    /// Tells the hooks which name the client asked for.
    pub(crate) fn set_server_name(&mut self, name: Option<&str>) {
        Arc::make_mut(&mut self.context).set_server_name(name.map(str::to_owned));
    }

    /// The same error, saying where we were when it happened.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let phase = match error.kind() {
            ErrorKind::Hook { hook, .. } => Phase::Hook(hook),
            _ => self.phase,
        };
        error.in_phase(self.side, phase)
    }

    /// All but the link, for a handshake that waits for its caller. It can be taken up with [`Parked::resume`].
    pub(crate) fn park(&mut self) -> Parked {
        let phase = self.phase;
        let (input, output) = self.finish();
        Parked {
            side: self.side,
            phase,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            must_flush: self.must_flush,
            alert_queued: self.alert_queued,
            reads_while_writing: self.reads_while_writing,
            input,
            output,
            transcript: core::mem::replace(&mut self.transcript, Transcript::new()),
            context: Arc::clone(&self.context),
            client_hello: self.client_hello.clone(),
        }
    }

    /// The handshake is over: what remains is the record layer.
    pub(crate) fn finish(&mut self) -> (Input, Output) {
        self.phase = Phase::Established;
        (
            core::mem::replace(&mut self.input, Input::new()),
            core::mem::replace(&mut self.output, Output::new()),
        )
    }
}

impl fmt::Debug for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("side", &self.side)
            .field("phase", &self.phase)
            .field("bytes_in", &self.bytes_in)
            .field("bytes_out", &self.bytes_out)
            .finish_non_exhaustive()
    }
}

/// A [`Peer`] without its link.
pub(crate) struct Parked {
    side: Side,
    phase: Phase,
    bytes_in: u64,
    bytes_out: u64,
    must_flush: bool,
    alert_queued: bool,
    reads_while_writing: bool,
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) transcript: Transcript,
    context: Arc<ConnectionContext>,
    client_hello: Option<Arc<ClientHello>>,
}

impl Parked {
    pub(crate) const fn bytes_in(&self) -> u64 {
        self.bytes_in
    }

    pub(crate) const fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    /// Counts bytes that came from the link meanwhile.
    pub(crate) fn filled(&mut self, count: usize) {
        self.bytes_in = self.bytes_in.saturating_add(count as u64);
        self.input.filled(count);
    }

    /// Counts bytes that the link took meanwhile.
    pub(crate) fn sent(&mut self, count: usize) {
        self.bytes_out = self.bytes_out.saturating_add(count as u64);
        self.output.sent(count);
    }

    /// The same error, saying where we were when it happened. The alert that it calls for is queued.
    pub(crate) fn fail(&mut self, error: Error) -> Error {
        if let Some(description) = error.alert()
            && !core::mem::replace(&mut self.alert_queued, true)
        {
            // An alert that cannot be sealed is none the worse: the error is reported in any case.
            let _ = self
                .output
                .queue(ContentType::ALERT, &Alert::new(description).to_bytes());
        }
        error.in_phase(self.side, Phase::Reading(HandshakeType::END_OF_EARLY_DATA))
    }

    /// Goes on with the link that it was parked without.
    pub(crate) fn resume(self, link: &mut dyn Link) -> Peer<'_> {
        Peer {
            link,
            side: self.side,
            phase: self.phase,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            must_flush: self.must_flush,
            alert_queued: self.alert_queued,
            reads_while_writing: self.reads_while_writing,
            write_error: None,
            peeked: None,
            scratch: Vec::new(),
            input: self.input,
            output: self.output,
            transcript: self.transcript,
            context: self.context,
            client_hello: self.client_hello,
        }
    }
}

/// What may not come during a handshake.
pub(crate) fn unexpected(incoming: Incoming) -> Error {
    match incoming {
        Incoming::CloseNotify => Error::new(ErrorKind::AlertReceived(AlertDescription::CLOSE_NOTIFY)),
        Incoming::ChangeCipherSpec => Misbehaviour::UnexpectedRecord(ContentType::CHANGE_CIPHER_SPEC).into(),
        _ => Misbehaviour::UnexpectedRecord(ContentType::APPLICATION_DATA).into(),
    }
}
