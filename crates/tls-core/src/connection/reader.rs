//! The read half of a connection.

use core::fmt;
use std::sync::Arc;

use super::tickets::Sessions;
use super::{Control, Epoch};
use crate::error::{Error, ErrorKind, Misbehaviour, Phase, Side};
use crate::messages::extensions::{Place, check_placement};
use crate::messages::key_update::KeyUpdate;
use crate::messages::new_session_ticket::NewSessionTicket;
use crate::messages::tls12::hello_request::HelloRequest;
use crate::messages::{HEADER_LEN, decode_message};
use crate::record::{ChangeCipherSpec, Incoming, Input};
use crate::registry::{ContentType, HandshakeType, KeyUpdateRequest};
use crate::session::ClientSession;

/// Data that [`Reader::read_ahead`] sets aside, up to one record more: what a peer says before it gives up is short.
const MAX_ASIDE: usize = 64 * 1024;

/// What there is to read.
///
/// Example: that of [`Driver`](crate::Driver).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadEvent {
    /// Nothing yet: read from the transport into [`Reader::space`].
    NeedMore,
    /// [`Reader::data`] is not empty.
    Data,
    /// The peer closed its side with close_notify. Nothing will follow.
    Closed,
}

/// The read half of a [`Connection`](super::Connection).
///
/// - Move the transport's bytes into [`Self::space`] and announce them with [`Self::filled`], its end with
///   [`Self::eof`]; then call [`Self::process`], or [`Self::read_into`], until nothing is left. Reading more from the
///   transport before that makes the buffer grow.
/// - Data is lent in place by [`Self::data`] and given back with [`Self::consume`], or copied by
///   [`Self::read_into`]. The two can be mixed.
/// - Data that came before an error or the end is delivered first. An error is final: it is returned again by each
///   later call of [`Self::process`], and its alert is left to the write half, by [`Control`].
/// - When the transport has nothing, call [`Self::release_if_idle`]: an idle connection holds no buffer.
///
/// Example: that of [`Driver`](crate::Driver).
pub struct Reader {
    side: Side,
    input: Input,
    epoch: Option<Epoch>,
    control: Arc<Control>,
    state: State,
    sessions: Sessions,
    /// Data that is delivered first: early data that was not read before the handshake was over, and what was passed by
    /// [`Self::read_ahead`]. In a box, since there seldom is any.
    aside: Option<Box<Aside>>,
    /// Something has come since the handshake.
    heard: bool,
    /// The transport ended inside a record or a message.
    cut: bool,
}

#[derive(Default)]
struct Aside {
    data: Vec<u8>,
    consumed: usize,
}

#[derive(Debug)]
enum State {
    Open,
    /// The transport has ended.
    AtEof,
    /// close_notify came.
    Closed,
    Failed(Error),
}

impl Reader {
    pub(super) fn new(side: Side, mut input: Input, epoch: Option<Epoch>, control: Arc<Control>) -> Self {
        input.set_change_cipher_spec(ChangeCipherSpec::Refuse);
        input.allow_plaintext_alerts(false);
        input.allow_application_data(true);
        input.release_if_empty();
        Self {
            side,
            input,
            epoch,
            control,
            state: State::Open,
            sessions: Sessions::None,
            aside: None,
            heard: false,
            cut: false,
        }
    }

    /// Room for the transport to read into: never empty, 18 KiB at first (a full record and more), 66 KiB while reads
    /// fill it.
    pub fn space(&mut self) -> &mut [u8] {
        self.input.space()
    }

    /// The transport wrote `n` bytes into the last [`Self::space`].
    pub fn filled(&mut self, n: usize) {
        self.input.filled(n);
        if matches!(self.state, State::Closed | State::Failed(_)) {
            // Whatever follows the end is ignored (section 6.1).
            self.input.discard();
        }
    }

    /// The transport has ended. Without a close_notify before it, [`Self::process`] will say so.
    pub fn eof(&mut self) {
        if matches!(self.state, State::Open) {
            self.state = State::AtEof;
        }
    }

    /// Goes on to the next piece of data, and does what lies on the way: tickets, KeyUpdates, alerts.
    ///
    /// # Errors
    /// What the peer did wrong, the alert it sent, or [`ErrorKind::Truncated`] where the transport ended without
    /// close_notify. The same again on each later call.
    pub fn process(&mut self) -> Result<ReadEvent, Error> {
        if !self.data().is_empty() {
            return Ok(ReadEvent::Data);
        }
        self.step(&mut []).map(|(event, _)| event)
    }

    /// Decrypted data, lent in place: the rest of one record.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        match &self.aside {
            Some(aside) => aside.data.get(aside.consumed..).unwrap_or_default(),
            None => self.input.payload(),
        }
    }

    /// Drops the first `n` bytes of [`Self::data`].
    pub fn consume(&mut self, n: usize) {
        let Some(aside) = &mut self.aside else {
            return self.input.consume(n);
        };
        aside.consumed = aside.consumed.saturating_add(n);
        if aside.consumed >= aside.data.len() {
            self.aside = None;
        }
    }

    /// Fills `out` from as many records as are there, and returns how many bytes that made. 0 means that there is
    /// nothing, and [`Self::process`] says why.
    ///
    /// Records that fit into `out` with 1 byte and their padding to spare are decrypted straight into it; so bytes
    /// of `out` behind the returned length may change too.
    pub fn read_into(&mut self, out: &mut [u8]) -> usize {
        let mut done = 0usize;
        loop {
            let rest = out.get_mut(done..).unwrap_or_default();
            if rest.is_empty() {
                return done;
            }
            let data = self.data();
            let n = data.len().min(rest.len());
            if let (Some(from), Some(to)) = (data.get(..n), rest.get_mut(..n))
                && n > 0
            {
                to.copy_from_slice(from);
                self.consume(n);
                done += n;
                continue;
            }
            match self.step(rest) {
                Ok((ReadEvent::Data, copied)) => done += copied,
                // An error is kept for the next call of `process`.
                Ok(_) | Err(_) => return done,
            }
        }
    }

    /// Goes on past data to learn how the connection ends, as far as its bytes are here. The data comes first when it is
    /// read later. [`ReadEvent::Data`] means that as much is set aside as may be, 64 KiB.
    ///
    /// # Errors
    /// As [`Self::process`], which returns the error once the data has been read.
    pub fn read_ahead(&mut self) -> Result<ReadEvent, Error> {
        loop {
            let passed = self.input.payload();
            if !passed.is_empty() {
                let aside = self.aside.get_or_insert_default();
                if aside.data.len() >= MAX_ASIDE {
                    return Ok(ReadEvent::Data);
                }
                aside.data.extend_from_slice(passed);
                let count = passed.len();
                self.input.consume(count);
            }
            match self.step(&mut [])? {
                (ReadEvent::Data, _) => {}
                (event, _) => return Ok(event),
            }
        }
    }

    /// Which end of the connection we are.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }

    /// Whether anything has come under the keys of the established connection: a ticket, data, or its end. A client of
    /// TLS 1.3 knows from it that the server has accepted its certificate.
    #[must_use]
    pub const fn has_heard(&self) -> bool {
        self.heard
    }

    pub(super) fn set_aside(&mut self, data: Vec<u8>) {
        self.aside = (!data.is_empty()).then(|| Box::new(Aside { data, consumed: 0 }));
    }

    pub(super) fn set_sessions(&mut self, sessions: Sessions) {
        self.sessions = sessions;
    }

    /// The next session that can be resumed later (client with a session cache): for the cache, under
    /// [`ClientConfig::session_key`](crate::ClientConfig::session_key). TLS 1.2 gives one with the handshake, TLS 1.3
    /// one for each ticket that comes after it, of which at most 8 wait here.
    pub fn take_session(&mut self) -> Option<ClientSession> {
        self.sessions.take()
    }

    /// Whether bytes are buffered that were not delivered: data, or the beginning of a record.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        self.aside.is_some() || self.input.has_buffered()
    }

    /// Whether the peer's bytes so far end with a whole record: so that an end without close_notify, for a protocol
    /// that frames itself, has cut nothing in the middle.
    #[must_use]
    pub const fn is_at_record_boundary(&self) -> bool {
        !self.cut && !self.input.is_inside_record()
    }

    /// Gives the buffer back to the pool if nothing is in it.
    pub fn release_if_idle(&mut self) {
        self.input.release_if_empty();
    }

    /// What this half asks of the write half.
    #[must_use]
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// One step to data, an end or an error; data may go to `out`. Must not be called while data is lent.
    fn step(&mut self, out: &mut [u8]) -> Result<(ReadEvent, usize), Error> {
        match &self.state {
            State::Open | State::AtEof => {}
            State::Closed => return Ok((ReadEvent::Closed, 0)),
            State::Failed(error) => return Err(repeat(error)),
        }
        self.read_records(out).map_err(|error| self.fail(error))
    }

    fn read_records(&mut self, out: &mut [u8]) -> Result<(ReadEvent, usize), Error> {
        loop {
            let incoming = self.input.next_into(out)?;
            self.heard |= !matches!(incoming, Incoming::NeedMore);
            match incoming {
                Incoming::ApplicationData { copied } => return Ok((ReadEvent::Data, copied)),
                Incoming::Handshake(message) => self.post_handshake(message)?,
                Incoming::CloseNotify => {
                    self.close();
                    return Ok((ReadEvent::Closed, 0));
                }
                // The handshake has seen it, or it is refused as a record already.
                Incoming::ChangeCipherSpec => {
                    return Err(Misbehaviour::UnexpectedRecord(ContentType::CHANGE_CIPHER_SPEC).into());
                }
                Incoming::NeedMore if matches!(self.state, State::AtEof) => {
                    self.cut = self.input.is_inside_record();
                    return Err(Error::new(ErrorKind::Truncated));
                }
                Incoming::NeedMore => return Ok((ReadEvent::NeedMore, 0)),
            }
        }
    }

    /// The peer's close_notify. TLS 1.2 wants it answered at once, and what we have not sent dropped (RFC 5246 7.2.1):
    /// the writer takes no more data. What it has sealed already still goes out, since a record that is left out would
    /// make the close_notify after it a bad MAC. In TLS 1.3 our side stays open (section 6.1).
    fn close(&mut self) {
        self.state = State::Closed;
        self.input.discard();
        if self.epoch.is_none() {
            self.control.request(Control::CLOSE_NOTIFY);
        }
    }

    #[cold]
    fn fail(&mut self, error: Error) -> Error {
        let error = error.in_phase(self.side, Phase::Established);
        match (error.alert(), error.kind()) {
            (Some(description), _) => self.control.request_alert(description),
            // A fatal alert ends both directions (section 6.2).
            (None, ErrorKind::AlertReceived(description)) => self.control.announce_alert(*description),
            (None, _) => {}
        }
        self.input.discard();
        let returned = repeat(&error);
        self.state = State::Failed(error);
        returned
    }

    /// A handshake message after the handshake (section 4.6). In TLS 1.2 there are only those that ask for another
    /// handshake, which we never do.
    fn post_handshake(&mut self, message: HandshakeType) -> Result<(), Error> {
        let is_tls12 = self.epoch.is_none();
        match (message, self.side) {
            (HandshakeType::NEW_SESSION_TICKET, Side::Client) if !is_tls12 => self.read_ticket(),
            (HandshakeType::KEY_UPDATE, _) if !is_tls12 => self.read_key_update(),
            (HandshakeType::HELLO_REQUEST, Side::Client) if is_tls12 => self.refuse_hello_request(),
            // A client that asks waits for a ServerHello: it cannot go on, and the warning that RFC 5246 7.2.2 has for
            // this ends the connection in most of them. So the alert is fatal, as that of BoringSSL is.
            (HandshakeType::CLIENT_HELLO, Side::Server) if is_tls12 => {
                Err(Misbehaviour::Renegotiation.into())
            }
            (other, _) => Err(Misbehaviour::UnexpectedPostHandshake(other).into()),
        }
    }

    /// The server would like another handshake (RFC 5246 7.4.1.1): it gets a warning, and the connection goes on, unless
    /// the configuration has it end there. Many requests before the writer looks are answered once.
    fn refuse_hello_request(&mut self) -> Result<(), Error> {
        let body = self.input.message().get(HEADER_LEN..).unwrap_or_default();
        decode_message::<HelloRequest>(body)?;
        if self.input.are_hello_requests_fatal() {
            return Err(Misbehaviour::Renegotiation.into());
        }
        self.input.count_hello_request()?;
        self.control.request(Control::NO_RENEGOTIATION);
        Ok(())
    }

    /// A ticket for resuming the session (section 4.6.1), kept where somebody wants it. A lifetime of zero means that
    /// it is not to be used.
    fn read_ticket(&mut self) -> Result<(), Error> {
        let body = self.input.message().get(HEADER_LEN..).unwrap_or_default();
        let ticket = decode_message::<NewSessionTicket>(body)?;
        check_placement(&ticket.extension_types, Place::NewSessionTicket)?;
        match &mut self.sessions {
            Sessions::Tickets(tickets) if ticket.lifetime > 0 => tickets.read(ticket),
            _ => Ok(()),
        }
    }

    /// The peer's next records come under its next key (section 4.6.3).
    fn read_key_update(&mut self) -> Result<(), Error> {
        let body = self.input.message().get(HEADER_LEN..).unwrap_or_default();
        let KeyUpdate { request } = decode_message(body)?;
        self.input.count_key_update()?;
        if let Some(epoch) = &mut self.epoch {
            self.input.end_of_flight()?;
            epoch.advance();
            self.input.set_keys(epoch.opening_key()?)?;
        }
        if request == KeyUpdateRequest::UPDATE_REQUESTED {
            self.control.request(Control::KEY_UPDATE);
        }
        Ok(())
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("side", &self.side)
            .field("state", &self.state)
            .field("has_buffered", &self.has_buffered())
            .finish_non_exhaustive()
    }
}

/// The same error once more. Reading makes none but of the kinds that can be copied.
pub(crate) fn repeat(error: &Error) -> Error {
    let kind = match error.kind() {
        ErrorKind::BadBytes(bad) => ErrorKind::BadBytes(*bad),
        ErrorKind::Misbehaved(misbehaviour) => ErrorKind::Misbehaved(misbehaviour.clone()),
        ErrorKind::AlertReceived(description) => ErrorKind::AlertReceived(*description),
        ErrorKind::Crypto(what) => ErrorKind::Crypto(what),
        _ => ErrorKind::Truncated,
    };
    match (error.side(), error.phase()) {
        (Some(side), Some(phase)) => Error::new(kind).in_phase(side, phase),
        _ => Error::new(kind),
    }
}
