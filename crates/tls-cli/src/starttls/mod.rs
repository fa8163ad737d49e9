//! From plain text to TLS on one connection: what is said before the handshake.
//!
//! Nothing of it is protected: whoever is on the way can read and change it. So nothing that was said here is believed
//! later, a server that does not offer TLS is a failure and never a reason to go on without, and bytes that come
//! unasked are refused, since a client that kept them would take them for something that came through TLS
//! (CVE-2011-0411, CVE-2021-23222).

mod dialogue;
mod imap;
mod postgres;
mod smtp;

use core::fmt;
use std::io;
use std::net::IpAddr;

use clap::ValueEnum;
use tokio::io::{AsyncRead, AsyncWrite};

use self::dialogue::Dialogue;

/// The protocol whose way to TLS is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// EHLO and STARTTLS (RFC 3207)
    Smtp,
    /// STARTTLS (RFC 9051, section 6.2.1; RFC 2595)
    Imap,
    /// PostgreSQL's SSLRequest
    Postgres,
}

impl Protocol {
    /// As it is written on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Imap => "imap",
            Self::Postgres => "postgres",
        }
    }
}

/// Why there will be no TLS on this connection.
#[derive(Debug)]
pub(super) enum Error {
    /// The connection failed.
    Io(io::Error),
    /// The server closed, when this was waited for.
    Closed { awaited: &'static str },
    /// The server does not offer TLS, or somebody on the way took the offer out.
    NotOffered { by: &'static str },
    /// The server said no.
    Refused { what: &'static str, answer: String },
    /// This is not what the protocol has at this point.
    Unexpected { awaited: &'static str, answer: String },
    /// Bytes that nobody asked for: behind an answer, before the next command or the handshake.
    Unasked { count: usize },
    /// More than any server has to say here.
    TooLong { limit: usize },
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Closed { awaited } => write!(f, "the server closed instead of sending {awaited}"),
            Self::NotOffered { by } => write!(f, "the server does not offer TLS ({by})"),
            Self::Refused { what, answer } => write!(f, "the server refuses {what}: {answer:?}"),
            Self::Unexpected { awaited, answer } => write!(f, "this is not {awaited}: {answer:?}"),
            Self::Unasked { count } => write!(
                f,
                "{count} bytes of plain text came unasked, behind the server's answer; somebody may be on the way"
            ),
            Self::TooLong { limit } => write!(f, "the server sent more than {limit} bytes and no end"),
        }
    }
}

/// Goes as far as the server's go-ahead: the next byte on the stream, in each direction, is TLS. `own_address` is this
/// end of the connection, which is the only name of ours that is known for certain. Has no time limit of its own. A
/// stream whose preamble was broken off is good for nothing.
pub(crate) async fn negotiate<S>(protocol: Protocol, stream: &mut S, own_address: IpAddr) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut dialogue = Dialogue::new(stream);
    match protocol {
        Protocol::Smtp => smtp::negotiate(&mut dialogue, own_address).await?,
        Protocol::Imap => imap::negotiate(&mut dialogue).await?,
        Protocol::Postgres => postgres::negotiate(&mut dialogue).await?,
    }
    dialogue.nothing_unasked()
}

#[cfg(test)]
mod tests;
