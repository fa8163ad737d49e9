//! TLS 1.3, client side: the left-hand column of the figure in section 2, from the ServerHello on.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, ServerName};

use super::client::Offer;
use super::keys::{Authenticated, HandshakeKeys, establish, start_handshake_keys};
use super::signature::{check_certificate_verify, send_certificate_verify};
use crate::config::ClientSettings;
use crate::connection::Connection;
use crate::error::{Error, Misbehaviour, Side};
use crate::hooks::{CertificateQuery, CertifiedKey, ExpectedPeer, PeerChain, PeerVerified, VerifyRequest};
use crate::messages::certificate::{Certificate, CertificateRef};
use crate::messages::certificate_request::CertificateRequest;
use crate::messages::certificate_verify::CertificateVerify;
use crate::messages::encrypted_extensions::EncryptedExtensions;
use crate::messages::extensions::{Place, check_placement};
use crate::messages::server_hello::ServerHello;
use crate::negotiated::{EarlyData, Negotiated};
use crate::peer::Peer;
use crate::registry::{ExtensionType, HandshakeType, ProtocolVersion, SignatureScheme};
use crate::verify::HandshakeSignatureVerified;

/// Reads the server's flight, answers it, and returns the connection.
pub(super) async fn finish(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
    offer: &mut Offer,
    hello: &ServerHello,
) -> Result<Connection, Error> {
    let keys = agree_on_keys(peer, config, offer, hello)?;
    let alpn = read_encrypted_extensions(peer, offer).await?;
    let request = read_certificate_request(peer).await?;
    let chain = read_certificate(peer, offer).await?;
    let trusted = verify_chain(peer, config, server_name, &chain).await?;
    let (scheme, signed) = read_certificate_verify(peer, config, &chain).await?;
    let finished = keys.read_finished(peer).await?;

    let suite = keys.suite;
    let secrets = keys.application_secrets(peer, &config.common, &offer.hello.random);
    peer.set_read_keys(suite, &secrets.server.key_and_iv(suite.key_len()))?;
    if let Some(request) = &request {
        send_certificate(peer, config, request).await?;
    }
    keys.send_finished(peer)?;
    peer.set_write_keys(suite, &secrets.client.key_and_iv(suite.key_len()))?;
    peer.flush().await?;

    let negotiated = Negotiated {
        version: ProtocolVersion::TLS13,
        cipher_suite: suite.id,
        group: keys.group,
        signature_scheme: Some(scheme),
        alpn,
        server_name: offer.hello.extensions.server_name.take(),
        peer_chain: Some(chain),
        retried: offer.was_retried,
        early_data: EarlyData::NotOffered,
    };
    let authenticated = Authenticated::ByCertificate((trusted, signed));
    Ok(establish(
        peer,
        suite,
        secrets,
        negotiated,
        finished,
        authenticated,
    ))
}

/// Completes the key exchange with the server's share (section 4.2.8) and changes to the handshake keys.
fn agree_on_keys(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    offer: &Offer,
    hello: &ServerHello,
) -> Result<HandshakeKeys, Error> {
    let missing = Misbehaviour::MissingExtension(ExtensionType::KEY_SHARE);
    let share = hello.extensions.key_share.as_ref().ok_or(missing)?;
    let shared_secret = offer.key_exchange.complete(share.group, &share.key_exchange)?;
    // Just before the second flight, unless a second ClientHello had it (section D.4).
    if config.middlebox_compatibility && !offer.was_retried {
        peer.send_change_cipher_spec()?;
    }
    start_handshake_keys(
        peer,
        &config.common,
        &offer.hello.random,
        offer.suite()?,
        share.group,
        &shared_secret,
    )
}

/// The server's answers to our extensions; returns the application protocol it chose.
async fn read_encrypted_extensions(peer: &mut Peer<'_>, offer: &Offer) -> Result<Option<Vec<u8>>, Error> {
    let message = peer.read::<EncryptedExtensions>().await?;
    check_placement(&message.extension_types, Place::EncryptedExtensions)?;
    offer.check_offered(&message.extension_types)?;
    if let Some(chosen) = &message.alpn
        && !offer
            .hello
            .extensions
            .alpn
            .as_ref()
            .is_some_and(|names| names.contains(chosen))
    {
        return Err(Misbehaviour::NotOffered("application protocol").into());
    }
    Ok(message.alpn)
}

/// The server may ask for our certificate (section 4.3.2).
async fn read_certificate_request(peer: &mut Peer<'_>) -> Result<Option<CertificateRequest>, Error> {
    if peer.peek(HandshakeType::CERTIFICATE).await? != HandshakeType::CERTIFICATE_REQUEST {
        return Ok(None);
    }
    let request = peer.read::<CertificateRequest>().await?;
    check_placement(&request.extension_types, Place::CertificateRequest)?;
    if request.signature_algorithms.is_empty() {
        return Err(Misbehaviour::MissingExtension(ExtensionType::SIGNATURE_ALGORITHMS).into());
    }
    if !request.context.is_empty() {
        return Err(Misbehaviour::IllegalParameter("certificate_request_context").into());
    }
    Ok(Some(request))
}

/// The server's chain (section 4.4.2).
async fn read_certificate(peer: &mut Peer<'_>, offer: &Offer) -> Result<PeerChain, Error> {
    let message = peer.read::<Certificate>().await?;
    if !message.context.is_empty() {
        return Err(Misbehaviour::IllegalParameter("certificate_request_context").into());
    }
    for entry in &message.entries {
        check_placement(&entry.extension_types, Place::Certificate)?;
        offer.check_offered(&entry.extension_types)?;
    }
    if message.entries.is_empty() {
        return Err(Misbehaviour::NoCertificate(Side::Server).into());
    }
    Ok(into_chain(message))
}

fn into_chain(message: Certificate) -> PeerChain {
    let mut chain = PeerChain::default();
    // It lives as long as the connection: no more room than it needs.
    chain.certificates.reserve_exact(message.entries.len());
    for (index, entry) in message.entries.into_iter().enumerate() {
        if index == 0 {
            (chain.ocsp_response, chain.scts) = (entry.ocsp, entry.scts);
        }
        chain.certificates.push(entry.certificate);
    }
    chain
}

/// Asks the verifier whether the chain is good for the name we want.
async fn verify_chain(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
    chain: &PeerChain,
) -> Result<PeerVerified, Error> {
    let request = VerifyRequest::new(chain, ExpectedPeer::Server(server_name), (config.common.clock)());
    let context = Arc::clone(&peer.context);
    let answer = config.verifier.verify(&request, &context);
    peer.ask("PeerVerifier", answer).await.map_err(Error::from)
}

/// The server's proof that it has the key of its leaf.
async fn read_certificate_verify(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    chain: &PeerChain,
) -> Result<(SignatureScheme, HandshakeSignatureVerified), Error> {
    let transcript_hash = peer.transcript.hash();
    let message = peer.read::<CertificateVerify>().await?;
    let offered = &config.common.signature_schemes;
    let leaf = chain
        .certificates
        .first()
        .ok_or(Misbehaviour::NoCertificate(Side::Server))?;
    let verified = check_certificate_verify(Side::Server, offered, leaf, &transcript_hash, &message)?;
    Ok((message.scheme, verified))
}

/// Our Certificate, empty where we have none that fits, and with one the CertificateVerify (section 4.4.2).
async fn send_certificate(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    request: &CertificateRequest,
) -> Result<(), Error> {
    let chosen = choose_certificate(peer, config, request).await?;
    let chain: &[CertificateDer<'_>] = chosen.as_ref().map_or(&[], |(certified, _)| certified.chain());
    let mut message = Vec::new();
    CertificateRef {
        context: &request.context,
        chain,
        ocsp: None,
        scts: None,
    }
    .encode_message(&mut message);
    peer.send_encoded(&message)?;
    match &chosen {
        Some((certified, scheme)) => send_certificate_verify(peer, Side::Client, certified, *scheme).await,
        None => Ok(()),
    }
}

async fn choose_certificate(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    request: &CertificateRequest,
) -> Result<Option<(Arc<CertifiedKey>, SignatureScheme)>, Error> {
    const HOOK: &str = "CertificateResolver";
    let Some(resolver) = &config.resolver else {
        return Ok(None);
    };
    let schemes = super::signature::schemes_for_handshake(&request.signature_algorithms);
    let query = CertificateQuery {
        server_name: None,
        schemes: &schemes,
        authorities: &request.certificate_authorities,
        client_hello: None,
    };
    let context = Arc::clone(&peer.context);
    let answer = resolver.resolve(&query, &context);
    let chosen = peer
        .ask(HOOK, answer)
        .await
        .map_err(|source| Error::hook(HOOK, source))?;
    Ok(chosen.and_then(|certified| {
        certified
            .choose_scheme(&schemes)
            .map(|scheme| (certified, scheme))
    }))
}
