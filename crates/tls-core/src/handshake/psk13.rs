//! Resumption in TLS 1.3, for both sides: offering a ticket, taking one, and making new ones (sections 2.2, 4.2.11
//! and 4.6.1).

use std::sync::Arc;

use rustls_pki_types::ServerName;

use super::chain::{unless_failed, verify_session_chain};
use super::client_auth::{Claim, ClientIdentity, identity_of_session};
use crate::config::{ClientSettings, ServerSettings};
use crate::crypto::hash::HashValue;
use crate::crypto::random::HandshakeRandom;
use crate::crypto::suites::{self, Suite};
use crate::error::{Error, Misbehaviour, Side};
use crate::hooks::{PeerVerified, SessionKey};
use crate::key_schedule::{PskOrigin, PskSchedule, ResumptionSecret};
use crate::messages::client_hello::ClientHello;
use crate::messages::encode_message;
use crate::messages::new_session_ticket::NewSessionTicket;
use crate::messages::pre_shared_key::{OfferedPsks, PskIdentity};
use crate::negotiated::Negotiated;
use crate::peer::Peer;
use crate::registry::{CipherSuite, ContentType, ProtocolVersion};
use crate::session::{ClientSession, ServerSession, SessionState, lifetime_left};
use crate::tamper;
use crate::ticket::{self, Purpose};
use crate::transcript::Transcript;

/// Tickets that we look into of one ClientHello: opening each costs an AEAD operation and perhaps a look-up.
const MAX_TRIED: usize = 4;

/// By how much the client's view of its ticket's age may differ from ours, in milliseconds. Without early data it
/// protects nothing (section 4.2.11.1 asks for the check); clocks run apart and networks are slow.
const AGE_TOLERANCE: u64 = 60_000;

/// Tickets for one client, whatever it asks for (RFC 9149 section 3).
const MAX_TICKETS: u8 = 8;

/// Bytes of a ticket that is the name of a session in the store: nobody guesses one. A session id of TLS 1.2, which anybody
/// on the path can read, is shorter, so that it takes no session out of the store.
const STORED_ID_LEN: usize = 40;

const CACHE: &str = "ClientSessionCache";

// ---- Client

/// A ticket on offer, from a server whose chain the verifier accepts today.
pub(super) struct Offered {
    pub(super) session: ClientSession,
    pub(super) trusted: PeerVerified,
    pub(super) suite: &'static Suite,
    pub(super) schedule: PskSchedule,
}

impl Offered {
    /// A ticket that this ClientHello could resume with: `None` where version or hash do not fit.
    pub(super) fn new(session: ClientSession, trusted: PeerVerified, suites: &[CipherSuite]) -> Option<Self> {
        let state = &session.parts().state;
        let suite = suites::suite(state.cipher_suite)?;
        let usable = state.version == ProtocolVersion::TLS13
            && suites
                .iter()
                .filter_map(|id| suites::suite(*id))
                .any(|offered| offered.hash == suite.hash);
        if !usable {
            return None;
        }
        let schedule = PskSchedule::new(suite.hash, &state.secret, PskOrigin::Resumption);
        Some(Self {
            session,
            trusted,
            suite,
            schedule,
        })
    }
}

/// The newest session with this server that can still be used: of its name, not expired, and with a chain that the verifier
/// accepts for the name today (its roots may have changed). A cache that fails costs a full handshake.
pub(super) async fn take_session(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
) -> Option<(ClientSession, PeerVerified)> {
    let cache = config.session_cache.as_ref()?;
    let key = SessionKey {
        server: server_name.clone(),
        security_domain: config.security_domain,
    };
    let context = Arc::clone(&peer.context);
    let taken = peer.ask(CACHE, cache.take(&key, &context)).await;
    let session = unless_failed(CACHE, taken)?;
    // A cache may be outside of this process and mix things up.
    let is_for_it = session.server_name() == Some(&*server_name.to_str());
    if !is_for_it || session.is_expired(config.common.clock.now_ms()) {
        return None;
    }
    let trusted = verify_session_chain(peer, config, server_name, session.peer_chain()?)
        .await
        .ok()?;
    Some((session, trusted))
}

/// Forgets the sessions with this server, of which one could not be resumed.
pub(super) async fn forget_sessions(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    server_name: &ServerName<'static>,
) {
    let Some(cache) = &config.session_cache else {
        return;
    };
    let key = SessionKey {
        server: server_name.clone(),
        security_domain: config.security_domain,
    };
    let context = Arc::clone(&peer.context);
    let removed = peer.ask(CACHE, cache.remove(&key, &context)).await;
    unless_failed(CACHE, removed.map(Some));
}

/// Sends a ClientHello whose last extension offers this ticket: the binder covers all before itself and what is in
/// the transcript (section 4.2.11.2).
pub(super) fn send_client_hello(
    peer: &mut Peer<'_>,
    hello: &mut ClientHello,
    offered: &Offered,
    now: u64,
) -> Result<(), Error> {
    let hash = offered.suite.hash;
    let identity = PskIdentity {
        identity: offered.session.ticket().to_vec(),
        obfuscated_ticket_age: offered.session.obfuscated_ticket_age(now),
    };
    let mut psks = OfferedPsks::one(identity, hash.len());
    hello.extensions.pre_shared_key = Some(psks.clone());
    let mut bytes = Vec::new();
    encode_message(hello, &mut bytes);
    bytes.truncate(bytes.len().saturating_sub(psks.binders_len()));
    let binder = offered
        .schedule
        .binder()
        .mac(&peer.transcript.hash_with_suffix(hash, &bytes));
    psks.binders = vec![binder.as_bytes().to_vec()];
    psks.put_binders(&mut bytes);
    hello.extensions.pre_shared_key = Some(psks);
    peer.send_encoded(&bytes)
}

// ---- Server

/// A session that the client has a ticket for, and proved to know the secret of.
pub(super) struct Resumed {
    /// Which of the client's identities.
    pub(super) selected: u16,
    pub(super) schedule: PskSchedule,
    /// Early data may come with the client's first ticket alone, and under its own suite (section 4.2.10).
    pub(super) allows_early_data: bool,
    /// Bytes of early data that the ticket allows.
    pub(super) max_early_data: u32,
    /// When the client sent its ClientHello, going by the age it gives its ticket: milliseconds since 1970.
    pub(super) sent_at: u64,
}

/// The hash that the binders of this ClientHello are made over (section 4.2.11.2): all messages so far without the
/// binders. `message` is the ClientHello with its header, `before` what went before it.
pub(super) fn binder_hash(
    before: &Transcript,
    hello: &ClientHello,
    suite: &Suite,
    message: &[u8],
) -> Option<HashValue> {
    let binders_len = hello.extensions.pre_shared_key.as_ref()?.binders_len();
    let without_binders = message.get(..message.len().checked_sub(binders_len)?)?;
    Some(before.hash_with_suffix(suite.hash, without_binders))
}

/// The same for the first ClientHello, the only message in the transcript.
pub(super) fn first_binder_hash(
    transcript: &Transcript,
    hello: &ClientHello,
    suite: &Suite,
) -> Option<HashValue> {
    binder_hash(&Transcript::new(), hello, suite, transcript.buffered()?)
}

/// The first of the client's tickets that can be resumed, and who the client is then. Everything that is wrong with a ticket means a full
/// handshake; a wrong binder for a right ticket is an attack (section 4.2.11).
pub(super) async fn select_psk(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    binder_hash: Option<HashValue>,
    suite: &Suite,
    alpn: Option<&[u8]>,
    config: &ServerSettings,
) -> Result<Option<(Resumed, ClientIdentity)>, Error> {
    let (Some(psks), Some(binder_hash)) = (&hello.extensions.pre_shared_key, binder_hash) else {
        return Ok(None);
    };
    if config.tickets == 0 {
        return Ok(None);
    }
    if psks.binders.len() != psks.identities.len() {
        return Err(Misbehaviour::IllegalParameter("number of binders").into());
    }
    if !hello
        .extensions
        .psk_key_exchange_modes
        .is_some_and(|modes| modes.psk_dhe_ke)
    {
        return Ok(None);
    }
    let now = config.common.clock.now_ms();
    for (selected, (identity, binder)) in psks
        .identities
        .iter()
        .zip(&psks.binders)
        .take(MAX_TRIED)
        .enumerate()
    {
        let Some(session) = open_ticket(peer, &identity.identity, config).await else {
            continue;
        };
        let state = &session.state;
        let sent_at = session.sent_at(identity.obfuscated_ticket_age);
        let fits = state.version == ProtocolVersion::TLS13
            && suites::suite(state.cipher_suite).is_some_and(|of| of.hash == suite.hash)
            && !state.is_expired(now)
            && now.abs_diff(sent_at) <= AGE_TOLERANCE
            && state.server_name.as_deref() == hello.server_name()
            && state.alpn.as_deref() == alpn;
        if !fits {
            continue;
        }
        let schedule = PskSchedule::new(suite.hash, &state.secret, PskOrigin::Resumption);
        if !schedule.binder().verify(&binder_hash, binder) {
            return Err(Misbehaviour::BadBinder.into());
        }
        let allows_early_data = selected == 0 && state.cipher_suite == suite.id;
        let resumed = Resumed {
            selected: u16::try_from(selected).unwrap_or(0),
            schedule,
            allows_early_data,
            max_early_data: state.max_early_data,
            sent_at,
        };
        let claim = Claim::from(state);
        drop(session);
        // Of several tickets it would be the same client: the verifier is not asked more often than once.
        let identity = identity_of_session(peer, config, claim).await;
        return Ok(identity.map(|identity| (resumed, identity)));
    }
    Ok(None)
}

/// The session in a ticket, or behind it in the store. A hook that fails costs a full handshake.
async fn open_ticket(peer: &mut Peer<'_>, ticket: &[u8], config: &ServerSettings) -> Option<ServerSession> {
    let context = Arc::clone(&peer.context);
    match &config.session_store {
        Some(store) => {
            // Whatever else a client has is not looked up: a store may be far away.
            if ticket.len() != STORED_ID_LEN {
                return None;
            }
            let taken = peer.ask("ServerSessionStore", store.take(ticket, &context)).await;
            let bytes = unless_failed("ServerSessionStore", taken)?;
            ServerSession::from_stored_bytes(&bytes).ok()
        }
        None => {
            let id = ticket::key_id(ticket)?;
            let found = peer
                .ask("TicketKeys", config.ticket_keys.opening_key(id, &context))
                .await;
            let key = unless_failed("TicketKeys", found)?;
            ServerSession::from_bytes(&ticket::open(Purpose::Ticket, id, &key.secret, ticket)?).ok()
        }
    }
}

/// How many tickets this client is given: as many as it asks for, within reason (RFC 9149), else as configured; none
/// to one that could not use them (section 4.2.9).
pub(super) fn tickets_wanted(hello: &ClientHello, resumed: bool, config: &ServerSettings) -> u8 {
    if config.tickets == 0
        || !hello
            .extensions
            .psk_key_exchange_modes
            .is_some_and(|modes| modes.psk_dhe_ke)
    {
        return 0;
    }
    match hello.extensions.ticket_request {
        Some(request) if resumed => request.resumption_count.min(MAX_TICKETS),
        Some(request) => request.new_session_count.min(MAX_TICKETS),
        None => config.tickets,
    }
}

/// Makes tickets and sends what of them the transport takes at once (section 4.6.1); the rest goes with the first data.
/// Nobody waits for a client that does not read them, or fails because it has gone: the handshake is over. The client's
/// Finished is in the transcript, and the application keys are in force.
pub(super) async fn send_new_session_tickets(
    peer: &mut Peer<'_>,
    count: u8,
    negotiated: &Negotiated,
    identity: &ClientIdentity,
    resumption: &ResumptionSecret,
    config: &ServerSettings,
) -> Result<(), Error> {
    let now = config.common.clock.now_ms();
    let lifetime = config
        .session_lifetime
        .min(lifetime_left(identity.authenticated_at, now));
    if lifetime == 0 {
        return Ok(());
    }
    // One draw is enough for six that are sealed.
    let mut random = HandshakeRandom::new()?;
    for number in 0..count {
        let nonce = [number];
        let session = ServerSession {
            state: SessionState {
                version: ProtocolVersion::TLS13,
                cipher_suite: negotiated.cipher_suite,
                secret: resumption.psk(&nonce)?,
                made_at: now,
                authenticated_at: identity.authenticated_at,
                lifetime,
                age_add: u32::from_be_bytes(random.take()?),
                max_early_data: config.max_early_data,
                alpn: negotiated.alpn.clone(),
                server_name: negotiated.server_name.clone(),
                extended_main_secret: false,
                client_asked_by: identity.asked_by,
                peer_chain: identity.chain(),
                extra: Vec::new(),
            },
        };
        let Some(ticket) = make_ticket(peer, &session, &mut random, config).await else {
            break;
        };
        let message = NewSessionTicket {
            lifetime: session.state.lifetime,
            age_add: session.state.age_add,
            nonce: nonce.to_vec(),
            ticket,
            max_early_data_size: (config.max_early_data > 0).then_some(config.max_early_data),
            extension_types: Vec::new(),
        };
        // It is no part of the transcript any more.
        let mut bytes = Vec::new();
        encode_message(&message, &mut bytes);
        peer.output
            .queue(ContentType::HANDSHAKE, &tamper::instead_of(Side::Server, &bytes))?;
    }
    peer.flush_what_goes().await;
    Ok(())
}

/// The ticket itself: the session sealed, or a name for it in the store. `None` where that cannot be had.
async fn make_ticket(
    peer: &mut Peer<'_>,
    session: &ServerSession,
    random: &mut HandshakeRandom,
    config: &ServerSettings,
) -> Option<Vec<u8>> {
    let context = Arc::clone(&peer.context);
    match &config.session_store {
        Some(store) => {
            let id = random.take::<STORED_ID_LEN>().ok()?;
            let lifetime = core::time::Duration::from_secs(session.state.lifetime.into());
            let put = peer
                .ask(
                    "ServerSessionStore",
                    store.put(&id, session.to_stored_bytes(), lifetime, &context),
                )
                .await;
            unless_failed("ServerSessionStore", put.map(Some))?;
            Some(id.to_vec())
        }
        None => {
            let key = peer
                .ask("TicketKeys", config.ticket_keys.sealing_key(&context))
                .await;
            let key = unless_failed("TicketKeys", key)?;
            ticket::seal(Purpose::Ticket, &key.id, &key.secret, &session.to_bytes(), random)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerConfig;
    use crate::crypto::hash::{HashAlgorithm, hash};
    use crate::messages::client_extensions::{ClientExtensions, PskModes, TicketRequest};
    use crate::messages::client_hello::Compression;
    use crate::messages::decode_message;
    use crate::messages::server_hello::ServerHelloMessage;
    use crate::messages::short_bytes::SessionId;
    use crate::{
        Answer, CertifiedKey, ClientConfig, ClientSessionCache, ConnectionContext, Driver, HookError,
        NoSessions, RotatingTicketKeys, ServerConfigBuilder,
    };

    fn server() -> ServerConfigBuilder {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        ServerConfig::builder()
            .certificate(CertifiedKey::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap())
    }

    fn hello(psk_dhe_ke: bool, request: Option<(u8, u8)>) -> ClientHello {
        ClientHello {
            legacy_version: ProtocolVersion::TLS12,
            random: [0; 32],
            session_id: SessionId::EMPTY,
            cipher_suites: vec![CipherSuite::TLS_AES_128_GCM_SHA256],
            compression: Compression::OnlyNull,
            extensions: ClientExtensions {
                psk_key_exchange_modes: Some(PskModes {
                    psk_ke: true,
                    psk_dhe_ke,
                }),
                ticket_request: request.map(|(new_session_count, resumption_count)| TicketRequest {
                    new_session_count,
                    resumption_count,
                }),
                ..ClientExtensions::default()
            },
            raw: Vec::new(),
        }
    }

    #[test]
    fn a_client_gets_as_many_tickets_as_it_asks_for_within_reason() {
        let config = server().build().unwrap();
        let wanted = |request, resumed| tickets_wanted(&hello(true, request), resumed, &config.0);
        assert_eq!([wanted(None, false), wanted(None, true)], [2, 2]);
        assert_eq!([wanted(Some((5, 1)), false), wanted(Some((5, 1)), true)], [5, 1]);
        assert_eq!([wanted(Some((0, 3)), false), wanted(Some((3, 0)), true)], [0, 0]);
        let greedy = Some((255, 255));
        assert_eq!(
            [wanted(greedy, false), wanted(greedy, true)],
            [MAX_TICKETS, MAX_TICKETS]
        );
    }

    #[test]
    fn a_client_that_could_not_use_a_ticket_gets_none_nor_does_any_from_a_server_without() {
        let config = server().build().unwrap();
        assert_eq!(tickets_wanted(&hello(false, Some((5, 5))), false, &config.0), 0);
        let without = server().tickets(0).build().unwrap();
        assert_eq!(tickets_wanted(&hello(true, Some((5, 5))), false, &without.0), 0);
        assert_eq!(tickets_wanted(&hello(true, None), true, &without.0), 0);
    }

    /// A session with this server, and the client's configuration.
    fn session(server: &ServerConfig) -> (ClientConfig, ClientSession) {
        let client = ClientConfig::builder()
            .dangerously_accept_any_certificate()
            .session_cache(Arc::new(NoSessions))
            .build()
            .unwrap();
        let mut ours = Driver::client(&client, "localhost".try_into().unwrap());
        let mut theirs = Driver::server(server);
        for _ in 0..3 {
            ours.advance().unwrap();
            theirs.receive(&ours.transmit());
            theirs.advance().unwrap();
            ours.receive(&theirs.transmit());
        }
        let mut connection = ours.into_connection().unwrap();
        connection.reader.process().unwrap();
        let session = connection.reader.take_session().unwrap();
        (client, session)
    }

    /// A ClientHello with these tickets, whose binders are all made with the session's secret.
    fn flight(client: &ClientConfig, session: &ClientSession, tickets: &[&[u8]]) -> Vec<u8> {
        let mut driver = Driver::client(client, "localhost".try_into().unwrap());
        driver.advance().unwrap();
        let mut hello: ClientHello = decode_message(&driver.transmit()[9..]).unwrap();
        let age = session.obfuscated_ticket_age(client.0.common.clock.now_ms());
        let identity = |ticket: &&[u8]| PskIdentity {
            identity: ticket.to_vec(),
            obfuscated_ticket_age: age,
        };
        let mut psks = OfferedPsks::one(identity(&tickets[0]), 32);
        psks.identities = tickets.iter().map(identity).collect();
        psks.binders = vec![vec![0; 32]; tickets.len()];
        hello.extensions.pre_shared_key = Some(psks.clone());
        let mut message = Vec::new();
        encode_message(&hello, &mut message);
        message.truncate(message.len() - 2 - 33 * tickets.len());
        let secret = &session.parts().state.secret;
        let schedule = PskSchedule::new(HashAlgorithm::Sha256, secret, PskOrigin::Resumption);
        let binder = schedule.binder().mac(&hash(HashAlgorithm::Sha256, &message));
        psks.binders = vec![binder.as_bytes().to_vec(); tickets.len()];
        psks.put_binders(&mut message);
        let mut record = vec![22, 3, 1];
        record.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
        record.extend(message);
        record
    }

    #[test]
    fn the_first_ticket_that_fits_is_selected_and_only_the_first_are_looked_at() {
        let config = server().build().unwrap();
        let (client, session) = session(&config);
        let selected = |tickets: &[&[u8]]| {
            let mut driver = Driver::server(&config);
            driver.receive(&flight(&client, &session, tickets));
            driver.advance().unwrap();
            let answer = driver.transmit();
            let end = 5 + usize::from(u16::from_be_bytes([answer[3], answer[4]]));
            match decode_message(&answer[9..end]).unwrap() {
                ServerHelloMessage::Hello(hello) => hello.extensions.pre_shared_key,
                ServerHelloMessage::Retry(_) => panic!("no retry is needed"),
            }
        };
        let (good, bad) = (session.ticket(), &b"somebody else's"[..]);
        assert_eq!(selected(&[good]), Some(0));
        assert_eq!(selected(&[good, good]), Some(0));
        assert_eq!(selected(&[bad, good]), Some(1));
        assert_eq!(selected(&[bad, bad, bad, good, bad]), Some(3));
        assert_eq!(selected(&[bad, bad, bad, bad, good]), None);
        assert_eq!(selected(&[bad]), None);
    }

    #[derive(Debug)]
    struct Holds(Option<ClientSession>);

    impl ClientSessionCache for Holds {
        fn take<'a>(
            &'a self,
            _: &'a SessionKey,
            _: &'a ConnectionContext,
        ) -> Answer<'a, Result<Option<ClientSession>, HookError>> {
            Answer::Now(Ok(self.0.clone()))
        }

        fn put<'a>(
            &'a self,
            _: &'a SessionKey,
            _: ClientSession,
            _: &'a ConnectionContext,
        ) -> Answer<'a, Result<(), HookError>> {
            Answer::Now(Ok(()))
        }

        fn remove<'a>(
            &'a self,
            _: &'a SessionKey,
            _: &'a ConnectionContext,
        ) -> Answer<'a, Result<(), HookError>> {
            Answer::Now(Ok(()))
        }
    }

    #[test]
    fn the_name_is_acknowledged_unless_ignored_or_resumed() {
        // Its signatures all have the same length.
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let key = CertifiedKey::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let keys = Arc::new(RotatingTicketKeys::new());
        let server = || {
            ServerConfig::builder()
                .certificate(key.clone())
                .ticket_keys(keys.clone())
        };
        let says = server().build().unwrap();
        let is_silent = server().ignore_server_name().build().unwrap();
        let (_, session) = session(&says);
        let flight = |server: &ServerConfig, session: Option<&ClientSession>| {
            let client = ClientConfig::builder()
                .dangerously_accept_any_certificate()
                .session_cache(Arc::new(Holds(session.cloned())))
                .build()
                .unwrap();
            let mut ours = Driver::client(&client, "localhost".try_into().unwrap());
            let mut theirs = Driver::server(server);
            ours.advance().unwrap();
            theirs.receive(&ours.transmit());
            theirs.advance().unwrap();
            theirs.transmit().len()
        };
        let [full, silent] = [&says, &is_silent].map(|server| flight(server, None));
        assert_eq!(full, silent + 4, "an empty extension");
        let [resumed, silent] = [&says, &is_silent].map(|server| flight(server, Some(&session)));
        assert!(resumed + 300 < full, "without a certificate");
        assert_eq!(resumed, silent);
    }
}
