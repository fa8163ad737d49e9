//! TLS 1.2, client side: the left-hand column of figure 1 in RFC 5246 section 7.3, from the ServerHello on.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, ServerName};

use super::chain::{Chosen, check_length, choose_client_certificate, verify_server_chain};
use super::client::Offer;
use super::keys::Authenticated;
use super::keys12::{Keys12, establish12};
use super::psk13::forget_sessions;
use super::resume12::{self, accepted_session, client_session, read_new_session_ticket};
use super::signature::sign;
use crate::config::ClientSettings;
use crate::connection::Connection;
use crate::crypto::key_exchange::{self, SharedSecret};
use crate::crypto::suites::{Authentication, Suite};
use crate::crypto::verification::algorithms_for_tls12;
use crate::error::{Error, Misbehaviour, NothingInCommon, Side};
use crate::hooks::{CertifiedKey, PeerChain};
use crate::key_schedule12::Randoms;
use crate::messages::certificate_verify::CertificateVerify;
use crate::messages::server_hello::ServerHello;
use crate::messages::tls12::certificate::{Certificate, CertificateRef};
use crate::messages::tls12::certificate_request::{CertificateRequest, ECDSA_SIGN, RSA_SIGN};
use crate::messages::tls12::certificate_status::CertificateStatus;
use crate::messages::tls12::client_key_exchange::ClientKeyExchange;
use crate::messages::tls12::server_hello_done::ServerHelloDone;
use crate::messages::tls12::server_key_exchange::{EcdhParams, ServerKeyExchange};
use crate::negotiated::{EarlyData, Negotiated};
use crate::peer::Peer;
use crate::record::ChangeCipherSpec;
use crate::registry::{HandshakeType, ProtocolVersion, SignatureScheme};
use crate::session::Inherited;
use crate::verify::{HandshakeSignatureVerified, check_curve12, verify_signature};

/// Reads the server's flight, answers it, reads the server's Finished, and returns the connection.
pub(super) async fn finish(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
    offer: &mut Offer,
    hello: &ServerHello,
) -> Result<Connection, Error> {
    check_server_hello(config, offer, hello)?;
    let suite = offer.suite()?;
    peer.input.set_tls12();
    peer.input.set_change_cipher_spec(ChangeCipherSpec::Refuse);
    if config.resolver.is_none() {
        // Only a CertificateVerify needs the messages themselves.
        peer.transcript.start(suite.hash);
    }
    match accepted_session(offer, hello)? {
        Some(session) => resume(peer, config, offer, hello, session).await,
        None => {
            if offer.session12.take().is_some() || offer.psk.take().is_some() {
                // A server that does not take one of its sessions will hardly take another.
                forget_sessions(peer, config, server_name).await;
            }
            full_handshake(peer, config, server_name, offer, hello).await
        }
    }
}

/// Figure 2 of RFC 5246: both sides know the main secret already.
async fn resume(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    offer: &mut Offer,
    hello: &ServerHello,
    resumed: resume12::Offered,
) -> Result<Connection, Error> {
    let suite = offer.suite()?;
    peer.transcript.start(suite.hash);
    let state = &resumed.session.parts().state;
    let randoms = Randoms {
        client: offer.hello.random,
        server: hello.random,
    };
    let keys = Keys12::resume(&config.common, suite, state.secret.as_bytes(), randoms)?;
    let ticket = read_new_session_ticket(peer, hello).await?;
    let finished = keys.read_finished(peer).await?;
    keys.send_finished(peer)?;
    peer.flush().await?;

    let missing = Misbehaviour::NoCertificate(Side::Server);
    let chain = resumed.session.shared_peer_chain().ok_or(missing)?;
    let negotiated = Negotiated {
        version: ProtocolVersion::TLS12,
        cipher_suite: suite.id,
        group: None,
        signature_scheme: None,
        peer_signature_scheme: None,
        alpn: hello.extensions.alpn.clone(),
        server_name: offer.hello.extensions.server_name.take(),
        resumed: true,
        peer_chain: Some(chain),
        retried: false,
        early_data: EarlyData::NotOffered,
    };
    // A session without a new ticket stays as it is in the cache.
    let name = state.server_name.clone().unwrap_or_default();
    let clock = &config.common.clock;
    let inherited = state.inheritance();
    let renewed = ticket
        .and_then(|ticket| client_session(&keys, hello, Some(ticket), &negotiated, name, inherited, clock));
    let authenticated = Authenticated::BySession(resumed.trusted);
    Ok(establish12(peer, keys, negotiated, finished, authenticated).with_session(renewed))
}

/// Figure 1 of RFC 5246, from the server's Certificate on.
async fn full_handshake(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
    offer: &mut Offer,
    hello: &ServerHello,
) -> Result<Connection, Error> {
    let suite = offer.suite()?;
    let mut chain = read_certificate(peer, hello).await?;
    if let Some(leaf) = chain.certificates.first() {
        check_curve12(leaf, &config.common.groups)?;
    }
    let trusted = verify_server_chain(peer, config, server_name, &chain).await?;
    chain.set_accepted_in(config.security_domain);
    let (params, scheme, signed) =
        read_server_key_exchange(peer, config, offer, hello, &chain, suite).await?;
    let request = read_certificate_request(peer).await?;
    peer.read::<ServerHelloDone>().await?;
    peer.input.end_of_flight_or_hello_request()?;

    let certified = match &request {
        Some(request) => send_certificate(peer, config, request).await?,
        None => None,
    };
    let keys = send_client_key_exchange(peer, config, offer, hello, suite, &params)?;
    if let Some((certified, scheme)) = &certified {
        send_certificate_verify(peer, certified, *scheme).await?;
    }
    peer.transcript.start(suite.hash);
    keys.send_finished(peer)?;
    let ticket = read_new_session_ticket(peer, hello).await?;
    let finished = keys.read_finished(peer).await?;

    let negotiated = Negotiated {
        version: ProtocolVersion::TLS12,
        cipher_suite: suite.id,
        group: Some(params.group),
        signature_scheme: Some(scheme),
        peer_signature_scheme: Some(scheme),
        alpn: hello.extensions.alpn.clone(),
        server_name: offer.hello.extensions.server_name.take(),
        resumed: false,
        peer_chain: Some(Arc::new(chain)),
        retried: false,
        early_data: EarlyData::NotOffered,
    };
    let session = config.session_cache.is_some().then(|| {
        let name = server_name.to_str().into_owned();
        let clock = &config.common.clock;
        let inherited = Inherited::nothing(clock.now_ms());
        client_session(&keys, hello, ticket, &negotiated, name, inherited, clock)
    });
    let authenticated = Authenticated::ByCertificate((trusted, signed));
    Ok(establish12(peer, keys, negotiated, finished, authenticated).with_session(session.flatten()))
}

/// What a ServerHello of TLS 1.2 must and must not say to us.
fn check_server_hello(config: &ClientSettings, offer: &Offer, hello: &ServerHello) -> Result<(), Error> {
    let extensions = &hello.extensions;
    if let Some(chosen) = &extensions.alpn
        && !offer
            .hello
            .extensions
            .alpn
            .as_ref()
            .is_some_and(|names| names.contains(chosen))
    {
        return Err(Misbehaviour::NotOffered("application protocol").into());
    }
    match &extensions.renegotiation_info {
        // RFC 5746 section 3.4.
        Some(previous) if !previous.is_empty() => {
            return Err(NothingInCommon::SecureRenegotiation.into());
        }
        None if config.require_renegotiation_info => return Err(NothingInCommon::SecureRenegotiation.into()),
        _ => {}
    }
    if !extensions.extended_main_secret && config.require_extended_main_secret {
        return Err(NothingInCommon::ExtendedMainSecret.into());
    }
    // RFC 8422 section 5.2.
    if extensions
        .ec_point_formats
        .is_some_and(|formats| !formats.uncompressed)
    {
        return Err(Misbehaviour::IllegalParameter("ec_point_formats without uncompressed").into());
    }
    Ok(())
}

/// Certificate (RFC 5246 7.4.2), and the OCSP response that may follow it (RFC 6066 section 8).
async fn read_certificate(peer: &mut Peer<'_>, hello: &ServerHello) -> Result<PeerChain, Error> {
    let message = peer.read::<Certificate>().await?;
    check_length(message.chain.len(), Side::Server)?;
    let mut chain = PeerChain::new(message.chain);
    chain
        .scts
        .clone_from(&hello.extensions.signed_certificate_timestamp);
    // A server that said it would may still leave it out.
    if hello.extensions.status_request
        && peer.peek(HandshakeType::SERVER_KEY_EXCHANGE).await? == HandshakeType::CERTIFICATE_STATUS
    {
        chain.ocsp_response = Some(peer.read::<CertificateStatus>().await?.ocsp);
    }
    Ok(chain)
}

/// ServerKeyExchange (RFC 8422 section 5.4): the server's public key, signed together with both randoms.
async fn read_server_key_exchange(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    offer: &Offer,
    hello: &ServerHello,
    chain: &PeerChain,
    suite: &Suite,
) -> Result<(EcdhParams, SignatureScheme, HandshakeSignatureVerified), Error> {
    let message = peer.read::<ServerKeyExchange>().await?;
    let group = message.params.group;
    if !config.common.groups.contains(&group) || !key_exchange::is_for_tls12(group) {
        return Err(Misbehaviour::NotOffered("group").into());
    }
    let scheme = message.scheme;
    if !config.common.signature_schemes.contains(&scheme) {
        return Err(Misbehaviour::NotOffered("signature scheme").into());
    }
    if suite.authentication != Some(Authentication::of(scheme)) {
        return Err(Misbehaviour::IllegalParameter("signature scheme for the cipher suite").into());
    }
    let content = message.params.signed_content(&offer.hello.random, &hello.random);
    let leaf = chain
        .certificates
        .first()
        .ok_or(Misbehaviour::NoCertificate(Side::Server))?;
    let signed = verify_signature(
        leaf,
        scheme,
        algorithms_for_tls12(scheme),
        &content,
        &message.signature,
    )?;
    Ok((message.params, scheme, signed))
}

/// The server may ask for our certificate (RFC 5246 7.4.4).
async fn read_certificate_request(peer: &mut Peer<'_>) -> Result<Option<CertificateRequest>, Error> {
    match peer.peek(HandshakeType::SERVER_HELLO_DONE).await? {
        HandshakeType::CERTIFICATE_REQUEST => peer.read().await.map(Some),
        _ => Ok(None),
    }
}

/// Our Certificate, empty where we have none that fits.
async fn send_certificate(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    request: &CertificateRequest,
) -> Result<Option<Chosen>, Error> {
    let schemes = request.signature_algorithms.iter().copied();
    let schemes: Vec<_> = schemes
        .filter(|scheme| !algorithms_for_tls12(*scheme).is_empty() && is_accepted(request, *scheme))
        .collect();
    let chosen = choose_client_certificate(
        peer,
        config,
        &schemes,
        &request.certificate_authorities,
        &request.certificate_types,
    )
    .await?;
    let chain: &[CertificateDer<'_>] = chosen.as_ref().map_or(&[], |(certified, _)| certified.chain());
    let mut message = Vec::new();
    CertificateRef { chain }.encode_message(&mut message);
    peer.send_encoded(&message)?;
    Ok(chosen)
}

/// Whether the server accepts the kind of key that this scheme is for. An RSA key may sign with PSS too.
fn is_accepted(request: &CertificateRequest, scheme: SignatureScheme) -> bool {
    let kind = match Authentication::of(scheme) {
        Authentication::Rsa => RSA_SIGN,
        Authentication::Ecdsa => ECDSA_SIGN,
    };
    request.certificate_types.contains(&kind)
}

/// Our public key (RFC 8422 section 5.7), and the keys that follow from it.
fn send_client_key_exchange(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    offer: &Offer,
    hello: &ServerHello,
    suite: &'static Suite,
    server: &EcdhParams,
) -> Result<Keys12, Error> {
    let (public, premaster): (Vec<u8>, SharedSecret) = key_exchange::respond(server.group, &server.public)?;
    peer.send(&ClientKeyExchange { public })?;
    Keys12::agree(
        peer,
        &config.common,
        suite,
        &premaster,
        Randoms {
            client: offer.hello.random,
            server: hello.random,
        },
        hello.extensions.extended_main_secret,
    )
}

/// CertificateVerify of TLS 1.2 signs all messages so far, not their hash (RFC 5246 7.4.8).
async fn send_certificate_verify(
    peer: &mut Peer<'_>,
    certified: &CertifiedKey,
    scheme: SignatureScheme,
) -> Result<(), Error> {
    let content = peer.transcript.buffered().unwrap_or_default().to_vec();
    let signature = sign(peer, certified, scheme, algorithms_for_tls12(scheme), &content).await?;
    peer.send(&CertificateVerify { scheme, signature })
}
