//! TLS connections as text that people can read, keep and compare: the bytes in hex, in the order and the pieces in which
//! they went over the wire, and above each flow what is in it, opened with the secrets of a key log.
//!
//! - [`Recording`] is what is in a file: [`Recording::parse`] and [`Recording::render`].
//! - [`Recording::from_dump`] reads hex dumps of others.
//! - [`decode`](decode::decode) makes records and messages of bytes and secrets. It has its own key derivation
//!   ([`keys`]) and takes from `tls-core` no more than the names of code points, so that it can judge the handshakes of
//!   others, ours among them.
//!
//! ```
//! use tls_transcript::Recording;
//!
//! let recording = Recording::from_dump("16 03 03 00 04 0e 00 00 00\n15 03 03 00 02 02 28")?;
//! let summary = recording.summary();
//! assert!(summary.contains("ServerHelloDone") && summary.contains("fatal handshake_failure"));
//! # Ok::<(), String>(())
//! ```
#![warn(missing_debug_implementations)]

pub mod decode;
mod dump;
pub mod fields;
mod file;
pub mod keys;

pub use file::direction;

/// One connection or several, that belong together.
///
/// ```
/// use tls_transcript::{Event, Recording, What};
///
/// let alert = vec![21, 3, 3, 0, 2, 2, 40];
/// let mut recording = Recording::default();
/// recording.connections.push(vec![Event { from_client: false, what: What::Bytes(alert) }]);
/// let text = recording.render();
/// assert!(text.contains("fatal handshake_failure"));
/// assert_eq!(Recording::parse(&text), Ok(recording));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// What stands at the top of the file, in order: name, peer, command, date, clock, configuration, result.
    pub header: Vec<(String, String)>,
    /// The secrets of all connections.
    pub secrets: Vec<Secret>,
    /// All that was random on our side, where a replay shall be possible.
    pub seeds: Vec<Seed>,
    /// What went over the wire.
    pub connections: Vec<Vec<Event>>,
}

/// One line of a key log.
///
/// ```
/// use tls_transcript::{Secret, hex};
///
/// /// The secret as a line of a key log.
/// fn line(secret: &Secret) -> String {
///     format!("{} {} {}", secret.label, hex(&secret.client_random), hex(&secret.secret))
/// }
/// # let secret = Secret { label: "CLIENT_RANDOM".to_owned(), client_random: vec![1], secret: vec![2] };
/// # assert_eq!(line(&secret), "CLIENT_RANDOM 01 02");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// As in SSLKEYLOGFILE.
    pub label: String,
    /// The random of the ClientHello, by which a connection is known.
    pub client_random: Vec<u8>,
    /// The secret itself.
    pub secret: Vec<u8>,
}

/// The output of an operation that is not the same each time.
///
/// ```
/// use tls_transcript::{Recording, Seed};
///
/// /// Whether a recording can be played again.
/// fn can_be_replayed(recording: &Recording) -> bool {
///     recording.seeds.iter().any(|seed: &Seed| !seed.output.is_empty())
/// }
/// # assert!(!can_be_replayed(&Recording::default()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// What it was.
    pub operation: String,
    /// By what its input is known.
    pub input: [u8; 8],
    /// What it gave. Private keys among it.
    pub output: Vec<u8>,
}

/// Something that happened on the wire.
///
/// Example: that of [`Recording`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who did it.
    pub from_client: bool,
    /// What it was.
    pub what: What,
}

/// What one side of a connection did.
///
/// Example: that of [`Recording`].
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
