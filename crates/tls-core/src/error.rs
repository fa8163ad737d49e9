//! What can go wrong, in families by whose fault it is, and the one table from errors to alerts.

use core::fmt;
use core::time::Duration;

use crate::alert::AlertDescription;
use crate::registry::{
    CipherSuite, ContentType, ExtensionType, HandshakeType, NamedGroup, ProtocolVersion, SignatureScheme,
};
pub use crate::wire::{BadBytes, Problem};

/// A connection or handshake that failed: what happened, on which side, and what was being waited for.
///
/// [`ErrorKind`] has a family for each party that can be at fault. [`Error::alert`] is the alert that the peer is
/// sent, chosen in one table. The message of the error names side and phase, and [`Error::hint`] says what to do
/// where a known cause exists.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    side: Option<Side>,
    phase: Option<Phase>,
}

/// Which end of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// We sent the ClientHello.
    Client,
    /// We answered it.
    Server,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// What a handshake was waiting for, or doing, when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Nothing was sent or received yet.
    Starting,
    /// Waiting for this message, or working on it.
    Reading(HandshakeType),
    /// Waiting for room to write, on the way to this message or to the end.
    Writing,
    /// Waiting for the answer of the hook of this name.
    Hook(&'static str),
    /// The handshake is over.
    Established,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting the handshake"),
            Self::Reading(message) => write!(f, "waiting for {message}"),
            Self::Writing => f.write_str("waiting for the peer to accept our bytes"),
            Self::Hook(hook) => write!(f, "waiting for the {hook} hook"),
            Self::Established => f.write_str("after the handshake"),
        }
    }
}

/// The families of errors, by whose fault it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The peer sent bytes that do not parse.
    BadBytes(BadBytes),
    /// The peer sent well-formed bytes that the protocol does not allow here.
    Misbehaved(Misbehaviour),
    /// Both sides are well-behaved but have nothing in common.
    NothingInCommon(NothingInCommon),
    /// The peer's certificate chain was refused.
    Certificate(CertificateError),
    /// The peer ended the connection with this alert.
    AlertReceived(AlertDescription),
    /// The peer closed the transport in the middle of the handshake, or without close_notify after it.
    Truncated,
    /// The first bytes of the connection are not a TLS record: perhaps plain HTTP.
    NotTls {
        /// What was received, at most the first few bytes.
        first_bytes: Vec<u8>,
    },
    /// A hook failed.
    Hook {
        /// The hook's trait.
        hook: &'static str,
        /// What it said.
        source: HookError,
    },
    /// The transport failed.
    Link(std::io::Error),
    /// The caller asked for something that cannot be done.
    Misuse(Misuse),
    /// The cryptographic library refused an operation on our own input.
    Crypto(&'static str),
}

/// A peer that does not keep to the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// A handshake message came where another was due.
    UnexpectedMessage {
        /// What was due.
        expected: HandshakeType,
        /// What came.
        got: HandshakeType,
    },
    /// A record of a type that may not stand here.
    UnexpectedRecord(ContentType),
    /// A handshake message after the handshake that may not stand there.
    UnexpectedPostHandshake(HandshakeType),
    /// Handshake bytes follow a message that ends a flight or changes keys (section 5.1).
    HandshakeDataAcrossKeyChange,
    /// A record of another type came between the fragments of a handshake message (section 5.1).
    InterleavedHandshake(ContentType),
    /// A record that cannot be decrypted.
    BadRecordMac,
    /// A record longer than the protocol allows (section 5.1, 5.2).
    RecordOverflow,
    /// A record with an illegal version or type in its header.
    BadRecordHeader,
    /// A record without content where content is required, or an inner plaintext without a type (section 5.4).
    EmptyRecord,
    /// A change_cipher_spec that is not the single byte 1, or stands where none may.
    BadChangeCipherSpec,
    /// An alert record that is not one alert.
    BadAlert,
    /// A handshake message over the size limit.
    MessageTooLarge {
        /// Which message.
        message: HandshakeType,
        /// Its size in bytes.
        size: usize,
    },
    /// More empty records, warnings, KeyUpdates or change_cipher_spec records in a row than we bear.
    Flood(&'static str),
    /// Encrypted data beyond what one key may protect.
    TooMuchForOneKey,
    /// An answer to an extension that was not offered.
    UnsolicitedExtension(ExtensionType),
    /// A known extension in a message where it may not stand (section 4.2).
    MisplacedExtension {
        /// Which message.
        message: HandshakeType,
        /// Which extension.
        extension: ExtensionType,
    },
    /// An extension that must be there is not.
    MissingExtension(ExtensionType),
    /// A field that must echo ours, or keep its value, does not.
    Mismatch(&'static str),
    /// A value was chosen that was not offered.
    NotOffered(&'static str),
    /// A field has a value that the RFC rules out here.
    IllegalParameter(&'static str),
    /// A key share that is not a valid public key of its group.
    BadKeyShare(NamedGroup),
    /// A second HelloRetryRequest, or one that asks for nothing new.
    BadRetryRequest(&'static str),
    /// The server's random says that a better version could have been negotiated (section 4.1.3).
    Downgraded,
    /// A signature over the handshake that does not verify.
    BadSignature(SignatureScheme),
    /// A Finished that does not verify.
    BadFinished,
    /// A server without certificate, or a client without a required one.
    NoCertificate(Side),
}

/// What both sides offered when nothing matched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NothingInCommon {
    /// No protocol version.
    Version {
        /// What the peer offered or chose.
        theirs: Vec<ProtocolVersion>,
    },
    /// No cipher suite.
    CipherSuite {
        /// What the peer offered.
        theirs: Vec<CipherSuite>,
    },
    /// No group for key exchange.
    Group {
        /// What the peer offered.
        theirs: Vec<NamedGroup>,
    },
    /// No signature scheme that fits a certificate we have.
    SignatureScheme {
        /// What the peer offered.
        theirs: Vec<SignatureScheme>,
    },
    /// No application protocol.
    ApplicationProtocol {
        /// What the peer offered.
        theirs: Vec<Vec<u8>>,
        /// What we offer.
        ours: Vec<Vec<u8>>,
    },
    /// No certificate for the name the client asked for.
    ServerName {
        /// The name asked for, if any.
        name: Option<String>,
    },
}

/// Why a certificate chain was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// Bytes that are not a certificate.
    BadEncoding(String),
    /// Some certificate of the chain expired.
    Expired {
        /// End of its validity, in seconds since 1970.
        not_after: u64,
        /// The time it was compared with.
        now: u64,
    },
    /// Some certificate of the chain is not valid yet.
    NotYetValid {
        /// Start of its validity, in seconds since 1970.
        not_before: u64,
        /// The time it was compared with.
        now: u64,
    },
    /// No path to a trusted root.
    UnknownIssuer,
    /// The leaf is not for the name we asked for.
    NotValidForName {
        /// What we asked for.
        expected: String,
        /// The names in the certificate.
        presented: Vec<String>,
    },
    /// A certificate of the path was revoked.
    Revoked,
    /// Revocation is checked and its state cannot be told.
    RevocationUnknown(String),
    /// A signature in the chain does not verify.
    BadSignature,
    /// A CA certificate was presented as the end-entity certificate.
    CaUsedAsEndEntity,
    /// The certificate's (extended) key usage does not allow this use.
    WrongUsage(String),
    /// The key or signature algorithm is not supported or does not fit.
    UnsupportedAlgorithm(String),
    /// More certificates or bytes than we look at.
    ChainTooLong,
    /// A name or other constraint of an issuer is violated.
    ConstraintViolated(String),
    /// The verifier's own policy refused the chain.
    Policy(String),
}

/// Misuse of this library by its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// The exporter was asked for more bytes than it can make, or with a label that is too long.
    ExporterRange,
    /// The handshake has not finished.
    NotEstablished,
    /// A KeyUpdate was asked for on a connection that has none (TLS 1.2).
    NoKeyUpdate,
    /// The write side is already closed.
    WriteClosed,
}

/// What a hook says when it fails. Any error can be turned into one with `?`.
pub struct HookError {
    source: Box<dyn std::error::Error + Send + Sync>,
    alert: AlertDescription,
}

impl HookError {
    /// A failure that the peer learns of by this alert instead of internal_error.
    pub fn with_alert(
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
        alert: AlertDescription,
    ) -> Self {
        Self {
            source: source.into(),
            alert,
        }
    }
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for HookError {
    fn from(source: E) -> Self {
        Self::with_alert(source, AlertDescription::INTERNAL_ERROR)
    }
}

impl fmt::Debug for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

impl Error {
    /// An error of this kind, without context yet.
    pub fn new(kind: impl Into<ErrorKind>) -> Self {
        Self(Box::new(Inner {
            kind: kind.into(),
            side: None,
            phase: None,
        }))
    }

    /// A hook of this name failed.
    pub fn hook(hook: &'static str, source: HookError) -> Self {
        Self::new(ErrorKind::Hook { hook, source })
    }

    pub(crate) fn in_phase(mut self, side: Side, phase: Phase) -> Self {
        self.0.side.get_or_insert(side);
        self.0.phase.get_or_insert(phase);
        self
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// What happened, by value.
    #[must_use]
    pub fn into_kind(self) -> ErrorKind {
        self.0.kind
    }

    /// Which side of the connection we were.
    #[must_use]
    pub fn side(&self) -> Option<Side> {
        self.0.side
    }

    /// What the handshake was waiting for.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.0.phase
    }

    /// The alert the peer is sent for this error (section 6.2), or `None` where none is: the transport is gone, or
    /// the peer ended the connection itself, or does not speak TLS.
    #[must_use]
    pub fn alert(&self) -> Option<AlertDescription> {
        alert_for(&self.0.kind)
    }

    /// What to do about it, where a cause is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        hint_for(&self.0.kind)
    }
}

/// The one table from errors to alerts.
fn alert_for(kind: &ErrorKind) -> Option<AlertDescription> {
    use AlertDescription as A;
    Some(match kind {
        ErrorKind::BadBytes(bad) => match bad.problem {
            Problem::IllegalValue | Problem::Duplicate => A::ILLEGAL_PARAMETER,
            _ => A::DECODE_ERROR,
        },
        ErrorKind::Misbehaved(misbehaviour) => alert_for_misbehaviour(misbehaviour),
        ErrorKind::NothingInCommon(what) => match what {
            NothingInCommon::Version { .. } => A::PROTOCOL_VERSION,
            NothingInCommon::ApplicationProtocol { .. } => A::NO_APPLICATION_PROTOCOL,
            NothingInCommon::ServerName { .. } => A::UNRECOGNIZED_NAME,
            _ => A::HANDSHAKE_FAILURE,
        },
        ErrorKind::Certificate(error) => alert_for_certificate(error),
        ErrorKind::Hook { source, .. } => source.alert,
        ErrorKind::Misuse(_) | ErrorKind::Crypto(_) => A::INTERNAL_ERROR,
        ErrorKind::AlertReceived(_)
        | ErrorKind::Truncated
        | ErrorKind::NotTls { .. }
        | ErrorKind::Link(_) => {
            return None;
        }
    })
}

fn alert_for_misbehaviour(misbehaviour: &Misbehaviour) -> AlertDescription {
    use AlertDescription as A;
    use Misbehaviour as M;
    match misbehaviour {
        M::UnexpectedMessage { .. }
        | M::UnexpectedRecord(_)
        | M::UnexpectedPostHandshake(_)
        | M::HandshakeDataAcrossKeyChange
        | M::InterleavedHandshake(_)
        | M::EmptyRecord
        | M::BadChangeCipherSpec
        | M::Flood(_)
        | M::TooMuchForOneKey
        | M::BadRetryRequest("second") => A::UNEXPECTED_MESSAGE,
        M::BadRecordMac => A::BAD_RECORD_MAC,
        M::RecordOverflow => A::RECORD_OVERFLOW,
        M::BadRecordHeader => A::PROTOCOL_VERSION,
        M::BadAlert => A::DECODE_ERROR,
        M::UnsolicitedExtension(_) => A::UNSUPPORTED_EXTENSION,
        M::MissingExtension(_) => A::MISSING_EXTENSION,
        M::BadSignature(_) | M::BadFinished => A::DECRYPT_ERROR,
        M::NoCertificate(Side::Server) => A::DECODE_ERROR,
        M::NoCertificate(Side::Client) => A::CERTIFICATE_REQUIRED,
        M::MessageTooLarge { .. }
        | M::MisplacedExtension { .. }
        | M::Mismatch(_)
        | M::NotOffered(_)
        | M::IllegalParameter(_)
        | M::BadKeyShare(_)
        | M::BadRetryRequest(_)
        | M::Downgraded => A::ILLEGAL_PARAMETER,
    }
}

fn alert_for_certificate(error: &CertificateError) -> AlertDescription {
    use AlertDescription as A;
    match error {
        CertificateError::Expired { .. } | CertificateError::NotYetValid { .. } => A::CERTIFICATE_EXPIRED,
        CertificateError::UnknownIssuer | CertificateError::CaUsedAsEndEntity => A::UNKNOWN_CA,
        CertificateError::Revoked => A::CERTIFICATE_REVOKED,
        CertificateError::BadEncoding(_)
        | CertificateError::NotValidForName { .. }
        | CertificateError::BadSignature
        | CertificateError::ConstraintViolated(_)
        | CertificateError::ChainTooLong => A::BAD_CERTIFICATE,
        CertificateError::WrongUsage(_) | CertificateError::UnsupportedAlgorithm(_) => {
            A::UNSUPPORTED_CERTIFICATE
        }
        CertificateError::RevocationUnknown(_) => A::CERTIFICATE_UNKNOWN,
        CertificateError::Policy(_) => A::ACCESS_DENIED,
    }
}

fn hint_for(kind: &ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Certificate(CertificateError::CaUsedAsEndEntity) => {
            "the server presents a CA certificate as its own (`openssl req -x509` makes these): issue a leaf from it, \
             or make it with basicConstraints CA:FALSE"
        }
        ErrorKind::Certificate(CertificateError::UnknownIssuer) => {
            "is the root among the trusted ones, and does the server send its intermediates?"
        }
        ErrorKind::NotTls { first_bytes } if looks_like_http(first_bytes) => {
            "this is plain HTTP: is the URL https, and the port the TLS one?"
        }
        ErrorKind::NotTls { .. } => "does the peer speak TLS on this port?",
        ErrorKind::AlertReceived(AlertDescription::UNKNOWN_CA) => {
            "the peer does not trust the root of our certificate"
        }
        ErrorKind::AlertReceived(AlertDescription::CERTIFICATE_REQUIRED) => {
            "the peer asks for a client certificate"
        }
        ErrorKind::AlertReceived(AlertDescription::PROTOCOL_VERSION) => {
            "the peer speaks none of the TLS versions we offer"
        }
        _ => return None,
    })
}

/// Whether these first bytes of a connection are those of a plain HTTP request.
fn looks_like_http(first_bytes: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] = [
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"PUT ",
        b"DELETE ",
        b"OPTIONS ",
        b"PATCH ",
        b"CONNECT ",
        b"HTTP/",
    ];
    METHODS
        .iter()
        .any(|method| first_bytes.starts_with(&method[..method.len().min(first_bytes.len())]))
        && !first_bytes.is_empty()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(side) = self.0.side {
            write!(f, "TLS {side}")?;
            if let Some(phase) = self.0.phase {
                write!(f, ", {phase}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}", self.0.kind)?;
        match self.hint() {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadBytes(bad) => write!(f, "malformed {bad}"),
            Self::Misbehaved(misbehaviour) => write!(f, "{misbehaviour}"),
            Self::NothingInCommon(what) => write!(f, "{what}"),
            Self::Certificate(error) => write!(f, "certificate refused: {error}"),
            Self::AlertReceived(alert) => write!(f, "the peer sent the alert {alert}"),
            Self::Truncated => f.write_str("the peer closed the transport without close_notify"),
            Self::NotTls { first_bytes } => {
                write!(f, "not TLS: it begins with \"{}\"", first_bytes.escape_ascii())
            }
            Self::Hook { hook, source } => write!(f, "the {hook} hook failed: {source}"),
            Self::Link(error) => write!(f, "transport: {error}"),
            Self::Misuse(misuse) => write!(f, "{misuse}"),
            Self::Crypto(what) => write!(f, "cryptographic library: {what}"),
        }
    }
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedMessage { expected, got } => write!(f, "{got} came where {expected} was due"),
            Self::UnexpectedRecord(content_type) => {
                write!(f, "a record of type {content_type} may not stand here")
            }
            Self::UnexpectedPostHandshake(message) => write!(f, "{message} came after the handshake"),
            Self::HandshakeDataAcrossKeyChange => f.write_str("handshake bytes run across a change of keys"),
            Self::InterleavedHandshake(content_type) => {
                write!(
                    f,
                    "a record of type {content_type} between the fragments of a handshake message"
                )
            }
            Self::BadRecordMac => f.write_str("a record cannot be decrypted"),
            Self::RecordOverflow => f.write_str("a record is longer than the protocol allows"),
            Self::BadRecordHeader => f.write_str("a record header has an illegal version or type"),
            Self::EmptyRecord => f.write_str("a record is empty that may not be"),
            Self::BadChangeCipherSpec => f.write_str("an ill-formed or misplaced change_cipher_spec"),
            Self::BadAlert => f.write_str("an ill-formed alert"),
            Self::MessageTooLarge { message, size } => {
                write!(f, "{message} of {size} bytes is over the limit")
            }
            Self::Flood(what) => write!(f, "too many {what} in a row"),
            Self::TooMuchForOneKey => f.write_str("more data than one key may protect"),
            Self::UnsolicitedExtension(extension) => write!(f, "extension {extension} was not offered"),
            Self::MisplacedExtension { message, extension } => {
                write!(f, "extension {extension} may not stand in {message}")
            }
            Self::MissingExtension(extension) => write!(f, "extension {extension} is missing"),
            Self::Mismatch(what) => write!(f, "{what} differs from what it must repeat"),
            Self::NotOffered(what) => write!(f, "{what} was chosen but not offered"),
            Self::IllegalParameter(what) => write!(f, "illegal {what}"),
            Self::BadKeyShare(group) => write!(f, "the key share is not a public key of {group}"),
            Self::BadRetryRequest(what) => write!(f, "HelloRetryRequest refused: {what}"),
            Self::Downgraded => {
                f.write_str("the server speaks a better version: somebody downgraded the connection")
            }
            Self::BadSignature(scheme) => write!(f, "the handshake's {scheme} signature does not verify"),
            Self::BadFinished => f.write_str("Finished does not verify"),
            Self::NoCertificate(side) => write!(f, "the {side} presented no certificate"),
        }
    }
}

impl fmt::Display for NothingInCommon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { theirs } => write!(f, "no common version; the peer has {theirs:?}"),
            Self::CipherSuite { theirs } => write!(f, "no common cipher suite; the peer has {theirs:?}"),
            Self::Group { theirs } => write!(f, "no common group; the peer has {theirs:?}"),
            Self::SignatureScheme { theirs } => {
                write!(f, "no certificate for the peer's signature schemes {theirs:?}")
            }
            Self::ApplicationProtocol { theirs, ours } => {
                write!(
                    f,
                    "no common application protocol; the peer has {}, we have {}",
                    Protocols(theirs),
                    Protocols(ours)
                )
            }
            Self::ServerName { name: Some(name) } => write!(f, "no certificate for the name {name:?}"),
            Self::ServerName { name: None } => {
                f.write_str("no certificate for a client that names no server")
            }
        }
    }
}

/// A list of protocol names, shown as text.
struct Protocols<'a>(&'a [Vec<u8>]);

impl fmt::Display for Protocols<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|name| String::from_utf8_lossy(name)))
            .finish()
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadEncoding(what) => write!(f, "malformed: {what}"),
            Self::Expired { not_after, now } => {
                write!(f, "it expired {} ago", Span(now.saturating_sub(*not_after)))
            }
            Self::NotYetValid { not_before, now } => {
                write!(f, "it becomes valid in {}", Span(not_before.saturating_sub(*now)))
            }
            Self::UnknownIssuer => f.write_str("no path to a trusted root"),
            Self::NotValidForName { expected, presented } if presented.is_empty() => {
                write!(f, "it is not for {expected}, and names nothing")
            }
            Self::NotValidForName { expected, presented } => {
                write!(f, "it is not for {expected} but for {}", presented.join(", "))
            }
            Self::Revoked => f.write_str("revoked"),
            Self::RevocationUnknown(what) => write!(f, "its revocation state is unknown: {what}"),
            Self::BadSignature => f.write_str("a signature in the chain does not verify"),
            Self::CaUsedAsEndEntity => f.write_str("it is a CA certificate, not a leaf"),
            Self::WrongUsage(what) => write!(f, "not for this use: {what}"),
            Self::UnsupportedAlgorithm(what) => write!(f, "unsupported algorithm: {what}"),
            Self::ChainTooLong => f.write_str("the chain is too long"),
            Self::ConstraintViolated(what) => write!(f, "an issuer's constraint is violated: {what}"),
            Self::Policy(what) => f.write_str(what),
        }
    }
}

/// A length of time in its largest fitting unit.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds @ 0..120 => write!(f, "{:?}", Duration::from_secs(seconds)),
            seconds @ 120..7_200 => write!(f, "{} minutes", seconds / 60),
            seconds @ 7_200..172_800 => write!(f, "{} hours", seconds / 3_600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExporterRange => "the exporter cannot make that many bytes, or its label is too long",
            Self::NotEstablished => "the handshake has not finished",
            Self::NoKeyUpdate => "this version of TLS has no KeyUpdate",
            Self::WriteClosed => "the write side is closed",
        })
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("side", &self.0.side)
            .field("phase", &self.0.phase)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.kind {
            ErrorKind::Link(error) => Some(error),
            ErrorKind::Hook { source, .. } => Some(source.source.as_ref()),
            _ => None,
        }
    }
}

impl std::error::Error for BadBytes {}
impl std::error::Error for CertificateError {}

macro_rules! into_kind {
    ($($source:ty => $variant:ident),*) => {
        $(impl From<$source> for ErrorKind {
            fn from(source: $source) -> Self { Self::$variant(source) }
        }
        impl From<$source> for Error {
            fn from(source: $source) -> Self { Self::new(source) }
        })*
    };
}

into_kind! {
    BadBytes => BadBytes,
    Misbehaviour => Misbehaved,
    NothingInCommon => NothingInCommon,
    CertificateError => Certificate,
    std::io::Error => Link,
    Misuse => Misuse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_message_names_side_phase_and_what_was_expected() {
        let error = Error::from(Misbehaviour::UnexpectedMessage {
            expected: HandshakeType::SERVER_HELLO,
            got: HandshakeType::FINISHED,
        })
        .in_phase(Side::Client, Phase::Reading(HandshakeType::SERVER_HELLO));
        assert_eq!(
            error.to_string(),
            "TLS client, waiting for ServerHello: Finished came where ServerHello was due"
        );
        assert_eq!(error.alert(), Some(AlertDescription::UNEXPECTED_MESSAGE));
    }

    #[test]
    fn plain_http_is_recognised() {
        let error = Error::new(ErrorKind::NotTls {
            first_bytes: b"GET / HTTP/1.1".to_vec(),
        });
        assert_eq!(error.alert(), None);
        assert!(error.to_string().contains("plain HTTP"), "{error}");
    }

    #[test]
    fn an_expired_certificate_says_for_how_long() {
        let error = CertificateError::Expired {
            not_after: 1_000,
            now: 1_000 + 3 * 86_400,
        };
        assert_eq!(error.to_string(), "it expired 3 days ago");
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
