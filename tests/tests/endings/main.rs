//! Every way in which a connection can end: what the reader gets, what the writer gets, what is on the wire, and what a
//! graceful shutdown says. The table in ARCHITECTURE.md has a row for each, `table.rs` a test for each row.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

mod cancelled;
mod dropped;
mod halves;
mod plain;
mod refused;
mod stuck;
mod table;
mod told;
mod truncated;

use std::io::{self, ErrorKind as Io};
use std::sync::Arc;
use std::time::Duration;

use tls_core::{
    AlertDescription, Connection, Driver, Error, ErrorKind, Progress, ProtocolVersion, ReadEvent,
};
use tls_tests::script::{Script, ScriptedIo, Tape};
use tls_tests::sides::{Role, client_builder, server_builder, server_name};
use tls_tests::versions::Only;
use tls_tokio::TlsStream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

type Scripted = ScriptedIo<DuplexStream>;

const SECOND: Duration = Duration::from_secs(1);

/// For what must happen at once.
const SOON: Duration = Duration::from_millis(1);

/// The other end of a connection, which says and does as it is told.
struct Peer<IO = DuplexStream> {
    io: IO,
    connection: Connection,
}

/// What a peer saw of our end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// close_notify, then the end of the transport.
    Goodbye,
    /// The end of the transport, or a reset, without close_notify.
    Cut,
    /// A fatal alert.
    Alert(AlertDescription),
    /// Nothing that ends anything.
    Open,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Peer<IO> {
    /// Does the handshake in this role.
    async fn new(role: Role, version: ProtocolVersion, mut io: IO) -> Self {
        let mut driver = if role.is_client() {
            Driver::client(&client_builder().only(version).build().unwrap(), server_name())
        } else {
            // Without tickets, so that nothing comes but what a test sends.
            Driver::server(&server_builder().only(version).tickets(0).build().unwrap())
        };
        loop {
            let progress = driver.advance().unwrap();
            io.write_all(&driver.transmit()).await.unwrap();
            if progress == Progress::Done {
                break;
            }
            let mut space = [0; 4096];
            let count = io.read(&mut space).await.unwrap();
            driver.receive(&space[..count]);
        }
        let connection = driver.into_connection().unwrap();
        Self { io, connection }
    }

    /// Sends what its writer has pending.
    async fn push(&mut self) {
        let pending = self.connection.writer.pending().to_vec();
        self.connection.writer.sent(pending.len());
        self.io.write_all(&pending).await.unwrap();
    }

    async fn send(&mut self, data: &[u8]) {
        assert_eq!(self.connection.writer.write(data).unwrap(), data.len());
        self.push().await;
    }

    async fn close_notify(&mut self) {
        self.connection.writer.close_notify().unwrap();
        self.push().await;
    }

    async fn alert(&mut self, description: AlertDescription) {
        self.connection.writer.alert(description).unwrap();
        self.push().await;
    }

    /// Ends its side of the transport.
    async fn eof(&mut self) {
        self.io.shutdown().await.unwrap();
    }

    /// Reads all that comes within a second: the data, and how it ended.
    async fn seen(&mut self) -> (Vec<u8>, Seen) {
        let mut data = Vec::new();
        let mut goodbye = false;
        loop {
            match self.connection.reader.process() {
                Ok(ReadEvent::Data) => {
                    let count = self.connection.reader.data().len();
                    data.extend_from_slice(self.connection.reader.data());
                    self.connection.reader.consume(count);
                    continue;
                }
                Ok(ReadEvent::Closed) => goodbye = true,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::AlertReceived(description) => return (data, Seen::Alert(*description)),
                    ErrorKind::Truncated => return (data, Seen::Cut),
                    other => panic!("{other:?}"),
                },
            }
            match timeout(SECOND, self.io.read(self.connection.reader.space())).await {
                Ok(Ok(0)) if goodbye => return (data, Seen::Goodbye),
                Ok(Ok(0)) => self.connection.reader.eof(),
                Ok(Ok(count)) => {
                    assert!(!goodbye, "bytes after close_notify");
                    self.connection.reader.filled(count);
                }
                Ok(Err(_)) => return (data, Seen::Cut),
                Err(_) => return (data, Seen::Open),
            }
        }
    }
}

/// An established connection: our end with a script under it, its recording, and the other end.
async fn established(
    role: Role,
    version: ProtocolVersion,
    script: Script,
) -> (TlsStream<Scripted>, Arc<Tape>, Peer) {
    established_by(role, version, script, 64 * 1024).await
}

/// The same with room for so many bytes in each direction.
async fn established_by(
    role: Role,
    version: ProtocolVersion,
    script: Script,
    room: usize,
) -> (TlsStream<Scripted>, Arc<Tape>, Peer) {
    let (near, far) = duplex(room);
    let io = ScriptedIo::new(near, script);
    let tape = io.tape();
    let (ours, peer) = tokio::join!(
        role.handshake(io, Some(SECOND)),
        Peer::new(role.other(), version, far)
    );
    (ours.unwrap(), tape, peer)
}

/// Bytes that this side reads and writes in a handshake, the server's tickets included on both sides.
async fn handshake_bytes(role: Role, version: ProtocolVersion) -> (u64, u64) {
    let (_ours, tape, _peer) = established(role, version, Script::new()).await;
    (tape.counts().bytes_in(), tape.counts().bytes_out())
}

/// The core's error inside, if there is one.
fn core_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// The alert that the peer sent.
fn alert_in(error: &io::Error) -> Option<AlertDescription> {
    match core_error(error)?.kind() {
        ErrorKind::AlertReceived(description) => {
            assert_eq!(error.kind(), Io::ConnectionAborted);
            Some(*description)
        }
        _ => None,
    }
}

/// Reads to the end, which must come soon.
async fn read_all<R: AsyncRead + Unpin>(tls: &mut R) -> (Vec<u8>, io::Result<()>) {
    let mut data = Vec::new();
    let end = timeout(SECOND / 2, tls.read_to_end(&mut data)).await;
    (data, end.expect("an end").map(drop))
}

/// Writes and flushes, which must not wait long.
async fn say<W: AsyncWrite + Unpin>(tls: &mut W, data: &[u8]) -> io::Result<()> {
    let said = async {
        tls.write_all(data).await?;
        tls.flush().await
    };
    timeout(SECOND / 2, said).await.expect("no waiting")
}
