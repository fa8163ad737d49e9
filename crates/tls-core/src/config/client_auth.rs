//! Whether and how a server asks its clients for certificates.

use std::sync::Arc;

use super::Common;
use crate::crypto::suites::Authentication;
use crate::crypto::verification::algorithms_for_tls12;
use crate::error::ConfigError;
use crate::hooks::{PeerVerifier, WebPkiVerifier};
use crate::messages::certificate_request::CertificateRequest;
use crate::messages::encode_message;
use crate::messages::tls12::certificate_request::{
    CertificateRequest as CertificateRequest12, ECDSA_SIGN, RSA_SIGN,
};
use crate::verify::RootStore;

/// That a server asks its clients for a certificate (mutual TLS), who judges it, and whether it may be missing.
///
/// A certificate that the verifier refuses ends the handshake, also where none is required. The client proves that it
/// has the key. What it presented is [`crate::Negotiated::peer_chain`], also on resumed connections: there the
/// verifier is asked again about the same chain, and a refusal means a full handshake.
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{ClientAuth, RootStore, WebPkiVerifier};
/// # let ca = rcgen::generate_simple_self_signed(vec!["ca".into()]).unwrap().cert.pem();
/// # fn example(ca: &[u8]) -> Result<ClientAuth, tls_core::ConfigError> {
/// let verifier = WebPkiVerifier::new(RootStore::from_pem(ca)?);
/// # Ok(
/// ClientAuth::requested(Arc::new(verifier))
/// # )
/// # }
/// # example(ca.as_bytes()).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct ClientAuth {
    verifier: Arc<dyn PeerVerifier>,
    required: bool,
    /// DER; `None`: those that the verifier names.
    authorities: Option<Vec<Vec<u8>>>,
}

/// So many names are sent to clients unless the caller names them: with more, the names cost each handshake more than
/// they help a client to choose.
const MAX_AUTHORITIES: usize = 64;

/// Bytes of all names with their lengths: the message has a length of two bytes for them and a little else.
const MAX_AUTHORITY_BYTES: usize = 60_000;

impl ClientAuth {
    /// Refuses clients without a certificate: with certificate_required, in TLS 1.2 with handshake_failure.
    #[must_use]
    pub fn required(verifier: Arc<dyn PeerVerifier>) -> Self {
        Self {
            verifier,
            required: true,
            authorities: None,
        }
    }

    /// Asks for a certificate, and lets clients in that have none.
    #[must_use]
    pub fn requested(verifier: Arc<dyn PeerVerifier>) -> Self {
        Self {
            required: false,
            ..Self::required(verifier)
        }
    }

    /// Required, and verified with webpki against these roots.
    pub(super) fn required_from(roots: RootStore) -> Self {
        Self::required(Arc::new(WebPkiVerifier::new(roots)))
    }

    /// The names of the authorities (DER of the whole `Name`) whose certificates are welcome, for clients that have
    /// several to choose from (section 4.2.4). No names: the client is to present any. Default: those that the
    /// verifier names ([`PeerVerifier::authorities`]) if they are no more than 64, else none.
    #[must_use]
    pub fn authorities(mut self, names: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.authorities = Some(names.into_iter().collect());
        self
    }

    pub(super) fn build(self, common: &Common) -> Result<ClientAuthSettings, ConfigError> {
        let authorities = self.authorities.unwrap_or_else(|| {
            let mut names = self.verifier.authorities();
            if names.len() > MAX_AUTHORITIES {
                names.clear();
            }
            names
        });
        let bytes = authorities.iter().map(|name| name.len().saturating_add(2));
        if bytes.fold(0, usize::saturating_add) > MAX_AUTHORITY_BYTES {
            return Err(ConfigError::new(format!(
                "the names of the clients' authorities have more than {MAX_AUTHORITY_BYTES} bytes"
            )));
        }
        if authorities.iter().any(Vec::is_empty) {
            return Err(ConfigError::new("the name of a clients' authority is empty"));
        }
        let mut settings = ClientAuthSettings {
            verifier: self.verifier,
            required: self.required,
            request13: Vec::new(),
            request12: Vec::new(),
        };
        let schemes = &common.signature_schemes;
        let certificate_types = [
            (ECDSA_SIGN, Authentication::Ecdsa),
            (RSA_SIGN, Authentication::Rsa),
        ]
        .into_iter()
        .filter(|(_, kind)| {
            let of_kind = schemes
                .iter()
                .filter(|scheme| Authentication::of(**scheme) == *kind);
            of_kind
                .into_iter()
                .any(|scheme| !algorithms_for_tls12(*scheme).is_empty())
        });
        let request12 = CertificateRequest12 {
            certificate_types: certificate_types.map(|(of, _)| of).collect(),
            signature_algorithms: schemes.clone(),
            certificate_authorities: authorities,
        };
        encode_message(&request12, &mut settings.request12);
        let request13 = CertificateRequest {
            signature_algorithms: schemes.clone(),
            certificate_authorities: request12.certificate_authorities,
            ..CertificateRequest::default()
        };
        encode_message(&request13, &mut settings.request13);
        Ok(settings)
    }
}

/// The same for the handshake, checked.
#[derive(Debug)]
pub(crate) struct ClientAuthSettings {
    pub(crate) verifier: Arc<dyn PeerVerifier>,
    pub(crate) required: bool,
    /// CertificateRequest of TLS 1.3 with its header: it is the same each time.
    pub(crate) request13: Vec<u8>,
    /// That of TLS 1.2.
    pub(crate) request12: Vec<u8>,
}
