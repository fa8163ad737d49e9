//! TLS 1.3, client side: the left-hand column of the figure in section 2, from the ServerHello on.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, ServerName};

use super::chain::{choose_client_certificate, verify_server_chain};
use super::client::Offer;
use super::early13;
use super::keys::{Authenticated, HandshakeKeys, establish, start_handshake_keys};
use super::psk13::forget_sessions;
use super::signature::{check_certificate_verify, schemes_for_handshake, send_certificate_verify};
use crate::config::ClientSettings;
use crate::connection::{Connection, TicketReader};
use crate::error::{Error, Misbehaviour, Side};
use crate::hooks::PeerChain;
use crate::key_schedule::{EarlySchedule, Exporter};
use crate::messages::certificate::{Certificate, CertificateRef};
use crate::messages::certificate_request::CertificateRequest;
use crate::messages::certificate_verify::CertificateVerify;
use crate::messages::encrypted_extensions::EncryptedExtensions;
use crate::messages::end_of_early_data::EndOfEarlyData;
use crate::messages::extensions::{Place, check_placement};
use crate::messages::server_hello::ServerHello;
use crate::negotiated::{EarlyData, Negotiated};
use crate::peer::Peer;
use crate::registry::{ExtensionType, HandshakeType, ProtocolVersion, SignatureScheme};
use crate::session::{ClientSession, Inherited};
use crate::verify::HandshakeSignatureVerified;

/// Reads the server's flight, answers it, and returns the connection.
pub(super) async fn finish(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
    offer: &mut Offer,
    hello: &ServerHello,
) -> Result<Connection, Error> {
    let (resumed, early) = accepted_session(offer, hello)?;
    if offer.psk.take().is_some() {
        // A server that does not take one of its tickets will hardly take another.
        forget_sessions(peer, config, server_name).await;
    }
    // Without its PSK there is no early data.
    let early_data = offer.early.take().filter(|_| resumed.is_some());
    let mut keys = agree_on_keys(peer, config, offer, hello, early, early_data.is_some())?;
    let (alpn, early_data) = read_encrypted_extensions(peer, offer, early_data).await?;
    if early_data.is_none() {
        keys.end_early_data(peer)?;
    }
    let (server, request) = match resumed {
        Some(server) => (server, None),
        None => {
            let request = read_certificate_request(peer).await?;
            let mut chain = read_certificate(peer, offer).await?;
            let trusted = verify_server_chain(peer, config, server_name, &chain).await?;
            chain.set_accepted_in(config.security_domain);
            let (scheme, signed) = read_certificate_verify(peer, config, &chain).await?;
            let authenticated = Authenticated::ByCertificate((trusted, signed));
            (
                Server {
                    chain: Arc::new(chain),
                    scheme: Some(scheme),
                    authenticated,
                    session: None,
                },
                request,
            )
        }
    };
    let finished = keys.read_finished(peer).await?;

    let suite = keys.suite;
    let secrets = keys.application_secrets(peer, &config.common, &offer.hello.random);
    peer.set_read_keys(suite, &secrets.server.key_and_iv(suite.key_len()))?;
    if early_data.is_some() {
        peer.send(&EndOfEarlyData)?;
        keys.end_early_data(peer)?;
    }
    if let Some(request) = &request {
        send_certificate(peer, config, request).await?;
    }
    keys.send_finished(peer)?;
    peer.set_write_keys(suite, &secrets.client.key_and_iv(suite.key_len()))?;
    peer.flush_last_flight().await?;

    let negotiated = Negotiated {
        version: ProtocolVersion::TLS13,
        cipher_suite: suite.id,
        group: Some(keys.group),
        signature_scheme: server.scheme,
        peer_signature_scheme: server.scheme,
        alpn,
        server_name: offer.hello.extensions.server_name.take(),
        resumed: server.scheme.is_none(),
        peer_chain: Some(server.chain),
        retried: offer.was_retried,
        early_data: match &early_data {
            Some(_) => EarlyData::Accepted,
            None if offer.had_early_data => EarlyData::Rejected,
            None => EarlyData::NotOffered,
        },
    };
    let sessions = config.session_cache.is_some().then(|| {
        let resumption = keys.into_resumption(peer);
        let server_name = server_name.to_str().into_owned();
        let inherited = match &server.session {
            Some(session) => session.parts().state.inheritance(),
            None => Inherited::nothing(config.common.clock.now_ms()),
        };
        TicketReader::new(
            resumption,
            suite,
            &negotiated,
            server_name,
            inherited,
            config.common.clock.clone(),
        )
    });
    let connection = establish(peer, suite, secrets, negotiated, finished, server.authenticated);
    Ok(connection
        .with_ticket_reader(sessions)
        .with_early_data(early_data, Vec::new()))
}

/// Who the server is, from its certificate or from the session that it resumes.
struct Server {
    chain: Arc<PeerChain>,
    /// `None` where a session was resumed: nothing was signed.
    scheme: Option<SignatureScheme>,
    authenticated: Authenticated,
    /// The session resumed.
    session: Option<ClientSession>,
}

/// The session that the server resumes, if it says so, and the schedule that goes with it (section 4.2.11).
fn accepted_session(
    offer: &mut Offer,
    hello: &ServerHello,
) -> Result<(Option<Server>, EarlySchedule), Error> {
    let suite = offer.suite()?;
    let Some(selected) = hello.extensions.pre_shared_key else {
        return Ok((None, EarlySchedule::without_psk(suite.hash)));
    };
    // One was offered, perhaps not again after a HelloRetryRequest.
    let offered = offer
        .psk
        .take()
        .filter(|offered| selected == 0 && offered.suite.hash == suite.hash);
    let offered = offered.ok_or(Misbehaviour::NotOffered("PSK"))?;
    let chain = offered
        .session
        .shared_peer_chain()
        .ok_or(Misbehaviour::NotOffered("PSK"))?;
    let server = Server {
        chain,
        scheme: None,
        authenticated: Authenticated::BySession(offered.trusted),
        session: Some(offered.session),
    };
    Ok((Some(server), offered.schedule.into_early()))
}

/// Completes the key exchange with the server's share (section 4.2.8) and changes to the handshake keys.
fn agree_on_keys(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    offer: &Offer,
    hello: &ServerHello,
    early: EarlySchedule,
    early_data: bool,
) -> Result<HandshakeKeys, Error> {
    let missing = Misbehaviour::MissingExtension(ExtensionType::KEY_SHARE);
    let share = hello.extensions.key_share.as_ref().ok_or(missing)?;
    let shared_secret = offer.key_exchange.complete(share.group, &share.key_exchange)?;
    // Just before the second flight, unless a second ClientHello or early data had it (section D.4).
    if config.middlebox_compatibility && !offer.was_retried && !offer.had_early_data {
        peer.send_change_cipher_spec()?;
    }
    start_handshake_keys(
        peer,
        &config.common,
        &offer.hello.random,
        offer.suite()?,
        share.group,
        early,
        early_data,
        &shared_secret,
    )
}

/// The server's answers to our extensions; returns the application protocol it chose, and the exporter of early data
/// where it accepts that.
async fn read_encrypted_extensions(
    peer: &mut Peer<'_>,
    offer: &Offer,
    early_data: Option<early13::Offered>,
) -> Result<(Option<Vec<u8>>, Option<Exporter>), Error> {
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
    let early_data = match (message.early_data, early_data) {
        (true, Some(offered)) => Some(offered.accepted(offer.suite()?, &message)?),
        (true, None) => return Err(Misbehaviour::IllegalParameter("early_data without its PSK").into()),
        (false, _) => None,
    };
    Ok((message.alpn, early_data))
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

pub(super) fn into_chain(message: Certificate) -> PeerChain {
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
    let schemes = schemes_for_handshake(&request.signature_algorithms);
    let chosen =
        choose_client_certificate(peer, config, &schemes, &request.certificate_authorities, &[]).await?;
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
