//! The server's side up to the ClientHello, which decides on configuration and version.

use std::sync::Arc;

use super::server13;
use crate::config::ServerConfig;
use crate::connection::Connection;
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

async fn handshake(peer: &mut Peer<'_>, config: &ServerConfig) -> Result<Connection, Error> {
    let hello = read_client_hello(peer).await?;
    let selected = select_config(peer, config, &hello).await?;
    let config = &selected.as_ref().unwrap_or(config).0;
    peer.output.set_padding(config.common.padding);
    choose_version(&hello)?;
    let responded = server13::respond(peer, hello, config).await?;
    server13::finish(peer, responded).await
}

async fn read_client_hello(peer: &mut Peer<'_>) -> Result<Box<ClientHello>, Error> {
    let hello = Box::new(peer.read::<ClientHello>().await?);
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

/// TLS 1.3 is offered by supported_versions alone (section 4.2.1); without it legacy_version counts.
fn choose_version(hello: &ClientHello) -> Result<ProtocolVersion, Error> {
    let offered = match &hello.extensions.supported_versions {
        Some(versions) if versions.contains(&ProtocolVersion::TLS13) => return Ok(ProtocolVersion::TLS13),
        Some(versions) => versions.clone(),
        None => vec![hello.legacy_version],
    };
    Err(NothingInCommon::Version { theirs: offered }.into())
}
