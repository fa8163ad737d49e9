//! The client's side up to the ServerHello, which decides on the version.

use rustls_pki_types::ServerName;

use super::client13;
use crate::config::{ClientConfig, ClientSettings};
use crate::connection::Connection;
use crate::crypto::key_exchange::KeyExchange;
use crate::crypto::random::HandshakeRandom;
use crate::crypto::suites::{self, Suite};
use crate::error::{Error, Misbehaviour, NothingInCommon, Side};
use crate::messages::{
    ClientExtensions, ClientHello, HelloRetryRequest, KeyShareEntry, ServerHello, ServerHelloOrRetry, SessionId,
    check_extensions, encode_message,
};
use crate::peer::Peer;
use crate::registry::{CipherSuite, ExtensionType, HandshakeType, NamedGroup, ProtocolVersion};

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
    match handshake(peer, &config.0, server_name).await {
        Ok(connection) => Ok(connection),
        Err(error) => Err(peer.explain(error)),
    }
}

async fn handshake(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
) -> Result<Connection, Error> {
    let mut offer = send_client_hello(peer, config, server_name)?;
    let hello = read_server_hello(peer, &mut offer, config).await?;
    client13::finish(peer, config, server_name, &offer, &hello).await
}

/// What was offered, to check the answers against.
pub(super) struct Offer {
    pub(super) hello: ClientHello,
    pub(super) key_exchange: KeyExchange,
    /// Chosen by the server: first in the HelloRetryRequest or the ServerHello.
    suite: Option<&'static Suite>,
    /// The group that a HelloRetryRequest asked for.
    retry_group: Option<NamedGroup>,
}

impl Offer {
    /// The suite the server chose, which is known once its hello was read.
    pub(super) fn suite(&self) -> Result<&'static Suite, Error> {
        self.suite.ok_or_else(|| Misbehaviour::NotOffered("cipher suite").into())
    }
}

fn send_client_hello(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
) -> Result<Box<Offer>, Error> {
    let mut random = HandshakeRandom::new()?;
    let key_exchange = KeyExchange::start(&config.key_shares)?;
    let session_id = match config.middlebox_compatibility {
        true => SessionId::from(random.take::<32>()?),
        false => SessionId::empty(),
    };
    let common = &config.common;
    let extensions = ClientExtensions {
        server_name: match server_name {
            ServerName::DnsName(name) if config.send_server_name => {
                // A trailing dot is not part of the name on the wire (RFC 6066 section 3).
                Some(name.as_ref().trim_end_matches('.').to_owned())
            }
            _ => None,
        },
        supported_groups: Some(common.groups.clone()),
        signature_algorithms: Some(common.signature_schemes.clone()),
        alpn: (!common.alpn.is_empty()).then(|| common.alpn.clone()),
        status_request: true,
        signed_certificate_timestamp: true,
        supported_versions: Some(vec![ProtocolVersion::TLS13]),
        key_shares: Some(key_shares(&key_exchange)),
        ..ClientExtensions::default()
    };
    let hello = ClientHello::new(random.take::<32>()?, session_id, common.cipher_suites.clone(), extensions);
    peer.send(&hello)?;
    Ok(Box::new(Offer { hello, key_exchange, suite: None, retry_group: None }))
}

fn key_shares(key_exchange: &KeyExchange) -> Vec<KeyShareEntry> {
    key_exchange.shares().into_iter().map(|(group, key_exchange)| KeyShareEntry { group, key_exchange }).collect()
}

/// The ServerHello, after at most one HelloRetryRequest.
async fn read_server_hello(
    peer: &mut Peer<'_>,
    offer: &mut Offer,
    config: &ClientSettings,
) -> Result<Box<ServerHello>, Error> {
    let (answer, bytes) = peer.read_unhashed::<ServerHelloOrRetry>().await?;
    let (hello, bytes) = match answer {
        ServerHelloOrRetry::Hello(hello) => {
            let suite = check_server_hello(offer, &hello)?;
            peer.transcript.start(suite.hash);
            (hello, bytes)
        }
        ServerHelloOrRetry::Retry(retry) => {
            send_second_client_hello(peer, offer, config, &retry, &bytes)?;
            let (answer, bytes) = peer.read_unhashed::<ServerHelloOrRetry>().await?;
            let ServerHelloOrRetry::Hello(hello) = answer else {
                return Err(Misbehaviour::BadRetryRequest("second").into());
            };
            check_server_hello(offer, &hello)?;
            (hello, bytes)
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
    if retry.supported_version != Some(ProtocolVersion::TLS13) {
        return Err(Misbehaviour::IllegalParameter("version of HelloRetryRequest").into());
    }
    // A cookie is the one extension that may come unasked.
    check_extensions(&retry.extension_types, HandshakeType::SERVER_HELLO, true, |extension| {
        extension == ExtensionType::COOKIE || offer.hello.offers(extension)
    })?;
    let suite = check_choice(offer, retry.cipher_suite, &retry.session_id_echo, retry.compression_method)?;
    offer.suite = Some(suite);

    let hello = &mut offer.hello;
    if let Some(group) = retry.group {
        if !config.common.groups.contains(&group) {
            return Err(Misbehaviour::NotOffered("group").into());
        }
        if config.key_shares.contains(&group) {
            return Err(Misbehaviour::BadRetryRequest("it asks for a key share that it was given").into());
        }
        offer.key_exchange = KeyExchange::start(&[group])?;
        offer.retry_group = Some(group);
        hello.extensions.key_shares = Some(key_shares(&offer.key_exchange));
    } else if retry.cookie.is_none() {
        return Err(Misbehaviour::BadRetryRequest("it asks for nothing new").into());
    }
    hello.extensions.cookie.clone_from(&retry.cookie);

    peer.transcript.start(suite.hash);
    peer.transcript.restart_for_retry();
    peer.transcript.add(retry_bytes);
    // What follows in plaintext must be the answer to the ClientHello that is sent now.
    peer.input.check_key_change()?;
    if config.middlebox_compatibility {
        peer.send_change_cipher_spec()?;
    }
    let mut bytes = Vec::new();
    encode_message(hello, &mut bytes);
    peer.send_encoded(&bytes)
}

/// Checks what must hold for a ServerHello whatever comes next (section 4.1.3).
fn check_server_hello(offer: &mut Offer, hello: &ServerHello) -> Result<&'static Suite, Error> {
    match hello.extensions.supported_version {
        Some(ProtocolVersion::TLS13) => {}
        Some(version) if version > ProtocolVersion::TLS12 => {
            return Err(Misbehaviour::NotOffered("version in supported_versions").into());
        }
        Some(_) => return Err(Misbehaviour::IllegalParameter("version in supported_versions").into()),
        None if hello.downgrade_sentinel().is_some() => return Err(Misbehaviour::Downgraded.into()),
        None => return Err(NothingInCommon::Version { theirs: vec![hello.legacy_version] }.into()),
    }
    if hello.legacy_version != ProtocolVersion::TLS12 {
        return Err(Misbehaviour::IllegalParameter("legacy_version").into());
    }
    check_extensions(&hello.extension_types, HandshakeType::SERVER_HELLO, false, |extension| {
        offer.hello.offers(extension)
    })?;
    let suite = check_choice(offer, hello.cipher_suite, &hello.session_id_echo, hello.compression_method)?;
    if offer.suite.is_some_and(|first| first.id != suite.id) {
        return Err(Misbehaviour::Mismatch("the cipher suite of HelloRetryRequest").into());
    }
    offer.suite = Some(suite);
    let share = hello.extensions.key_share.as_ref().ok_or(Misbehaviour::MissingExtension(ExtensionType::KEY_SHARE))?;
    if offer.retry_group.is_some_and(|group| group != share.group) {
        return Err(Misbehaviour::Mismatch("the group of HelloRetryRequest").into());
    }
    Ok(suite)
}

/// The fields that ServerHello and HelloRetryRequest have in common.
fn check_choice(
    offer: &Offer,
    suite: CipherSuite,
    session_id_echo: &SessionId,
    compression_method: u8,
) -> Result<&'static Suite, Error> {
    if *session_id_echo != offer.hello.session_id {
        return Err(Misbehaviour::Mismatch("legacy_session_id_echo").into());
    }
    if compression_method != 0 {
        return Err(Misbehaviour::IllegalParameter("legacy_compression_method").into());
    }
    if !offer.hello.cipher_suites.contains(&suite) {
        return Err(Misbehaviour::NotOffered("cipher suite").into());
    }
    suites::suite13(suite).ok_or_else(|| Misbehaviour::NotOffered("cipher suite").into())
}

/// Errors and logs of this side say so.
pub(super) const SIDE: Side = Side::Client;
