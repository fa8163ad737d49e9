//! Sessions of which any one bit was changed: what a client offers, what it keeps, and what the server keeps. A full
//! handshake or a clean error comes of it, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tls_core::{
    Answer, ClientConfig, ClientSession, ClientSessionCache as _, ConnectionContext, Driver, HookError,
    Progress, ProtocolVersion, ReadEvent, ServerConfig, ServerSessionStore, StoredSession, Zeroizing,
};
use tls_tests::both_versions;
use tls_tests::hello::Hello;
use tls_tests::pair::{self, Became, NAME, Outcome, Pair, name};
use tls_tests::session;
use tls_tests::versions::Only as _;
use tls_tokio::MemorySessionCache;

const SESSION_TICKET: u16 = 35;
const PRE_SHARED_KEY: u16 = 41;

/// A server's memory of the session made last, which never goes away, and can be changed.
#[derive(Debug, Default)]
struct Stored(Mutex<Option<(Vec<u8>, Vec<u8>)>>);

impl ServerSessionStore for Stored {
    fn put<'a>(
        &'a self,
        id: &'a [u8],
        session: Zeroizing<Vec<u8>>,
        _: Duration,
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<(), HookError>> {
        let mut stored = self.0.lock().unwrap();
        // The first, whatever comes later.
        stored.get_or_insert_with(|| (id.to_vec(), session.to_vec()));
        Answer::Now(Ok(()))
    }

    fn get<'a>(&'a self, id: &'a [u8], _: &'a ConnectionContext) -> StoredSession<'a> {
        let stored = self.0.lock().unwrap();
        let found = stored.as_ref().filter(|(known, _)| known == id);
        Answer::Now(Ok(found.map(|(_, bytes)| Zeroizing::new(bytes.clone()))))
    }

    fn take<'a>(&'a self, id: &'a [u8], context: &'a ConnectionContext) -> StoredSession<'a> {
        self.get(id, context)
    }
}

/// Two sides and the first session between them.
struct Sides {
    cache: Arc<MemorySessionCache>,
    client: ClientConfig,
    server: ServerConfig,
    session: ClientSession,
}

impl Sides {
    fn new(version: ProtocolVersion, store: Option<&Arc<Stored>>) -> Self {
        let cache = Arc::new(MemorySessionCache::new(1));
        let client = pair::client().alpn(["one", "two"]).session_cache(cache.clone());
        let server = pair::server().alpn(["one"]).only(version);
        let server = match store {
            Some(store) => server.session_store(store.clone()),
            None => server,
        };
        let (client, server) = (client.build().unwrap(), server.build().unwrap());
        let mut ends = Pair::new(&client, &server).run().established();
        assert_eq!(ends.client.reader.process().unwrap(), ReadEvent::NeedMore);
        let session = ends.client.reader.take_session().unwrap();
        Self {
            cache,
            client,
            server,
            session,
        }
    }

    /// What comes of a client that has this session alone.
    fn meet(&self, session: ClientSession) -> Outcome {
        self.hold(session);
        Pair::new(&self.client, &self.server).run()
    }

    fn hold(&self, session: ClientSession) {
        let (key, context) = (self.client.session_key(&name(NAME)), ConnectionContext::new());
        self.cache.clear();
        let Answer::Now(Ok(())) = self.cache.put(&key, session, &context) else {
            panic!("it is in memory");
        };
    }

    /// Whether a client that has this session alone offers it.
    fn offers(&self, session: ClientSession) -> bool {
        self.hold(session);
        let mut driver = Driver::client(&self.client, name(NAME));
        assert_eq!(driver.advance().unwrap(), Progress::Waiting);
        let hello = Hello::parse(&driver.transmit());
        let has = |wanted| {
            let found = hello.extensions.iter().find(|(of, _)| *of == wanted);
            found.is_some_and(|(_, content)| !content.is_empty())
        };
        // Without a session, or with a ticket, the id is only there to look like one.
        has(PRE_SHARED_KEY) || has(SESSION_TICKET) || hello.session_id == self.session.session_id()
    }
}

/// Whether it was a resumption; `None` for an error, of which nobody waits in vain.
fn judged(outcome: Outcome, case: &str) -> Option<bool> {
    match (&outcome.client, &outcome.server) {
        (Became::Done(_), Became::Done(_)) => {
            let mut ends = outcome.established();
            ends.check(b"data");
            let resumed = ends.client.negotiated().is_resumed();
            assert_eq!(resumed, ends.server.negotiated().is_resumed(), "{case}");
            Some(resumed)
        }
        (Became::Waiting(_), _) | (_, Became::Waiting(_)) => panic!("{case}: {outcome:?}"),
        _ => None,
    }
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// Of the bytes that a client reads its sessions from every bit counts.
fn a_changed_session_of_a_client_cannot_be_read(version: ProtocolVersion) {
    for store in [None, Some(Arc::default())] {
        let bytes = Sides::new(version, store.as_ref()).session.to_bytes();
        for bit in 0..bytes.len() * 8 {
            assert!(
                ClientSession::from_bytes(&flipped(&bytes, bit)).is_err(),
                "bit {bit}"
            );
        }
    }
}

/// And of those that a server has in a store that does not seal them.
fn a_changed_session_in_a_store_means_a_full_handshake(version: ProtocolVersion) {
    let store = Arc::new(Stored::default());
    let sides = Sides::new(version, Some(&store));
    let good = store.0.lock().unwrap().clone().unwrap();
    for bit in 0..good.1.len() * 8 {
        *store.0.lock().unwrap() = Some((good.0.clone(), flipped(&good.1, bit)));
        let case = format!("bit {bit}");
        assert_eq!(
            judged(sides.meet(sides.session.clone()), &case),
            Some(false),
            "{case}"
        );
    }
    *store.0.lock().unwrap() = Some(good);
    assert_eq!(judged(sides.meet(sides.session.clone()), "as it was"), Some(true));
}

/// Of what a client offers, a ticket, or the name of a session, every bit counts.
fn a_changed_offer_means_a_full_handshake(version: ProtocolVersion) {
    for store in [None, Some(Arc::default())] {
        let sides = Sides::new(version, store.as_ref());
        let bytes = session::write(&sides.session);
        let offer = match sides.session.ticket() {
            [] => sides.session.session_id(),
            ticket => ticket,
        };
        let start = bytes.windows(offer.len()).position(|part| part == offer).unwrap();
        for bit in start * 8..(start + offer.len()) * 8 {
            let outcome = sides.meet(session::read(flipped(&bytes, bit)));
            let case = format!(
                "bit {bit} of {}, in a store: {}",
                offer.len() * 8,
                store.is_some()
            );
            assert_eq!(judged(outcome, &case), Some(false), "{case}");
        }
        assert_eq!(judged(sides.meet(sides.session.clone()), "as it was"), Some(true));
    }
}

/// Whether a change of this bit of a session, with the checksum made right again, may leave it as good as it was: when it
/// was made and the peers last showed who they are, for how long it is good, how its age is obscured, how much early data
/// it allows; whether a client that has no certificate was asked for one; the client's memory of the application protocol,
/// which is negotiated anew. In TLS 1.3 also a flag that means nothing there, and another suite of the same hash. Nobody
/// has less to prove for it: whoever writes there has the secret beside it.
fn is_not_proven(version: ProtocolVersion, session: &[u8], bit: usize, is_of_client: bool) -> bool {
    const FLAGS: usize = 5;
    const CLIENT_WAS_ASKED: usize = 4;
    const SUITE: usize = 8;
    const SECRET: usize = 10;
    let times = SECRET + 1 + usize::from(session[SECRET]);
    let alpn = times + 8 + 8 + 4 + 4 + 4;
    let end = alpn
        + if is_of_client {
            1 + usize::from(session[alpn])
        } else {
            0
        };
    let at = bit / 8;
    let in_tls13 = [FLAGS, SUITE, SUITE + 1].contains(&at);
    (times..end).contains(&at)
        || bit == 8 * FLAGS + CLIENT_WAS_ASKED
        || version == ProtocolVersion::TLS13 && in_tls13
}

/// A client that reads its sessions from where others write, who know how.
fn a_changed_session_of_a_client_does_no_harm(version: ProtocolVersion) {
    for store in [None, Some(Arc::default())] {
        let sides = Sides::new(version, store.as_ref());
        let bytes = session::write(&sides.session);
        let (mut unread, mut unused, mut full, mut failed, mut resumed) = (0, 0, 0, 0, 0);
        for bit in 0..bytes.len() * 8 {
            let Ok(session) = ClientSession::from_bytes(&session::with_checksum(flipped(&bytes, bit))) else {
                unread += 1;
                continue;
            };
            if !sides.offers(session.clone()) {
                // As if there was none.
                unused += 1;
                continue;
            }
            match judged(sides.meet(session), &format!("bit {bit}")) {
                Some(true) => {
                    assert!(is_not_proven(version, &bytes, bit, true), "bit {bit} was resumed");
                    resumed += 1;
                }
                Some(false) => full += 1,
                None => failed += 1,
            }
        }
        let all = [unread, unused, full, failed, resumed];
        println!(
            "{version}: unread {unread}, unused {unused}, full {full}, failed {failed}, resumed {resumed}"
        );
        assert_eq!(all.iter().sum::<usize>(), bytes.len() * 8);
        // The chain of the server does not verify any more; the secret is another one.
        let chain = sides.session.peer_chain().unwrap();
        let chain: usize = chain
            .certificates
            .iter()
            .map(|certificate| certificate.len())
            .sum();
        assert!(unused >= chain * 8, "{all:?}");
        assert!(failed >= 32 * 8, "{all:?}");
    }
}

/// A server whose store is not sealed, and open to somebody who knows how.
fn a_changed_session_of_a_server_does_no_harm(version: ProtocolVersion) {
    let store = Arc::new(Stored::default());
    let sides = Sides::new(version, Some(&store));
    let good = store.0.lock().unwrap().clone().unwrap();
    let bytes = session::without_checksum(&good.1);
    let (mut full, mut failed, mut resumed) = (0, 0, 0);
    for bit in 0..bytes.len() * 8 {
        let changed = session::with_checksum(flipped(bytes, bit));
        *store.0.lock().unwrap() = Some((good.0.clone(), changed));
        match judged(sides.meet(sides.session.clone()), &format!("bit {bit}")) {
            Some(true) => {
                assert!(is_not_proven(version, bytes, bit, false), "bit {bit} was resumed");
                resumed += 1;
            }
            Some(false) => full += 1,
            None => failed += 1,
        }
    }
    println!("{version}: full {full}, failed {failed}, resumed {resumed}");
    assert!(
        full > 100 && failed >= 32 * 8 && resumed < 200,
        "{full} {failed} {resumed}"
    );
    *store.0.lock().unwrap() = Some(good);
    assert_eq!(judged(sides.meet(sides.session.clone()), "as it was"), Some(true));
}

both_versions!(
    a_changed_offer_means_a_full_handshake,
    a_changed_session_of_a_client_cannot_be_read,
    a_changed_session_in_a_store_means_a_full_handshake,
    a_changed_session_of_a_client_does_no_harm,
    a_changed_session_of_a_server_does_no_harm,
);
