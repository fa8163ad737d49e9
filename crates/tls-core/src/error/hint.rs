//! What to do about an error, where a known cause exists.

use super::{CertificateError, ErrorKind, NothingInCommon, Phase};
use crate::alert::AlertDescription;
use crate::registry::{CipherSuite, ProtocolVersion};

pub(super) fn hint_for(kind: &ErrorKind, phase: Option<Phase>) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Certificate(CertificateError::CaUsedAsEndEntity) => {
            "the peer presents a CA certificate as its own (`openssl req -x509` makes these): issue a leaf from it, \
             or make it with basicConstraints CA:FALSE"
        }
        ErrorKind::Certificate(CertificateError::UnknownIssuer) => {
            "is the root among the trusted ones, and does the peer send its intermediates?"
        }
        ErrorKind::Certificate(CertificateError::BadSignature) => {
            "is the trusted root an older one of the same name, from a CA that was made anew?"
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
            "the peer speaks none of the TLS versions we offer: TLS 1.1 and older are not supported (RFC 8996), and \
             TLS 1.2 or 1.3 only as far as the configuration of each side allows it"
        }
        ErrorKind::AlertReceived(
            AlertDescription::HANDSHAKE_FAILURE | AlertDescription::INSUFFICIENT_SECURITY,
        ) if phase != Some(Phase::Established) => {
            "usually no common cipher suite, group or signature scheme: the peer needs TLS 1.2 or 1.3 and ECDHE with \
             AES-GCM or ChaCha20-Poly1305; its own log may say what was missing"
        }
        ErrorKind::NothingInCommon(what) => return hint_for_nothing_in_common(what),
        _ => return None,
    })
}

fn hint_for_nothing_in_common(what: &NothingInCommon) -> Option<&'static str> {
    Some(match what {
        NothingInCommon::Version { theirs, .. }
            if theirs.iter().all(|version| *version < ProtocolVersion::TLS12) =>
        {
            "TLS 1.1 and older are obsolete (RFC 8996) and not supported: let the peer speak TLS 1.2 or 1.3"
        }
        NothingInCommon::Version { .. } => {
            "widen the minimum and maximum version of one side, and see that the version has a cipher suite"
        }
        NothingInCommon::CipherSuite { theirs, .. } if !theirs.iter().copied().any(is_supported) => {
            "static RSA, DHE and CBC suites are not supported: let the peer offer ECDHE with AES-GCM or \
             ChaCha20-Poly1305"
        }
        NothingInCommon::CipherSuite { .. } => "add one of the peer's cipher suites to our configuration",
        NothingInCommon::Group { theirs, .. } if theirs.is_empty() => {
            "the peer names no group, and so cannot do ECDHE with what we have: let it offer x25519 or secp256r1"
        }
        NothingInCommon::Group { .. } => "add a group to the configuration of one side",
        NothingInCommon::SignatureScheme { .. } => {
            "add a certificate whose type of key (ECDSA, RSA, Ed25519) fits the peer's signature schemes and cipher \
             suites"
        }
        NothingInCommon::ExtendedMainSecret => {
            "update the peer, or call allow_missing_extended_main_secret() if its risk is acceptable"
        }
        NothingInCommon::SecureRenegotiation => {
            "update the peer, or call allow_missing_renegotiation_info() on the client if its risk is acceptable"
        }
        NothingInCommon::ClientCertificate { .. } => {
            "we require one: give the client a certificate of an authority that we trust"
        }
        NothingInCommon::ApplicationProtocol { .. } => return None,
    })
}

/// Whether this is a suite that some configuration of ours can have: those that the registry names, but for the two
/// that are signals.
fn is_supported(suite: CipherSuite) -> bool {
    suite.name().is_some()
        && suite != CipherSuite::TLS_EMPTY_RENEGOTIATION_INFO_SCSV
        && suite != CipherSuite::TLS_FALLBACK_SCSV
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
        .any(|method| first_bytes.starts_with(method.get(..first_bytes.len()).unwrap_or(method)))
        && !first_bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn shown(what: NothingInCommon) -> String {
        Error::from(what).to_string()
    }

    #[test]
    fn an_old_version_is_to_be_given_up_and_a_new_one_to_be_allowed() {
        let old = shown(NothingInCommon::Version {
            theirs: vec![ProtocolVersion::TLS11, ProtocolVersion::TLS10],
            ours: vec![ProtocolVersion::TLS13, ProtocolVersion::TLS12],
        });
        for part in [
            "[TLSv1.1, TLSv1.0]",
            "[TLSv1.3, TLSv1.2]",
            "RFC 8996",
            "let the peer",
        ] {
            assert!(old.contains(part), "{old}");
        }
        let new = shown(NothingInCommon::Version {
            theirs: vec![ProtocolVersion::TLS12],
            ours: vec![ProtocolVersion::TLS13],
        });
        assert!(new.contains("minimum") && !new.contains("8996"), "{new}");
    }

    #[test]
    fn suites_that_nobody_should_have_are_named() {
        let shown_suites = |theirs: &[u16]| {
            shown(NothingInCommon::CipherSuite {
                theirs: theirs.iter().copied().map(CipherSuite).collect(),
                ours: vec![CipherSuite::TLS_AES_128_GCM_SHA256],
            })
        };
        let old = shown_suites(&[0x002f, 0xc009, 0x00ff]);
        for part in [
            "TLS_RSA_WITH_AES_128_CBC_SHA,",
            "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,",
            "we have [TLS_AES_128_GCM_SHA256]",
            "let the peer offer ECDHE",
        ] {
            assert!(old.contains(part), "{part}: {old}");
        }
        let good = shown_suites(&[0x002f, 0xc02b]);
        assert!(good.contains("add one of the peer's"), "{good}");
        assert!(shown_suites(&[0xfefe]).contains("CipherSuite(0xfefe)"));
    }
}
