//! Session tickets as a client receives them (section 4.6.1).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::Clock;
use crate::crypto::suites::Suite;
use crate::error::Error;
use crate::hooks::PeerChain;
use crate::key_schedule::ResumptionSecret;
use crate::messages::new_session_ticket::NewSessionTicket;
use crate::negotiated::Negotiated;
use crate::registry::{CipherSuite, ProtocolVersion};
use crate::session::{ClientSession, ClientSessionParts, Inherited, SessionState};

/// Sessions kept until somebody takes them; later ones are dropped. Servers send one to four.
const MAX_SESSIONS: usize = 8;

/// Where the sessions of a connection come from.
pub(super) enum Sessions {
    /// From nowhere: a server, or a client without a cache.
    None,
    /// From the handshake itself (TLS 1.2).
    One(ClientSession),
    /// From the tickets that come after it (TLS 1.3).
    Tickets(Box<TicketReader>),
}

impl Sessions {
    pub(super) fn take(&mut self) -> Option<ClientSession> {
        match self {
            Self::None => None,
            Self::One(_) => match core::mem::replace(self, Self::None) {
                Self::One(session) => Some(session),
                _ => None,
            },
            Self::Tickets(tickets) => tickets.sessions.pop_front(),
        }
    }
}

/// What makes sessions of tickets, on a client that keeps them.
pub(crate) struct TicketReader {
    resumption: ResumptionSecret,
    cipher_suite: CipherSuite,
    alpn: Option<Vec<u8>>,
    server_name: String,
    chain: Option<Arc<PeerChain>>,
    inherited: Inherited,
    clock: Clock,
    /// Made and not taken yet, oldest first.
    sessions: VecDeque<ClientSession>,
}

impl TicketReader {
    pub(crate) fn new(
        resumption: ResumptionSecret,
        suite: &Suite,
        negotiated: &Negotiated,
        server_name: String,
        inherited: Inherited,
        clock: Clock,
    ) -> Self {
        Self {
            resumption,
            cipher_suite: suite.id,
            alpn: negotiated.alpn.clone(),
            server_name,
            chain: negotiated.peer_chain.clone(),
            inherited,
            clock,
            sessions: VecDeque::new(),
        }
    }

    /// Makes the session that this ticket stands for.
    pub(super) fn read(&mut self, ticket: NewSessionTicket) -> Result<(), Error> {
        if self.sessions.len() >= MAX_SESSIONS {
            return Ok(());
        }
        let session = ClientSession::new(ClientSessionParts {
            state: SessionState {
                version: ProtocolVersion::TLS13,
                cipher_suite: self.cipher_suite,
                secret: self.resumption.psk(&ticket.nonce)?,
                made_at: self.clock.now_ms(),
                authenticated_at: self.inherited.authenticated_at,
                lifetime: ticket.lifetime,
                age_add: ticket.age_add,
                max_early_data: ticket.max_early_data_size.unwrap_or(0),
                alpn: self.alpn.clone(),
                server_name: Some(self.server_name.clone()),
                extended_main_secret: false,
                client_was_asked: false,
                peer_chain: self.chain.clone(),
                extra: self.inherited.extra.clone(),
            },
            ticket: ticket.ticket,
            session_id: Vec::new(),
        });
        self.sessions.push_back(session);
        Ok(())
    }
}
