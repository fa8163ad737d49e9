//! A server's connection whose handshake waits for the client's Finished, while data can flow both ways.

use core::fmt;
use std::io::IoSlice;

use super::server13::{self, Responded};
use crate::config::ServerConfig;
use crate::connection::{Connection, ReadEvent, repeat};
use crate::error::{Error, ErrorKind, Misuse};
use crate::negotiated::Negotiated;
use crate::peer::{Link, Parked, Peer};

/// What [`accept_early`](crate::accept_early) gives: early data (0-RTT) can be read, and data (0.5-RTT) written, before
/// the client's Finished has come (section 2.3).
///
/// What is read here may be a replay: somebody may have recorded it and sent it again. It must only be acted on where
/// doing so twice does no harm. What is written here goes to whoever has the session's secret, or to anybody where no
/// session was resumed; a client certificate has not been seen yet.
///
/// It does no IO, as the halves of a [`Connection`] do not. [`Self::resume`] goes on with the handshake. Early data
/// that was not read by then comes first in the connection's reader: the Finished has shown that it was no replay.
///
/// ```
/// use tls_core::{ConnectionContext, Driver, Error, Progress, ServerConfig};
///
/// fn early_data(config: &ServerConfig, first_flight: &[u8]) -> Result<Vec<u8>, Error> {
///     let mut server = Driver::server_early(config, ConnectionContext::new());
///     server.receive(first_flight);
///     let mut received = Vec::new();
///     if server.advance()? == Progress::Early
///         && let Some(early) = server.early()
///     {
///         early.process()?;
///         // It may be a replay: act on it only where that does no harm.
///         received.extend_from_slice(early.data());
///         early.consume(received.len());
///     }
///     Ok(received)
/// }
/// ```
#[must_use = "its handshake is not over"]
pub struct EarlyConnection {
    /// Boxed, since it is moved from one future to the next.
    parked: Box<Parked>,
    stage: Stage,
    at_eof: bool,
    /// What ended the reading of early data.
    failed: Option<Error>,
}

enum Stage {
    /// Our Finished is out.
    Responded(Box<Responded>, ServerConfig),
    /// The handshake is over: TLS 1.2 has nothing to offer before.
    Established(Box<Connection>),
}

impl EarlyConnection {
    pub(super) fn new(peer: &mut Peer<'_>, responded: Responded, config: &ServerConfig) -> Self {
        Self {
            parked: Box::new(peer.park()),
            stage: Stage::Responded(Box::new(responded), config.clone()),
            at_eof: false,
            failed: None,
        }
    }

    pub(super) fn established(peer: &mut Peer<'_>, connection: Connection) -> Self {
        Self {
            parked: Box::new(peer.park()),
            stage: Stage::Established(Box::new(connection)),
            at_eof: false,
            failed: None,
        }
    }

    /// What the handshake agreed on so far. [`Negotiated::early_data`] says whether there is early data to read. A client
    /// certificate in it is that of the session; that it is this client who is here is only certain after the handshake.
    #[must_use]
    pub fn negotiated(&self) -> &Negotiated {
        match &self.stage {
            Stage::Responded(responded, _) => responded.negotiated(),
            Stage::Established(connection) => connection.negotiated(),
        }
    }

    /// Room for the transport to read into: see [`Reader::space`](crate::Reader::space).
    pub fn space(&mut self) -> &mut [u8] {
        match &mut self.stage {
            Stage::Responded(..) => self.parked.input.space(),
            Stage::Established(connection) => connection.reader.space(),
        }
    }

    /// The transport wrote `n` bytes into the last [`Self::space`].
    pub fn filled(&mut self, n: usize) {
        match &mut self.stage {
            Stage::Responded(..) => self.parked.filled(n),
            Stage::Established(connection) => connection.reader.filled(n),
        }
    }

    /// The transport has ended, which [`Self::process`] will report once all that came before was taken.
    pub fn eof(&mut self) {
        match &mut self.stage {
            Stage::Responded(..) => self.at_eof = true,
            Stage::Established(connection) => connection.reader.eof(),
        }
    }

    /// Goes on to the next piece of early data. [`ReadEvent::Closed`] means that all of it was read, or that there is
    /// none: the rest comes after the handshake.
    ///
    /// # Errors
    /// What the client did wrong, the alert that it sent, or [`ErrorKind::Truncated`]. The handshake has failed: each
    /// later call, and [`Unfinished::finish`], return the same again. The alert is among the [`Self::pending`] bytes.
    pub fn process(&mut self) -> Result<ReadEvent, Error> {
        if !self.data().is_empty() {
            return Ok(ReadEvent::Data);
        }
        if let Some(error) = &self.failed {
            return Err(repeat(error));
        }
        let Stage::Responded(responded, _) = &mut self.stage else {
            return Ok(ReadEvent::Closed);
        };
        let parked = &mut *self.parked;
        let error = match responded.read_early_data(&mut parked.input, &mut parked.transcript) {
            Ok(ReadEvent::NeedMore) if self.at_eof => Error::new(ErrorKind::Truncated),
            Ok(event) => return Ok(event),
            Err(error) => error,
        };
        let error = parked.fail(error);
        let returned = repeat(&error);
        self.failed = Some(error);
        Err(returned)
    }

    /// Early data, lent in place: the rest of one record.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        match &self.stage {
            Stage::Responded(..) => self.parked.input.payload(),
            Stage::Established(_) => &[],
        }
    }

    /// Drops the first `n` bytes of [`Self::data`].
    pub fn consume(&mut self, n: usize) {
        self.parked.input.consume(n);
    }

    /// Gives the buffer back to the pool if nothing is in it.
    pub fn release_if_idle(&mut self) {
        self.parked.input.release_if_empty();
    }

    /// Seals as much of `data` as the output buffer takes, and returns how many bytes that are. 0 means that
    /// [`Self::pending`] must be sent first.
    ///
    /// # Errors
    /// [`Misuse::WriteClosed`] after [`Self::process`] failed, [`Misuse::KeyExhausted`] when this key has protected as
    /// much as it may.
    pub fn write(&mut self, data: &[u8]) -> Result<usize, Error> {
        match &mut self.stage {
            _ if self.failed.is_some() => Err(Misuse::WriteClosed.into()),
            Stage::Responded(..) if self.parked.output.needs_key_update() => Err(Misuse::KeyExhausted.into()),
            Stage::Responded(..) => self.parked.output.write_application_data(&[IoSlice::new(data)]),
            Stage::Established(connection) => connection.writer.write(data),
        }
    }

    /// Bytes for the transport: our flight at first, as far as it did not take that.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        match &self.stage {
            Stage::Responded(..) => self.parked.output.pending(),
            Stage::Established(connection) => connection.writer.pending(),
        }
    }

    /// The transport took the first `n` bytes of [`Self::pending`].
    pub fn sent(&mut self, n: usize) {
        match &mut self.stage {
            Stage::Responded(..) => self.parked.sent(n),
            Stage::Established(connection) => connection.writer.sent(n),
        }
    }

    /// Bytes received so far, as on the wire.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.parked.bytes_in()
    }

    /// Bytes sent so far, as on the wire.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.parked.bytes_out()
    }

    /// As [`Connection::export_early_keying_material`].
    ///
    /// # Errors
    /// [`Misuse::NoEarlyExporter`] where no early data was accepted, [`Misuse::ExporterRange`] for a label over 249
    /// bytes, or more output than 255 hashes.
    pub fn export_early_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        match &self.stage {
            Stage::Responded(responded, _) => responded
                .early_exporter()
                .ok_or(Misuse::NoEarlyExporter)?
                .export(out, label, context.unwrap_or_default()),
            Stage::Established(_) => Err(Misuse::NoEarlyExporter.into()),
        }
    }

    /// The peer on its link again, which must be that of [`accept_early`](crate::accept_early), and what is left of the
    /// handshake: see [`Unfinished::finish`].
    pub fn resume(self, link: &mut dyn Link) -> (Peer<'_>, Unfinished) {
        let unfinished = Unfinished {
            stage: self.stage,
            failed: self.failed,
        };
        (self.parked.resume(link), unfinished)
    }
}

impl fmt::Debug for EarlyConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EarlyConnection")
            .field("negotiated", self.negotiated())
            .finish_non_exhaustive()
    }
}

/// A server's handshake that waits for the client's Finished.
///
/// ```
/// use tls_core::{Connection, EarlyConnection, Error, Link};
///
/// async fn finish(early: EarlyConnection, link: &mut dyn Link) -> Result<Connection, Error> {
///     let (mut peer, unfinished) = early.resume(link);
///     unfinished.finish(&mut peer).await
/// }
/// ```
#[must_use]
pub struct Unfinished {
    stage: Stage,
    failed: Option<Error>,
}

impl Unfinished {
    /// Waits for the client's Finished, and early data that was not read before it.
    ///
    /// Cancel safe as [`accept`](crate::accept) is.
    ///
    /// # Errors
    /// As [`accept`](crate::accept).
    pub async fn finish(self, peer: &mut Peer<'_>) -> Result<Connection, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.stage {
            Stage::Established(connection) => Ok(*connection),
            Stage::Responded(responded, config) => {
                match server13::finish(peer, *responded, &config.0).await {
                    Ok(connection) => Ok(connection),
                    Err(error) => Err(peer.explain(error)),
                }
            }
        }
    }
}

impl fmt::Debug for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unfinished")
    }
}
