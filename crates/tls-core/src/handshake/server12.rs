//! TLS 1.2, server side: the right-hand column of figure 1 in RFC 5246 section 7.3, after the ClientHello.

use std::sync::Arc;

use super::chain::choose_server_certificate;
use super::client_auth::{read_certificate_verify12, read_certificate12, send_certificate_request12};
use super::keys12::{Keys12, establish12};
use super::resume12::{Promise, Resumed, keep, select_session};
use super::server::{choose_alpn, choose_suite};
use super::signature::{each_once, sign};
use crate::config::{Common, ServerSettings};
use crate::connection::Connection;
use crate::crypto::key_exchange::{KeyExchange, is_for_tls12};
use crate::crypto::random::HandshakeRandom;
use crate::crypto::suites::{Authentication, Suite};
use crate::crypto::verification::{algorithms_for_tls12, curve_for};
use crate::error::{Error, Misbehaviour, NothingInCommon};
use crate::hooks::CertifiedKey;
use crate::key_schedule12::Randoms;
use crate::messages::client_hello::{ClientHello, Compression};
use crate::messages::extensions::PointFormats;
use crate::messages::server_hello::{DOWNGRADE_TO_TLS12, ServerExtensions, ServerHello, ServerHelloMessage};
use crate::messages::short_bytes::SessionId;
use crate::messages::tls12::certificate::CertificateRef;
use crate::messages::tls12::certificate_status::CertificateStatus;
use crate::messages::tls12::client_key_exchange::ClientKeyExchange;
use crate::messages::tls12::server_hello_done::ServerHelloDone;
use crate::messages::tls12::server_key_exchange::{EcdhParams, ServerKeyExchange};
use crate::negotiated::{EarlyData, Negotiated};
use crate::peer::Peer;
use crate::record::ChangeCipherSpec;
use crate::registry::{CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme};

/// Answers the ClientHello, reads the client's flight, and returns the connection.
pub(super) async fn respond(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    config: &ServerSettings,
) -> Result<Connection, Error> {
    check_client_hello(hello, config)?;
    check_suites(hello, &config.common)?;
    let alpn = choose_alpn(hello, &config.common)?;
    match select_session(peer, hello, config, alpn.as_deref()).await? {
        Some(resumed) => resume(peer, hello, config, resumed, alpn).await,
        None => full_handshake(peer, hello, config, alpn).await,
    }
}

/// Figure 2 of RFC 5246: both sides know the main secret already.
async fn resume(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    config: &ServerSettings,
    resumed: Box<Resumed>,
    alpn: Option<Vec<u8>>,
) -> Result<Connection, Error> {
    let renews_ticket = hello.extensions.session_ticket.is_some() && resumed.renews_ticket(config);
    let suite = resumed.suite;
    peer.input.set_tls12();
    peer.input.set_change_cipher_spec(ChangeCipherSpec::Refuse);
    peer.transcript.start(suite.hash);
    // The client's own id says that we resume (RFC 5077 section 3.4).
    let about = HelloParts {
        session_id: hello.session_id,
        suite,
        alpn: alpn.as_deref(),
        certified: None,
        ticket: renews_ticket,
        acknowledges_server_name: false,
    };
    let server_random = send_server_hello(peer, hello, &about, &config.common)?;
    let randoms = Randoms {
        client: hello.random,
        server: server_random,
    };
    let keys = Keys12::resume(
        &config.common,
        suite,
        resumed.session.state.secret.as_bytes(),
        randoms,
    )?;
    let negotiated = Negotiated {
        version: ProtocolVersion::TLS12,
        cipher_suite: suite.id,
        group: None,
        signature_scheme: None,
        peer_signature_scheme: None,
        alpn,
        server_name: hello.server_name().map(str::to_owned),
        resumed: true,
        peer_chain: resumed.identity.chain(),
        retried: false,
        early_data: EarlyData::NotOffered,
    };
    if renews_ticket {
        let extended = resumed.session.state.extended_main_secret;
        keep(
            peer,
            Promise::Ticket,
            &keys,
            &negotiated,
            &resumed.identity,
            extended,
            config,
        )
        .await?;
    }
    keys.send_finished(peer)?;
    let finished = keys.read_finished(peer).await?;
    let authenticated = resumed.identity.into_authenticated();
    Ok(establish12(peer, keys, negotiated, finished, authenticated))
}

/// Figure 1 of RFC 5246, from the server's ServerHello on.
async fn full_handshake(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    config: &ServerSettings,
    alpn: Option<Vec<u8>>,
) -> Result<Connection, Error> {
    let group = choose_group(hello, &config.common)?;
    let (certified, scheme) = choose_certificate(peer, hello, config).await?;
    let authentication = Authentication::of(scheme);
    let fitting = config
        .common
        .suites(ProtocolVersion::TLS12)
        .filter(|suite| suite.authentication == Some(authentication));
    let suite = choose_suite(hello, fitting)?;

    peer.input.set_tls12();
    peer.input.set_change_cipher_spec(ChangeCipherSpec::Refuse);
    if config.client_auth.is_none() {
        // Only a CertificateVerify needs the messages themselves.
        peer.transcript.start(suite.hash);
    }
    let promise = Promise::new(hello, config)?;
    let about = HelloParts {
        session_id: promise.session_id(),
        suite,
        alpn: alpn.as_deref(),
        certified: Some(&certified),
        ticket: matches!(promise, Promise::Ticket),
        acknowledges_server_name: config.acknowledges_server_name,
    };
    let server_random = send_server_hello(peer, hello, &about, &config.common)?;
    send_certificate(peer, hello, &certified)?;
    let key_exchange =
        send_server_key_exchange(peer, hello, &server_random, group, &certified, scheme).await?;
    send_certificate_request12(peer, config)?;
    peer.send(&ServerHelloDone)?;

    let presented = read_certificate12(peer, config).await?;
    let keys =
        read_client_key_exchange(peer, hello, &server_random, suite, &key_exchange, group, config).await?;
    let identity = read_certificate_verify12(peer, config, presented).await?;
    peer.transcript.start(suite.hash);
    let finished = keys.read_finished(peer).await?;

    let negotiated = Negotiated {
        version: ProtocolVersion::TLS12,
        cipher_suite: suite.id,
        group: Some(group),
        signature_scheme: Some(scheme),
        peer_signature_scheme: identity.scheme(),
        alpn,
        server_name: hello.server_name().map(str::to_owned),
        resumed: false,
        peer_chain: identity.chain(),
        retried: false,
        early_data: EarlyData::NotOffered,
    };
    keep(
        peer,
        promise,
        &keys,
        &negotiated,
        &identity,
        hello.extensions.extended_main_secret,
        config,
    )
    .await?;
    keys.send_finished(peer)?;
    peer.flush().await?;
    let authenticated = identity.into_authenticated();
    Ok(establish12(peer, keys, negotiated, finished, authenticated))
}

fn check_client_hello(hello: &ClientHello, config: &ServerSettings) -> Result<(), Error> {
    let extensions = &hello.extensions;
    if hello.compression == Compression::NoNull {
        return Err(Misbehaviour::IllegalParameter("compression_methods without null").into());
    }
    // A client that could do better says that it fell back (RFC 7507 section 3).
    if hello.cipher_suites.contains(&CipherSuite::TLS_FALLBACK_SCSV)
        && config.common.supports(ProtocolVersion::TLS13)
    {
        return Err(Misbehaviour::InappropriateFallback.into());
    }
    // RFC 5746 section 3.6: this is a first handshake.
    if extensions
        .renegotiation_info
        .as_ref()
        .is_some_and(|previous| !previous.is_empty())
    {
        return Err(NothingInCommon::SecureRenegotiation.into());
    }
    if !extensions.extended_main_secret && config.require_extended_main_secret {
        return Err(NothingInCommon::ExtendedMainSecret.into());
    }
    // RFC 8422 section 5.1.2.
    if extensions
        .ec_point_formats
        .is_some_and(|formats| !formats.uncompressed)
    {
        return Err(Misbehaviour::IllegalParameter("ec_point_formats without uncompressed").into());
    }
    Ok(())
}

/// Some suite must be common, before anything is asked that a client without such suites says nothing about: its
/// groups, for one.
fn check_suites(hello: &ClientHello, common: &Common) -> Result<(), Error> {
    match common_suites(hello, common).next() {
        Some(_) => Ok(()),
        None => Err(NothingInCommon::CipherSuite {
            theirs: hello.cipher_suites.clone(),
            ours: common
                .suites(ProtocolVersion::TLS12)
                .map(|suite| suite.id)
                .collect(),
        }
        .into()),
    }
}

/// Our best group that the client has too. A client that names none might not know ours (RFC 8422 section 4).
fn choose_group(hello: &ClientHello, common: &Common) -> Result<NamedGroup, Error> {
    let theirs = hello.supported_groups();
    let ours = || common.groups.iter().copied().filter(|group| is_for_tls12(*group));
    ours().find(|group| theirs.contains(group)).ok_or_else(|| {
        NothingInCommon::Group {
            theirs: theirs.to_vec(),
            ours: ours().collect(),
        }
        .into()
    })
}

/// A chain whose key fits the client's signature schemes and a common cipher suite.
async fn choose_certificate(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    config: &ServerSettings,
) -> Result<(Arc<CertifiedKey>, SignatureScheme), Error> {
    let usable = |scheme: SignatureScheme| {
        // The groups of TLS 1.2 are also the curves of the ECDSA keys that the client knows (RFC 8422 5.1).
        let knows_curve = curve_for(scheme).is_none_or(|curve| hello.supported_groups().contains(&curve));
        knows_curve
            && !algorithms_for_tls12(scheme).is_empty()
            && common_suites(hello, &config.common)
                .any(|suite| suite.authentication == Some(Authentication::of(scheme)))
    };
    let schemes = each_once(hello.signature_algorithms(), usable);
    choose_server_certificate(peer, hello, config, &schemes).await
}

fn common_suites<'a>(
    hello: &'a ClientHello,
    common: &'a Common,
) -> impl Iterator<Item = &'static Suite> + use<'a> {
    common
        .suites(ProtocolVersion::TLS12)
        .filter(|suite| hello.cipher_suites.contains(&suite.id))
}

/// What a ServerHello says besides the answers to extensions.
struct HelloParts<'a> {
    session_id: SessionId,
    suite: &'static Suite,
    alpn: Option<&'a [u8]>,
    /// Whose staples are offered; `None` where a session is resumed.
    certified: Option<&'a CertifiedKey>,
    /// Whether a NewSessionTicket will follow.
    ticket: bool,
    /// Not where a session is resumed (RFC 6066 section 3).
    acknowledges_server_name: bool,
}

/// ServerHello (RFC 5246 7.4.1.3); returns its random.
fn send_server_hello(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    about: &HelloParts<'_>,
    common: &Common,
) -> Result<[u8; 32], Error> {
    let mut random = HandshakeRandom::new()?.take::<32>()?;
    if common.supports(ProtocolVersion::TLS13)
        && let Some(end) = random.last_chunk_mut()
    {
        *end = DOWNGRADE_TO_TLS12;
    }
    let theirs = &hello.extensions;
    let certified = about.certified;
    let secure_renegotiation = theirs.renegotiation_info.is_some()
        || hello
            .cipher_suites
            .contains(&CipherSuite::TLS_EMPTY_RENEGOTIATION_INFO_SCSV);
    peer.send(&ServerHelloMessage::Hello(ServerHello {
        legacy_version: ProtocolVersion::TLS12,
        random,
        session_id: about.session_id,
        cipher_suite: about.suite.id,
        extensions: ServerExtensions {
            server_name: hello.server_name().is_some() && about.acknowledges_server_name,
            status_request: theirs.status_request
                && certified.is_some_and(|chain| chain.ocsp_response().is_some()),
            session_ticket: about.ticket,
            extended_main_secret: theirs.extended_main_secret,
            renegotiation_info: secure_renegotiation.then(Vec::new),
            ec_point_formats: theirs
                .ec_point_formats
                .map(|_| PointFormats { uncompressed: true }),
            alpn: about.alpn.map(<[u8]>::to_vec),
            signed_certificate_timestamp: certified
                .and_then(CertifiedKey::scts)
                .filter(|_| theirs.signed_certificate_timestamp)
                .map(<[u8]>::to_vec),
            ..ServerExtensions::default()
        },
    }))?;
    Ok(random)
}

/// Our chain, and the OCSP response if the client asked for it and we have one (RFC 6066 section 8).
fn send_certificate(peer: &mut Peer<'_>, hello: &ClientHello, certified: &CertifiedKey) -> Result<(), Error> {
    let mut message = Vec::new();
    CertificateRef {
        chain: certified.chain(),
    }
    .encode_message(&mut message);
    peer.send_encoded(&message)?;
    match certified.ocsp_response() {
        Some(response) if hello.extensions.status_request => peer.send(&CertificateStatus {
            ocsp: response.to_vec(),
        }),
        _ => Ok(()),
    }
}

/// Our public key, signed together with both randoms (RFC 8422 section 5.4).
async fn send_server_key_exchange(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    server_random: &[u8; 32],
    group: NamedGroup,
    certified: &CertifiedKey,
    scheme: SignatureScheme,
) -> Result<Box<KeyExchange>, Error> {
    let key_exchange = Box::new(KeyExchange::start(&[group])?);
    let public = key_exchange
        .shares()?
        .pop()
        .map(|(_, public)| public)
        .unwrap_or_default();
    let params = EcdhParams { group, public };
    let content = params.signed_content(&hello.random, server_random);
    let signature = sign(peer, certified, scheme, algorithms_for_tls12(scheme), &content).await?;
    peer.send(&ServerKeyExchange {
        params,
        scheme,
        signature,
    })?;
    Ok(key_exchange)
}

/// The client's public key (RFC 8422 section 5.7), and the keys that follow from it.
async fn read_client_key_exchange(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    server_random: &[u8; 32],
    suite: &'static Suite,
    key_exchange: &KeyExchange,
    group: NamedGroup,
    config: &ServerSettings,
) -> Result<Keys12, Error> {
    let message = peer.read::<ClientKeyExchange>().await?;
    let premaster = key_exchange.complete(group, &message.public)?;
    let randoms = Randoms {
        client: hello.random,
        server: *server_random,
    };
    Keys12::agree(
        peer,
        &config.common,
        suite,
        &premaster,
        randoms,
        hello.extensions.extended_main_secret,
    )
}
