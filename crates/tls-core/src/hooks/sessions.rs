//! Where sessions, ticket keys and used early data are remembered.
//!
//! A hook of this kind that fails costs a full handshake, never a failed one; one that is slow is waited for, under the
//! deadline of the handshake.

use core::fmt;
use core::time::Duration;

use rustls_pki_types::ServerName;
use zeroize::Zeroizing;

use super::{Answer, ConnectionContext};
use crate::crypto::random;
use crate::error::{Error, HookError};
use crate::session::ClientSession;

/// Under what a client keeps a session: the server, and the security domain of the configuration that made it
/// (roots, verifier, client certificate, ALPN), so that a cache can be shared safely.
///
/// ```
/// use tls_core::{ClientConfig, ServerName};
///
/// let builder = || ClientConfig::builder().dangerously_accept_any_certificate();
/// let (one, other) = (builder().build()?, builder().alpn(["h2"]).build()?);
/// let name = ServerName::try_from("localhost").unwrap();
/// // They offer different protocols, and so do not use each other's sessions.
/// assert_ne!(one.session_key(&name), other.session_key(&name));
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The server's name or address.
    pub server: ServerName<'static>,
    /// A digest of everything that must agree for a session to be used again.
    pub security_domain: [u8; 32],
}

/// A client's memory of sessions. A failing or slow cache means a full handshake, never a failed one.
///
/// Sessions can be kept outside the process as [`ClientSession::to_bytes`] gives them; those bytes contain secrets,
/// so that a cache others can read must encrypt them.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use tls_core::{Answer, ClientSession, ClientSessionCache, ConnectionContext, HookError, SessionKey, UnixTime};
///
/// /// Keeps one session of each server, as bytes.
/// #[derive(Debug, Default)]
/// struct One(Mutex<HashMap<SessionKey, Vec<u8>>>);
///
/// impl ClientSessionCache for One {
///     fn take<'a>(
///         &'a self,
///         key: &'a SessionKey,
///         _: &'a ConnectionContext,
///     ) -> Answer<'a, Result<Option<ClientSession>, HookError>> {
///         let bytes = self.0.lock().unwrap().remove(key);
///         // Bytes that cannot be read are no session.
///         let session = bytes.and_then(|bytes| ClientSession::from_bytes(&bytes).ok());
///         Answer::Now(Ok(session.filter(|session| !session.is_expired(UnixTime::now().as_secs() * 1000))))
///     }
///
///     fn put<'a>(
///         &'a self,
///         key: &'a SessionKey,
///         session: ClientSession,
///         _: &'a ConnectionContext,
///     ) -> Answer<'a, Result<(), HookError>> {
///         self.0.lock().unwrap().insert(key.clone(), session.to_bytes().to_vec());
///         Answer::Now(Ok(()))
///     }
///
///     fn remove<'a>(
///         &'a self,
///         key: &'a SessionKey,
///         _: &'a ConnectionContext,
///     ) -> Answer<'a, Result<(), HookError>> {
///         self.0.lock().unwrap().remove(key);
///         Answer::Now(Ok(()))
///     }
/// }
/// ```
pub trait ClientSessionCache: fmt::Debug + Send + Sync {
    /// The newest session for this server that has not expired.
    ///
    /// A session that [`ClientSession::is_single_use`] is taken out: of several callers at most one gets it. Any
    /// other stays.
    fn take<'a>(
        &'a self,
        key: &'a SessionKey,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<ClientSession>, HookError>>;

    /// Keeps a session until it expires, or longer ago than the cache cares to remember. A server may give several
    /// per connection.
    fn put<'a>(
        &'a self,
        key: &'a SessionKey,
        session: ClientSession,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>>;

    /// Forgets all sessions for this server, because one could not be resumed; that there are none is no error.
    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>>;
}

/// A server's memory of sessions by id: for TLS 1.2 session ids, and for tickets that are no more than an id.
///
/// The bytes of a session contain its secret, in plain: a store outside the process must encrypt and authenticate
/// them under a key which the store does not have. Bytes that come back changed cost at most a full handshake, but
/// whoever can write them can choose who the client is.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::Duration;
/// use tls_core::{Answer, ConnectionContext, HookError, ServerSessionStore, StoredSession, Zeroizing};
///
/// /// In this process, and for ever. (A real one forgets after the lifetime.)
/// #[derive(Default)]
/// struct Kept(Mutex<HashMap<Vec<u8>, Zeroizing<Vec<u8>>>>);
///
/// impl ServerSessionStore for Kept {
///     fn put<'a>(
///         &'a self,
///         id: &'a [u8],
///         session: Zeroizing<Vec<u8>>,
///         _lifetime: Duration,
///         _: &'a ConnectionContext,
///     ) -> Answer<'a, Result<(), HookError>> {
///         self.0.lock().unwrap().insert(id.to_vec(), session);
///         Answer::Now(Ok(()))
///     }
///
///     fn get<'a>(&'a self, id: &'a [u8], _: &'a ConnectionContext) -> StoredSession<'a> {
///         Answer::Now(Ok(self.0.lock().unwrap().get(id).cloned()))
///     }
///
///     fn take<'a>(&'a self, id: &'a [u8], _: &'a ConnectionContext) -> StoredSession<'a> {
///         Answer::Now(Ok(self.0.lock().unwrap().remove(id)))
///     }
/// }
/// # impl std::fmt::Debug for Kept {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("Kept") }
/// # }
/// ```
pub trait ServerSessionStore: fmt::Debug + Send + Sync {
    /// Keeps the bytes of a session for at most `lifetime`, in the place of what was kept under this id.
    fn put<'a>(
        &'a self,
        id: &'a [u8],
        session: Zeroizing<Vec<u8>>,
        lifetime: Duration,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>>;

    /// Looks a session up and keeps it (TLS 1.2).
    fn get<'a>(&'a self, id: &'a [u8], context: &'a ConnectionContext) -> StoredSession<'a>;

    /// Takes a session out: of several callers at most one gets it (TLS 1.3).
    fn take<'a>(&'a self, id: &'a [u8], context: &'a ConnectionContext) -> StoredSession<'a>;
}

/// What a [`ServerSessionStore`] answers: the bytes of a session, if it has them.
///
/// Example: that of [`ServerSessionStore`].
pub type StoredSession<'a> = Answer<'a, Result<Option<Zeroizing<Vec<u8>>>, HookError>>;

/// A key that seals session tickets, with the id that stands in front of each ticket.
///
/// Example: that of [`RotatingTicketKeys`](crate::RotatingTicketKeys).
#[derive(Clone)]
pub struct TicketKey {
    /// Names the key on the wire.
    pub id: [u8; 16],
    /// The secret itself; wiped when dropped.
    pub secret: Zeroizing<[u8; 32]>,
}

impl TicketKey {
    /// A new key with a new id, both random.
    ///
    /// # Errors
    /// The system has no random bytes to give.
    pub fn generate() -> Result<Self, Error> {
        let mut id = [0; 16];
        let mut secret = Zeroizing::new([0; 32]);
        random::fill(&mut id)?;
        random::fill(&mut *secret)?;
        Ok(Self { id, secret })
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The keys that seal and open session tickets.
///
/// ```
/// use tls_core::{Answer, ConnectionContext, HookError, TicketKey, TicketKeys};
///
/// /// Opens tickets, and gives none: for a server that is to be replaced.
/// #[derive(Debug)]
/// struct LastTickets(TicketKey);
///
/// impl TicketKeys for LastTickets {
///     fn sealing_key<'a>(
///         &'a self,
///         _: &'a ConnectionContext,
///     ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
///         Answer::Now(Ok(None))
///     }
///
///     fn opening_key<'a>(
///         &'a self,
///         id: &'a [u8; 16],
///         _: &'a ConnectionContext,
///     ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
///         Answer::Now(Ok((self.0.id == *id).then(|| self.0.clone())))
///     }
/// }
/// ```
pub trait TicketKeys: fmt::Debug + Send + Sync {
    /// The key to seal new tickets with, or `None` to issue none.
    fn sealing_key<'a>(
        &'a self,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>>;

    /// The key of this id, if tickets sealed with it are still accepted.
    fn opening_key<'a>(
        &'a self,
        id: &'a [u8; 16],
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>>;
}

/// Whether early data was seen before (section 8).
///
/// ```
/// use std::collections::HashSet;
/// use std::sync::Mutex;
/// use std::time::Duration;
/// use tls_core::{Answer, ConnectionContext, HookError, ReplayGuard};
///
/// /// Never forgets, and so never accepts anything twice. (A real one forgets after the window.)
/// #[derive(Debug, Default)]
/// struct Seen(Mutex<HashSet<[u8; 32]>>);
///
/// impl ReplayGuard for Seen {
///     fn is_first_use<'a>(
///         &'a self,
///         fingerprint: &'a [u8; 32],
///         _window: Duration,
///         _: &'a ConnectionContext,
///     ) -> Answer<'a, Result<bool, HookError>> {
///         Answer::Now(Ok(self.0.lock().unwrap().insert(*fingerprint)))
///     }
/// }
/// ```
pub trait ReplayGuard: fmt::Debug + Send + Sync {
    /// Remembers a fingerprint of the ClientHello for `window`. `true` the first time it is seen, to exactly one of
    /// several concurrent callers; `false` ever after within the window.
    fn is_first_use<'a>(
        &'a self,
        fingerprint: &'a [u8; 32],
        window: Duration,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<bool, HookError>>;
}

/// Keeps no sessions and no ticket keys: every handshake is a full one.
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{CertifiedKey, NoSessions, ServerConfig};
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (chain_pem, key_pem) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
///
/// let config = ServerConfig::builder()
///     .certificate(CertifiedKey::from_pem(&chain_pem, &key_pem)?)
///     .ticket_keys(Arc::new(NoSessions))
///     .build()?;
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSessions;

impl ClientSessionCache for NoSessions {
    fn take<'a>(
        &'a self,
        _: &'a SessionKey,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<ClientSession>, HookError>> {
        Answer::Now(Ok(None))
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

impl ServerSessionStore for NoSessions {
    fn put<'a>(
        &'a self,
        _: &'a [u8],
        _: Zeroizing<Vec<u8>>,
        _: Duration,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        Answer::Now(Ok(()))
    }

    fn get<'a>(&'a self, _: &'a [u8], _: &'a ConnectionContext) -> StoredSession<'a> {
        Answer::Now(Ok(None))
    }

    fn take<'a>(&'a self, _: &'a [u8], _: &'a ConnectionContext) -> StoredSession<'a> {
        Answer::Now(Ok(None))
    }
}

impl TicketKeys for NoSessions {
    fn sealing_key<'a>(
        &'a self,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        Answer::Now(Ok(None))
    }

    fn opening_key<'a>(
        &'a self,
        _: &'a [u8; 16],
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        Answer::Now(Ok(None))
    }
}

/// Takes every fingerprint for seen, so that early data is never accepted.
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{CertifiedKey, NoReplayGuard, ServerConfig};
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (chain_pem, key_pem) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
///
/// let config = ServerConfig::builder()
///     .certificate(CertifiedKey::from_pem(&chain_pem, &key_pem)?)
///     .replay_guard(Arc::new(NoReplayGuard))
///     .build()?;
/// # Ok::<(), tls_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NoReplayGuard;

impl ReplayGuard for NoReplayGuard {
    fn is_first_use<'a>(
        &'a self,
        _: &'a [u8; 32],
        _: Duration,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<bool, HookError>> {
        Answer::Now(Ok(false))
    }
}
