//! Code points of the TLS registries, as open newtypes: an unknown value is a value like any other.
//!
//! Names and numbers are those of the IANA "TLS Parameters" and "TLS ExtensionType Values" registries.

use core::fmt;

macro_rules! registry {
    ($(#[$doc:meta])* $name:ident($int:ty) { $($(#[$item_doc:meta])* $item:ident = $value:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $int);

        impl $name {
            $($(#[$item_doc])* #[doc = concat!("`", $text, "` (", stringify!($value), ")")] pub const $item: Self = Self($value);)*

            /// The registered name, or `None` for a code point this library has no name for.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some($text),)* _ => None }
            }

            /// The value for a registered name, ignoring ASCII case: the inverse of [`Self::name`].
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                $(if name.eq_ignore_ascii_case($text) { return Some(Self($value)); })*
                None
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(self, f) }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}(0x{:0width$x})", stringify!($name), self.0, width = core::mem::size_of::<$int>() * 2),
                }
            }
        }

        impl From<$int> for $name { fn from(value: $int) -> Self { Self(value) } }
        impl From<$name> for $int { fn from(value: $name) -> Self { value.0 } }
    };
}

registry! {
    /// A protocol version as on the wire (section 4.2.1).
    ///
    /// ```
    /// use tls_core::ProtocolVersion;
    ///
    /// assert!(ProtocolVersion::TLS12 < ProtocolVersion::TLS13);
    /// assert_eq!(ProtocolVersion(0x0304).to_string(), "TLSv1.3");
    /// ```
    ProtocolVersion(u16) {
        SSL3 = 0x0300, "SSLv3";
        TLS10 = 0x0301, "TLSv1.0";
        TLS11 = 0x0302, "TLSv1.1";
        TLS12 = 0x0303, "TLSv1.2";
        TLS13 = 0x0304, "TLSv1.3";
    }
}

registry! {
    /// What a record carries (section 5.1).
    ///
    /// ```
    /// use tls_core::ContentType;
    ///
    /// assert_eq!(ContentType(22), ContentType::HANDSHAKE);
    /// ```
    ContentType(u8) {
        CHANGE_CIPHER_SPEC = 20, "change_cipher_spec";
        ALERT = 21, "alert";
        HANDSHAKE = 22, "handshake";
        APPLICATION_DATA = 23, "application_data";
    }
}

registry! {
    /// The type of a handshake message (section 4).
    ///
    /// ```
    /// use tls_core::HandshakeType;
    ///
    /// assert_eq!(HandshakeType(1), HandshakeType::CLIENT_HELLO);
    /// ```
    HandshakeType(u8) {
        HELLO_REQUEST = 0, "HelloRequest";
        CLIENT_HELLO = 1, "ClientHello";
        SERVER_HELLO = 2, "ServerHello";
        NEW_SESSION_TICKET = 4, "NewSessionTicket";
        END_OF_EARLY_DATA = 5, "EndOfEarlyData";
        ENCRYPTED_EXTENSIONS = 8, "EncryptedExtensions";
        CERTIFICATE = 11, "Certificate";
        SERVER_KEY_EXCHANGE = 12, "ServerKeyExchange";
        CERTIFICATE_REQUEST = 13, "CertificateRequest";
        SERVER_HELLO_DONE = 14, "ServerHelloDone";
        CERTIFICATE_VERIFY = 15, "CertificateVerify";
        CLIENT_KEY_EXCHANGE = 16, "ClientKeyExchange";
        FINISHED = 20, "Finished";
        CERTIFICATE_STATUS = 22, "CertificateStatus";
        KEY_UPDATE = 24, "KeyUpdate";
        /// The synthetic message that stands for the first ClientHello after a HelloRetryRequest (section 4.4.1).
        MESSAGE_HASH = 254, "message_hash";
    }
}

registry! {
    /// The type of an extension (section 4.2).
    ///
    /// ```
    /// use tls_core::ExtensionType;
    ///
    /// assert_eq!(ExtensionType(0).to_string(), "server_name");
    /// ```
    ExtensionType(u16) {
        SERVER_NAME = 0, "server_name";
        MAX_FRAGMENT_LENGTH = 1, "max_fragment_length";
        STATUS_REQUEST = 5, "status_request";
        SUPPORTED_GROUPS = 10, "supported_groups";
        EC_POINT_FORMATS = 11, "ec_point_formats";
        SIGNATURE_ALGORITHMS = 13, "signature_algorithms";
        USE_SRTP = 14, "use_srtp";
        HEARTBEAT = 15, "heartbeat";
        ALPN = 16, "application_layer_protocol_negotiation";
        SIGNED_CERTIFICATE_TIMESTAMP = 18, "signed_certificate_timestamp";
        CLIENT_CERTIFICATE_TYPE = 19, "client_certificate_type";
        SERVER_CERTIFICATE_TYPE = 20, "server_certificate_type";
        PADDING = 21, "padding";
        ENCRYPT_THEN_MAC = 22, "encrypt_then_mac";
        EXTENDED_MAIN_SECRET = 23, "extended_main_secret";
        COMPRESS_CERTIFICATE = 27, "compress_certificate";
        RECORD_SIZE_LIMIT = 28, "record_size_limit";
        SESSION_TICKET = 35, "session_ticket";
        PRE_SHARED_KEY = 41, "pre_shared_key";
        EARLY_DATA = 42, "early_data";
        SUPPORTED_VERSIONS = 43, "supported_versions";
        COOKIE = 44, "cookie";
        PSK_KEY_EXCHANGE_MODES = 45, "psk_key_exchange_modes";
        CERTIFICATE_AUTHORITIES = 47, "certificate_authorities";
        OID_FILTERS = 48, "oid_filters";
        POST_HANDSHAKE_AUTH = 49, "post_handshake_auth";
        SIGNATURE_ALGORITHMS_CERT = 50, "signature_algorithms_cert";
        KEY_SHARE = 51, "key_share";
        TICKET_REQUEST = 58, "ticket_request";
        ENCRYPTED_CLIENT_HELLO = 0xfe0d, "encrypted_client_hello";
        RENEGOTIATION_INFO = 0xff01, "renegotiation_info";
    }
}

registry! {
    /// A cipher suite (section B.4; TLS 1.2: RFC 5289, RFC 7905).
    ///
    /// ```
    /// use tls_core::CipherSuite;
    ///
    /// let suite = CipherSuite::from_name("TLS_AES_128_GCM_SHA256").unwrap();
    /// assert_eq!((suite, suite.0), (CipherSuite::TLS_AES_128_GCM_SHA256, 0x1301));
    /// ```
    CipherSuite(u16) {
        TLS_AES_128_GCM_SHA256 = 0x1301, "TLS_AES_128_GCM_SHA256";
        TLS_AES_256_GCM_SHA384 = 0x1302, "TLS_AES_256_GCM_SHA384";
        TLS_CHACHA20_POLY1305_SHA256 = 0x1303, "TLS_CHACHA20_POLY1305_SHA256";
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 = 0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 = 0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
        TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 = 0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 = 0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
        TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 = 0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256";
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 = 0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
        TLS_EMPTY_RENEGOTIATION_INFO_SCSV = 0x00ff, "TLS_EMPTY_RENEGOTIATION_INFO_SCSV";
        TLS_FALLBACK_SCSV = 0x5600, "TLS_FALLBACK_SCSV";
    }
}

registry! {
    /// A group for key exchange (section 4.2.7; hybrids: draft-ietf-tls-ecdhe-mlkem).
    ///
    /// ```
    /// use tls_core::{ClientConfig, NamedGroup};
    ///
    /// let config = ClientConfig::builder()
    ///     .dangerously_accept_any_certificate()
    ///     .groups([NamedGroup::X25519MLKEM768, NamedGroup::X25519])
    ///     .build()?;
    /// # Ok::<(), tls_core::ConfigError>(())
    /// ```
    NamedGroup(u16) {
        SECP256R1 = 23, "secp256r1";
        SECP384R1 = 24, "secp384r1";
        SECP521R1 = 25, "secp521r1";
        X25519 = 29, "x25519";
        X448 = 30, "x448";
        SECP256R1MLKEM768 = 0x11eb, "SecP256r1MLKEM768";
        X25519MLKEM768 = 0x11ec, "X25519MLKEM768";
    }
}

registry! {
    /// A signature algorithm with its hash (section 4.2.3).
    ///
    /// ```
    /// use tls_core::SignatureScheme;
    ///
    /// assert_eq!(SignatureScheme(0x0403), SignatureScheme::ECDSA_SECP256R1_SHA256);
    /// ```
    SignatureScheme(u16) {
        RSA_PKCS1_SHA1 = 0x0201, "rsa_pkcs1_sha1";
        ECDSA_SHA1 = 0x0203, "ecdsa_sha1";
        RSA_PKCS1_SHA256 = 0x0401, "rsa_pkcs1_sha256";
        ECDSA_SECP256R1_SHA256 = 0x0403, "ecdsa_secp256r1_sha256";
        RSA_PKCS1_SHA384 = 0x0501, "rsa_pkcs1_sha384";
        ECDSA_SECP384R1_SHA384 = 0x0503, "ecdsa_secp384r1_sha384";
        RSA_PKCS1_SHA512 = 0x0601, "rsa_pkcs1_sha512";
        ECDSA_SECP521R1_SHA512 = 0x0603, "ecdsa_secp521r1_sha512";
        RSA_PSS_RSAE_SHA256 = 0x0804, "rsa_pss_rsae_sha256";
        RSA_PSS_RSAE_SHA384 = 0x0805, "rsa_pss_rsae_sha384";
        RSA_PSS_RSAE_SHA512 = 0x0806, "rsa_pss_rsae_sha512";
        ED25519 = 0x0807, "ed25519";
        ED448 = 0x0808, "ed448";
        RSA_PSS_PSS_SHA256 = 0x0809, "rsa_pss_pss_sha256";
        RSA_PSS_PSS_SHA384 = 0x080a, "rsa_pss_pss_sha384";
        RSA_PSS_PSS_SHA512 = 0x080b, "rsa_pss_pss_sha512";
    }
}

registry! {
    /// How a PSK may be combined with a key exchange (section 4.2.9).
    ///
    /// ```
    /// use tls_core::PskKeyExchangeMode;
    ///
    /// assert_eq!(PskKeyExchangeMode(1), PskKeyExchangeMode::PSK_DHE_KE);
    /// ```
    PskKeyExchangeMode(u8) {
        PSK_KE = 0, "psk_ke";
        PSK_DHE_KE = 1, "psk_dhe_ke";
    }
}

registry! {
    /// Whether the sender of a KeyUpdate asks for one in return (section 4.6.3).
    ///
    /// ```
    /// use tls_core::{Error, KeyUpdateRequest, Writer};
    ///
    /// fn new_keys_both_ways(writer: &mut Writer) -> Result<(), Error> {
    ///     writer.request_key_update(KeyUpdateRequest::UPDATE_REQUESTED)
    /// }
    /// ```
    KeyUpdateRequest(u8) {
        UPDATE_NOT_REQUESTED = 0, "update_not_requested";
        UPDATE_REQUESTED = 1, "update_requested";
    }
}

/// Whether a 16-bit code point is one of the reserved GREASE values (RFC 8701).
#[must_use]
pub const fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_code_point_has_its_name_and_an_unknown_one_its_number() {
        assert_eq!(NamedGroup(0x11ec).to_string(), "X25519MLKEM768");
        assert_eq!(NamedGroup(0x1234).to_string(), "NamedGroup(0x1234)");
        assert_eq!(
            CipherSuite::from_name("tls_aes_128_gcm_sha256"),
            Some(CipherSuite(0x1301))
        );
    }

    #[test]
    fn grease_is_the_sixteen_reserved_values() {
        let all: Vec<u16> = (0..=u16::MAX).filter(|v| is_grease(*v)).collect();
        assert_eq!(all.len(), 16);
        assert!(all.contains(&0x0a0a) && all.contains(&0xfafa) && !all.contains(&0x0a1a));
    }
}
