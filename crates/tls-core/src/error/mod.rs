//! What can go wrong, in families by whose fault it is, and the one table from errors to alerts.

mod display;
mod hint;
mod io;
mod legacy;
mod table;

use core::fmt;

#[cfg(feature = "serde")]
pub(crate) use self::legacy::name as legacy_suite_name;
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
///
/// ```
/// use tls_core::{CertifiedKey, Driver, ErrorKind, ServerConfig, Side};
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (chain_pem, key_pem) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
///
/// let certificate = CertifiedKey::from_pem(&chain_pem, &key_pem)?;
/// let mut server = Driver::server(&ServerConfig::builder().certificate(certificate).build()?);
/// server.receive(b"GET / HTTP/1.1\r\n");
/// let error = server.advance().unwrap_err();
///
/// assert_eq!(error.side(), Some(Side::Server));
/// assert!(error.alert().is_none(), "plain HTTP is not answered with an alert");
/// match error.kind() {
///     ErrorKind::NotTls { first_bytes } => assert!(first_bytes.starts_with(b"GET")),
///     ErrorKind::Certificate(why) => println!("the peer's certificate: {why}"),
///     ErrorKind::AlertReceived(alert) => println!("the peer has given up: {alert}"),
///     _ => println!("{error}"),
/// }
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    side: Option<Side>,
    phase: Option<Phase>,
}

/// Which end of the connection we are.
///
/// Example: that of [`Error`](crate::Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// We sent the ClientHello.
    Client,
    /// We answered it.
    Server,
}

impl Side {
    /// The other end.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What a handshake was waiting for, or doing, when it ended.
///
/// Example: that of [`Error`](crate::Error).
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

/// The families of errors, by whose fault it is.
///
/// Example: that of [`Error`](crate::Error).
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
        /// All that was received before this was noticed.
        first_bytes: Vec<u8>,
    },
    /// A hook failed.
    Hook {
        /// The hook's trait.
        hook: &'static str,
        /// What it said.
        source: HookError,
    },
    /// We refused the client for a reason of our own, once its ClientHello was there, and told it so by this alert.
    Refused(AlertDescription),
    /// The transport failed.
    Link(std::io::Error),
    /// The caller asked for something that cannot be done.
    Misuse(Misuse),
    /// The cryptographic library refused an operation on our own input.
    Crypto(&'static str),
}

/// A peer that does not keep to the protocol.
///
/// Example: that of [`Error`](crate::Error).
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
    /// A ClientHello after the handshake of TLS 1.2: we never renegotiate (RFC 5746).
    Renegotiation,
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
    /// A warning in TLS 1.3, where no alert but close_notify and user_canceled may be one (section 6).
    WarningAlert(AlertDescription),
    /// An alert whose level is neither warning nor fatal.
    BadAlertLevel(u8),
    /// A handshake message over the size limit.
    MessageTooLarge {
        /// Which message.
        message: HandshakeType,
        /// Its size in bytes.
        size: usize,
    },
    /// More empty records, warnings, KeyUpdates or change_cipher_spec records in a row than we bear.
    Flood(&'static str),
    /// More early data than the ticket allows, or than a server skips that does not take it (section 4.2.10).
    TooMuchEarlyData,
    /// An answer in TLS 1.2 to a ClientHello with early data, which the server can only have had from a ticket of
    /// TLS 1.3 (section D.3): connect again, without early data.
    OldVersionAfterEarlyData,
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
    /// A PSK binder that does not verify: somebody offers a session whose secret it does not know.
    BadBinder,
    /// The client says that it fell back to an older version, but we speak a better one (RFC 7507).
    InappropriateFallback,
    /// No certificate where the protocol asks for one.
    NoCertificate(Side),
}

/// What both sides offered when nothing matched.
///
/// Example: that of [`Error`](crate::Error).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NothingInCommon {
    /// No protocol version.
    Version {
        /// What the peer offered or chose.
        theirs: Vec<ProtocolVersion>,
        /// What our configuration allows, best first.
        ours: Vec<ProtocolVersion>,
    },
    /// No cipher suite.
    CipherSuite {
        /// What the peer offered.
        theirs: Vec<CipherSuite>,
        /// What our configuration has for the version, best first.
        ours: Vec<CipherSuite>,
    },
    /// No group for key exchange.
    Group {
        /// What the peer offered.
        theirs: Vec<NamedGroup>,
        /// What our configuration has for the version, best first.
        ours: Vec<NamedGroup>,
    },
    /// No signature scheme that fits a certificate we have.
    SignatureScheme {
        /// What the peer offered, less what the version or the common cipher suites do not allow.
        theirs: Vec<SignatureScheme>,
    },
    /// TLS 1.2 without the extended main secret (RFC 7627), which we require.
    ExtendedMainSecret,
    /// TLS 1.2 without secure renegotiation (RFC 5746), or in the middle of one.
    SecureRenegotiation,
    /// The client has no certificate for the authorities that we name, and we require one.
    ClientCertificate {
        /// The version of the protocol, which decides on the alert.
        version: ProtocolVersion,
    },
    /// No application protocol.
    ApplicationProtocol {
        /// What the peer offered.
        theirs: Vec<Vec<u8>>,
        /// What we offer.
        ours: Vec<Vec<u8>>,
    },
}

/// Why a certificate chain was refused.
///
/// Example: that of [`Error`](crate::Error).
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
    /// The same, and this alert says so to the peer: bad_certificate_status_response for one that does not believe the
    /// stapled OCSP response, say.
    PolicyWithAlert(String, AlertDescription),
}

/// Misuse of this library by its caller.
///
/// Example: that of [`Error`](crate::Error).
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
    /// The key has protected as much as it may, and TLS 1.2 has no KeyUpdate: close, and open a new connection. With
    /// AES-GCM this happens after 2^24 records, 256 GiB at the most.
    KeyExhausted,
    /// The exporter of early data, on a connection whose early data was not accepted.
    NoEarlyExporter,
}

/// What a hook says when it fails. Any error can be turned into one with `?`.
///
/// ```
/// use tls_core::{AlertDescription, HookError};
///
/// fn look_up(name: &str) -> Result<u32, HookError> {
///     if name.is_empty() {
///         return Err(HookError::with_alert("no name", AlertDescription::UNRECOGNIZED_NAME));
///     }
///     // Any other error is an internal_error to the peer.
///     Ok(name.parse()?)
/// }
/// assert!(look_up("").is_err() && look_up("x").is_err());
/// ```
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

/// A configuration that cannot work: a key that cannot be read, an empty list, a missing verifier.
///
/// ```
/// use tls_core::ServerConfig;
///
/// let error = ServerConfig::builder().build().unwrap_err();
/// assert_eq!(error.to_string(), "no certificate to present");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    /// A configuration error with this explanation.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl std::error::Error for ConfigError {}

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
        table::alert_for(&self.0.kind)
    }

    /// What to do about it, where a cause is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        hint::hint_for(&self.0.kind, self.0.phase)
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
    fn a_verifier_may_say_by_which_alert_it_refuses() {
        let what = || "the OCSP response is of yesterday".to_owned();
        let error = Error::from(CertificateError::Policy(what()));
        assert_eq!(error.alert(), Some(AlertDescription::ACCESS_DENIED));
        let alert = AlertDescription::BAD_CERTIFICATE_STATUS_RESPONSE;
        let error = Error::from(CertificateError::PolicyWithAlert(what(), alert));
        assert_eq!(error.alert(), Some(alert));
        assert!(error.to_string().contains("of yesterday"), "{error}");
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
