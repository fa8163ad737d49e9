//! Alerts (section 6).

use core::fmt;

macro_rules! alerts {
    ($($(#[$doc:meta])* $item:ident = $value:literal, $text:literal;)*) => {
        /// Why a connection ends (section 6). An unknown value is a value like any other.
        ///
        /// ```
        /// use tls_core::AlertDescription;
        ///
        /// assert_eq!(AlertDescription::CERTIFICATE_REQUIRED.0, 116);
        /// assert_eq!(AlertDescription(48).to_string(), "unknown_ca");
        /// assert_eq!(AlertDescription(250).to_string(), "AlertDescription(250)");
        /// ```
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct AlertDescription(pub u8);

        impl AlertDescription {
            $($(#[$doc])* #[doc = concat!("`", $text, "` (", stringify!($value), ")")] pub const $item: Self = Self($value);)*

            /// The registered name, or `None` for a code point this library has no name for.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some($text),)* _ => None }
            }
        }
    };
}

alerts! {
    CLOSE_NOTIFY = 0, "close_notify";
    UNEXPECTED_MESSAGE = 10, "unexpected_message";
    BAD_RECORD_MAC = 20, "bad_record_mac";
    RECORD_OVERFLOW = 22, "record_overflow";
    HANDSHAKE_FAILURE = 40, "handshake_failure";
    BAD_CERTIFICATE = 42, "bad_certificate";
    UNSUPPORTED_CERTIFICATE = 43, "unsupported_certificate";
    CERTIFICATE_REVOKED = 44, "certificate_revoked";
    CERTIFICATE_EXPIRED = 45, "certificate_expired";
    CERTIFICATE_UNKNOWN = 46, "certificate_unknown";
    ILLEGAL_PARAMETER = 47, "illegal_parameter";
    UNKNOWN_CA = 48, "unknown_ca";
    ACCESS_DENIED = 49, "access_denied";
    DECODE_ERROR = 50, "decode_error";
    DECRYPT_ERROR = 51, "decrypt_error";
    TOO_MANY_CIDS_REQUESTED = 52, "too_many_cids_requested";
    PROTOCOL_VERSION = 70, "protocol_version";
    INSUFFICIENT_SECURITY = 71, "insufficient_security";
    INTERNAL_ERROR = 80, "internal_error";
    INAPPROPRIATE_FALLBACK = 86, "inappropriate_fallback";
    USER_CANCELED = 90, "user_canceled";
    NO_RENEGOTIATION = 100, "no_renegotiation";
    MISSING_EXTENSION = 109, "missing_extension";
    UNSUPPORTED_EXTENSION = 110, "unsupported_extension";
    UNRECOGNIZED_NAME = 112, "unrecognized_name";
    BAD_CERTIFICATE_STATUS_RESPONSE = 113, "bad_certificate_status_response";
    UNKNOWN_PSK_IDENTITY = 115, "unknown_psk_identity";
    CERTIFICATE_REQUIRED = 116, "certificate_required";
    GENERAL_ERROR = 117, "general_error";
    NO_APPLICATION_PROTOCOL = 120, "no_application_protocol";
}

impl fmt::Debug for AlertDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for AlertDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "AlertDescription({})", self.0),
        }
    }
}

/// The severity byte of an alert. TLS 1.3 ignores it (section 6); TLS 1.2 does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AlertLevel {
    Warning = 1,
    Fatal = 2,
}

/// One alert message as on the wire: two bytes, never split over records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub(crate) level: AlertLevel,
    pub(crate) description: AlertDescription,
}

impl Alert {
    /// The alert that ends our side: all are fatal but close_notify and user_canceled (section 6).
    pub(crate) const fn new(description: AlertDescription) -> Self {
        let level = match description {
            AlertDescription::CLOSE_NOTIFY | AlertDescription::USER_CANCELED => AlertLevel::Warning,
            _ => AlertLevel::Fatal,
        };
        Self { level, description }
    }

    /// An alert after which the connection goes on, which only TLS 1.2 has.
    pub(crate) const fn warning(description: AlertDescription) -> Self {
        Self {
            level: AlertLevel::Warning,
            description,
        }
    }

    pub(crate) const fn to_bytes(self) -> [u8; 2] {
        [self.level as u8, self.description.0]
    }

    /// `None` where the bytes are not one alert: a wrong length or an unknown level.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [level, description] = *bytes else { return None };
        let level = match level {
            1 => AlertLevel::Warning,
            2 => AlertLevel::Fatal,
            _ => return None,
        };
        Some(Self {
            level,
            description: AlertDescription(description),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_read_as_it_was_written() {
        for description in [
            AlertDescription::CLOSE_NOTIFY,
            AlertDescription::DECODE_ERROR,
            AlertDescription(200),
        ] {
            let alert = Alert::new(description);
            assert_eq!(Alert::from_bytes(&alert.to_bytes()), Some(alert));
        }
    }

    #[test]
    fn bytes_that_are_not_one_alert_are_refused() {
        for bytes in [&[][..], &[1], &[1, 0, 1, 0], &[0, 0], &[3, 0]] {
            assert_eq!(Alert::from_bytes(bytes), None);
        }
    }
}
