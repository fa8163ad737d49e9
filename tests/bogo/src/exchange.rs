//! One connection: its handshake, what the flags have it say first, and the echo.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use rustls_pki_types::ServerName;
use tls_core::{
    AlertDescription, Connection, ConnectionContext, EarlyConnection, Error, ErrorKind, KeyUpdateRequest,
    Peer, ProtocolVersion, ReadEvent, Side, accept_early, connect_early,
};

use crate::config::{self, Failure, Shared};
use crate::expect::{About, UNEXPECTED, Unexpected, check_connection};
use crate::flags::{Export, Flags, Options};
use crate::hooks::Secrets;
use crate::link::{Socket, block_on};

/// How a connection failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// TLS failed: perhaps as the runner wants it.
    Tls(Error),
    /// The connection did not come out as the flags say.
    Unexpected(String),
    /// The peer sent data after our close_notify, where the flags say that it must answer that.
    DataAfterClose,
    /// The flags leave no version that the library speaks.
    NoVersion,
    /// There could be none.
    Configuration(Failure),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Hook { source, .. } if format!("{source:?}").contains(UNEXPECTED) => {
                Self::Unexpected(format!("{source:?}"))
            }
            _ => Self::Tls(error),
        }
    }
}

impl From<Unexpected> for Failed {
    fn from(unexpected: Unexpected) -> Self {
        Self::Unexpected(unexpected.0)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Tls(error.into())
    }
}

/// Makes one connection; `number` counts from 0.
pub(crate) fn run(flags: &Flags, number: usize, shared: &Shared) -> Result<(), Failed> {
    let options = match number {
        0 => &flags.initial,
        _ => &flags.resume,
    };
    if config::versions(options).is_none() {
        return Err(Failed::NoVersion);
    }
    let mut socket = Socket::connect(flags, options.asynchronous)?;
    let result = match flags.server {
        true => serve(&mut socket, options, number, shared),
        false => connect(&mut socket, flags, options, number, shared),
    };
    socket.finish();
    result
}

// ---- Handshakes

fn connect(
    socket: &mut Socket,
    flags: &Flags,
    options: &Options,
    number: usize,
    shared: &Shared,
) -> Result<(), Failed> {
    let made = config::client(options, (number > 0).then_some(&flags.retry), shared)
        .map_err(Failed::Configuration)?;
    let name = options.host_name.as_deref().unwrap_or("example.com");
    let name =
        ServerName::try_from(name.to_owned()).map_err(|error| Failed::Configuration(error.to_string()))?;
    let first = match options.enable_early_data && options.shim_writes_first {
        true => options.first_write(),
        false => Vec::new(),
    };
    let mut peer = Peer::new(Side::Client, socket, ConnectionContext::new());
    let (mut connection, accepted) = match block_on(connect_early(&mut peer, &made.config, &name, &first)) {
        Ok(connected) => connected,
        Err(error) => {
            let _ = block_on(peer.send_alert(&error));
            return Err(error.into());
        }
    };
    drop(peer);
    let is_rejected = connection.negotiated().early_data() == tls_core::EarlyData::Rejected;
    let options = match number > 0 && is_rejected && options.enable_early_data {
        true => &flags.retry,
        false => options,
    };
    let session = match connection.negotiated().version() {
        ProtocolVersion::TLS12 => connection.reader.take_session(),
        _ => None,
    };
    let about = About {
        server: false,
        is_resumption: number > 0,
        stored_session: false,
        got_session: session.is_some(),
        credential: credential(&made.credential),
        numbered: options.credentials.iter().filter(|one| one.is_further).count(),
        verification_failed: shared.refused.load(Ordering::Relaxed),
    };
    check_connection(options, &connection, &about)?;
    let is_tls13 = connection.negotiated().version() == ProtocolVersion::TLS13;
    if let Some(session) = session {
        shared.sessions.set(Some(session));
    } else if is_tls13 {
        shared.sessions.set(None);
    }
    let mut exchange = Exchange {
        socket,
        connection,
        options,
        server: false,
        secrets: &made.secrets,
        already_written: accepted,
    };
    exchange.talk()?;
    if options.send_alert {
        return Ok(());
    }
    let mut early = false;
    let mut got = false;
    while let Some(session) = exchange.connection.reader.take_session() {
        (got, early) = (true, session.max_early_data() > 0);
        shared.sessions.set(Some(session));
    }
    if is_tls13 {
        let expect = &options.expect;
        let expected = !expect.no_session && !options.shim_shuts_down;
        if expected != got {
            return Err(Failed::Unexpected(format!("session: {got}, expected {expected}")));
        }
        if got && early != expect.ticket_supports_early_data {
            return Err(Failed::Unexpected(format!(
                "the ticket allows early data: {early}"
            )));
        }
    }
    exchange.close()
}

fn serve(socket: &mut Socket, options: &Options, number: usize, shared: &Shared) -> Result<(), Failed> {
    let made = config::server(options, shared).map_err(Failed::Configuration)?;
    let mut peer = Peer::new(Side::Server, socket, ConnectionContext::new());
    let early = match block_on(accept_early(&mut peer, &made.config)) {
        Ok(early) => early,
        Err(error) => {
            let _ = block_on(peer.send_alert(&error));
            return Err(error.into());
        }
    };
    drop(peer);
    let (early, written) = read_early_data(socket, options, early)?;
    let (mut peer, unfinished) = early.resume(socket);
    let connection = match block_on(unfinished.finish(&mut peer)) {
        Ok(connection) => connection,
        Err(error) => {
            let _ = block_on(peer.send_alert(&error));
            return Err(error.into());
        }
    };
    drop(peer);
    let about = About {
        server: true,
        is_resumption: number > 0,
        stored_session: shared.store.had_new(),
        got_session: false,
        credential: credential(&made.credential),
        numbered: options.credentials.iter().filter(|one| one.is_further).count(),
        verification_failed: shared.refused.load(Ordering::Relaxed),
    };
    check_connection(options, &connection, &about)?;
    let mut exchange = Exchange {
        socket,
        connection,
        options,
        server: true,
        secrets: &made.secrets,
        already_written: written,
    };
    exchange.talk()?;
    match options.send_alert {
        true => Ok(()),
        false => exchange.close(),
    }
}

fn credential(made: &Arc<Mutex<Option<usize>>>) -> Option<usize> {
    *made.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Echoes early data before the handshake is over, and says how much of the first write has gone with that.
fn read_early_data(
    socket: &mut Socket,
    options: &Options,
    mut early: EarlyConnection,
) -> Result<(EarlyConnection, usize), Failed> {
    if early.negotiated().early_data() != tls_core::EarlyData::Accepted {
        return Ok((early, 0));
    }
    let mut first = Vec::new();
    if options.early_export.length > 0 {
        let export = &options.early_export;
        let mut material = vec![0; export.length];
        early.export_early_keying_material(&mut material, &export.label, Some(&export.context))?;
        first = material;
    }
    let mut written = 0;
    if options.shim_writes_first {
        let write = options.first_write();
        written = write.len();
        first.extend(write);
    }
    write_early(socket, &mut early, &first)?;
    loop {
        match early.process() {
            Ok(ReadEvent::NeedMore) => match socket.read(early.space())? {
                0 => early.eof(),
                count => early.filled(count),
            },
            Ok(ReadEvent::Data) => {
                let count = early.data().len().min(options.read_size.unwrap_or(512));
                let echo: Vec<u8> = early.data().iter().take(count).map(|byte| byte ^ 0xff).collect();
                early.consume(count);
                write_early(socket, &mut early, &echo)?;
            }
            Ok(_) => return Ok((early, written)),
            Err(error) => {
                let _ = write_early(socket, &mut early, &[]);
                return Err(error.into());
            }
        }
    }
}

fn write_early(socket: &mut Socket, early: &mut EarlyConnection, mut data: &[u8]) -> Result<(), Failed> {
    loop {
        while !early.pending().is_empty() {
            let count = socket.write(early.pending())?;
            early.sent(count);
        }
        if data.is_empty() {
            return Ok(());
        }
        let count = early.write(data)?;
        data = data.get(count..).unwrap_or_default();
    }
}

// ---- After the handshake

struct Exchange<'a> {
    socket: &'a mut Socket,
    connection: Connection,
    options: &'a Options,
    server: bool,
    secrets: &'a Secrets,
    /// Bytes of the first write that were early data.
    already_written: usize,
}

impl Exchange<'_> {
    /// Says what the flags have us say, and echoes until the peer ends.
    fn talk(&mut self) -> Result<(), Failed> {
        self.export(&self.options.export)?;
        if self.options.export_traffic_secrets {
            self.export_traffic_secrets()?;
        }
        if self.options.send_alert {
            self.connection
                .writer
                .alert(AlertDescription(DECOMPRESSION_FAILURE))?;
            return self.flush();
        }
        let mut unfinished = 0;
        if self.already_written > 0 {
            let first = self.options.first_write();
            let rest = first.get(self.already_written..).unwrap_or_default();
            self.write(rest)?;
        } else if self.options.unfinished_write {
            unfinished = self.begin_write()?;
        } else if self.options.shim_writes_first {
            self.write(&self.options.first_write())?;
        }
        if self.options.shim_shuts_down {
            return Ok(());
        }
        let mut buffer = vec![0; self.options.read_size.unwrap_or(512)];
        loop {
            if self.options.key_update_before_read {
                self.update_key()?;
            }
            let count = match self.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                // An end without close_notify is as good as one, unless the flags say otherwise: see `close`.
                Err(Failed::Tls(error)) if matches!(error.kind(), ErrorKind::Truncated) => return Ok(()),
                Err(error) => return Err(error),
            };
            if core::mem::take(&mut unfinished) > 0 {
                self.flush()?;
            }
            if self.options.key_update {
                self.update_key()?;
            }
            let echo = buffer.get_mut(..count).unwrap_or_default();
            echo.iter_mut().for_each(|byte| *byte ^= 0xff);
            let echo = echo.to_vec();
            self.write(&echo)?;
        }
    }

    /// Closes, and checks how the peer closed if the flags say so.
    fn close(&mut self) -> Result<(), Failed> {
        let _ = self.connection.writer.close_notify();
        let sent = self.flush();
        if !self.options.check_close_notify {
            return Ok(());
        }
        sent?;
        if !self.options.shim_shuts_down {
            // The peer has ended; it must have said so.
            return match self.connection.reader.process() {
                Ok(ReadEvent::Closed) => Ok(()),
                Ok(event) => Err(Failed::Unexpected(format!("{event:?} after the end"))),
                Err(error) => Err(error.into()),
            };
        }
        match self.read(&mut [0; 1]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Failed::DataAfterClose),
            Err(error) => Err(error),
        }
    }

    fn export(&mut self, export: &Export) -> Result<(), Failed> {
        if export.length == 0 {
            return Ok(());
        }
        let mut material = vec![0; export.length];
        let context = export.use_context.then_some(export.context.as_slice());
        self.connection
            .export_keying_material(&mut material, &export.label, context)?;
        self.write(&material)
    }

    fn export_traffic_secrets(&mut self) -> Result<(), Failed> {
        let client = self.secrets.get("CLIENT_TRAFFIC_SECRET_0");
        let server = self.secrets.get("SERVER_TRAFFIC_SECRET_0");
        let length = u16::try_from(client.len()).unwrap_or(u16::MAX).to_le_bytes();
        let (read, write) = match self.server {
            true => (client, server),
            false => (server, client),
        };
        self.write(&[&length[..], &read, &write].concat())
    }

    fn update_key(&mut self) -> Result<(), Failed> {
        let request = KeyUpdateRequest::UPDATE_NOT_REQUESTED;
        self.connection.writer.request_key_update(request)?;
        self.flush()
    }

    /// Seals the first write and lets one byte of it go.
    fn begin_write(&mut self) -> Result<usize, Failed> {
        let first = self.options.first_write();
        let sealed = self.connection.writer.write(&first)?;
        let pending = self.connection.writer.pending().get(..1).unwrap_or_default();
        let sent = self.socket.write(pending)?;
        self.connection.writer.sent(sent);
        Ok(sealed)
    }

    /// Some data, or 0 after close_notify.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failed> {
        loop {
            let count = self.connection.reader.read_into(buffer);
            if count > 0 {
                return Ok(count);
            }
            match self.connection.reader.process() {
                Ok(ReadEvent::NeedMore) => {}
                Ok(ReadEvent::Closed) => {
                    self.answer();
                    return Ok(0);
                }
                Ok(_) => continue,
                Err(error) => {
                    self.answer();
                    return Err(error.into());
                }
            }
            // What reading has made necessary to say goes with what we write next; only TLS 1.2 has answers that
            // somebody waits for.
            if self.connection.negotiated().version() == ProtocolVersion::TLS12 {
                self.answer();
            }
            match self.socket.read(self.connection.reader.space())? {
                0 => self.connection.reader.eof(),
                count => self.connection.reader.filled(count),
            }
        }
    }

    /// Sends what reading asked for, unless a write that began earlier is held back.
    fn answer(&mut self) {
        if !self.options.unfinished_write {
            let _ = self.flush();
        } else {
            let _ = self.connection.writer.apply_control();
        }
    }

    fn write(&mut self, mut data: &[u8]) -> Result<(), Failed> {
        while !data.is_empty() {
            let count = self.connection.writer.write(data)?;
            data = data.get(count..).unwrap_or_default();
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failed> {
        self.connection.writer.apply_control()?;
        while !self.connection.writer.pending().is_empty() {
            match self.socket.write(self.connection.writer.pending()) {
                Ok(count) => self.connection.writer.sent(count),
                Err(error) => return Err(self.why_closed(error)),
            }
        }
        Ok(())
    }

    /// The runner has closed: perhaps it said why.
    fn why_closed(&mut self, error: io::Error) -> Failed {
        loop {
            match self.connection.reader.process() {
                Ok(ReadEvent::Data) => {
                    let count = self.connection.reader.data().len();
                    self.connection.reader.consume(count);
                }
                Ok(ReadEvent::NeedMore) => match self.socket.read(self.connection.reader.space()) {
                    Ok(count) if count > 0 => self.connection.reader.filled(count),
                    _ => return error.into(),
                },
                Err(error) => return error.into(),
                Ok(_) => return error.into(),
            }
        }
    }
}

/// The alert of `-send-alert`: one that nobody would send by themselves.
const DECOMPRESSION_FAILURE: u8 = 30;
