//! A server's handshake that waits, after the ClientHello, for its caller to decide.

use core::fmt;
use std::sync::Arc;

use super::server::client_hello;
use crate::error::Error;
use crate::messages::client_hello::ClientHello;
use crate::peer::{Link, Parked, Peer};

/// Reads the ClientHello and nothing more: the first stage of [`accept`](crate::accept), for servers that decide by it
/// how to go on. Nothing has been written.
///
/// Cancel safe as [`accept`](crate::accept) is.
///
/// # Errors
/// As [`accept`](crate::accept).
pub async fn read_client_hello(peer: &mut Peer<'_>) -> Result<PendingAccept, Error> {
    match client_hello(peer).await {
        Ok(client_hello) => {
            // The message was taken; whoever decides slowly shall not hold a buffer meanwhile.
            peer.input.release_if_empty();
            Ok(PendingAccept {
                parked: Box::new(peer.park()),
                client_hello,
            })
        }
        Err(error) => Err(peer.explain(error)),
    }
}

/// What [`read_client_hello`] gives: a server's handshake before its first answer.
///
/// Three ways lead on:
/// - [`Self::resume`] and [`accept`](crate::accept) or [`accept_early`](crate::accept_early), with a configuration
///   chosen by the ClientHello;
/// - [`Self::resume`], [`Peer::refusal`] and [`Peer::send_alert`], with an alert of the caller's choice;
/// - it is dropped, and somebody else goes on with the connection, who needs all bytes that the link gave so far: a link
///   that is read for such a server keeps them. They are less than 400 KiB.
///
/// ```
/// use tls_core::{
///     AlertDescription, Connection, ConnectionContext, Error, Link, Peer, ServerConfig, Side, accept,
///     read_client_hello,
/// };
///
/// async fn serve(link: &mut dyn Link, config: &ServerConfig) -> Result<Connection, Error> {
///     let mut peer = Peer::new(Side::Server, link, ConnectionContext::new());
///     let pending = read_client_hello(&mut peer).await?;
///     drop(peer);
///     if pending.client_hello().server_name().is_none() {
///         let mut peer = pending.resume(link);
///         let refusal = peer.refusal(AlertDescription::UNRECOGNIZED_NAME);
///         return Err(refusal);
///     }
///     accept(&mut pending.resume(link), config).await
/// }
/// ```
#[must_use = "the client waits for an answer"]
pub struct PendingAccept {
    /// Boxed, since it is moved from one future to the next.
    parked: Box<Parked>,
    client_hello: Arc<ClientHello>,
}

impl PendingAccept {
    /// What the client offers.
    #[must_use]
    pub fn client_hello(&self) -> &ClientHello {
        &self.client_hello
    }

    /// The peer on its link again, which must be that of [`read_client_hello`].
    pub fn resume(self, link: &mut dyn Link) -> Peer<'_> {
        self.parked.resume(link)
    }
}

impl fmt::Debug for PendingAccept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingAccept")
            .field("client_hello", &self.client_hello)
            .finish_non_exhaustive()
    }
}
