//! A handshake without a runtime: bytes in, bytes out.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls_pki_types::ServerName;

use crate::config::{ClientConfig, ServerConfig};
use crate::connection::Connection;
use crate::error::{Error, Misuse, Side};
use crate::handshake::{EarlyConnection, accept, accept_early, connect_early};
use crate::hooks::ConnectionContext;
use crate::peer::{Link, Peer};

/// Drives one handshake with bytes that the caller moves: for tests, fuzzers, and programs without a runtime.
///
/// Call [`Self::advance`] first, and again after each [`Self::receive`] and [`Self::eof`]; send what
/// [`Self::transmit`] gives, also after an error: it is the alert. When `advance` says [`Progress::Done`] take the
/// connection with [`Self::into_connection`], which has the bytes that were received beyond the handshake.
///
/// Hooks that answer [`crate::Answer::Later`] are polled once per `advance` with a waker that does nothing.
///
/// ```
/// use tls_core::{CertifiedKey, ClientConfig, Driver, Progress, RootStore, ServerConfig, ServerName};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let made = rcgen::generate_simple_self_signed(vec!["localhost".into()])?;
/// # let (certificate_pem, key_pem) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let certified = CertifiedKey::from_pem(certificate_pem.as_bytes(), key_pem.as_bytes())?;
/// let server_config = ServerConfig::builder().certificate(certified).build()?;
/// let roots = RootStore::from_pem(certificate_pem.as_bytes())?;
/// let client_config = ClientConfig::builder().roots(roots).build()?;
///
/// let mut client = Driver::client(&client_config, ServerName::try_from("localhost")?.to_owned());
/// let mut server = Driver::server(&server_config);
/// loop {
///     let client_is_done = matches!(client.advance()?, Progress::Done);
///     server.receive(&client.transmit());
///     let server_is_done = matches!(server.advance()?, Progress::Done);
///     client.receive(&server.transmit());
///     if client_is_done && server_is_done {
///         break;
///     }
/// }
///
/// let (mut client, mut server) = (client.into_connection()?, server.into_connection()?);
/// client.writer.write(b"hello")?;
/// let bytes = client.writer.pending().to_vec();
/// client.writer.sent(bytes.len());
///
/// server.reader.space()[..bytes.len()].copy_from_slice(&bytes);
/// server.reader.filled(bytes.len());
/// server.reader.process()?;
/// assert_eq!(server.reader.data(), b"hello");
/// # Ok(())
/// # }
/// ```
pub struct Driver {
    pipes: Arc<Mutex<Pipes>>,
    state: State,
    accepted_early_data: usize,
}

/// How far a [`Driver`] has come.
///
/// Example: that of [`Driver`](crate::Driver).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// It waits for bytes of the peer, or for a hook.
    Waiting,
    /// A server that was made with [`Driver::server_early`] has sent its flight: see [`Driver::early`].
    Early,
    /// The connection is established.
    Done,
}

enum State {
    Running(Pin<Box<dyn Future<Output = Result<Ended, Error>> + Send>>),
    Early(Box<EarlyConnection>),
    Done(Box<Connection>),
    Failed,
}

/// What a future that ran to its end gives.
enum Ended {
    Early(Box<EarlyConnection>),
    /// With the bytes of early data that the server accepted.
    Done(Box<Connection>, usize),
}

enum Role {
    Client(ClientConfig, ServerName<'static>, Vec<u8>),
    Server(ServerConfig),
    EarlyServer(ServerConfig),
    Unfinished(Box<EarlyConnection>),
}

impl Driver {
    /// A client that will ask for this server.
    #[must_use]
    pub fn client(config: &ClientConfig, server_name: ServerName<'static>) -> Self {
        Self::client_with(config, server_name, ConnectionContext::new())
    }

    /// The same, with what is known of the connection for the hooks to see.
    #[must_use]
    pub fn client_with(
        config: &ClientConfig,
        server_name: ServerName<'static>,
        context: ConnectionContext,
    ) -> Self {
        Self::new(Role::Client(config.clone(), server_name, Vec::new()), context)
    }

    /// A client that sends early data if there is a session that allows it: see [`connect_early`](crate::connect_early).
    #[must_use]
    pub fn client_early(
        config: &ClientConfig,
        server_name: ServerName<'static>,
        early_data: Vec<u8>,
        context: ConnectionContext,
    ) -> Self {
        Self::new(Role::Client(config.clone(), server_name, early_data), context)
    }

    /// A server.
    #[must_use]
    pub fn server(config: &ServerConfig) -> Self {
        Self::server_with(config, ConnectionContext::new())
    }

    /// The same, with what is known of the connection for the hooks to see.
    #[must_use]
    pub fn server_with(config: &ServerConfig, context: ConnectionContext) -> Self {
        Self::new(Role::Server(config.clone()), context)
    }

    /// A server that takes early data: see [`accept_early`](crate::accept_early). When [`Self::advance`] says
    /// [`Progress::Early`], use [`Self::early`] as long as you like and go on with [`Self::resume`].
    #[must_use]
    pub fn server_early(config: &ServerConfig, context: ConnectionContext) -> Self {
        Self::new(Role::EarlyServer(config.clone()), context)
    }

    fn new(role: Role, context: ConnectionContext) -> Self {
        let pipes = Arc::<Mutex<Pipes>>::default();
        let future = Box::pin(run(role, context, Arc::clone(&pipes)));
        Self {
            pipes,
            state: State::Running(future),
            accepted_early_data: 0,
        }
    }

    /// Bytes from the peer.
    pub fn receive(&mut self, bytes: &[u8]) {
        lock(&self.pipes).incoming.extend(bytes);
    }

    /// The peer has closed the transport.
    pub fn eof(&mut self) {
        lock(&self.pipes).incoming_ended = true;
    }

    /// Goes as far as the bytes so far and the hooks allow.
    ///
    /// # Errors
    /// The handshake failed: its error, once. After that [`Misuse::NotEstablished`].
    pub fn advance(&mut self) -> Result<Progress, Error> {
        match &mut self.state {
            State::Running(future) => match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => Ok(Progress::Waiting),
                Poll::Ready(Ok(Ended::Early(early))) => {
                    self.state = State::Early(early);
                    self.early();
                    Ok(Progress::Early)
                }
                Poll::Ready(Ok(Ended::Done(connection, accepted))) => {
                    self.accepted_early_data = accepted;
                    self.state = State::Done(connection);
                    Ok(Progress::Done)
                }
                Poll::Ready(Err(error)) => {
                    self.state = State::Failed;
                    Err(error)
                }
            },
            State::Early(_) => {
                self.early();
                Ok(Progress::Early)
            }
            State::Done(_) => Ok(Progress::Done),
            State::Failed => Err(Misuse::NotEstablished.into()),
        }
    }

    /// The connection of a server before its handshake is over, after [`Progress::Early`], with all that was received
    /// so far. What is written to it leaves with the next call of this, [`Self::advance`] or [`Self::resume`].
    pub fn early(&mut self) -> Option<&mut EarlyConnection> {
        let State::Early(early) = &mut self.state else {
            return None;
        };
        let mut pipes = lock(&self.pipes);
        pipes.outgoing.extend_from_slice(early.pending());
        early.sent(early.pending().len());
        while !pipes.incoming.is_empty() {
            let count = pipes.read(early.space());
            early.filled(count);
        }
        if pipes.incoming_ended {
            early.eof();
        }
        Some(early)
    }

    /// Goes on with the handshake after [`Progress::Early`], in the next [`Self::advance`]; else does nothing.
    pub fn resume(&mut self) {
        self.early();
        self.state = match core::mem::replace(&mut self.state, State::Failed) {
            State::Early(early) => {
                let role = Role::Unfinished(early);
                State::Running(Box::pin(run(
                    role,
                    ConnectionContext::new(),
                    Arc::clone(&self.pipes),
                )))
            }
            other => other,
        };
    }

    /// How many bytes of the early data of [`Self::client_early`] the server has accepted: it has not seen the others.
    #[must_use]
    pub fn accepted_early_data(&self) -> usize {
        self.accepted_early_data
    }

    /// Takes the bytes for the peer.
    pub fn transmit(&mut self) -> Vec<u8> {
        core::mem::take(&mut lock(&self.pipes).outgoing)
    }

    /// The established connection.
    ///
    /// # Errors
    /// [`Misuse::NotEstablished`] before [`Self::advance`] said [`Progress::Done`].
    pub fn into_connection(self) -> Result<Connection, Error> {
        let State::Done(mut connection) = self.state else {
            return Err(Misuse::NotEstablished.into());
        };
        let mut pipes = lock(&self.pipes);
        while !pipes.incoming.is_empty() {
            let count = pipes.read(connection.reader.space());
            connection.reader.filled(count);
        }
        if pipes.incoming_ended {
            connection.reader.eof();
        }
        Ok(*connection)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Running(_) => "Driver(running)",
            State::Early(_) => "Driver(early)",
            State::Done(_) => "Driver(done)",
            State::Failed => "Driver(failed)",
        })
    }
}

async fn run(role: Role, context: ConnectionContext, pipes: Arc<Mutex<Pipes>>) -> Result<Ended, Error> {
    let mut link = MemoryLink(pipes);
    let mut peer;
    let result = match role {
        Role::Client(config, server_name, early_data) => {
            peer = Peer::new(Side::Client, &mut link, context);
            let connected = connect_early(&mut peer, &config, &server_name, &early_data).await;
            connected.map(|(connection, accepted)| Ended::Done(Box::new(connection), accepted))
        }
        Role::Server(config) => {
            peer = Peer::new(Side::Server, &mut link, context);
            let accepted = accept(&mut peer, &config).await;
            accepted.map(|connection| Ended::Done(Box::new(connection), 0))
        }
        Role::EarlyServer(config) => {
            peer = Peer::new(Side::Server, &mut link, context);
            let accepted = accept_early(&mut peer, &config).await;
            accepted.map(|early| Ended::Early(Box::new(early)))
        }
        Role::Unfinished(early) => {
            let unfinished;
            (peer, unfinished) = early.resume(&mut link);
            let finished = unfinished.finish(&mut peer).await;
            finished.map(|connection| Ended::Done(Box::new(connection), 0))
        }
    };
    if let Err(error) = &result {
        // Memory takes all that is written, so this cannot fail for the link's sake.
        let _ = peer.send_alert(error).await;
    }
    result
}

/// Both directions of the link in memory.
#[derive(Default)]
struct Pipes {
    incoming: VecDeque<u8>,
    incoming_ended: bool,
    outgoing: Vec<u8>,
}

impl Pipes {
    fn read(&mut self, buf: &mut [u8]) -> usize {
        // Reading from a slice deque cannot fail; 0 would only mean that nothing was moved.
        io::Read::read(&mut self.incoming, buf).unwrap_or(0)
    }
}

fn lock(pipes: &Mutex<Pipes>) -> MutexGuard<'_, Pipes> {
    pipes.lock().unwrap_or_else(PoisonError::into_inner)
}

struct MemoryLink(Arc<Mutex<Pipes>>);

impl Link for MemoryLink {
    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut pipes = lock(&self.0);
        if pipes.incoming.is_empty() && !pipes.incoming_ended {
            return Poll::Pending;
        }
        Poll::Ready(Ok(pipes.read(buf)))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.0).outgoing.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::pooled;
    use crate::{CertifiedKey, RootStore};

    #[test]
    fn a_handshake_that_waits_for_the_peer_holds_no_buffer() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let certified = CertifiedKey::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        let server_config = ServerConfig::builder().certificate(certified).build().unwrap();
        let roots = RootStore::from_pem(certificate.as_bytes()).unwrap();
        let client_config = ClientConfig::builder().roots(roots).build().unwrap();
        let mut client = Driver::client(&client_config, "localhost".try_into().unwrap());
        let mut server = Driver::server(&server_config);

        assert_eq!(server.advance().unwrap(), Progress::Waiting);
        assert_eq!(pooled(), (1, 0), "before the ClientHello");
        assert_eq!(client.advance().unwrap(), Progress::Waiting);
        let hello = client.transmit();
        assert_eq!(pooled(), (1, 0), "before the ServerHello");
        server.receive(&hello[..100]);
        assert_eq!(server.advance().unwrap(), Progress::Waiting);
        assert_eq!(pooled(), (0, 0), "with a part of the ClientHello");
        server.receive(&hello[100..]);
        assert_eq!(server.advance().unwrap(), Progress::Waiting);
        // One for what was read, one for what was written.
        assert_eq!(pooled(), (2, 0), "before the client's Finished");
    }
}
