//! What a client remembers.

use core::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{CHECKSUM_LEN, MAX_EXTRA, SessionState, lifetime_left, put_checksum, require, without_checksum};
use crate::registry::{CipherSuite, ProtocolVersion};
use crate::verify::PeerChain;
use crate::wire::{BadBytes, Prefixed8, Prefixed16, Problem, Put as _, Reader};

const NAME: &str = "ClientSession";
const MARK: [u8; 4] = *b"TLSc";

/// The longest session id of TLS 1.2 (RFC 5246 7.4.1.2).
const MAX_SESSION_ID: usize = 32;

/// What a client needs to resume a session: it comes with a session ticket (TLS 1.3 and 1.2) or a session id
/// (TLS 1.2), and is kept by a [`crate::ClientSessionCache`].
///
/// Whoever has it can pretend to be the client, and with TLS 1.2 decrypt the connection it came from: what
/// [`Self::to_bytes`] gives is as secret as a private key. Cheap to clone; the secret is wiped with the last clone.
///
/// Example: that of [`ClientSessionCache`](crate::ClientSessionCache).
#[derive(Clone)]
pub struct ClientSession(pub(super) Arc<ClientSessionParts>);

/// Of what a [`ClientSession`] is made.
#[derive(Clone)]
pub(crate) struct ClientSessionParts {
    pub(crate) state: SessionState,
    /// TLS 1.3: never empty. TLS 1.2: empty where the session has an id only.
    pub(crate) ticket: Vec<u8>,
    /// TLS 1.2: the id under which the server keeps the session; empty where there is a ticket only.
    pub(crate) session_id: Vec<u8>,
}

impl ClientSession {
    /// A lifetime that goes on for more than seven days after the full handshake is cut down to that (section 4.6.1).
    pub(crate) fn new(mut parts: ClientSessionParts) -> Self {
        let state = &mut parts.state;
        let left = lifetime_left(state.authenticated_at, state.made_at);
        state.lifetime = state.lifetime.min(left);
        Self(Arc::new(parts))
    }

    /// Everything, for the handshake.
    pub(crate) fn parts(&self) -> &ClientSessionParts {
        &self.0
    }

    /// The protocol version it was made with, and is resumed with.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        self.0.state.version
    }

    /// The cipher suite. A TLS 1.3 session can be resumed with another suite of the same hash.
    #[must_use]
    pub fn cipher_suite(&self) -> CipherSuite {
        self.0.state.cipher_suite
    }

    /// Whether it may be used for one connection only: sessions of TLS 1.3, so that nobody on the path can tell that
    /// two connections are the same client's (section C.4).
    #[must_use]
    pub fn is_single_use(&self) -> bool {
        self.0.state.version == ProtocolVersion::TLS13
    }

    /// The ticket; empty for a TLS 1.2 session that has an id only.
    #[must_use]
    pub fn ticket(&self) -> &[u8] {
        &self.0.ticket
    }

    /// The session id of TLS 1.2; empty where there is none.
    #[must_use]
    pub fn session_id(&self) -> &[u8] {
        &self.0.session_id
    }

    /// When it was received: milliseconds since 1970.
    #[must_use]
    pub fn received_at(&self) -> u64 {
        self.0.state.made_at
    }

    /// When the peers last authenticated each other with certificates: milliseconds since 1970. A session that was
    /// received on a resumed connection has this from the one that was resumed.
    #[must_use]
    pub fn authenticated_at(&self) -> u64 {
        self.0.state.authenticated_at
    }

    /// Seconds it may be used for, from when it was received: at most 604,800 (seven days), and no longer than that
    /// after [`Self::authenticated_at`].
    #[must_use]
    pub fn lifetime(&self) -> u32 {
        self.0.state.lifetime
    }

    /// Bytes of early data that may be sent with it (section 4.2.10); 0 for none.
    #[must_use]
    pub fn max_early_data(&self) -> u32 {
        self.0.state.max_early_data
    }

    /// The application protocol (RFC 7301) that was negotiated, if any.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.state.alpn.as_deref()
    }

    /// The name or address of the server.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.0.state.server_name.as_deref()
    }

    /// Whether the main secret of TLS 1.2 is bound to its handshake (RFC 7627). Means nothing in TLS 1.3.
    #[must_use]
    pub fn has_extended_main_secret(&self) -> bool {
        self.0.state.extended_main_secret
    }

    /// What the server presented in the handshake that began all this.
    #[must_use]
    pub fn peer_chain(&self) -> Option<&PeerChain> {
        self.0.state.peer_chain.as_deref()
    }

    /// The same, to share it.
    pub(crate) fn shared_peer_chain(&self) -> Option<Arc<PeerChain>> {
        self.0.state.peer_chain.clone()
    }

    /// The user's own bytes: see [`Self::with_extra`].
    #[must_use]
    pub fn extra(&self) -> &[u8] {
        &self.0.state.extra
    }

    /// Attaches bytes of the user's own, at most 65,535, instead of those it had. They are kept and serialised with
    /// the session, handed on to the sessions of connections that resume it, and never sent.
    ///
    /// # Errors
    /// They are too many.
    pub fn with_extra(mut self, extra: Vec<u8>) -> Result<Self, BadBytes> {
        if extra.len() > MAX_EXTRA {
            return Err(Reader::new(NAME, &[]).error("extra", Problem::LengthOutOfBounds));
        }
        Arc::make_mut(&mut self.0).state.extra = extra;
        Ok(self)
    }

    /// Whether it may no longer be used: its lifetime is over, or the full handshake that it comes from is seven days
    /// ago (section 4.6.1). `now` is in milliseconds since 1970. A session from further in the future than its
    /// lifetime, or from a handshake more than a minute in the future, has expired too: then a clock was set back.
    #[must_use]
    pub fn is_expired(&self, now: u64) -> bool {
        self.0.state.is_expired(now)
    }

    /// The age of a TLS 1.3 ticket in milliseconds plus its `ticket_age_add`, modulo 2^32 (section 4.2.11.1).
    /// `now` is in milliseconds since 1970.
    #[must_use]
    pub fn obfuscated_ticket_age(&self, now: u64) -> u32 {
        // The truncation is the "modulo 2^32".
        (self.0.state.age(now) as u32).wrapping_add(self.0.state.age_add)
    }

    /// The session as bytes, to be kept outside this process: see [`Self::from_bytes`]. They contain the secret;
    /// encrypt them before they are stored where others can read.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let parts = &*self.0;
        let mut out = parts
            .state
            .begin(MARK, parts.ticket.len() + parts.session_id.len() + CHECKSUM_LEN);
        Prefixed16::new(&mut out).put(&parts.ticket);
        Prefixed8::new(&mut out).put(&parts.session_id);
        put_checksum(&mut out);
        out
    }

    /// The session that [`Self::to_bytes`] gave.
    ///
    /// # Errors
    /// The bytes are not those of a client's session, or not all as they were written, or have a form that this version
    /// does not know.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut reader = Reader::new(NAME, without_checksum(NAME, bytes, MARK)?);
        let state = SessionState::decode(&mut reader, MARK)?;
        let is_tls12 = state.version == ProtocolVersion::TLS12;
        let ticket = require(
            &mut reader,
            "ticket",
            |reader| Ok(reader.vec16("ticket")?.rest()),
            |ticket| is_tls12 || !ticket.is_empty(),
        )?;
        let session_id = require(
            &mut reader,
            "session_id",
            |reader| Ok(reader.vec8("session_id")?.rest()),
            |id| match is_tls12 {
                true => id.len() <= MAX_SESSION_ID && !(id.is_empty() && ticket.is_empty()),
                false => id.is_empty(),
            },
        )?;
        reader.end(NAME)?;
        Ok(Self(Arc::new(ClientSessionParts {
            state,
            ticket: ticket.to_vec(),
            session_id: session_id.to_vec(),
        })))
    }
}

impl fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSession")
            .field("version", &self.version())
            .field("cipher_suite", &self.cipher_suite())
            .field("server_name", &self.server_name())
            .field("received_at", &self.received_at())
            .field("lifetime", &self.lifetime())
            .finish_non_exhaustive()
    }
}
