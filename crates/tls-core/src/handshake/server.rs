//! The server's side up to the ClientHello, which decides on configuration and version.

use std::sync::Arc;

use super::early_connection::EarlyConnection;
use super::{server12, server13};
use crate::config::{Common, ServerConfig};
use crate::connection::Connection;
use crate::crypto::aead::AeadAlgorithm;
use crate::crypto::suites::Suite;
use crate::error::{Error, NothingInCommon};
use crate::messages::client_hello::ClientHello;
use crate::peer::Peer;
use crate::record::ChangeCipherSpec;
use crate::registry::ProtocolVersion;

/// Runs the whole handshake as a server and returns the established connection.
///
/// Cancel safe in the sense that dropping the future leaves `peer` able to send an alert; the handshake itself
/// cannot be taken up again.
///
/// # Errors
/// All that can go wrong with a peer, a hook or the link. The alert has not been sent yet: see
/// [`Peer::send_alert`].
pub async fn accept(peer: &mut Peer<'_>, config: &ServerConfig) -> Result<Connection, Error> {
    match handshake(peer, config).await {
        Ok(connection) => Ok(connection),
        Err(error) => Err(peer.explain(error)),
    }
}

/// Runs the handshake up to the server's Finished, accepts early data (0-RTT, section 2.3) if the client sends some that
/// may be accepted, and returns what can be read and written before the handshake is over.
///
/// Early data is accepted where [`max_early_data`](crate::ServerConfigBuilder::max_early_data) allows it, the ticket is
/// fresh, and the [`ReplayGuard`](crate::ReplayGuard) has not seen it. Without it, and in TLS 1.2, there is nothing to
/// read before [`EarlyConnection::resume`].
///
/// Cancel safe as [`accept`] is.
///
/// # Errors
/// As [`accept`].
pub async fn accept_early(peer: &mut Peer<'_>, config: &ServerConfig) -> Result<EarlyConnection, Error> {
    match handshake_early(peer, config).await {
        Ok(connection) => Ok(connection),
        Err(error) => Err(peer.explain(error)),
    }
}

async fn handshake(peer: &mut Peer<'_>, config: &ServerConfig) -> Result<Connection, Error> {
    let hello = client_hello(peer).await?;
    let selected = select_config(peer, config, &hello).await?;
    let config = &selected.as_ref().unwrap_or(config).0;
    peer.output.set_padding(config.common.padding);
    peer.output.set_max_fragment(config.common.max_fragment);
    peer.input
        .set_max_certificate_message(config.common.max_certificate_message);
    match choose_version(&hello, &config.common)? {
        ProtocolVersion::TLS13 => {
            let responded = server13::respond(peer, hello, config, false).await?;
            server13::finish(peer, responded, config).await
        }
        _ => server12::respond(peer, &hello, config).await,
    }
}

async fn handshake_early(peer: &mut Peer<'_>, config: &ServerConfig) -> Result<EarlyConnection, Error> {
    let hello = client_hello(peer).await?;
    let selected = select_config(peer, config, &hello).await?;
    let config = selected.as_ref().unwrap_or(config);
    peer.output.set_padding(config.0.common.padding);
    peer.output.set_max_fragment(config.0.common.max_fragment);
    peer.input
        .set_max_certificate_message(config.0.common.max_certificate_message);
    match choose_version(&hello, &config.0.common)? {
        ProtocolVersion::TLS13 => {
            let responded = server13::respond(peer, hello, &config.0, true).await?;
            // A client that is still sending early data may not read yet: it is for the caller to go on with both.
            peer.flush_what_goes().await;
            Ok(EarlyConnection::new(peer, responded, config))
        }
        _ => {
            let connection = server12::respond(peer, &hello, &config.0).await?;
            Ok(EarlyConnection::established(peer, connection))
        }
    }
}

/// The client's first message, which may have been read already: see [`read_client_hello`](super::read_client_hello).
pub(super) async fn client_hello(peer: &mut Peer<'_>) -> Result<Arc<ClientHello>, Error> {
    if let Some(hello) = &peer.client_hello {
        return Ok(Arc::clone(hello));
    }
    let mut hello = peer.read::<ClientHello>().await?;
    hello.raw = peer.input.message().to_vec();
    let hello = Arc::new(hello);
    peer.client_hello = Some(Arc::clone(&hello));
    // The client must wait for our answer now, and the keys change with it (section 5.1).
    peer.input.end_of_flight()?;
    peer.input.set_change_cipher_spec(ChangeCipherSpec::Drop);
    peer.set_server_name(hello.server_name());
    Ok(hello)
}

/// Which configuration serves this client, if a selector is there to say so.
async fn select_config(
    peer: &mut Peer<'_>,
    config: &ServerConfig,
    hello: &ClientHello,
) -> Result<Option<ServerConfig>, Error> {
    const HOOK: &str = "ConfigSelector";
    let Some(selector) = &config.0.selector else {
        return Ok(None);
    };
    let context = Arc::clone(&peer.context);
    let answer = selector.select(hello, &context);
    peer.ask(HOOK, answer)
        .await
        .map(Some)
        .map_err(|source| Error::hook(HOOK, source))
}

/// The best version that both sides have: by supported_versions if the client sent it, else by legacy_version, its
/// best (section 4.2.1).
fn choose_version(hello: &ClientHello, common: &Common) -> Result<ProtocolVersion, Error> {
    let ours = common.versions();
    match &hello.extensions.supported_versions {
        Some(theirs) => ours
            .iter()
            .copied()
            .find(|version| theirs.contains(version))
            .ok_or_else(|| {
                NothingInCommon::Version {
                    theirs: theirs.clone(),
                    ours: common.versions(),
                }
                .into()
            }),
        None if hello.legacy_version >= ProtocolVersion::TLS12 && ours.contains(&ProtocolVersion::TLS12) => {
            Ok(ProtocolVersion::TLS12)
        }
        None => Err(NothingInCommon::Version {
            theirs: vec![hello.legacy_version],
            ours,
        }
        .into()),
    }
}

/// Our preference decides, but for one thing: a client that puts ChaCha20 first has no AES hardware.
pub(super) fn choose_suite(
    hello: &ClientHello,
    ours: impl Iterator<Item = &'static Suite> + Clone,
) -> Result<&'static Suite, Error> {
    let position = |suite: &Suite| hello.cipher_suites.iter().position(|theirs| *theirs == suite.id);
    let common: Vec<_> = ours
        .clone()
        .filter_map(|suite| position(suite).map(|position| (position, suite)))
        .collect();
    let first = common
        .iter()
        .min_by_key(|(position, _)| *position)
        .map(|(_, suite)| *suite);
    match first {
        Some(chacha) if chacha.aead == AeadAlgorithm::ChaCha20Poly1305 => Ok(chacha),
        _ => common.first().map(|(_, suite)| *suite).ok_or_else(|| {
            NothingInCommon::CipherSuite {
                theirs: hello.cipher_suites.clone(),
                ours: ours.map(|suite| suite.id).collect(),
            }
            .into()
        }),
    }
}

/// The first of our protocols that the client offers (RFC 7301 section 3.2).
pub(super) fn choose_alpn(hello: &ClientHello, common: &Common) -> Result<Option<Vec<u8>>, Error> {
    let Some(theirs) = &hello.extensions.alpn else {
        return Ok(None);
    };
    if common.alpn.is_empty() {
        return Ok(None);
    }
    match common.alpn.iter().find(|name| theirs.contains(name)) {
        Some(name) => Ok(Some(name.clone())),
        None => Err(NothingInCommon::ApplicationProtocol {
            theirs: theirs.to_vec(),
            ours: common.alpn.clone(),
        }
        .into()),
    }
}
