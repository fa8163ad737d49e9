//! What comes from the peer: bytes to records, records to messages and data.

use core::ops::Range;

use super::buffer::{Buffer, LARGE, SMALL};
use super::header::{HEADER_LEN, Header, looks_like_tls};
use super::join::{Joiner, MAX_CERTIFICATE_MESSAGE, message_header};
use super::protect::ReadProtection;
use super::protect12::Read12;
use crate::alert::{Alert, AlertDescription, AlertLevel};
use crate::crypto::aead::OpeningKey;
use crate::error::{Error, ErrorKind, Misbehaviour};
use crate::registry::{ContentType, HandshakeType, ProtocolVersion};

/// Records in a row without content, or dummy change_cipher_spec records, that we bear. BoringSSL's number.
const MAX_EMPTY_RECORDS: u8 = 32;

/// Warning alerts in a row that we bear. BoringSSL's number.
const MAX_WARNINGS: u8 = 4;

/// KeyUpdates in a row, or HelloRequests in TLS 1.2, without data between them, that we bear. BoringSSL's number.
const MAX_REQUESTS: u8 = 32;

/// Free bytes offered to the transport at the least, beyond a partial record that is kept.
const LEAST_ROOM: usize = 1024;

/// The read side of the record layer.
///
/// The transport's bytes go into [`Self::space`] and are announced with [`Self::filled`]. [`Self::next`] then gives
/// one message or piece of data after the other until it needs more bytes. What it gave stays lent from the buffer,
/// by [`Self::message`] or [`Self::payload`], until `next` or `space` is called again.
pub(crate) struct Input {
    /// Raw bytes not looked at yet lie between its cursors.
    buffer: Buffer,
    protection: ReadProtection,
    /// Content type of the record in `held`.
    content_type: ContentType,
    /// Where in the buffer the content of the last record lies that is not given out or consumed yet. It ends
    /// before the start cursor of the buffer.
    held: Range<usize>,
    joiner: Joiner,
    message: MessageAt,
    change_cipher_spec: ChangeCipherSpec,
    /// The first bytes are known to be TLS.
    identified: bool,
    plaintext_alerts: bool,
    /// Data may come, be it empty.
    application_data: bool,
    /// The version is TLS 1.2, or may still become it: warnings are not fatal.
    may_be_tls12: bool,
    /// The version is TLS 1.2, and all records must say so.
    is_tls12: bool,
    /// The last read filled all space offered to it: the peer has more.
    hungry: bool,
    /// Bytes offered by the last call of `space`.
    offered: usize,
    /// Bytes of undecryptable early data that may still be skipped (section 4.2.10).
    skip_early_data: Option<usize>,
    empty_records: u8,
    warnings: u8,
    requests: u8,
    /// A server that asks for another handshake ends the connection.
    hello_requests_are_fatal: bool,
    /// Bytes that the body of a certificate message may have.
    max_certificate_message: u32,
}

/// What [`Input::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Nothing whole: read more from the transport.
    NeedMore,
    /// A whole handshake message, to be had from [`Input::message`].
    Handshake(HandshakeType),
    /// Data, never empty.
    ApplicationData {
        /// Bytes decrypted straight into the caller's slice. With 0 they are to be had from [`Input::payload`].
        copied: usize,
    },
    /// The peer closed its side in order.
    CloseNotify,
    /// The peer's next record comes under new keys (RFC 5246 7.1), which must be set now.
    ChangeCipherSpec,
}

/// What becomes of a change_cipher_spec: a dummy (section 5 and D.4), or that of TLS 1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeCipherSpec {
    /// It is an error: before the first ClientHello, and once the peer's Finished is there.
    Refuse,
    /// It is dropped, if well-formed.
    Drop,
    /// It is reported as [`Incoming::ChangeCipherSpec`] (RFC 5246 7.1) unless handshake bytes are left from before it;
    /// and another is an error. To be set only where it is due.
    Deliver,
}

/// Where the message lies that was given out last.
enum MessageAt {
    Nowhere,
    Buffer(Range<usize>),
    Joiner,
}

/// What became of a record.
enum Opened {
    /// Its content is held.
    Held,
    /// Its content, data, was written to the caller's slice.
    Copied(usize),
    /// It says nothing.
    Dropped,
    /// It is the change_cipher_spec that was due.
    ChangeCipherSpec,
}

impl Input {
    /// The start of a connection: no memory, no protection, change_cipher_spec refused.
    pub(crate) const fn new() -> Self {
        Self {
            buffer: Buffer::new(),
            protection: ReadProtection::Plaintext,
            content_type: ContentType::HANDSHAKE,
            held: 0..0,
            joiner: Joiner::new(),
            message: MessageAt::Nowhere,
            change_cipher_spec: ChangeCipherSpec::Refuse,
            identified: false,
            plaintext_alerts: false,
            application_data: false,
            may_be_tls12: false,
            is_tls12: false,
            hungry: false,
            offered: 0,
            skip_early_data: None,
            empty_records: 0,
            warnings: 0,
            requests: 0,
            hello_requests_are_fatal: false,
            max_certificate_message: MAX_CERTIFICATE_MESSAGE,
        }
    }

    /// Room for the transport to read into: never empty, at first a little more than one record, 64 KiB once a read
    /// has filled it. It grows without bound if what is there is not taken first: call it when [`Self::next`] says
    /// [`Incoming::NeedMore`]. A lent message ends here; data held does not.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.drop_message();
        if self.kept().is_empty() {
            self.held = 0..0;
            self.buffer.reset();
        }
        let keep = self.kept();
        let wanted = if self.hungry {
            LARGE
        } else {
            SMALL.max(self.buffer.capacity())
        };
        let room = wanted.saturating_sub(keep.len()).max(LEAST_ROOM);
        let tail = self.buffer.capacity().saturating_sub(self.buffer.end());
        // Moving what is kept is worth it where the space would not take a whole record, or where a bigger buffer is due.
        if tail < room.min(SMALL) || self.buffer.capacity() < wanted {
            let shift = self.buffer.make_room(keep, room);
            self.held = self.held.start.saturating_sub(shift)..self.held.end.saturating_sub(shift);
        }
        let space = self.buffer.free_mut();
        self.offered = space.len();
        space
    }

    /// Bytes of the last [`Self::space`] that the transport wrote.
    pub(crate) fn filled(&mut self, n: usize) {
        // Less than half a record says that the peer sends little; between the two nothing changes.
        if n >= self.offered {
            self.hungry = true;
        } else if n < SMALL / 2 {
            self.hungry = false;
        }
        self.buffer.extend(n);
    }

    /// The next message or piece of data. What was given out before is dropped, also data not consumed.
    pub(crate) fn next(&mut self) -> Result<Incoming, Error> {
        self.next_into(&mut [])
    }

    /// As [`Self::next`], but decrypts data straight into `out` where that is large enough for a record with its
    /// type and padding, which end up behind the data.
    pub(crate) fn next_into(&mut self, out: &mut [u8]) -> Result<Incoming, Error> {
        self.drop_message();
        if self.content_type != ContentType::HANDSHAKE {
            self.held = 0..0;
        }
        loop {
            if self.content_type == ContentType::HANDSHAKE
                && !self.held.is_empty()
                && let Some(message) = self.next_message()?
            {
                return Ok(Incoming::Handshake(message));
            }
            match self.next_record(out)? {
                None => return Ok(Incoming::NeedMore),
                Some(Opened::Dropped) => {}
                Some(Opened::ChangeCipherSpec) => return Ok(Incoming::ChangeCipherSpec),
                Some(Opened::Copied(copied)) => return Ok(Incoming::ApplicationData { copied }),
                Some(Opened::Held) => {
                    if let Some(incoming) = self.look_at_content()? {
                        return Ok(incoming);
                    }
                }
            }
        }
    }

    /// The handshake message given out last, with its header.
    pub(crate) fn message(&self) -> &[u8] {
        match &self.message {
            MessageAt::Nowhere => &[],
            MessageAt::Buffer(range) => self.buffer.range(range.clone()),
            MessageAt::Joiner => self.joiner.bytes(),
        }
    }

    /// The data given out last, without what was consumed.
    pub(crate) fn payload(&self) -> &[u8] {
        match self.content_type {
            ContentType::APPLICATION_DATA => self.buffer.range(self.held.clone()),
            _ => &[],
        }
    }

    /// Drops the first `n` bytes of [`Self::payload`].
    pub(crate) fn consume(&mut self, n: usize) {
        if self.content_type == ContentType::APPLICATION_DATA {
            self.held.start = self.held.start.saturating_add(n).min(self.held.end);
        }
    }

    /// Opens records from here on with this key. Handshake bytes that are left from before, or a message that has
    /// begun, are refused (section 5.1).
    pub(crate) fn set_keys(&mut self, key: OpeningKey) -> Result<(), Error> {
        self.end_of_flight()?;
        self.protection = ReadProtection::Tls13 { key, sequence: 0 };
        Ok(())
    }

    /// As [`Self::set_keys`], in TLS 1.2: to be called when [`Incoming::ChangeCipherSpec`] was found.
    pub(crate) fn set_keys12(&mut self, key: OpeningKey) -> Result<(), Error> {
        self.end_of_flight()?;
        self.set_tls12();
        self.protection = ReadProtection::Tls12(Read12::new(key));
        Ok(())
    }

    /// The version is TLS 1.2: from here on records must say so (RFC 5246 6.2.1), and warnings are not fatal.
    pub(crate) fn set_tls12(&mut self) {
        self.is_tls12 = true;
        self.may_be_tls12 = true;
    }

    /// Whether TLS 1.2 can still be chosen, which is not so at first. If so, alerts that call themselves warnings are
    /// passed over, up to a few in a row (RFC 5246 7.2): some servers send unrecognized_name before their ServerHello.
    /// In TLS 1.3 all but close_notify and user_canceled are fatal (section 6).
    pub(crate) fn set_may_be_tls12(&mut self, may_be: bool) {
        self.may_be_tls12 = may_be;
    }

    /// Whether the version is TLS 1.2, or may still become it.
    pub(crate) const fn may_be_tls12(&self) -> bool {
        self.may_be_tls12
    }

    /// Checks that no handshake bytes follow the message given out last: where keys change, or the peer must wait
    /// for us before it goes on.
    pub(crate) fn end_of_flight(&self) -> Result<(), Error> {
        let joining = !self.joiner.is_empty() && !matches!(self.message, MessageAt::Joiner);
        let held = self.content_type == ContentType::HANDSHAKE && !self.held.is_empty();
        if joining || held {
            Err(Misbehaviour::HandshakeDataAcrossKeyChange.into())
        } else {
            Ok(())
        }
    }

    /// The same where the peer must wait for us in TLS 1.2, but for a HelloRequest, which may come at any time.
    pub(crate) fn end_of_flight_or_hello_request(&self) -> Result<(), Error> {
        match self.buffer.range(self.held.clone()).first() {
            Some(&first) if first == HandshakeType::HELLO_REQUEST.0 => Ok(()),
            _ => self.end_of_flight(),
        }
    }

    /// What becomes of a change_cipher_spec from here on.
    pub(crate) fn set_change_cipher_spec(&mut self, policy: ChangeCipherSpec) {
        self.change_cipher_spec = policy;
    }

    /// Lets an alert without protection through, as long as no protected record has come: a client that refuses
    /// our ServerHello has no keys yet.
    pub(crate) fn allow_plaintext_alerts(&mut self, allow: bool) {
        self.plaintext_alerts = allow;
    }

    /// Whether data is let through from here on: after the peer's Finished, and on a server early data before it
    /// (section 2.3). Otherwise even a record without content is refused.
    pub(crate) fn allow_application_data(&mut self, allow: bool) {
        self.application_data = allow;
    }

    /// Skips up to so many bytes of records that cannot be decrypted, until one can: early data that we rejected
    /// (section 4.2.10).
    pub(crate) fn set_skip_early_data(&mut self, budget: Option<usize>) {
        self.skip_early_data = budget;
    }

    /// Counts a KeyUpdate, and refuses too many in a row.
    pub(crate) fn count_key_update(&mut self) -> Result<(), Error> {
        count(&mut self.requests, MAX_REQUESTS, "KeyUpdates")
    }

    /// Bytes that a Certificate of the peer may have.
    pub(crate) fn set_max_certificate_message(&mut self, bytes: u32) {
        self.max_certificate_message = bytes;
    }

    /// Whether a HelloRequest ends the connection.
    pub(crate) const fn are_hello_requests_fatal(&self) -> bool {
        self.hello_requests_are_fatal
    }

    pub(crate) fn set_hello_requests_fatal(&mut self, fatal: bool) {
        self.hello_requests_are_fatal = fatal;
    }

    /// Counts a HelloRequest, and refuses too many in a row.
    pub(crate) fn count_hello_request(&mut self) -> Result<(), Error> {
        count(&mut self.requests, MAX_REQUESTS, "HelloRequests")
    }

    /// Whether bytes are there that were not given out or consumed, be they raw, decrypted, or the beginning of a
    /// message.
    pub(crate) fn has_buffered(&self) -> bool {
        !self.kept().is_empty() || (!self.joiner.is_empty() && !matches!(self.message, MessageAt::Joiner))
    }

    /// Whether raw bytes are there that do not make a record yet (or were not looked at).
    pub(crate) const fn is_inside_record(&self) -> bool {
        !self.buffer.is_empty() || !self.joiner.is_empty()
    }

    /// Gives the buffer back to the pool if nothing is in it. A lent message ends here.
    pub(crate) fn release_if_empty(&mut self) {
        if self.kept().is_empty() {
            self.held = 0..0;
            if matches!(self.message, MessageAt::Buffer(_)) {
                self.message = MessageAt::Nowhere;
            }
            self.buffer.release();
        }
    }

    /// Drops all bytes that are there and the memory, because nothing of it matters any more.
    pub(crate) fn discard(&mut self) {
        self.held = 0..0;
        self.message = MessageAt::Nowhere;
        self.joiner.clear();
        self.buffer.release();
    }

    /// Forgets the message given out last.
    fn drop_message(&mut self) {
        if matches!(self.message, MessageAt::Joiner) {
            self.joiner.clear();
        }
        self.message = MessageAt::Nowhere;
    }

    /// The part of the buffer that still matters.
    fn kept(&self) -> Range<usize> {
        let start = if self.held.is_empty() {
            self.buffer.start()
        } else {
            self.held.start
        };
        start..self.buffer.end()
    }

    /// Cuts the next handshake message from the record held, or joins what it holds of one.
    fn next_message(&mut self) -> Result<Option<HandshakeType>, Error> {
        let bytes = self.buffer.range(self.held.clone());
        // Where a change_cipher_spec is due no message can begin but a HelloRequest. What looks like one may be a
        // Finished under keys that are not in force, so that its length means nothing: nobody should wait for the rest.
        if self.change_cipher_spec == ChangeCipherSpec::Deliver
            && self.joiner.is_empty()
            && !may_be_hello_request(bytes)
        {
            return Err(Misbehaviour::UnexpectedRecord(ContentType::HANDSHAKE).into());
        }
        if self.joiner.is_empty()
            && let Some((message, length)) = message_header(bytes, self.max_certificate_message)?
            && length <= bytes.len()
        {
            let end = self.held.start + length;
            self.message = MessageAt::Buffer(self.held.start..end);
            self.held.start = end;
            return Ok(Some(message));
        }
        let (taken, message) = self.joiner.push(bytes, self.max_certificate_message)?;
        self.held.start += taken;
        if message.is_some() {
            self.message = MessageAt::Joiner;
        }
        Ok(message)
    }

    /// Opens the next record, if it is there as a whole.
    #[inline]
    fn next_record(&mut self, out: &mut [u8]) -> Result<Option<Opened>, Error> {
        let raw = self.buffer.filled();
        if !self.identified && !looks_like_tls(raw) {
            // All of them: whoever goes on in another protocol has lost nothing.
            return Err(Error::new(ErrorKind::NotTls {
                first_bytes: raw.to_vec(),
            }));
        }
        let Some(&header_bytes) = raw.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        // What TLS 1.3 protects says TLS 1.2 too (section 5.2); only before may the version be anything.
        let is_protected13 =
            self.protection.is_tls13() && header_bytes.first() == Some(&ContentType::APPLICATION_DATA.0);
        let version = (self.is_tls12 || is_protected13).then_some(ProtocolVersion::TLS12);
        let header = Header::parse(header_bytes, self.protection.max_body(), version)?;
        self.identified = true;
        if raw.len() - HEADER_LEN < header.length {
            return Ok(None);
        }
        let start = self.buffer.start() + HEADER_LEN;
        let body = start..start + header.length;
        self.buffer.consume(HEADER_LEN + header.length);
        self.held = 0..0;

        if !self.protection.covers(header.content_type) {
            return self.plaintext_record(header.content_type, body).map(Some);
        }
        self.protected_record(header.content_type, &header_bytes, body, out)
            .map(Some)
    }

    /// A record that says that it is not protected.
    fn plaintext_record(&mut self, content_type: ContentType, body: Range<usize>) -> Result<Opened, Error> {
        if content_type == ContentType::CHANGE_CIPHER_SPEC {
            return self.change_cipher_spec(body);
        }
        if content_type == ContentType::APPLICATION_DATA && self.skip_early_data.is_some() {
            self.not_interleaved(content_type)?;
            return self.skip(body.len());
        }
        let plaintext_is_due = self.protection.is_plaintext();
        let early_alert =
            content_type == ContentType::ALERT && self.plaintext_alerts && self.protection.is_fresh();
        if !plaintext_is_due && content_type == ContentType::HANDSHAKE {
            // A message that should have been protected: what was not cannot be opened.
            return Err(Misbehaviour::BadRecordMac.into());
        }
        if !plaintext_is_due && !early_alert || content_type == ContentType::APPLICATION_DATA {
            return Err(Misbehaviour::UnexpectedRecord(content_type).into());
        }
        self.content_type = content_type;
        self.held = body;
        Ok(Opened::Held)
    }

    fn change_cipher_spec(&mut self, body: Range<usize>) -> Result<Opened, Error> {
        const TYPE: ContentType = ContentType::CHANGE_CIPHER_SPEC;
        if self.change_cipher_spec == ChangeCipherSpec::Refuse {
            return Err(Misbehaviour::UnexpectedRecord(TYPE).into());
        }
        if self.buffer.range(body) != [1] {
            return Err(Misbehaviour::BadChangeCipherSpec.into());
        }
        if self.change_cipher_spec == ChangeCipherSpec::Deliver {
            self.end_of_flight()?;
            self.change_cipher_spec = ChangeCipherSpec::Refuse;
            return Ok(Opened::ChangeCipherSpec);
        }
        self.not_interleaved(TYPE)?;
        count(
            &mut self.empty_records,
            MAX_EMPTY_RECORDS,
            "change_cipher_spec records",
        )?;
        Ok(Opened::Dropped)
    }

    /// A record that is to be decrypted.
    #[inline]
    fn protected_record(
        &mut self,
        outer: ContentType,
        header: &[u8; HEADER_LEN],
        body: Range<usize>,
        out: &mut [u8],
    ) -> Result<Opened, Error> {
        let direct = match self.protection.inner_len(outer, body.len()) {
            Some(len) if !out.is_empty() => out.get_mut(..len),
            _ => None,
        };
        let is_direct = direct.is_some();
        let opened = match direct {
            Some(out) => {
                let sealed = self.buffer.range(body.clone());
                self.protection
                    .open_into(header, sealed, out)
                    .map(|(content_type, len)| (content_type, 0..len))
            }
            None => {
                let sealed = self.buffer.range_mut(body.clone());
                self.protection.open_in_place(outer, header, sealed)
            }
        };
        let (content_type, content) = match opened {
            Ok(opened) => opened,
            Err(error) if self.skip_early_data.is_some() => return self.skipped_or(body.len(), error),
            Err(error) => return Err(error),
        };
        self.skip_early_data = None;
        let held = body.start + content.start..body.start + content.end;
        if is_direct && let Some(content) = out.get_mut(content) {
            if content_type == ContentType::APPLICATION_DATA && !content.is_empty() {
                self.count_data()?;
                return Ok(Opened::Copied(content.len()));
            }
            // Not data after all: it belongs in our buffer, and not in the caller's.
            self.buffer.range_mut(held.clone()).copy_from_slice(content);
            content.fill(0);
        }
        self.content_type = content_type;
        self.held = held;
        Ok(Opened::Held)
    }

    /// Judges the content of a new record by its type. Handshake content is left to the caller.
    fn look_at_content(&mut self) -> Result<Option<Incoming>, Error> {
        match self.content_type {
            ContentType::APPLICATION_DATA if !self.application_data => {
                Err(Misbehaviour::UnexpectedRecord(ContentType::APPLICATION_DATA).into())
            }
            ContentType::APPLICATION_DATA if self.held.is_empty() => {
                self.not_interleaved(ContentType::APPLICATION_DATA)?;
                count(&mut self.empty_records, MAX_EMPTY_RECORDS, "empty records")?;
                Ok(None)
            }
            ContentType::APPLICATION_DATA => {
                self.count_data()?;
                Ok(Some(Incoming::ApplicationData { copied: 0 }))
            }
            ContentType::HANDSHAKE if self.held.is_empty() => Err(Misbehaviour::EmptyRecord.into()),
            ContentType::HANDSHAKE => {
                self.empty_records = 0;
                self.warnings = 0;
                Ok(None)
            }
            ContentType::ALERT => self.look_at_alert(),
            other => Err(Misbehaviour::UnexpectedRecord(other).into()),
        }
    }

    /// Closes, errors, and warnings that mean nothing. In TLS 1.3 there are none but close_notify and user_canceled: all
    /// else is fatal, whatever it calls itself (section 6).
    fn look_at_alert(&mut self) -> Result<Option<Incoming>, Error> {
        let content = self.buffer.range(self.held.clone());
        if content.is_empty() {
            return Err(Misbehaviour::EmptyRecord.into());
        }
        let alert = Alert::from_bytes(content).ok_or(match content {
            [level, _] => Misbehaviour::BadAlertLevel(*level),
            _ => Misbehaviour::BadAlert,
        })?;
        self.held = 0..0;
        match alert.description {
            AlertDescription::CLOSE_NOTIFY => Ok(Some(Incoming::CloseNotify)),
            description
                if description == AlertDescription::USER_CANCELED
                    || self.may_be_tls12 && alert.level == AlertLevel::Warning =>
            {
                self.not_interleaved(ContentType::ALERT)?;
                count(&mut self.warnings, MAX_WARNINGS, "warning alerts")?;
                Ok(None)
            }
            description if alert.level == AlertLevel::Warning => {
                Err(Misbehaviour::WarningAlert(description).into())
            }
            description => Err(Error::new(ErrorKind::AlertReceived(description))),
        }
    }

    /// Data came: what was counted in a row starts anew.
    #[inline]
    fn count_data(&mut self) -> Result<(), Error> {
        self.not_interleaved(ContentType::APPLICATION_DATA)?;
        self.empty_records = 0;
        self.warnings = 0;
        self.requests = 0;
        Ok(())
    }

    /// Nothing may stand between the fragments of a message (section 5.1).
    #[inline]
    fn not_interleaved(&self, content_type: ContentType) -> Result<(), Error> {
        if self.joiner.is_empty() {
            Ok(())
        } else {
            Err(Misbehaviour::InterleavedHandshake(content_type).into())
        }
    }

    /// Drops a record of early data, at the expense of the budget; its header counts too, so that empty ones are
    /// not for free.
    fn skip(&mut self, len: usize) -> Result<Opened, Error> {
        let left = self
            .skip_early_data
            .and_then(|budget| budget.checked_sub(HEADER_LEN + len));
        self.skip_early_data = Some(left.ok_or(Misbehaviour::TooMuchEarlyData)?);
        Ok(Opened::Dropped)
    }

    #[cold]
    fn skipped_or(&mut self, len: usize, error: Error) -> Result<Opened, Error> {
        match error.kind() {
            ErrorKind::Misbehaved(Misbehaviour::BadRecordMac) => self.skip(len),
            _ => Err(error),
        }
    }
}

/// Counts one more, and refuses it if there are too many.
fn count(counter: &mut u8, limit: u8, what: &'static str) -> Result<(), Error> {
    if *counter >= limit {
        return Err(Misbehaviour::Flood(what).into());
    }
    *counter += 1;
    Ok(())
}

/// Whether these bytes are a whole message of that type, good or not, or the beginning of a good one, which is nothing but
/// its header.
fn may_be_hello_request(bytes: &[u8]) -> bool {
    match bytes.split_first_chunk() {
        Some((&[message, 0, 0, length], rest)) => {
            message == HandshakeType::HELLO_REQUEST.0 && usize::from(length) <= rest.len()
        }
        Some(_) => false,
        None => bytes.iter().all(|byte| *byte == 0),
    }
}
