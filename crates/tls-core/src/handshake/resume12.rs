//! Resumption in TLS 1.2, for both sides: by session id (RFC 5246 section 7.3, figure 2) and by ticket (RFC 5077).

use core::time::Duration;
use std::sync::Arc;

use super::chain::unless_failed;
use super::client::Offer;
use super::client_auth::{Claim, ClientIdentity, identity_of_session};
use super::keys12::Keys12;
use crate::config::{Clock, ServerSettings};
use crate::crypto::hkdf::Secret;
use crate::crypto::random::HandshakeRandom;
use crate::crypto::suites::{self, Suite};
use crate::error::{Error, Misbehaviour};
use crate::hooks::PeerVerified;
use crate::messages::client_hello::ClientHello;
use crate::messages::server_hello::ServerHello;
use crate::messages::short_bytes::SessionId;
use crate::messages::tls12::new_session_ticket::NewSessionTicket;
use crate::negotiated::Negotiated;
use crate::peer::Peer;
use crate::registry::{CipherSuite, ProtocolVersion};
use crate::session::{
    ClientSession, ClientSessionParts, Inherited, ServerSession, SessionState, lifetime_left,
};
use crate::ticket::{self, Purpose};

/// How long a ticket is kept whose server does not say (RFC 5077 section 3.3), in seconds.
const UNSPECIFIED_LIFETIME: u32 = 7_200;

/// Bytes of a session id of ours.
const SESSION_ID_LEN: usize = 32;

// ---- Client

/// A session on offer, from a server whose chain the verifier accepts today.
pub(super) struct Offered {
    pub(super) session: ClientSession,
    pub(super) trusted: PeerVerified,
    /// Ours, to know by its echo that the server resumes: that of the session, or a made up one beside a ticket
    /// (RFC 5077 section 3.4).
    pub(super) session_id: SessionId,
}

impl Offered {
    /// A session that this ClientHello could resume: `None` where version or suite do not fit.
    pub(super) fn new(
        session: ClientSession,
        trusted: PeerVerified,
        suites: &[CipherSuite],
        random: &mut HandshakeRandom,
    ) -> Option<Self> {
        let state = &session.parts().state;
        if state.version != ProtocolVersion::TLS12 || !suites.contains(&state.cipher_suite) {
            return None;
        }
        let session_id = match session.ticket().is_empty() {
            true => SessionId::new(session.session_id())?,
            false => SessionId::from(random.take::<32>().ok()?),
        };
        Some(Self {
            session,
            trusted,
            session_id,
        })
    }
}

/// The session that the server resumes, if its ServerHello says so by our session id.
pub(super) fn accepted_session(offer: &mut Offer, hello: &ServerHello) -> Result<Option<Offered>, Error> {
    let echoed = !hello.session_id.is_empty() && hello.session_id == offer.hello.session_id;
    let Some(offered) = offer.session12.take_if(|_| echoed) else {
        return match echoed {
            // The id was there to look like TLS 1.2 to middleboxes.
            true => Err(Misbehaviour::IllegalParameter("session_id: no session was offered").into()),
            false => Ok(None),
        };
    };
    let state = &offered.session.parts().state;
    if state.cipher_suite != hello.cipher_suite {
        return Err(Misbehaviour::Mismatch("the cipher suite of the session").into());
    }
    // RFC 7627 section 5.3.
    if state.extended_main_secret != hello.extensions.extended_main_secret {
        return Err(Misbehaviour::Mismatch("extended_main_secret of the session").into());
    }
    Ok(Some(offered))
}

/// The NewSessionTicket that a server may send before its change_cipher_spec if it said so (RFC 5077 section 3.3). An
/// empty one means that it has changed its mind.
pub(super) async fn read_new_session_ticket(
    peer: &mut Peer<'_>,
    hello: &ServerHello,
) -> Result<Option<NewSessionTicket>, Error> {
    if !hello.extensions.session_ticket {
        return Ok(None);
    }
    let message = peer.read::<NewSessionTicket>().await?;
    Ok(Some(message).filter(|message| !message.ticket.is_empty()))
}

/// The session that this handshake gives, if it can be resumed at all.
pub(super) fn client_session(
    keys: &Keys12,
    hello: &ServerHello,
    ticket: Option<NewSessionTicket>,
    negotiated: &Negotiated,
    server_name: String,
    inherited: Inherited,
    clock: &Clock,
) -> Option<ClientSession> {
    let (ticket, session_id, lifetime) = match ticket {
        Some(message) => {
            let lifetime = if message.lifetime_hint == 0 {
                UNSPECIFIED_LIFETIME
            } else {
                message.lifetime_hint
            };
            (message.ticket, Vec::new(), lifetime)
        }
        None if hello.session_id.is_empty() => return None,
        None => (Vec::new(), hello.session_id.to_vec(), UNSPECIFIED_LIFETIME),
    };
    Some(ClientSession::new(ClientSessionParts {
        state: SessionState {
            version: ProtocolVersion::TLS12,
            cipher_suite: negotiated.cipher_suite,
            secret: Secret::from_slice(keys.main_secret())?,
            made_at: clock.now_ms(),
            authenticated_at: inherited.authenticated_at,
            lifetime,
            age_add: 0,
            max_early_data: 0,
            alpn: negotiated.alpn.clone(),
            server_name: Some(server_name),
            extended_main_secret: hello.extensions.extended_main_secret,
            client_was_asked: false,
            peer_chain: negotiated.peer_chain.clone(),
            extra: inherited.extra,
        },
        ticket,
        session_id,
    }))
}

// ---- Server

/// A session that the client wants to resume, and may.
pub(super) struct Resumed {
    pub(super) session: ServerSession,
    pub(super) suite: &'static Suite,
    pub(super) identity: ClientIdentity,
}

impl Resumed {
    /// Whether to give the client a new ticket (RFC 5077 section 3.3): more than half of the lifetime of the one it
    /// used is over, and the new one would be good for longer.
    pub(super) fn renews_ticket(&self, config: &ServerSettings) -> bool {
        let state = &self.session.state;
        let now = config.common.clock.now_ms();
        let left = u64::from(state.lifetime).saturating_sub(state.age(now) / 1000);
        let is_worth_it = u64::from(ticket_lifetime(&self.identity, config)) > left;
        config.session_store.is_none() && state.is_past_half(now) && is_worth_it
    }
}

/// Seconds that a session may be resumed which is made now.
fn ticket_lifetime(identity: &ClientIdentity, config: &ServerSettings) -> u32 {
    let now = config.common.clock.now_ms();
    config
        .session_lifetime
        .min(lifetime_left(identity.authenticated_at, now))
}

/// The session behind the client's ticket or session id, bound to the name and the protocol (`alpn`, chosen anew) of the
/// connection that it came from. Everything that is wrong with it means a full handshake, but
/// for one thing: a session with the extended main secret must not be resumed without (RFC 7627 section 5.3).
pub(super) async fn select_session(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    config: &ServerSettings,
    alpn: Option<&[u8]>,
) -> Result<Option<Box<Resumed>>, Error> {
    let Some(session) = find_session(peer, hello, config).await else {
        return Ok(None);
    };
    let state = &session.state;
    let suite = suites::suite(state.cipher_suite)
        .filter(|suite| hello.cipher_suites.contains(&suite.id))
        .filter(|suite| {
            config
                .common
                .suites(ProtocolVersion::TLS12)
                .any(|ours| ours.id == suite.id)
        });
    let fits = state.version == ProtocolVersion::TLS12
        && !state.is_expired(config.common.clock.now_ms())
        && state.server_name.as_deref() == hello.server_name()
        && state.alpn.as_deref() == alpn;
    let (Some(suite), true) = (suite, fits) else {
        return Ok(None);
    };
    match (state.extended_main_secret, hello.extensions.extended_main_secret) {
        (true, false) => Err(Misbehaviour::Mismatch("extended_main_secret of the session").into()),
        (false, true) => Ok(None),
        _ => {
            let identity = identity_of_session(peer, config, Claim::from(state)).await;
            // In a box: futures keep what they are given in several places.
            Ok(identity.map(|identity| {
                Box::new(Resumed {
                    session,
                    suite,
                    identity,
                })
            }))
        }
    }
}

async fn find_session(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    config: &ServerSettings,
) -> Option<ServerSession> {
    if config.tickets == 0 {
        return None;
    }
    let context = Arc::clone(&peer.context);
    match &config.session_store {
        Some(store) => {
            // Ours all have this length; of others the store need not be asked.
            let id = Some(&*hello.session_id).filter(|id| id.len() == SESSION_ID_LEN)?;
            let found = peer.ask("ServerSessionStore", store.get(id, &context)).await;
            let bytes = unless_failed("ServerSessionStore", found)?;
            ServerSession::from_stored_bytes(&bytes).ok()
        }
        None => {
            let sealed = hello
                .extensions
                .session_ticket
                .as_deref()
                .filter(|ticket| !ticket.is_empty())?;
            let id = ticket::key_id(sealed)?;
            let found = peer
                .ask("TicketKeys", config.ticket_keys.opening_key(id, &context))
                .await;
            let key = unless_failed("TicketKeys", found)?;
            ServerSession::from_bytes(&ticket::open(Purpose::Ticket, id, &key.secret, sealed)?).ok()
        }
    }
}

/// How a handshake will make itself resumable: said in the ServerHello, kept in [`keep`].
pub(super) enum Promise {
    Nothing,
    /// A NewSessionTicket will follow.
    Ticket,
    /// The session will be in the store under this id.
    SessionId([u8; SESSION_ID_LEN]),
}

impl Promise {
    pub(super) fn new(hello: &ClientHello, config: &ServerSettings) -> Result<Self, Error> {
        Ok(match &config.session_store {
            _ if config.tickets == 0 => Self::Nothing,
            Some(_) => Self::SessionId(HandshakeRandom::new()?.take()?),
            None if hello.extensions.session_ticket.is_some() => Self::Ticket,
            None => Self::Nothing,
        })
    }

    pub(super) fn session_id(&self) -> SessionId {
        match self {
            Self::SessionId(id) => SessionId::from(*id),
            _ => SessionId::EMPTY,
        }
    }
}

/// Keeps the promise, before our change_cipher_spec. A hook that fails leaves the client with an empty ticket, or an
/// id that nobody knows: its next handshake is a full one.
pub(super) async fn keep(
    peer: &mut Peer<'_>,
    promise: Promise,
    keys: &Keys12,
    negotiated: &Negotiated,
    identity: &ClientIdentity,
    extended_main_secret: bool,
    config: &ServerSettings,
) -> Result<(), Error> {
    let Some(secret) = Secret::from_slice(keys.main_secret()) else {
        return Ok(());
    };
    let lifetime = ticket_lifetime(identity, config);
    let session = ServerSession {
        state: SessionState {
            version: ProtocolVersion::TLS12,
            cipher_suite: negotiated.cipher_suite,
            secret,
            made_at: config.common.clock.now_ms(),
            authenticated_at: identity.authenticated_at,
            lifetime,
            age_add: 0,
            max_early_data: 0,
            alpn: negotiated.alpn.clone(),
            server_name: negotiated.server_name.clone(),
            extended_main_secret,
            client_was_asked: identity.was_asked,
            peer_chain: identity.chain(),
            extra: Vec::new(),
        },
    };
    let context = Arc::clone(&peer.context);
    match (promise, &config.session_store) {
        (Promise::Ticket, _) => {
            let key = peer
                .ask("TicketKeys", config.ticket_keys.sealing_key(&context))
                .await;
            let key = unless_failed("TicketKeys", key);
            let sealed = key.and_then(|key| {
                let random = &mut HandshakeRandom::new().ok()?;
                ticket::seal(Purpose::Ticket, &key.id, &key.secret, &session.to_bytes(), random)
            });
            peer.send(&NewSessionTicket {
                lifetime_hint: lifetime,
                ticket: sealed.unwrap_or_default(),
            })
        }
        (Promise::SessionId(id), Some(store)) => {
            let lifetime = Duration::from_secs(lifetime.into());
            let put = store.put(&id, session.to_stored_bytes(), lifetime, &context);
            unless_failed(
                "ServerSessionStore",
                peer.ask("ServerSessionStore", put).await.map(Some),
            );
            Ok(())
        }
        _ => Ok(()),
    }
}
