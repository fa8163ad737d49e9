//! CertificateVerify in TLS 1.3, for both sides (section 4.4.3).

use std::sync::Arc;

use crate::crypto::hash::HashValue;
use crate::crypto::verification::{Algorithm, algorithms_for};
use crate::error::{Error, HookError, Misbehaviour, Side};
use crate::hooks::CertifiedKey;
use crate::messages::certificate_verify::CertificateVerify;
use crate::peer::Peer;
use crate::registry::SignatureScheme;
use crate::verify::{HandshakeSignatureVerified, verify_signature};

/// Has the transcript so far signed, and sends the CertificateVerify.
pub(super) async fn send_certificate_verify(
    peer: &mut Peer<'_>,
    signer: Side,
    certified: &CertifiedKey,
    scheme: SignatureScheme,
) -> Result<(), Error> {
    let content = signed_content(signer, &peer.transcript.hash());
    let signature = sign(peer, certified, scheme, algorithms_for(scheme), &content).await?;
    peer.send(&CertificateVerify { scheme, signature })
}

/// Asks the key for a signature, and checks one that comes from outside before anybody sees it.
pub(super) async fn sign(
    peer: &mut Peer<'_>,
    certified: &CertifiedKey,
    scheme: SignatureScheme,
    algorithms: &[Algorithm],
    content: &[u8],
) -> Result<Vec<u8>, Error> {
    const HOOK: &str = "PrivateKey";
    let context = Arc::clone(&peer.context);
    let answer = certified.key().sign(scheme, content, &context);
    let signature = peer
        .ask(HOOK, answer)
        .await
        .map_err(|source| Error::hook(HOOK, source))?;
    if let (false, Some(leaf)) = (certified.key().is_self_checking(), certified.chain().first()) {
        verify_signature(leaf, scheme, algorithms, content, &signature).map_err(|_| {
            Error::hook(
                HOOK,
                HookError::from("the signature does not fit the certificate and the handshake"),
            )
        })?;
    }
    Ok(signature)
}

/// Checks a CertificateVerify of the peer; `transcript_hash` covers all up to its Certificate.
pub(super) fn check_certificate_verify(
    signer: Side,
    offered: &[SignatureScheme],
    leaf: &rustls_pki_types::CertificateDer<'_>,
    transcript_hash: &HashValue,
    message: &CertificateVerify,
) -> Result<HandshakeSignatureVerified, Error> {
    if !offered.contains(&message.scheme) {
        return Err(Misbehaviour::NotOffered("signature scheme").into());
    }
    let content = signed_content(signer, transcript_hash);
    verify_signature(
        leaf,
        message.scheme,
        algorithms_for(message.scheme),
        &content,
        &message.signature,
    )
}

/// What is signed: 64 spaces, the signer's context string, a zero, and the transcript hash.
fn signed_content(signer: Side, transcript_hash: &HashValue) -> Vec<u8> {
    let context: &[u8] = match signer {
        Side::Server => b"TLS 1.3, server CertificateVerify\0",
        Side::Client => b"TLS 1.3, client CertificateVerify\0",
    };
    [&[b' '; 64], context, transcript_hash.as_bytes()].concat()
}

/// Those of a peer's schemes that may sign a TLS 1.3 handshake: the others are for certificates, or older versions
/// (section 4.2.3).
pub(super) fn schemes_for_handshake(offered: &[SignatureScheme]) -> Vec<SignatureScheme> {
    each_once(offered, |scheme| !algorithms_for(scheme).is_empty())
}

/// Those that can be used, in their order. A peer may repeat itself thousands of times; there are few that we know.
pub(super) fn each_once(
    offered: &[SignatureScheme],
    is_usable: impl Fn(SignatureScheme) -> bool,
) -> Vec<SignatureScheme> {
    let mut schemes = Vec::with_capacity(offered.len().min(16));
    for scheme in offered {
        if !schemes.contains(scheme) && is_usable(*scheme) {
            schemes.push(*scheme);
        }
    }
    schemes
}
