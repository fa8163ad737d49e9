//! Certificates, for both versions: who chooses ours, who judges the peer's.

use std::sync::Arc;

use rustls_pki_types::ServerName;

use crate::config::{ClientSettings, ServerSettings};
use crate::error::{CertificateError, Error, HookError, Misbehaviour, NothingInCommon, Side};
use crate::hooks::{CertificateQuery, CertifiedKey, ExpectedPeer, PeerChain, PeerVerified, VerifyRequest};
use crate::messages::client_hello::ClientHello;
use crate::peer::Peer;
use crate::registry::SignatureScheme;
use crate::verify::MAX_CHAIN;

const RESOLVER: &str = "CertificateResolver";

/// What a hook has, or nothing where it failed: a session hook never fails a handshake.
pub(super) fn unless_failed<T>(hook: &'static str, answer: Result<Option<T>, HookError>) -> Option<T> {
    answer.unwrap_or_else(|error| {
        // Not louder: a store that is out of reach fails every handshake, and knows best how often to warn.
        tracing::debug!(%error, hook, "a session hook failed: a full handshake instead");
        None
    })
}

/// What to present, and the scheme to sign with.
pub(super) type Chosen = (Arc<CertifiedKey>, SignatureScheme);

/// Asks for the server's chain: it must fit the client's name and these of its signature schemes.
pub(super) async fn choose_server_certificate(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    config: &ServerSettings,
    schemes: &[SignatureScheme],
) -> Result<Chosen, Error> {
    let query = CertificateQuery {
        server_name: hello.server_name(),
        schemes,
        authorities: hello
            .extensions
            .certificate_authorities
            .as_deref()
            .unwrap_or_default(),
        certificate_types: &[],
        client_hello: Some(hello),
    };
    let context = Arc::clone(&peer.context);
    let answer = config.resolver.resolve(&query, &context);
    let chosen = peer
        .ask(RESOLVER, answer)
        .await
        .map_err(|source| Error::hook(RESOLVER, source))?;
    with_scheme(chosen, schemes).ok_or_else(|| {
        NothingInCommon::SignatureScheme {
            theirs: schemes.to_vec(),
        }
        .into()
    })
}

/// Asks for the chain to answer a CertificateRequest with, if there is one that fits.
pub(super) async fn choose_client_certificate(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    schemes: &[SignatureScheme],
    authorities: &[Vec<u8>],
    certificate_types: &[u8],
) -> Result<Option<Chosen>, Error> {
    let Some(resolver) = &config.resolver else {
        return Ok(None);
    };
    let query = CertificateQuery {
        server_name: None,
        schemes,
        authorities,
        certificate_types,
        client_hello: None,
    };
    let context = Arc::clone(&peer.context);
    let answer = resolver.resolve(&query, &context);
    let chosen = peer
        .ask(RESOLVER, answer)
        .await
        .map_err(|source| Error::hook(RESOLVER, source))?;
    Ok(with_scheme(chosen, schemes))
}

fn with_scheme(chosen: Option<Arc<CertifiedKey>>, schemes: &[SignatureScheme]) -> Option<Chosen> {
    let certified = chosen?;
    let scheme = certified.choose_scheme(schemes)?;
    Some((certified, scheme))
}

/// A server presents at least one certificate, and nobody more than we look at.
pub(super) fn check_length(certificates: usize, presenter: Side) -> Result<(), Error> {
    match certificates {
        0 => Err(Misbehaviour::NoCertificate(presenter).into()),
        1..=MAX_CHAIN => Ok(()),
        _ => Err(CertificateError::ChainTooLong.into()),
    }
}

/// Asks the verifier whether the server's chain is good for the name we want.
pub(super) async fn verify_server_chain(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
    chain: &PeerChain,
) -> Result<PeerVerified, Error> {
    let request = VerifyRequest::new(
        chain,
        ExpectedPeer::Server(server_name),
        config.common.clock.now(),
    );
    let context = Arc::clone(&peer.context);
    let answer = config.verifier.verify(&request, &context);
    peer.ask("PeerVerifier", answer).await.map_err(Error::from)
}

/// The same for the chain of a session that was made for this name. What was accepted in the same security domain
/// need not be verified again if the verifier says so.
pub(super) async fn verify_session_chain(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
    chain: &PeerChain,
) -> Result<PeerVerified, Error> {
    if chain.was_accepted_in(&config.security_domain) {
        let now = config.common.clock.now();
        let request = VerifyRequest::new(chain, ExpectedPeer::Server(server_name), now);
        if config.verifier.still_accepts(&request) {
            return Ok(PeerVerified::assertion());
        }
    }
    verify_server_chain(peer, config, server_name, chain).await
}
