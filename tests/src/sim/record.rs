//! What a run leaves behind.

use std::io;

use tls_core::{AlertDescription, EarlyData, ErrorKind, NothingInCommon, Phase, ProtocolVersion};
use tls_tokio::{Error, Shutdown, TlsInfo};

use super::net::Facts;

/// How a handshake ended.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Handshake {
    #[default]
    NotYet,
    Done {
        version: ProtocolVersion,
        resumed: bool,
        early: EarlyData,
        has_peer: bool,
    },
    /// The transport ended.
    Truncated { phase: Option<Phase> },
    /// The transport failed.
    Link { kind: io::ErrorKind },
    /// The time was over.
    TimedOut {
        phase: Phase,
        bytes_in: u64,
        bytes_out: u64,
        millis: u64,
    },
    /// The server refused a client without a certificate.
    Refused,
    /// The client was told so: the alert.
    Alert(AlertDescription),
    /// Anything else: nothing of that is planned.
    Other(String),
}

impl Handshake {
    pub(super) fn done(info: &TlsInfo) -> Self {
        Self::Done {
            version: info.version(),
            resumed: info.is_resumed(),
            early: info.early_data(),
            has_peer: !info.peer_certificates().is_empty(),
        }
    }

    pub(super) fn failed(error: &Error) -> Self {
        match error {
            Error::Timeout(timeout) => Self::TimedOut {
                phase: timeout.phase,
                bytes_in: timeout.bytes_in,
                bytes_out: timeout.bytes_out,
                millis: u64::try_from(timeout.elapsed.as_millis()).unwrap_or(u64::MAX),
            },
            Error::Tls(error) => match error.kind() {
                ErrorKind::Truncated => Self::Truncated { phase: error.phase() },
                ErrorKind::Link(error) => Self::Link { kind: error.kind() },
                ErrorKind::NothingInCommon(NothingInCommon::ClientCertificate { .. }) => Self::Refused,
                ErrorKind::AlertReceived(description) => Self::Alert(*description),
                _ => Self::Other(format!("{error:?}")),
            },
            other => Self::Other(format!("{other:?}")),
        }
    }

    /// Whether there was a connection.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

/// How a direction, or something done to it, ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// It did not begin, or was left off when the time was over.
    #[default]
    NotYet,
    /// The plan says to go no further.
    Stopped,
    /// In order: the end of file, or all done.
    Clean,
    /// With this error.
    Error(io::ErrorKind),
}

impl<T> From<&io::Result<T>> for Ended {
    fn from(result: &io::Result<T>) -> Self {
        match result {
            Ok(_) => Self::Clean,
            Err(error) => Self::Error(error.kind()),
        }
    }
}

/// [`Shutdown`] without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Graceful {
    Clean,
    StillSending,
    Truncated,
    TimedOut,
    Reset,
    Failed(io::ErrorKind),
}

impl Graceful {
    /// With the bytes thrown away.
    pub(super) fn of(shutdown: Shutdown) -> (Self, u64) {
        let kind = match shutdown {
            Shutdown::PeerStillSending { discarded } => return (Self::StillSending, discarded),
            Shutdown::Clean => Self::Clean,
            Shutdown::Truncated => Self::Truncated,
            Shutdown::TimedOut => Self::TimedOut,
            Shutdown::Reset => Self::Reset,
            Shutdown::Failed(error) => Self::Failed(error.kind()),
            _ => Self::Failed(io::ErrorKind::Unsupported),
        };
        (kind, 0)
    }
}

/// What one side saw.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// How its handshake ended.
    pub handshake: Handshake,
    /// How its early reading ended (server).
    pub early_reading: Ended,
    /// How its early writing ended (server).
    pub early_writing: Ended,
    /// Early data that the server has not seen (client).
    pub early_rest: usize,
    /// Bytes that it wrote: that a write said it had taken.
    pub sent: usize,
    /// Bytes of a write that failed: some of them may have left all the same.
    pub failed_write: usize,
    /// Where a flush came back: bytes written, bytes that the transport had taken.
    pub marks: Vec<(usize, u64)>,
    /// It began to shut down.
    pub closing: bool,
    /// The shutdown came back well: bytes that the transport had taken.
    pub closed: Option<u64>,
    /// Bytes that it read and that were right.
    pub got: usize,
    /// Bytes that `graceful_shutdown` threw away.
    pub discarded: u64,
    /// The first byte that was not.
    pub wrong: Option<usize>,
    /// How its reading ended.
    pub reading: Ended,
    /// How its writing ended.
    pub writing: Ended,
    /// How its shutdown ended.
    pub shutdown: Ended,
    /// How its graceful shutdown ended.
    pub graceful: Option<Graceful>,
    /// It was dropped as the plan says.
    pub abandoned: bool,
    /// Its time was over.
    pub gave_up: bool,
    /// What took longer than it may, or was not twice the same.
    pub odd: Option<String>,
}

/// What a run leaves behind.
#[derive(Clone, Debug)]
pub struct Run {
    /// Client, server.
    pub records: [Record; 2],
    /// From the client, from the server.
    pub facts: [Facts; 2],
    /// All that hung.
    pub hang: Option<String>,
    /// The transport outlived the connection.
    pub leak: bool,
    /// The same for runs in which the transport saw the same.
    pub trace: u64,
}
