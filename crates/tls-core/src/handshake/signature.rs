//! CertificateVerify in TLS 1.3, for both sides (section 4.4.3).

use std::sync::Arc;

use crate::crypto::hash::HashValue;
use crate::crypto::verification::algorithms_for;
use crate::error::{Error, HookError, Misbehaviour, Side};
use crate::hooks::CertifiedKey;
use crate::messages::certificate_verify::CertificateVerify;
use crate::peer::Peer;
use crate::registry::SignatureScheme;
use crate::verify::{HandshakeSignatureVerified, verify_handshake_signature};

/// Has the transcript so far signed, and sends the CertificateVerify.
pub(super) async fn send_certificate_verify(
    peer: &mut Peer<'_>,
    signer: Side,
    certified: &CertifiedKey,
    scheme: SignatureScheme,
) -> Result<(), Error> {
    const HOOK: &str = "PrivateKey";
    let content = signed_content(signer, &peer.transcript.hash());
    let context = Arc::clone(&peer.context);
    let answer = certified.key().sign(scheme, &content, &context);
    let signature = peer
        .ask(HOOK, answer)
        .await
        .map_err(|source| Error::hook(HOOK, source))?;
    if let (false, Some(leaf)) = (certified.key().is_self_checking(), certified.chain().first()) {
        verify_handshake_signature(leaf, scheme, &content, &signature).map_err(|_| {
            Error::hook(
                HOOK,
                HookError::from("the signature does not fit the certificate and the handshake"),
            )
        })?;
    }
    peer.send(&CertificateVerify { scheme, signature })
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
    verify_handshake_signature(leaf, message.scheme, &content, &message.signature)
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
    let mut schemes = Vec::with_capacity(offered.len());
    schemes.extend(
        offered
            .iter()
            .filter(|scheme| !algorithms_for(**scheme).is_empty()),
    );
    schemes
}
