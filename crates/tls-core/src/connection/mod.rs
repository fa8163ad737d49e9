//! What remains after the handshake: a read half and a write half that share nothing but a few bits.

mod reader;
mod tickets;
mod writer;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests12;

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Waker;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use self::reader::repeat;
pub use self::reader::{ReadEvent, Reader};
use self::tickets::Sessions;
pub(crate) use self::tickets::TicketReader;
pub use self::writer::Writer;
use crate::alert::AlertDescription;
use crate::crypto::aead::{AeadAlgorithm, OpeningKey, SealingKey};
use crate::error::{Error, Misuse, Side};
use crate::key_schedule::{Exporter, TrafficSecret};
use crate::key_schedule12::MainSecret12;
use crate::negotiated::Negotiated;
use crate::record::{Input, Output};
use crate::session::ClientSession;

/// An established connection: two halves that may be used apart, also from two threads.
///
/// Neither does IO. Move bytes of the transport into [`Reader::space`] and out of [`Writer::pending`]. Reading can
/// make it necessary to write (the answer to a KeyUpdate, an alert): the halves pass that on through [`Control`],
/// so that whoever reads must see to it that [`Writer::apply_control`] is called and its bytes are sent.
///
/// Example: that of [`Driver`](crate::Driver).
#[non_exhaustive]
pub struct Connection {
    /// What comes from the peer.
    pub reader: Reader,
    /// What goes to the peer.
    pub writer: Writer,
    facts: ConnectionFacts,
}

impl Connection {
    /// From the record layer that did the handshake, whose keys must already be those of the traffic secrets. They
    /// are absent in TLS 1.2, which has no KeyUpdate.
    pub(crate) fn new(
        side: Side,
        input: Input,
        output: Output,
        read_epoch: Option<Epoch>,
        write_epoch: Option<Epoch>,
        exporter: impl Into<AnyExporter>,
        negotiated: Negotiated,
    ) -> Self {
        let control = Arc::new(Control::default());
        Self {
            reader: Reader::new(side, input, read_epoch, Arc::clone(&control)),
            writer: Writer::new(side, output, write_epoch, control),
            facts: ConnectionFacts {
                exporter: exporter.into(),
                early_exporter: None,
                negotiated: Arc::new(negotiated),
            },
        }
    }

    /// Makes sessions of the tickets that come, for [`Reader::take_session`].
    pub(crate) fn with_ticket_reader(mut self, tickets: Option<TicketReader>) -> Self {
        if let Some(tickets) = tickets {
            self.reader.set_sessions(Sessions::Tickets(Box::new(tickets)));
        }
        self
    }

    /// Hands out this session by [`Reader::take_session`] (TLS 1.2).
    pub(crate) fn with_session(mut self, session: Option<ClientSession>) -> Self {
        if let Some(session) = session {
            self.reader.set_sessions(Sessions::One(session));
        }
        self
    }

    /// Early data was accepted: it has an exporter of its own, and a server may not have read all of it.
    pub(crate) fn with_early_data(mut self, exporter: Option<Exporter>, unread: Vec<u8>) -> Self {
        self.facts.early_exporter = exporter.map(Box::new);
        self.reader.set_aside(unread);
        self
    }

    /// What the handshake agreed on.
    #[must_use]
    pub fn negotiated(&self) -> &Arc<Negotiated> {
        self.facts.negotiated()
    }

    /// As [`ConnectionFacts::export_keying_material`].
    ///
    /// # Errors
    /// As there.
    pub fn export_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        self.facts.export_keying_material(out, label, context)
    }

    /// As [`ConnectionFacts::export_early_keying_material`].
    ///
    /// # Errors
    /// As there.
    pub fn export_early_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        self.facts.export_early_keying_material(out, label, context)
    }

    /// The two halves.
    #[must_use]
    pub fn split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }

    /// The two halves, and what belongs to neither.
    #[must_use]
    pub fn into_parts(self) -> (Reader, Writer, ConnectionFacts) {
        (self.reader, self.writer, self.facts)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("reader", &self.reader)
            .field("writer", &self.writer)
            .field("facts", &self.facts)
            .finish()
    }
}

/// What belongs to neither half of a [`Connection`]: what was agreed on, and the exporters.
///
/// ```
/// use tls_core::{Connection, Error};
///
/// fn token(connection: Connection) -> Result<[u8; 32], Error> {
///     let (_reader, _writer, facts) = connection.into_parts();
///     println!("{}", facts.negotiated().cipher_suite());
///     let mut token = [0; 32];
///     facts.export_keying_material(&mut token, b"EXPORTER-my-protocol", None)?;
///     Ok(token)
/// }
/// ```
#[non_exhaustive]
pub struct ConnectionFacts {
    exporter: AnyExporter,
    /// Where early data was accepted. In a box, since it seldom is.
    early_exporter: Option<Box<Exporter>>,
    negotiated: Arc<Negotiated>,
}

impl ConnectionFacts {
    /// What the handshake agreed on.
    #[must_use]
    pub fn negotiated(&self) -> &Arc<Negotiated> {
        &self.negotiated
    }

    /// Makes bytes that both ends of this connection can compute and nobody else (section 7.5, RFC 5705). In
    /// TLS 1.3 an absent context is the same as an empty one; in TLS 1.2 it is not.
    ///
    /// # Errors
    /// [`Misuse::ExporterRange`]: in TLS 1.3 for a label over 249 bytes, or more output
    /// than 255 hashes; in TLS 1.2 for a context over 65,535 bytes, or a label that TLS itself uses.
    pub fn export_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        match &self.exporter {
            AnyExporter::Tls13(exporter) => exporter.export(out, label, context.unwrap_or_default()),
            AnyExporter::Tls12(exporter) => exporter.export(out, label, context),
        }
    }

    /// The same from the secret of the early data (section 7.5), for protocols that need it in their early data. It
    /// lacks forward secrecy, and a server can see the same values twice if early data is replayed.
    ///
    /// # Errors
    /// [`Misuse::NoEarlyExporter`] where no early data was accepted, and [`Misuse::ExporterRange`] as above.
    pub fn export_early_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        let exporter = self.early_exporter.as_ref().ok_or(Misuse::NoEarlyExporter)?;
        exporter.export(out, label, context.unwrap_or_default())
    }
}

impl fmt::Debug for ConnectionFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionFacts")
            .field("negotiated", &self.negotiated)
            .finish_non_exhaustive()
    }
}

/// The exporter of either version.
pub(crate) enum AnyExporter {
    Tls13(Exporter),
    /// In a box, so that the other version does not pay for the randoms.
    Tls12(Box<MainSecret12>),
}

impl From<Exporter> for AnyExporter {
    fn from(exporter: Exporter) -> Self {
        Self::Tls13(exporter)
    }
}

impl From<Box<MainSecret12>> for AnyExporter {
    fn from(exporter: Box<MainSecret12>) -> Self {
        Self::Tls12(exporter)
    }
}

/// What the read half asks of the write half: a set of bits, without a lock.
///
/// Requests of the same kind melt into one, so that a peer that never reads cannot make the answers pile up. Whoever
/// waits to write can be woken by the next request: see [`Self::register`].
///
/// ```
/// use tls_core::{Error, Reader, Writer};
///
/// /// After reading: what it gave rise to is put among the bytes for the transport.
/// fn answer(reader: &Reader, writer: &mut Writer) -> Result<(), Error> {
///     if reader.control().is_set() {
///         writer.apply_control()?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Default)]
pub struct Control {
    bits: AtomicU32,
    /// Locked only by a write half that waits, and by a read half with a request, never where data is moved.
    writer: Mutex<Option<Waker>>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("is_set", &self.is_set())
            .finish_non_exhaustive()
    }
}

impl Control {
    const KEY_UPDATE: u32 = 1;
    const CLOSE_NOTIFY: u32 = 1 << 1;
    const ALERT: u32 = 1 << 2;
    /// The peer has ended the connection by a fatal alert: nothing more is to be said to it.
    const CLOSED: u32 = 1 << 3;
    /// A warning, no_renegotiation: the connection goes on.
    const NO_RENEGOTIATION: u32 = 1 << 4;
    /// Where the description of the alert lies in the word: of the one we send, or of the one we got.
    const DESCRIPTION_SHIFT: u32 = 8;

    /// Whether the write half has something to do. One load.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.bits.load(Ordering::Relaxed) != 0
    }

    /// Wakes this task at the next request, once; only the last one that registered. Look at [`Self::is_set`] after
    /// registering: a request may have come before.
    pub fn register(&self, waker: &Waker) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *writer {
            Some(registered) => registered.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Asks the write half to send close_notify and to take no more data.
    pub fn request_close_notify(&self) {
        self.request(Self::CLOSE_NOTIFY);
    }

    fn request(&self, bits: u32) {
        self.bits.fetch_or(bits, Ordering::Release);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// What the write half cannot do yet. It wakes nobody: the write half knows.
    fn put_back(&self, bits: u32) {
        self.bits.fetch_or(bits, Ordering::Release);
    }

    /// Only the read half calls it, and only for its first error: two descriptions would mix.
    fn request_alert(&self, description: AlertDescription) {
        self.request(Self::ALERT | u32::from(description.0) << Self::DESCRIPTION_SHIFT);
    }

    /// The same for an alert that came, instead of one to send.
    fn announce_alert(&self, description: AlertDescription) {
        self.request(Self::CLOSED | u32::from(description.0) << Self::DESCRIPTION_SHIFT);
    }

    fn take(&self) -> u32 {
        self.bits.swap(0, Ordering::Acquire)
    }

    /// The alert, where this bit says that there is one.
    fn alert_in(bits: u32, which: u32) -> Option<AlertDescription> {
        let [_, _, description, _] = bits.to_be_bytes();
        (bits & which != 0).then_some(AlertDescription(description))
    }
}

/// The traffic secret of one direction, and what makes keys of it.
pub(crate) struct Epoch {
    secret: TrafficSecret,
    algorithm: AeadAlgorithm,
    /// Records that one key may seal (section 5.5).
    limit: u64,
}

impl Epoch {
    pub(crate) const fn new(secret: TrafficSecret, algorithm: AeadAlgorithm, limit: u64) -> Self {
        Self {
            secret,
            algorithm,
            limit,
        }
    }

    /// The key to read with.
    pub(crate) fn opening_key(&self) -> Result<OpeningKey, Error> {
        let keys = self.secret.key_and_iv(self.algorithm.key_len());
        OpeningKey::new(self.algorithm, keys.key(), *keys.iv())
    }

    /// The key to write with.
    pub(crate) fn sealing_key(&self) -> Result<SealingKey, Error> {
        let keys = self.secret.key_and_iv(self.algorithm.key_len());
        SealingKey::new(self.algorithm, keys.key(), *keys.iv())
    }

    /// Records that a key may seal.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Goes on to the next secret (section 7.2).
    fn advance(&mut self) {
        self.secret = self.secret.next();
    }
}
