//! Who the client is, for a server of either version: the request (section 4.3.2; RFC 5246 7.4.4), the client's answer
//! (section 4.4.2; RFC 5246 7.4.6 and 7.4.8), and whom a session stands for.

use std::sync::Arc;

use super::chain::check_length;
use super::client13::into_chain;
use super::keys::Authenticated;
use super::signature::check_certificate_verify;
use crate::config::{ClientAuthSettings, ServerSettings};
use crate::crypto::verification::algorithms_for_tls12;
use crate::error::{Error, ErrorKind, Misbehaviour, NothingInCommon, Side};
use crate::hooks::{ExpectedPeer, PeerChain, PeerVerified, VerifyRequest};
use crate::messages::certificate::Certificate;
use crate::messages::certificate_verify::CertificateVerify;
use crate::messages::extensions::{Place, check_placement};
use crate::messages::tls12::certificate::Certificate as Certificate12;
use crate::peer::Peer;
use crate::registry::{ProtocolVersion, SignatureScheme};
use crate::session::{RequestId, SessionState};
use crate::verify::verify_signature;

/// Who the client is, and since when we know.
pub(super) struct ClientIdentity {
    chain: Option<Arc<PeerChain>>,
    authenticated: Authenticated,
    /// What it signed this handshake with.
    scheme: Option<SignatureScheme>,
    /// By what it was asked, in this handshake or the one that a session comes from.
    pub(super) asked_by: Option<RequestId>,
    /// When that handshake was, in milliseconds since 1970.
    pub(super) authenticated_at: u64,
}

impl ClientIdentity {
    fn anonymous(asked_by: Option<RequestId>, authenticated_at: u64) -> Self {
        Self {
            chain: None,
            authenticated: Authenticated::Anonymous,
            scheme: None,
            asked_by,
            authenticated_at,
        }
    }

    /// What it presented, and proved to have the key of.
    pub(super) fn chain(&self) -> Option<Arc<PeerChain>> {
        self.chain.clone()
    }

    /// What it signed this handshake with; `None` for a session, and where it presented nothing.
    pub(super) fn scheme(&self) -> Option<SignatureScheme> {
        self.scheme
    }

    /// The proof.
    pub(super) fn into_authenticated(self) -> Authenticated {
        self.authenticated
    }
}

/// Whom a session stands for, before today's configuration was asked. (Small, to wait with instead of the session.)
pub(super) struct Claim {
    chain: Option<Arc<PeerChain>>,
    asked_by: Option<RequestId>,
    authenticated_at: u64,
}

impl From<&SessionState> for Claim {
    fn from(state: &SessionState) -> Self {
        Self {
            chain: state.peer_chain.clone(),
            asked_by: state.client_asked_by,
            authenticated_at: state.authenticated_at,
        }
    }
}

/// A chain that the verifier accepts, whose key the client has yet to prove.
pub(super) type Presented = (Arc<PeerChain>, PeerVerified);

// ---- TLS 1.3

/// CertificateRequest, where the configuration says so.
pub(super) fn send_certificate_request13(peer: &mut Peer<'_>, config: &ServerSettings) -> Result<(), Error> {
    match &config.client_auth {
        Some(auth) => peer.send_encoded(&auth.request13),
        None => Ok(()),
    }
}

/// The client's Certificate and CertificateVerify, if it was asked.
pub(super) async fn read_client13(
    peer: &mut Peer<'_>,
    config: &ServerSettings,
) -> Result<ClientIdentity, Error> {
    let Some(auth) = &config.client_auth else {
        return Ok(ClientIdentity::anonymous(None, config.common.clock.now_ms()));
    };
    let message = peer.read::<Certificate>().await?;
    if !message.context.is_empty() {
        return Err(Misbehaviour::IllegalParameter("certificate_request_context").into());
    }
    for entry in &message.entries {
        check_placement(&entry.extension_types, Place::Certificate)?;
        // Our request asks for none.
        if let Some(extension) = entry.extension_types.first() {
            return Err(Misbehaviour::UnsolicitedExtension(*extension).into());
        }
    }
    let chain = into_chain(message);
    let Some((chain, trusted)) = judge(peer, config, auth, chain, ProtocolVersion::TLS13).await? else {
        let now = config.common.clock.now_ms();
        return Ok(ClientIdentity::anonymous(Some(auth.request_id), now));
    };
    let transcript_hash = peer.transcript.hash();
    let message = peer.read::<CertificateVerify>().await?;
    let offered = &config.common.signature_schemes;
    let leaf = chain
        .certificates
        .first()
        .ok_or(Misbehaviour::NoCertificate(Side::Client))?;
    let signed = check_certificate_verify(Side::Client, offered, leaf, &transcript_hash, &message)?;
    Ok(ClientIdentity {
        chain: Some(chain),
        authenticated: Authenticated::ByCertificate((trusted, signed)),
        scheme: Some(message.scheme),
        asked_by: Some(auth.request_id),
        authenticated_at: config.common.clock.now_ms(),
    })
}

// ---- TLS 1.2

/// CertificateRequest, where the configuration says so.
pub(super) fn send_certificate_request12(peer: &mut Peer<'_>, config: &ServerSettings) -> Result<(), Error> {
    match &config.client_auth {
        Some(auth) => peer.send_encoded(&auth.request12),
        None => Ok(()),
    }
}

/// The client's Certificate, if it was asked; the proof comes with [`read_certificate_verify12`].
pub(super) async fn read_certificate12(
    peer: &mut Peer<'_>,
    config: &ServerSettings,
) -> Result<Option<Presented>, Error> {
    let Some(auth) = &config.client_auth else {
        return Ok(None);
    };
    let message = peer.read::<Certificate12>().await?;
    let chain = PeerChain::new(message.chain);
    judge(peer, config, auth, chain, ProtocolVersion::TLS12).await
}

/// CertificateVerify after ClientKeyExchange, from a client that presented a chain. It signs all messages so far, not
/// their hash: the transcript must not have been started.
pub(super) async fn read_certificate_verify12(
    peer: &mut Peer<'_>,
    config: &ServerSettings,
    presented: Option<Presented>,
) -> Result<ClientIdentity, Error> {
    let now = config.common.clock.now_ms();
    let asked_by = config.client_auth.as_ref().map(|auth| auth.request_id);
    let Some((chain, trusted)) = presented else {
        return Ok(ClientIdentity::anonymous(asked_by, now));
    };
    let (message, bytes) = peer.read_unhashed::<CertificateVerify>().await?;
    if !config.common.signature_schemes.contains(&message.scheme) {
        return Err(Misbehaviour::NotOffered("signature scheme").into());
    }
    let leaf = chain
        .certificates
        .first()
        .ok_or(Misbehaviour::NoCertificate(Side::Client))?;
    let signed_messages = peer.transcript.buffered().ok_or_else(|| {
        Error::new(ErrorKind::Crypto(
            "the messages were not kept for CertificateVerify",
        ))
    })?;
    let signed = verify_signature(
        leaf,
        message.scheme,
        algorithms_for_tls12(message.scheme),
        signed_messages,
        &message.signature,
    )?;
    peer.transcript.add(&bytes);
    Ok(ClientIdentity {
        chain: Some(chain),
        authenticated: Authenticated::ByCertificate((trusted, signed)),
        scheme: Some(message.scheme),
        asked_by,
        authenticated_at: now,
    })
}

// ---- Both

/// What is to be thought of a client's chain: `None` if it is empty and may be.
async fn judge(
    peer: &mut Peer<'_>,
    config: &ServerSettings,
    auth: &ClientAuthSettings,
    chain: PeerChain,
    version: ProtocolVersion,
) -> Result<Option<Presented>, Error> {
    if chain.certificates.is_empty() {
        return match auth.required {
            true => Err(NothingInCommon::ClientCertificate { version }.into()),
            false => Ok(None),
        };
    }
    check_length(chain.certificates.len(), Side::Client)?;
    let trusted = verify_client_chain(peer, config, auth, &chain).await?;
    Ok(Some((Arc::new(chain), trusted)))
}

/// Asks the verifier whether the chain is good for a client.
async fn verify_client_chain(
    peer: &mut Peer<'_>,
    config: &ServerSettings,
    auth: &ClientAuthSettings,
    chain: &PeerChain,
) -> Result<PeerVerified, Error> {
    let request = VerifyRequest::new(chain, ExpectedPeer::Client, config.common.clock.now());
    let context = Arc::clone(&peer.context);
    let answer = auth.verifier.verify(&request, &context);
    peer.ask("PeerVerifier", answer).await.map_err(Error::from)
}

/// Whom a session stands for under today's configuration: the chain of the handshake that it comes from is verified
/// again. `None` where it must not be resumed:
/// - somebody would be known whom this configuration did not ask for, or the verifier refuses today;
/// - nobody would be known, and a certificate is required, or the client was never asked like this for the one that it
///   may have: other authorities are named now, or none were then.
pub(super) async fn identity_of_session(
    peer: &mut Peer<'_>,
    config: &ServerSettings,
    claim: Claim,
) -> Option<ClientIdentity> {
    let trusted = match (&config.client_auth, &claim.chain) {
        (Some(auth), Some(chain)) => verify_client_chain(peer, config, auth, chain).await.ok()?,
        (None, Some(_)) => return None,
        (Some(auth), None) if auth.required || claim.asked_by != Some(auth.request_id) => return None,
        (_, None) => return Some(ClientIdentity::anonymous(claim.asked_by, claim.authenticated_at)),
    };
    Some(ClientIdentity {
        chain: claim.chain,
        authenticated: Authenticated::BySession(trusted),
        scheme: None,
        asked_by: claim.asked_by,
        authenticated_at: claim.authenticated_at,
    })
}
