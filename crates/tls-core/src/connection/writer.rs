//! The write half of a connection.

use core::fmt;
use std::io::IoSlice;
use std::sync::Arc;

use super::{Control, Epoch};
use crate::alert::{Alert, AlertDescription};
use crate::error::{Error, ErrorKind, Misuse, Phase, Side};
use crate::record::Output;
use crate::registry::{ContentType, HandshakeType, KeyUpdateRequest};

/// Bytes pending from which on a KeyUpdate or a HelloRequest is not answered: a peer that sends them and does not read makes us hold
/// no more than this.
const ANSWER_BELOW: usize = 32 * 1024;

/// The write half of a [`Connection`](super::Connection).
///
/// [`Self::write`] seals data into an output buffer of at most 66 KiB. Whatever is called, bytes for the transport
/// are then in [`Self::pending`]; say with [`Self::sent`] how many it took. With the last of them the buffer goes
/// back to the pool. A key near the end of what it may protect is replaced without being asked (section 5.5); TLS
/// 1.2 cannot do that, and [`Self::write`] fails.
///
/// Example: that of [`Driver`](crate::Driver).
pub struct Writer {
    side: Side,
    output: Output,
    epoch: Option<Epoch>,
    control: Arc<Control>,
    /// The alert that was queued last: nothing follows it.
    said: Option<AlertDescription>,
    /// The fatal alert by which the peer ended the connection.
    ended_by: Option<AlertDescription>,
}

impl Writer {
    pub(super) const fn new(side: Side, output: Output, epoch: Option<Epoch>, control: Arc<Control>) -> Self {
        Self {
            side,
            output,
            epoch,
            control,
            said: None,
            ended_by: None,
        }
    }

    /// Seals as much of `data` as the output buffer takes, and returns how many bytes that are. 0 means that
    /// [`Self::pending`] must be sent first.
    ///
    /// # Errors
    /// [`Misuse::WriteClosed`] after [`Self::close_notify`] or an alert, our own or one that the read half asked for:
    /// in TLS 1.2 also after the peer's close_notify. [`ErrorKind::AlertReceived`] after a fatal alert of the peer that
    /// the read half has seen. [`Misuse::KeyExhausted`] in TLS 1.2, after 2^24 records with
    /// AES-GCM; closing is still possible.
    pub fn write(&mut self, data: &[u8]) -> Result<usize, Error> {
        self.write_vectored(&[IoSlice::new(data)])
    }

    /// As [`Self::write`], with the data in several slices, which are gathered into full records.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> Result<usize, Error> {
        self.apply_control()?;
        self.check_open()?;
        if self.control.is_set() && self.output.pending().len() >= ANSWER_BELOW {
            // No data may go before the answer to a KeyUpdate (section 4.6.3), which waits for room.
            return Ok(0);
        }
        if self.output.needs_key_update() {
            if self.epoch.is_none() {
                return Err(Misuse::KeyExhausted.into());
            }
            self.update_keys(KeyUpdateRequest::UPDATE_NOT_REQUESTED)?;
        }
        self.output.write_application_data(data)
    }

    /// Bytes for the transport.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.output.pending()
    }

    /// The transport took the first `n` bytes of [`Self::pending`].
    pub fn sent(&mut self, n: usize) {
        self.output.sent(n);
    }

    /// Queues what the read half asks for: the answer to KeyUpdates or HelloRequests, an alert, a close_notify. One
    /// load where there is nothing.
    ///
    /// # Errors
    /// Only if the cryptographic library fails.
    pub fn apply_control(&mut self) -> Result<(), Error> {
        if self.control.is_set() {
            self.apply(self.control.take())
        } else {
            Ok(())
        }
    }

    /// Queues close_notify and closes this half; nothing happens if it is closed. What was written before goes out
    /// first.
    ///
    /// # Errors
    /// Only if the cryptographic library fails.
    pub fn close_notify(&mut self) -> Result<(), Error> {
        self.alert(AlertDescription::CLOSE_NOTIFY)
    }

    /// Queues an alert and closes this half; nothing happens if it is closed.
    ///
    /// # Errors
    /// Only if the cryptographic library fails.
    pub fn alert(&mut self, description: AlertDescription) -> Result<(), Error> {
        if self.is_closed() {
            return Ok(());
        }
        self.said = Some(description);
        self.output
            .queue(ContentType::ALERT, &Alert::new(description).to_bytes())
    }

    /// Replaces our key, and asks the peer to replace its own if so requested (section 4.6.3).
    ///
    /// # Errors
    /// [`Misuse::NoKeyUpdate`] with TLS 1.2, [`Misuse::WriteClosed`] after a close or an alert.
    pub fn request_key_update(&mut self, request: KeyUpdateRequest) -> Result<(), Error> {
        self.check_open()?;
        self.update_keys(request)
    }

    /// Whether close_notify or an alert was queued, or the peer ended the connection by one of its own.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.said.is_some() || self.ended_by.is_some()
    }

    /// Whether close_notify was queued: not an alert in its place.
    #[must_use]
    pub fn said_goodbye(&self) -> bool {
        self.said == Some(AlertDescription::CLOSE_NOTIFY)
    }

    /// The fatal alert by which the peer ended the connection, once the read half has seen it: what is pending is not to
    /// be sent any more (section 6.2).
    #[must_use]
    pub fn ended_by_peer(&self) -> Option<Error> {
        let description = self.ended_by?;
        Some(Error::new(ErrorKind::AlertReceived(description)).in_phase(self.side, Phase::Established))
    }

    /// What the read half asks of this one.
    #[must_use]
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// The record layer, for tests to send what no writer would.
    #[cfg(test)]
    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    #[cold]
    fn apply(&mut self, bits: u32) -> Result<(), Error> {
        if let Some(description) = Control::alert_in(bits, Control::CLOSED) {
            self.ended_by = Some(description);
            return Ok(());
        }
        if let Some(description) = Control::alert_in(bits, Control::ALERT) {
            return self.alert(description);
        }
        if bits & Control::KEY_UPDATE != 0 && !self.is_closed() && self.epoch.is_some() {
            if self.output.pending().len() < ANSWER_BELOW {
                self.update_keys(KeyUpdateRequest::UPDATE_NOT_REQUESTED)?;
            } else {
                self.control.put_back(Control::KEY_UPDATE);
            }
        }
        if bits & Control::NO_RENEGOTIATION != 0 && !self.is_closed() && !self.output.needs_key_update() {
            if self.output.pending().len() < ANSWER_BELOW {
                let warning = Alert::warning(AlertDescription::NO_RENEGOTIATION);
                self.output.queue(ContentType::ALERT, &warning.to_bytes())?;
            } else {
                self.control.put_back(Control::NO_RENEGOTIATION);
            }
        }
        if bits & Control::CLOSE_NOTIFY != 0 {
            self.close_notify()?;
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), Error> {
        match self.ended_by_peer() {
            Some(error) => Err(error),
            None if self.is_closed() => Err(Misuse::WriteClosed.into()),
            None => Ok(()),
        }
    }

    fn update_keys(&mut self, request: KeyUpdateRequest) -> Result<(), Error> {
        let epoch = self.epoch.as_mut().ok_or(Misuse::NoKeyUpdate)?;
        self.output.queue(
            ContentType::HANDSHAKE,
            &[HandshakeType::KEY_UPDATE.0, 0, 0, 1, request.0],
        )?;
        epoch.advance();
        self.output.set_keys(epoch.sealing_key()?, epoch.limit())
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("side", &self.side)
            .field("pending", &self.pending().len())
            .field("closed", &self.is_closed())
            .field("ended_by", &self.ended_by)
            .finish_non_exhaustive()
    }
}
