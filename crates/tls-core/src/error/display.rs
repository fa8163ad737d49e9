//! What errors say to a human.

use core::fmt;
use core::time::Duration;

use super::{
    CertificateError, ConfigError, Error, ErrorKind, HookError, Misbehaviour, Misuse, NothingInCommon, Phase,
    Side, legacy,
};
use crate::registry::CipherSuite;

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

/// Bytes of something that is not TLS which an error shows.
const SHOWN: usize = 32;

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
                let shown = first_bytes.get(..SHOWN).unwrap_or(first_bytes);
                write!(f, "not TLS: it begins with \"{}\"", shown.escape_ascii())
            }
            Self::Hook { hook, source } => write!(f, "the {hook} hook failed: {source}"),
            Self::Refused(alert) => write!(f, "we refused the client with the alert {alert}"),
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
            Self::Renegotiation => f.write_str("the peer wants to renegotiate"),
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
            Self::WarningAlert(description) => {
                write!(f, "the alert {description} as a warning, which TLS 1.3 has not")
            }
            Self::BadAlertLevel(level) => write!(f, "an alert of the unknown level {level}"),
            Self::MessageTooLarge { message, size } => {
                write!(f, "{message} of {size} bytes is over the limit")
            }
            Self::Flood(what) => write!(f, "too many {what} in a row"),
            Self::TooMuchEarlyData => f.write_str("more early data than is allowed"),
            Self::OldVersionAfterEarlyData => f.write_str(
                "the server answers early data with TLS 1.2, though its ticket was one of TLS 1.3",
            ),
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
            Self::BadBinder => f.write_str("a PSK binder does not verify"),
            Self::BadFinished => f.write_str("Finished does not verify"),
            Self::InappropriateFallback => {
                f.write_str("the client fell back to an older version than both sides speak")
            }
            Self::NoCertificate(side) => write!(f, "the {side} presented no certificate"),
        }
    }
}

impl fmt::Display for NothingInCommon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { theirs, ours } => {
                write!(f, "no common version; the peer has {theirs:?}, we have {ours:?}")
            }
            Self::CipherSuite { theirs, ours } => write!(
                f,
                "no common cipher suite; the peer has {}, we have {ours:?}",
                Suites(theirs)
            ),
            Self::Group { theirs, ours } => {
                write!(f, "no common group; the peer has {theirs:?}, we have {ours:?}")
            }
            Self::SignatureScheme { theirs } => {
                write!(f, "no certificate for the peer's signature schemes {theirs:?}")
            }
            Self::ExtendedMainSecret => f.write_str("the peer has no extended main secret (RFC 7627)"),
            Self::SecureRenegotiation => f.write_str("the peer has no secure renegotiation (RFC 5746)"),
            Self::ClientCertificate { .. } => f.write_str("the client presented no certificate"),
            Self::ApplicationProtocol { theirs, ours } => {
                write!(
                    f,
                    "no common application protocol; the peer has {}, we have {}",
                    Protocols(theirs),
                    Protocols(ours)
                )
            }
        }
    }
}

/// A list of cipher suites, with the names of those that we know only to refuse them.
struct Suites<'a>(&'a [CipherSuite]);

impl fmt::Display for Suites<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self
            .0
            .iter()
            .map(|suite| legacy::name(*suite).map_or_else(|| suite.to_string(), str::to_owned));
        write!(f, "[{}]", names.collect::<Vec<_>>().join(", "))
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
            Self::Policy(what) | Self::PolicyWithAlert(what, _) => f.write_str(what),
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
            Self::ExporterRange => {
                "the exporter cannot make that many bytes, or its label is too long or reserved"
            }
            Self::NotEstablished => "the handshake has not finished",
            Self::NoKeyUpdate => "this version of TLS has no KeyUpdate",
            Self::WriteClosed => "the write side is closed",
            Self::NoEarlyExporter => "no early data was accepted, so there is no exporter for it",
            Self::KeyExhausted => {
                "the key has protected all it may: this version of TLS needs a new connection for more"
            }
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
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

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
