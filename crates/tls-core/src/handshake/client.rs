//! The client's side up to the ServerHello, which decides on the version.

use rustls_pki_types::ServerName;

use super::psk13::{self, forget_sessions, take_session};
use super::resume12;
use super::{client12, client13, early13};
use crate::config::{ClientConfig, ClientSettings};
use crate::connection::Connection;
use crate::crypto::key_exchange::{self, KeyExchange};
use crate::crypto::random::HandshakeRandom;
use crate::crypto::suites::{self, Suite};
use crate::error::{Error, ErrorKind, Misbehaviour, NothingInCommon};
use crate::hooks::PeerVerified;
use crate::messages::alpn::ProtocolNames;
use crate::messages::client_extensions::{ClientExtensions, PskModes};
use crate::messages::client_hello::{ClientHello, Compression};
use crate::messages::extensions::{Place, PointFormats, check_placement};
use crate::messages::key_share::KeyShareEntry;
use crate::messages::server_hello::{HelloRetryRequest, ServerHello, ServerHelloMessage};
use crate::messages::short_bytes::SessionId;
use crate::negotiated::EarlyData;
use crate::peer::Peer;
use crate::record::ChangeCipherSpec;
use crate::registry::{CipherSuite, ExtensionType, NamedGroup, ProtocolVersion};
use crate::session::ClientSession;

/// Runs the whole handshake as a client and returns the established connection.
///
/// Cancel safe in the sense that dropping the future leaves `peer` able to send an alert; the handshake itself
/// cannot be taken up again.
///
/// # Errors
/// All that can go wrong with a peer, its certificate, a hook or the link. The alert has not been sent yet: see
/// [`Peer::send_alert`].
pub async fn connect(
    peer: &mut Peer<'_>,
    config: &ClientConfig,
    server_name: &ServerName<'static>,
) -> Result<Connection, Error> {
    match handshake(peer, &config.0, server_name, &[]).await {
        Ok((connection, _)) => Ok(connection),
        Err(error) => Err(peer.explain(error)),
    }
}

/// As [`connect`], and sends early data (0-RTT, section 2.3) if there is a session whose ticket allows it. Also returns
/// how many bytes of `early_data` the server has accepted: what is behind them it has not seen, and they are never sent
/// again.
///
/// Early data is in the application protocol that the configuration offers first, if it offers any: it is not sent with a
/// session that had negotiated another. All of `early_data` is sent before the server's answer, as far as the ticket's limit and a transport that does not
/// take it for longer than the answer takes allow. With [`EarlyData::Accepted`](crate::EarlyData) in
/// [`Connection::negotiated`] the number is that of the bytes sent, else it is 0.
///
/// Early data can be recorded by others and sent again, to the same server or another, and it lacks forward secrecy: it
/// must only ask for what may be done twice (section 8). When the handshake fails the server may have seen and acted on
/// some of it.
///
/// # Errors
/// As [`connect`].
pub async fn connect_early(
    peer: &mut Peer<'_>,
    config: &ClientConfig,
    server_name: &ServerName<'static>,
    early_data: &[u8],
) -> Result<(Connection, usize), Error> {
    match handshake(peer, &config.0, server_name, early_data).await {
        Ok(established) => Ok(established),
        Err(error) => Err(peer.explain(error)),
    }
}

async fn handshake(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
    early_data: &[u8],
) -> Result<(Connection, usize), Error> {
    let session = take_session(peer, config, server_name).await;
    let mut offer = send_client_hello(peer, config, server_name, session, !early_data.is_empty())?;
    let offered = offer.psk.is_some() || offer.session12.is_some();
    let mut error = match finish(peer, config, server_name, &mut offer, early_data).await {
        Ok(established) => return Ok(established),
        Err(error) => error,
    };
    // A session that did no good is not to be tried again; a transport that failed says nothing about it. The server does not wait for a cache that takes its time,
    // and no failure to tell it is worth more than the first one.
    if offered && !matches!(error.kind(), ErrorKind::Link(_) | ErrorKind::Truncated) {
        error = peer.explain(error);
        let _ = peer.send_alert(&error).await;
        forget_sessions(peer, config, server_name).await;
    }
    Err(error)
}

/// All that comes after our ClientHello.
async fn finish(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
    offer: &mut Offer,
    early_data: &[u8],
) -> Result<(Connection, usize), Error> {
    let sent = match &offer.early {
        Some(early) => {
            let may_go = early_data.len().min(early.limit);
            peer.write_early_data(early_data.get(..may_go).unwrap_or_default())
                .await?
        }
        None => 0,
    };
    let hello = read_server_hello(peer, offer, config).await?;
    let connection = match hello.version() {
        ProtocolVersion::TLS13 => client13::finish(peer, config, server_name, offer, &hello).await?,
        _ if offer.had_early_data => return Err(Misbehaviour::OldVersionAfterEarlyData.into()),
        _ => client12::finish(peer, config, server_name, offer, &hello).await?,
    };
    let accepted = match connection.negotiated().early_data() {
        EarlyData::Accepted => sent,
        _ => 0,
    };
    Ok((connection, accepted))
}

/// What was offered, to check the answers against.
pub(super) struct Offer {
    pub(super) hello: ClientHello,
    pub(super) key_exchange: KeyExchange,
    /// Chosen by the server: first in the HelloRetryRequest or the ServerHello.
    suite: Option<&'static Suite>,
    /// The group that a HelloRetryRequest asked for.
    retry_group: Option<NamedGroup>,
    pub(super) was_retried: bool,
    /// The ticket on offer; taken out when the server resumes with it.
    pub(super) psk: Option<psk13::Offered>,
    /// The same for a session of TLS 1.2.
    pub(super) session12: Option<resume12::Offered>,
    /// Early data that the server has not answered.
    pub(super) early: Option<early13::Offered>,
    /// Whether the first ClientHello announced early data.
    pub(super) had_early_data: bool,
}

impl Offer {
    /// The suite the server chose, which is known once its hello was read.
    pub(super) fn suite(&self) -> Result<&'static Suite, Error> {
        self.suite
            .ok_or_else(|| Misbehaviour::NotOffered("cipher suite").into())
    }

    /// Answers may stand for offered extensions only (section 4.2).
    pub(super) fn check_offered(&self, answers: &[ExtensionType]) -> Result<(), Error> {
        match answers
            .iter()
            .find(|extension| !self.hello.extensions.contains(**extension))
        {
            Some(extension) => Err(Misbehaviour::UnsolicitedExtension(*extension).into()),
            None => Ok(()),
        }
    }
}

fn send_client_hello(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
    session: Option<(ClientSession, PeerVerified)>,
    wants_early_data: bool,
) -> Result<Box<Offer>, Error> {
    let mut random = HandshakeRandom::new()?;
    let common = &config.common;
    let offers13 = common.supports(ProtocolVersion::TLS13);
    let offers12 = common.supports(ProtocolVersion::TLS12);
    let key_exchange = KeyExchange::start(if offers13 { &config.key_shares } else { &[] })?;
    let session_id = match config.middlebox_compatibility && offers13 {
        true => SessionId::from(random.take::<32>()?),
        false => SessionId::EMPTY,
    };
    let groups = common
        .groups
        .iter()
        .copied()
        .filter(|group| offers13 || key_exchange::is_for_tls12(*group));
    let extensions = ClientExtensions {
        server_name: match server_name {
            ServerName::DnsName(name) if config.send_server_name => {
                // A trailing dot is not part of the name on the wire (RFC 6066 section 3).
                Some(name.as_ref().trim_end_matches('.').to_owned())
            }
            _ => None,
        },
        supported_groups: Some(groups.collect()),
        signature_algorithms: Some(common.signature_schemes.clone()),
        alpn: ProtocolNames::new(&common.alpn),
        status_request: true,
        signed_certificate_timestamp: true,
        supported_versions: offers13.then(|| common.versions()),
        key_shares: if offers13 {
            Some(key_shares(&key_exchange)?)
        } else {
            None
        },
        ec_point_formats: offers12.then_some(PointFormats { uncompressed: true }),
        extended_main_secret: offers12,
        // A first handshake has nothing to repeat (RFC 5746 section 3.4).
        renegotiation_info: offers12.then(Vec::new),
        // Without a mode no ticket may be used, and none need be sent (section 4.2.9).
        psk_key_exchange_modes: (offers13 && config.session_cache.is_some()).then_some(PskModes {
            psk_ke: false,
            psk_dhe_ke: true,
        }),
        ..ClientExtensions::default()
    };
    let mut hello = ClientHello {
        legacy_version: ProtocolVersion::TLS12,
        random: random.take::<32>()?,
        session_id,
        cipher_suites: common
            .versions()
            .into_iter()
            .flat_map(|version| common.suites(version))
            .map(|suite| suite.id)
            .collect(),
        compression: Compression::OnlyNull,
        extensions,
        raw: Vec::new(),
    };
    peer.output.set_max_fragment(common.max_fragment);
    // Some servers refuse a first record that says TLS 1.2 (section 5.1).
    peer.output.set_legacy_version(ProtocolVersion::TLS10);
    let (mut psk, mut session12) = (None, None);
    match session {
        Some((session, trusted)) if session.version() == ProtocolVersion::TLS12 => {
            session12 = resume12::Offered::new(session, trusted, &hello.cipher_suites, &mut random);
        }
        Some((session, trusted)) if offers13 => {
            psk = psk13::Offered::new(session, trusted, &hello.cipher_suites);
        }
        _ => {}
    }
    if let Some(offered) = &session12 {
        hello.session_id = offered.session_id;
    }
    if offers12 && config.session_cache.is_some() {
        // Empty, it asks for a ticket (RFC 5077 section 3.2).
        let ticket = session12
            .as_ref()
            .map(|offered| offered.session.ticket().to_vec());
        hello.extensions.session_ticket = Some(ticket.unwrap_or_default());
    }
    let early_limit = match &psk {
        Some(offered) if wants_early_data => early13::limit(&hello, offered),
        _ => 0,
    };
    hello.extensions.early_data = early_limit > 0;
    match &psk {
        Some(offered) => psk13::send_client_hello(peer, &mut hello, offered, common.clock.now_ms())?,
        None => peer.send(&hello)?,
    }
    peer.output.finish_flight()?;
    peer.output.set_legacy_version(ProtocolVersion::TLS12);
    peer.output.set_padding(common.padding);
    let early = match &psk {
        Some(offered) if early_limit > 0 => {
            Some(early13::start(peer, config, &hello.random, offered, early_limit)?)
        }
        _ => None,
    };
    if offers13 {
        peer.input.set_change_cipher_spec(ChangeCipherSpec::Drop);
    }
    peer.input
        .set_max_certificate_message(common.max_certificate_message);
    peer.input
        .set_hello_requests_fatal(config.hello_requests_are_fatal);
    // A TLS 1.2 server may warn before its ServerHello that it does not know the name (RFC 6066 section 3).
    peer.input.set_may_be_tls12(offers12);
    Ok(Box::new(Offer {
        hello,
        key_exchange,
        suite: None,
        retry_group: None,
        was_retried: false,
        psk,
        session12,
        had_early_data: early.is_some(),
        early,
    }))
}

fn key_shares(key_exchange: &KeyExchange) -> Result<Vec<KeyShareEntry>, Error> {
    let shares = key_exchange.shares()?.into_iter();
    Ok(shares
        .map(|(group, key_exchange)| KeyShareEntry { group, key_exchange })
        .collect())
}

/// The ServerHello, after at most one HelloRetryRequest.
async fn read_server_hello(
    peer: &mut Peer<'_>,
    offer: &mut Offer,
    config: &ClientSettings,
) -> Result<Box<ServerHello>, Error> {
    let (answer, bytes) = peer.read_unhashed::<ServerHelloMessage>().await?;
    let (hello, bytes) = match answer {
        ServerHelloMessage::Hello(hello) => {
            match choose_version(config, offer, &hello)? {
                ProtocolVersion::TLS13 => {
                    peer.input.set_may_be_tls12(false);
                    peer.transcript.start(check_server_hello13(offer, &hello)?.hash);
                }
                _ => check_server_hello12(offer, &hello)?,
            }
            (Box::new(hello), bytes)
        }
        ServerHelloMessage::Retry(retry) => {
            send_second_client_hello(peer, offer, config, &retry, &bytes)?;
            let (answer, bytes) = peer.read_unhashed::<ServerHelloMessage>().await?;
            let ServerHelloMessage::Hello(hello) = answer else {
                return Err(Misbehaviour::BadRetryRequest("second").into());
            };
            if hello.version() != ProtocolVersion::TLS13 {
                return Err(Misbehaviour::Mismatch("the version of HelloRetryRequest").into());
            }
            check_server_hello13(offer, &hello)?;
            (Box::new(hello), bytes)
        }
    };
    peer.transcript.add(&bytes);
    Ok(hello)
}

/// Answers a HelloRetryRequest (section 4.1.4) with the ClientHello that it asks for.
fn send_second_client_hello(
    peer: &mut Peer<'_>,
    offer: &mut Offer,
    config: &ClientSettings,
    retry: &HelloRetryRequest,
    retry_bytes: &[u8],
) -> Result<(), Error> {
    if retry.supported_version != Some(ProtocolVersion::TLS13)
        || !config.common.supports(ProtocolVersion::TLS13)
    {
        return Err(Misbehaviour::IllegalParameter("version of HelloRetryRequest").into());
    }
    if retry.legacy_version != ProtocolVersion::TLS12 {
        return Err(Misbehaviour::IllegalParameter("legacy_version").into());
    }
    check_placement(&retry.extension_types, Place::HelloRetryRequest)?;
    // A cookie is the one extension that may come unasked.
    let unasked = |extension: &ExtensionType| *extension != ExtensionType::COOKIE;
    offer.check_offered(
        &retry
            .extension_types
            .iter()
            .copied()
            .filter(unasked)
            .collect::<Vec<_>>(),
    )?;
    let suite = check_choice(offer, ProtocolVersion::TLS13, retry.cipher_suite)?;
    check_session_id(offer, &retry.session_id)?;
    offer.suite = Some(suite);
    offer.was_retried = true;
    peer.input.set_may_be_tls12(false);

    let hello = &mut offer.hello;
    if let Some(group) = retry.selected_group {
        if !config.common.groups.contains(&group) {
            return Err(Misbehaviour::NotOffered("group").into());
        }
        if config.key_shares.contains(&group) {
            return Err(Misbehaviour::BadRetryRequest("it asks for a key share that it was given").into());
        }
        offer.key_exchange = KeyExchange::start(&[group])?;
        offer.retry_group = Some(group);
        hello.extensions.key_shares = Some(key_shares(&offer.key_exchange)?);
    } else if retry.cookie.is_none() {
        return Err(Misbehaviour::BadRetryRequest("it asks for nothing new").into());
    }
    hello.extensions.cookie.clone_from(&retry.cookie);
    if offer.early.take().is_some() {
        // It is refused by this (section 4.1.2), and the answer must be in the clear.
        hello.extensions.early_data = false;
        peer.output.set_plaintext()?;
    }

    peer.transcript.start(suite.hash);
    peer.transcript.restart_for_retry();
    peer.transcript.add(retry_bytes);
    // What follows in plaintext must be the answer to the ClientHello that is sent now.
    peer.input.end_of_flight()?;
    if config.middlebox_compatibility && !offer.had_early_data {
        peer.send_change_cipher_spec()?;
    }
    // A ticket whose hash is not that of the suite can no longer be used (section 4.1.4).
    match &offer.psk {
        Some(offered) if offered.suite.hash == suite.hash => {
            psk13::send_client_hello(peer, hello, offered, config.common.clock.now_ms())
        }
        _ => {
            hello.extensions.pre_shared_key = None;
            peer.send(hello)
        }
    }
}

/// The version that the server chose, by supported_versions if it is TLS 1.3 (section 4.2.1).
fn choose_version(
    config: &ClientSettings,
    offer: &Offer,
    hello: &ServerHello,
) -> Result<ProtocolVersion, Error> {
    let common = &config.common;
    match hello.extensions.supported_version {
        Some(ProtocolVersion::TLS13) if common.supports(ProtocolVersion::TLS13) => Ok(ProtocolVersion::TLS13),
        // It is for TLS 1.3 and later only.
        Some(_) => {
            offer.check_offered(&[ExtensionType::SUPPORTED_VERSIONS])?;
            Err(Misbehaviour::IllegalParameter("version in supported_versions").into())
        }
        None if common.supports(ProtocolVersion::TLS13) && hello.downgrade_sentinel().is_some() => {
            Err(Misbehaviour::Downgraded.into())
        }
        None if hello.legacy_version == ProtocolVersion::TLS12 && common.supports(ProtocolVersion::TLS12) => {
            Ok(ProtocolVersion::TLS12)
        }
        None => Err(NothingInCommon::Version {
            theirs: vec![hello.legacy_version],
            ours: common.versions(),
        }
        .into()),
    }
}

/// What must hold for a ServerHello of TLS 1.3 (section 4.1.3).
fn check_server_hello13(offer: &mut Offer, hello: &ServerHello) -> Result<&'static Suite, Error> {
    if hello.legacy_version != ProtocolVersion::TLS12 {
        return Err(Misbehaviour::IllegalParameter("legacy_version").into());
    }
    offer.check_offered(&hello.extensions.extension_types)?;
    check_placement(&hello.extensions.extension_types, Place::ServerHello)?;
    check_session_id(offer, &hello.session_id)?;
    let suite = check_choice(offer, ProtocolVersion::TLS13, hello.cipher_suite)?;
    if offer.suite.is_some_and(|first| first.id != suite.id) {
        return Err(Misbehaviour::Mismatch("the cipher suite of HelloRetryRequest").into());
    }
    offer.suite = Some(suite);
    let missing = Misbehaviour::MissingExtension(ExtensionType::KEY_SHARE);
    let share = hello.extensions.key_share.as_ref().ok_or(missing)?;
    if offer.retry_group.is_some_and(|group| group != share.group) {
        return Err(Misbehaviour::Mismatch("the group of HelloRetryRequest").into());
    }
    Ok(suite)
}

/// The same for TLS 1.2 (RFC 5246 7.4.1.3), as far as it does not depend on the configuration.
fn check_server_hello12(offer: &mut Offer, hello: &ServerHello) -> Result<(), Error> {
    offer.check_offered(&hello.extensions.extension_types)?;
    check_placement(&hello.extensions.extension_types, Place::ServerHello12)?;
    offer.suite = Some(check_choice(offer, ProtocolVersion::TLS12, hello.cipher_suite)?);
    Ok(())
}

/// Servers of TLS 1.3 repeat our session id (section 4.1.3).
fn check_session_id(offer: &Offer, echo: &SessionId) -> Result<(), Error> {
    match *echo == offer.hello.session_id {
        true => Ok(()),
        false => Err(Misbehaviour::Mismatch("legacy_session_id_echo").into()),
    }
}

/// The suite must be one we offered, and of the version that was chosen.
fn check_choice(
    offer: &Offer,
    version: ProtocolVersion,
    suite: CipherSuite,
) -> Result<&'static Suite, Error> {
    suites::suite(suite)
        .filter(|chosen| chosen.version == version && offer.hello.cipher_suites.contains(&suite))
        .ok_or_else(|| Misbehaviour::NotOffered("cipher suite").into())
}
