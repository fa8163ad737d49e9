//! Nothing secret is told to anybody, not even at level TRACE: traffic secrets, keys, tickets, secrets and ids of
//! sessions, data.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tls_core::{
    Answer, ClientAuth, ClientConfig, ClientSession, ClientSessionCache, HookError, KeyLog,
    MemoryReplayGuard, NamedGroup, ServerConfig, ServerSessionStore, SessionKey, StoredSession, TicketKey,
    TicketKeys, WebPkiVerifier, Zeroizing,
};
use tls_tests::ear::Ear;
use tls_tests::pair::{self, authority, certified};
use tls_tests::pki::{KeyType, Leaf};
use tls_tests::versions::{Only, VERSIONS};
use tls_tokio::{
    HandshakeFailed, HandshakeFinished, MemorySessionCache, MemorySessionStore, Observed, Observer, StreamEnd,
};

use super::*;

/// Bytes in a row that are looked for. What is told of a secret would begin with its beginning.
const PIECE: usize = 8;

/// What the application says.
const DATA: &[u8] = b"the launch code is 00000000";

/// All secrets of the connections of a test, by their kind.
#[derive(Debug, Default)]
struct Secrets {
    kinds: Mutex<BTreeMap<String, Vec<Vec<u8>>>>,
    /// What may be told though it is a part of secrets: certificates are parts of sessions.
    public: Mutex<HashSet<u64>>,
}

impl Secrets {
    fn add(&self, kind: &str, secret: &[u8]) {
        let mut kinds = self.kinds.lock().unwrap();
        kinds.entry(kind.to_owned()).or_default().push(secret.to_vec());
    }

    fn add_public(&self, bytes: &[u8]) {
        self.public
            .lock()
            .unwrap()
            .extend(bytes.windows(PIECE).map(number));
    }

    fn kinds(&self) -> Vec<String> {
        self.kinds.lock().unwrap().keys().cloned().collect()
    }

    /// The kinds of which something is in the text, in any way in which bytes are usually printed.
    fn found_in(&self, text: &str) -> BTreeSet<String> {
        let public = self.public.lock().unwrap();
        let kinds = self.kinds.lock().unwrap();
        let pieces: HashMap<u64, &String> = kinds
            .iter()
            .flat_map(|(kind, secrets)| secrets.iter().map(move |secret| (kind, secret)))
            .flat_map(|(kind, secret)| pieces(secret).map(move |piece| (number(piece), kind)))
            .filter(|(piece, _)| !public.contains(piece))
            .collect();
        let mut found = BTreeSet::new();
        let mut look_at = |piece: u64| found.extend(pieces.get(&piece).map(|kind| (*kind).clone()));
        // As hexadecimal digits, whatever is between them.
        let digits = text.replace("0x", "");
        let digits = digits.chars().filter_map(|c| c.to_digit(16));
        digits.fold(0, |last: u64, digit| {
            let piece = last << 4 | u64::from(digit);
            look_at(piece);
            piece
        });
        // As a list of numbers.
        let numbers = text
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|word| word.parse::<u8>().ok());
        roll(numbers, &mut look_at);
        // As text, with escapes.
        let mut rest = text.as_bytes();
        let bytes = std::iter::from_fn(|| {
            let (byte, length) = match rest {
                [b'\\', b'x', high, low, ..] => {
                    let hex = [*high, *low];
                    let hex = str::from_utf8(&hex)
                        .ok()
                        .and_then(|hex| u8::from_str_radix(hex, 16).ok());
                    hex.map_or((b'\\', 1), |byte| (byte, 4))
                }
                [b'\\', b'n', ..] => (b'\n', 2),
                [b'\\', b'r', ..] => (b'\r', 2),
                [b'\\', b't', ..] => (b'\t', 2),
                [b'\\', quoted @ (b'\\' | b'"' | b'\''), ..] => (*quoted, 2),
                [byte, ..] => (*byte, 1),
                [] => return None,
            };
            rest = &rest[length..];
            Some(byte)
        });
        roll(bytes, &mut look_at);
        found
    }
}

/// Looks at each piece of these bytes.
fn roll(bytes: impl Iterator<Item = u8>, look_at: &mut impl FnMut(u64)) {
    bytes.fold(0, |last: u64, byte| {
        let piece = last << 8 | u64::from(byte);
        look_at(piece);
        piece
    });
}

fn number(piece: &[u8]) -> u64 {
    u64::from_be_bytes(piece.try_into().unwrap())
}

/// Those pieces of a secret that do not occur by chance.
fn pieces(secret: &[u8]) -> impl Iterator<Item = &[u8]> {
    secret
        .chunks_exact(PIECE)
        .filter(|piece| piece.iter().collect::<HashSet<_>>().len() > PIECE / 2)
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, _: &[u8; 32], secret: &[u8]) {
        self.add(label, secret);
    }
}

/// Caches, stores and ticket keys that let nothing pass without a note of it, and answer later.
#[derive(Debug)]
struct Tapped<T>(Arc<Secrets>, T);

impl ClientSessionCache for Tapped<MemorySessionCache> {
    fn take<'a>(
        &'a self,
        key: &'a SessionKey,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<ClientSession>, HookError>> {
        self.1.take(key, context)
    }

    fn put<'a>(
        &'a self,
        key: &'a SessionKey,
        session: ClientSession,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.0.add("a client's session", &session.to_bytes());
        self.0.add("a ticket", session.ticket());
        self.0.add("a session id", session.session_id());
        self.1.put(key, session, context)
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.1.remove(key, context)
    }
}

impl ServerSessionStore for Tapped<MemorySessionStore> {
    fn put<'a>(
        &'a self,
        id: &'a [u8],
        session: Zeroizing<Vec<u8>>,
        lifetime: Duration,
        context: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        self.0.add("a name in the store", id);
        self.0.add("a session in the store", &session);
        self.1.put(id, session, lifetime, context)
    }

    fn get<'a>(&'a self, id: &'a [u8], context: &'a ConnectionContext) -> StoredSession<'a> {
        self.1.get(id, context)
    }

    fn take<'a>(&'a self, id: &'a [u8], context: &'a ConnectionContext) -> StoredSession<'a> {
        self.1.take(id, context)
    }
}

impl TicketKeys for Tapped<TicketKey> {
    fn sealing_key<'a>(
        &'a self,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        self.0.add("a ticket key", &*self.1.secret);
        Answer::later(async { Ok(Some(self.1.clone())) })
    }

    fn opening_key<'a>(
        &'a self,
        _: &'a [u8; 16],
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Option<TicketKey>, HookError>> {
        Answer::later(async { Ok(Some(self.1.clone())) })
    }
}

/// Says all that it is told, in both forms of `Debug`.
#[derive(Debug)]
struct Gossip;

impl Observer for Gossip {
    fn handshake_started(&self, connection: &Observed<'_>) {
        tracing::trace!("{connection:?} {connection:#?}");
    }

    fn phase_changed(&self, connection: &Observed<'_>, phase: tls_core::Phase) {
        tracing::trace!("{connection:?} {phase:?}");
    }

    fn handshake_finished(&self, connection: &Observed<'_>, finished: &HandshakeFinished<'_>) {
        tracing::trace!("{connection:?} {finished:?} {finished:#?}");
    }

    fn handshake_failed(&self, connection: &Observed<'_>, failed: &HandshakeFailed<'_>) {
        tracing::trace!("{connection:?} {failed:?} {failed:#?}");
    }

    fn stream_ended(&self, connection: &Observed<'_>, end: &StreamEnd<'_>) {
        tracing::trace!("{connection:?} {end:?} {end:#?}");
    }
}

/// A client and a server with everything that has secrets.
fn tapped(secrets: &Arc<Secrets>, version: ProtocolVersion, stateful: bool) -> (TlsConnector, TlsAcceptor) {
    let ours = authority().issue(&Leaf::new(KeyType::P256, &["client.test"]).client());
    let theirs = authority().leaf(KeyType::Ed25519, &["localhost"]);
    for identity in [&ours, &theirs] {
        secrets.add("a private key", identity.key().secret_der());
        // With the public keys, which the private ones are kept with.
        identity
            .chain()
            .iter()
            .for_each(|certificate| secrets.add_public(certificate));
    }
    let client = ClientConfig::builder()
        .roots(pair::roots())
        .only(version)
        .groups([NamedGroup::SECP384R1, NamedGroup::X25519])
        .certificate(certified(&ours))
        .session_cache(Arc::new(Tapped(secrets.clone(), MemorySessionCache::default())))
        .key_log(secrets.clone());
    // Another group than the client's first, for a HelloRetryRequest.
    let server = ServerConfig::builder()
        .only(version)
        .groups([NamedGroup::X25519])
        .certificate(certified(&theirs))
        .client_auth(ClientAuth::requested(Arc::new(
            WebPkiVerifier::new(pair::roots()),
        )))
        .max_early_data(1000)
        .replay_guard(Arc::new(MemoryReplayGuard::default().with_new_keys()))
        .key_log(secrets.clone());
    let server = if stateful {
        server.session_store(Arc::new(Tapped(secrets.clone(), MemorySessionStore::default())))
    } else {
        server.ticket_keys(Arc::new(Tapped(secrets.clone(), TicketKey::generate().unwrap())))
    };
    let connector = TlsConnector::new(client.build().unwrap()).observer(Arc::new(Gossip));
    (
        connector,
        TlsAcceptor::new(server.build().unwrap()).observer(Arc::new(Gossip)),
    )
}

/// Says the data both ways.
async fn talk(client: &mut TlsStream<Io>, server: &mut TlsStream<Io>) {
    let mut space = [0; DATA.len()];
    server.write_all(DATA).await.unwrap();
    client.read_exact(&mut space).await.unwrap();
    client.write_all(DATA).await.unwrap();
    server.read_exact(&mut space).await.unwrap();
}

/// Connections of all kinds that end in all ways.
async fn all_kinds(secrets: &Arc<Secrets>, version: ProtocolVersion, stateful: bool) {
    let (connector, acceptor) = tapped(secrets, version, stateful);
    // A full handshake, then one that is resumed.
    for resumed in [false, true] {
        let (mut client, mut server) = established(&connector, &acceptor).await;
        assert_eq!(client.info().is_resumed(), resumed);
        talk(&mut client, &mut server).await;
        if version == ProtocolVersion::TLS13 {
            client.request_key_update().unwrap();
            talk(&mut client, &mut server).await;
        }
        tokio::join!(client.graceful_shutdown(SECOND), server.graceful_shutdown(SECOND));
    }
    if version == ProtocolVersion::TLS13 {
        let (ours, theirs) = ends();
        let (client, server) = tokio::join!(
            async {
                connector
                    .connect_early(server_name(), ours, DATA)
                    .await
                    .unwrap()
                    .0
            },
            async {
                acceptor
                    .accept_early(theirs)
                    .await
                    .unwrap()
                    .finish()
                    .await
                    .unwrap()
            }
        );
        client.abort();
        drop(server);
    }
    // Another server is expected; and there is no TLS server.
    let (client, server) = meet(&sides::connector(version).observer(Arc::new(Gossip)), &acceptor).await;
    client.expect_err("refused");
    server.expect_err("refused");
    let (ours, mut theirs) = ends();
    theirs
        .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .await
        .unwrap();
    connector.connect(server_name(), ours).await.expect_err("no TLS");
    // A transport that ends too early, and one in which somebody writes.
    let (mut client, server) = established(&connector, &acceptor).await;
    server.abort();
    client.read_u8().await.unwrap_err();
    let ((ours, near), (far, theirs)) = (ends(), ends());
    let meddling = tokio::spawn(meddle(near, far));
    let (client, server) = tokio::join!(connector.connect(server_name(), ours), acceptor.accept(theirs));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    talk(&mut client, &mut server).await;
    client.abort();
    assert_eq!(
        server.read_u8().await.unwrap_err().kind(),
        std::io::ErrorKind::InvalidData
    );
    drop(server);
    meddling.await.unwrap();
}

/// Hands on what client and server say, and a record of its own to the server in the end.
async fn meddle(client: Io, server: Io) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let to_server = async {
        tokio::io::copy(&mut from_client, &mut to_server).await.unwrap();
        let forged = [&[23, 3, 3, 0, 40][..], &[1; 40]].concat();
        to_server.write_all(&forged).await.unwrap();
    };
    // There may be nobody any more who takes it.
    let to_client = async { drop(tokio::io::copy(&mut from_server, &mut to_client).await) };
    tokio::join!(to_server, to_client);
}

#[tokio::test]
async fn no_secret_is_told_at_any_level() {
    let secrets = Arc::new(Secrets::default());
    secrets.add("data", DATA);
    let ear = Ear::default();
    let _listening = ear.listen();
    for version in VERSIONS {
        for stateful in [false, true] {
            Box::pin(all_kinds(&secrets, version, stateful)).await;
        }
    }
    // There was something to be told, and something to be kept.
    assert!(
        ear.spans_named("tls_handshake").len() >= 40 && ear.events().len() > 400,
        "{}",
        ear.events().len()
    );
    assert!(!ear.spans_named("hook").is_empty());
    assert_eq!(
        secrets.kinds(),
        [
            "CLIENT_EARLY_TRAFFIC_SECRET",
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            "CLIENT_RANDOM",
            "CLIENT_TRAFFIC_SECRET_0",
            "EARLY_EXPORTER_SECRET",
            "EXPORTER_SECRET",
            "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            "SERVER_TRAFFIC_SECRET_0",
            "a client's session",
            "a name in the store",
            "a private key",
            "a session id",
            "a session in the store",
            "a ticket",
            "a ticket key",
            "data",
        ]
    );
    assert_eq!(secrets.found_in(&ear.text()), BTreeSet::new());
}

#[test]
fn a_secret_would_be_found_in_any_form() {
    let secret: Vec<u8> = (0..32_u8).map(|i| i.wrapping_mul(37).wrapping_add(200)).collect();
    let secrets = Secrets::default();
    secrets.add("it", &secret);
    secrets.add("data", DATA);
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let told = |tell: &dyn Fn()| {
        let ear = Ear::default();
        let _listening = ear.listen();
        tell();
        secrets.found_in(&ear.text()).into_iter().collect::<Vec<_>>()
    };
    assert_eq!(told(&|| tracing::trace!(?secret)), ["it"]);
    assert_eq!(told(&|| tracing::trace!("{secret:#?}")), ["it"]);
    assert_eq!(told(&|| tracing::trace!("{:?}", &secret[..12])), ["it"]);
    assert_eq!(told(&|| tracing::trace!(%hex)), ["it"]);
    assert_eq!(told(&|| tracing::trace!("{}", hex.to_uppercase())), ["it"]);
    assert_eq!(told(&|| tracing::trace!("{secret:02x?}")), ["it"]);
    assert_eq!(told(&|| tracing::trace!("{secret:#04x?}")), ["it"]);
    assert_eq!(told(&|| tracing::trace!("{}", secret.escape_ascii())), ["it"]);
    assert_eq!(told(&|| drop(tracing::trace_span!("a", x = %hex))), ["it"]);
    assert_eq!(
        told(&|| tracing::trace!("{}", String::from_utf8_lossy(DATA))),
        ["data"]
    );
    assert_eq!(told(&|| tracing::trace!("nothing {:?}", &secret[..3])), [""; 0]);
}
