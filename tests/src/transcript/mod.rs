//! Connections recorded against real peers, as text that people can read, and their replay without a network.
//!
//! - [`Recording`]: what is in a file, with [`Recording::parse`] and [`Recording::render`].
//! - [`decode`]: the records and messages of a connection, opened with the recorded secrets. It knows nothing of the
//!   library under test but the names of code points, so that it judges it independently.
//! - [`case`]: what a connection does, and how it is configured; [`run`]: doing it over a [`wire`], which is a socket
//!   or a recording; [`live`]: the peer that it is recorded against.
//! - [`compare`]: how a replay that differs is shown.
//!
//! `testdata/README.md` says how to add one.

pub mod case;
pub mod compare;
pub mod decode;
pub mod fields;
mod file;
pub mod keys;
pub mod live;
pub mod run;
pub mod store;
pub mod wire;

use tls_core::dangerous_recorded_crypto::TapeEntry;

/// A recorded run of a [`case::Case`]: one connection or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// What stands at the top of the file, in order: name, peer, command, date, clock, configuration, result.
    pub header: Vec<(String, String)>,
    /// The secrets of all connections.
    pub secrets: Vec<Secret>,
    /// All that was random on our side.
    pub tape: Vec<TapeEntry>,
    /// What went over the wire.
    pub connections: Vec<Vec<Event>>,
}

/// One line of a key log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// As in SSLKEYLOGFILE.
    pub label: String,
    /// The random of the ClientHello, by which a connection is known.
    pub client_random: Vec<u8>,
    /// The secret itself.
    pub secret: Vec<u8>,
}

/// Something that happened on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who did it.
    pub from_client: bool,
    /// What it was.
    pub what: What,
}

/// What one side of a connection did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Bytes, as they were written by us at once, or read by us at once.
    Bytes(Vec<u8>),
    /// The end of the stream.
    End,
    /// A reset.
    Reset,
}

impl Recording {
    /// Whether we are the client in it.
    #[must_use]
    pub fn is_client(&self) -> bool {
        self.values("name").any(|name| name.starts_with("client-"))
    }

    /// The values of the header under this key.
    pub fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.header
            .iter()
            .filter(move |(of, _)| of == key)
            .map(|(_, value)| value.as_str())
    }
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The inverse of [`hex`]; `None` for anything else.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
