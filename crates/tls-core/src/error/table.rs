//! Which alert an error calls for (section 6.2).

use super::{CertificateError, ErrorKind, Misbehaviour, NothingInCommon, Problem};
use crate::alert::AlertDescription;
use crate::registry::ProtocolVersion;
use crate::wire::UNKNOWN_EXTENSION;

/// The one table from errors to alerts.
pub(super) fn alert_for(kind: &ErrorKind) -> Option<AlertDescription> {
    use AlertDescription as A;
    Some(match kind {
        ErrorKind::BadBytes(bad) => match bad.problem {
            // What an extension means that we do not know cannot be illegal: the block is what does not parse.
            Problem::Duplicate if bad.field == UNKNOWN_EXTENSION => A::DECODE_ERROR,
            Problem::IllegalValue | Problem::Duplicate => A::ILLEGAL_PARAMETER,
            _ => A::DECODE_ERROR,
        },
        ErrorKind::Misbehaved(misbehaviour) => alert_for_misbehaviour(misbehaviour),
        ErrorKind::NothingInCommon(what) => match what {
            NothingInCommon::Version { .. } => A::PROTOCOL_VERSION,
            // TLS 1.2 has no alert of its own for it (RFC 5246 7.4.6).
            NothingInCommon::ClientCertificate {
                version: ProtocolVersion::TLS13,
            } => A::CERTIFICATE_REQUIRED,
            NothingInCommon::ApplicationProtocol { .. } => A::NO_APPLICATION_PROTOCOL,
            _ => A::HANDSHAKE_FAILURE,
        },
        ErrorKind::Certificate(error) => alert_for_certificate(error),
        ErrorKind::Hook { source, .. } => source.alert,
        ErrorKind::Refused(alert) => *alert,
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
        | M::TooMuchEarlyData
        | M::BadRetryRequest("second") => A::UNEXPECTED_MESSAGE,
        M::Renegotiation => A::NO_RENEGOTIATION,
        M::BadRecordMac => A::BAD_RECORD_MAC,
        M::RecordOverflow => A::RECORD_OVERFLOW,
        M::BadRecordHeader | M::OldVersionAfterEarlyData => A::PROTOCOL_VERSION,
        M::InappropriateFallback => A::INAPPROPRIATE_FALLBACK,
        M::BadAlert | M::WarningAlert(_) => A::DECODE_ERROR,
        M::BadAlertLevel(_) => A::ILLEGAL_PARAMETER,
        M::UnsolicitedExtension(_) => A::UNSUPPORTED_EXTENSION,
        M::MissingExtension(_) => A::MISSING_EXTENSION,
        M::BadSignature(_) | M::BadFinished | M::BadBinder => A::DECRYPT_ERROR,
        M::NoCertificate(_) => A::DECODE_ERROR,
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
        CertificateError::BadEncoding(_) => A::DECODE_ERROR,
        CertificateError::NotValidForName { .. }
        | CertificateError::BadSignature
        | CertificateError::ConstraintViolated(_)
        | CertificateError::ChainTooLong => A::BAD_CERTIFICATE,
        CertificateError::WrongUsage(_) | CertificateError::UnsupportedAlgorithm(_) => {
            A::UNSUPPORTED_CERTIFICATE
        }
        CertificateError::RevocationUnknown(_) => A::CERTIFICATE_UNKNOWN,
        CertificateError::Policy(_) => A::ACCESS_DENIED,
        CertificateError::PolicyWithAlert(_, alert) => *alert,
    }
}
