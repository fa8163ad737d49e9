use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tls_core::{ProtocolVersion, ServerName, ServerSessionStore, Zeroizing};

use super::*;

pub(super) const NOW: u64 = 1_800_000_000_000;
const HOUR: u64 = 3_600_000;

/// A session with this ticket, made now, in the form that `ClientSession::to_bytes` gives.
pub(super) fn session(version: ProtocolVersion, ticket: u32, now: u64, lifetime: u32) -> ClientSession {
    let is_tls13 = version == ProtocolVersion::TLS13;
    let (suite, secret_len): (u16, u8) = if is_tls13 { (0x1301, 32) } else { (0xc02f, 48) };
    let mut bytes = b"TLSc\x02\x00".to_vec();
    bytes.extend(version.0.to_be_bytes());
    bytes.extend(suite.to_be_bytes());
    bytes.push(secret_len);
    bytes.extend(vec![7; secret_len.into()]);
    bytes.extend(now.to_be_bytes());
    bytes.extend(now.to_be_bytes());
    bytes.extend(lifetime.to_be_bytes());
    // Age, early data, ALPN, server name, extra bytes: nothing.
    bytes.extend([0; 4 + 4 + 1 + 1 + 2]);
    bytes.extend([0, 4]);
    bytes.extend(ticket.to_be_bytes());
    bytes.push(0);
    let checksum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
    bytes.extend(&checksum.as_ref()[..8]);
    ClientSession::from_bytes(&bytes).unwrap()
}

fn tls13(ticket: u32) -> ClientSession {
    session(ProtocolVersion::TLS13, ticket, NOW, 604_800)
}

fn tls12(ticket: u32) -> ClientSession {
    session(ProtocolVersion::TLS12, ticket, NOW, 604_800)
}

fn number(session: &ClientSession) -> u32 {
    u32::from_be_bytes(session.ticket().try_into().unwrap())
}

pub(super) fn server(number: u32) -> SessionKey {
    let mut security_domain = [0; 32];
    security_domain[..4].copy_from_slice(&number.to_be_bytes());
    SessionKey {
        server: ServerName::try_from("example.com").unwrap(),
        security_domain,
    }
}

fn now<T>(answer: Answer<'_, Result<T, HookError>>) -> T {
    match answer {
        Answer::Now(answer) => answer.unwrap(),
        Answer::Later(_) => panic!("memory answers at once"),
    }
}

pub(super) fn cache(servers: usize) -> (MemorySessionCache, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(NOW));
    let clock = Arc::clone(&time);
    let cache = MemorySessionCache::new(servers).with_clock(move || clock.load(Ordering::Relaxed));
    (cache, time)
}

pub(super) fn take(cache: &MemorySessionCache, key: &SessionKey) -> Option<u32> {
    let context = ConnectionContext::new();
    now(cache.take(key, &context)).map(|session| number(&session))
}

pub(super) fn put(cache: &MemorySessionCache, key: &SessionKey, session: ClientSession) {
    now(cache.put(key, session, &ConnectionContext::new()));
}

pub(super) fn remove(cache: &MemorySessionCache, key: &SessionKey) {
    now(cache.remove(key, &ConnectionContext::new()));
}

#[test]
fn tls13_sessions_are_handed_out_once_and_the_newest_first() {
    let (cache, _) = cache(100);
    for ticket in 0..10 {
        put(&cache, &server(1), tls13(ticket));
    }
    let taken: Vec<_> = (0..10).map_while(|_| take(&cache, &server(1))).collect();
    assert_eq!(taken, [9, 8, 7, 6, 5, 4, 3, 2], "eight are kept");
    assert!(cache.is_empty());
}

#[test]
fn a_tls12_session_is_handed_out_until_a_newer_one_comes() {
    let (cache, _) = cache(100);
    put(&cache, &server(1), tls12(1));
    assert_eq!(take(&cache, &server(1)), Some(1));
    assert_eq!(take(&cache, &server(1)), Some(1));
    put(&cache, &server(1), tls12(2));
    put(&cache, &server(1), tls13(3));
    let taken: Vec<_> = (0..4).map(|_| take(&cache, &server(1)).unwrap()).collect();
    assert_eq!(taken, [3, 2, 2, 2]);
}

#[test]
fn configurations_of_different_security_domains_share_nothing() {
    let (cache, _) = cache(100);
    put(&cache, &server(1), tls13(1));
    assert_eq!(take(&cache, &server(2)), None);
    assert_eq!(take(&cache, &server(1)), Some(1));
}

#[test]
fn an_expired_session_is_not_handed_out() {
    let (cache, time) = cache(100);
    put(&cache, &server(1), session(ProtocolVersion::TLS12, 1, NOW, 60));
    put(&cache, &server(1), session(ProtocolVersion::TLS13, 2, NOW, 30));
    time.store(NOW + 30_000, Ordering::Relaxed);
    assert_eq!(take(&cache, &server(1)), Some(1));
    time.store(NOW + 60_000, Ordering::Relaxed);
    assert_eq!(take(&cache, &server(1)), None);
    assert!(cache.is_empty(), "what has expired is forgotten when it is found");
    put(&cache, &server(1), session(ProtocolVersion::TLS13, 2, NOW, 60));
    put(
        &cache,
        &server(1),
        session(ProtocolVersion::TLS13, 2, NOW + 60_000, 0),
    );
    assert!(cache.is_empty(), "what has expired is not put");
}

#[test]
fn the_time_to_live_counts_from_when_a_session_was_put() {
    let (cache, time) = cache(100);
    let cache = cache.with_time_to_live(Duration::from_secs(3600));
    put(&cache, &server(1), tls12(1));
    time.store(NOW + HOUR - 1, Ordering::Relaxed);
    assert_eq!(take(&cache, &server(1)), Some(1));
    time.store(NOW + HOUR, Ordering::Relaxed);
    assert_eq!(take(&cache, &server(1)), None);
}

#[test]
fn removing_forgets_one_server_and_an_absent_one_changes_nothing() {
    let (cache, _) = cache(16);
    for key in 0..16 {
        put(&cache, &server(key), tls13(key));
    }
    let before = cache.len();
    for key in 100..1000 {
        remove(&cache, &server(key));
    }
    assert_eq!(cache.len(), before);
    put(&cache, &server(0), tls13(0));
    let before = cache.len();
    remove(&cache, &server(0));
    assert_eq!((take(&cache, &server(0)), cache.len()), (None, before - 1));
}

/// xorshift64*: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }
}

#[test]
fn a_million_servers_leave_the_cache_within_its_bound() {
    let (cache, _) = cache(1000);
    let session = tls13(1);
    let mut key = server(0);
    let context = ConnectionContext::new();
    for number in 0..1_000_000_u32 {
        key.security_domain[..4].copy_from_slice(&number.to_be_bytes());
        now(cache.put(&key, session.clone(), &context));
    }
    assert_eq!(cache.len(), 1008, "63 in each of 16 shards");
    assert_eq!(take(&cache, &server(999_999)), Some(1));
    assert_eq!(take(&cache, &server(0)), None);
}

#[test]
fn of_64_threads_no_two_get_the_same_tls13_ticket() {
    let (cache, _) = cache(100);
    let next = AtomicU64::new(0);
    let taken = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for seed in 1..=64 {
            let (cache, next, taken) = (&cache, &next, &taken);
            scope.spawn(move || {
                let mut numbers = Numbers(seed);
                for _ in 0..500 {
                    let key = server(numbers.below(3) as u32);
                    put(cache, &key, tls13(next.fetch_add(1, Ordering::Relaxed) as u32));
                    let ticket = take(cache, &key);
                    taken.lock().unwrap().extend(ticket);
                }
            });
        }
    });
    let taken = taken.into_inner().unwrap();
    assert!(taken.len() > 30_000, "{} were taken", taken.len());
    let different: HashSet<_> = taken.iter().collect();
    assert_eq!(different.len(), taken.len());
}

pub(super) fn store(sessions: usize) -> (MemorySessionStore, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(NOW));
    let clock = Arc::clone(&time);
    let store = MemorySessionStore::new(sessions).with_clock(move || clock.load(Ordering::Relaxed));
    (store, time)
}

pub(super) fn put_bytes(store: &MemorySessionStore, id: u32, session: &[u8], seconds: u64) {
    let session = Zeroizing::new(session.to_vec());
    let (lifetime, context) = (Duration::from_secs(seconds), ConnectionContext::new());
    now(store.put(&id.to_be_bytes(), session, lifetime, &context));
}

pub(super) fn get_bytes(store: &MemorySessionStore, id: u32) -> Option<Vec<u8>> {
    now(store.get(&id.to_be_bytes(), &ConnectionContext::new())).map(|bytes| bytes.to_vec())
}

pub(super) fn take_bytes(store: &MemorySessionStore, id: u32) -> Option<Vec<u8>> {
    now(store.take(&id.to_be_bytes(), &ConnectionContext::new())).map(|bytes| bytes.to_vec())
}

#[test]
fn the_store_is_bounded_and_keeps_what_was_used_last() {
    let (store, _) = store(160);
    for id in 0..100_000 {
        put_bytes(&store, id, b"session", 3600);
        assert!(id < 1 || get_bytes(&store, id - 1).is_some());
        assert!(get_bytes(&store, 0).is_some(), "used all the time");
    }
    assert_eq!(store.len(), 160);
    assert!(get_bytes(&store, 1).is_none());
    store.clear();
    assert!(store.is_empty());
}

#[test]
fn of_many_threads_one_takes_a_session_out_of_the_store() {
    let (store, _) = store(4000);
    for id in 0..1000 {
        put_bytes(&store, id, b"session", 3600);
    }
    let taken = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let count = (0..1000).filter(|id| take_bytes(&store, *id).is_some()).count();
                taken.fetch_add(count as u64, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(taken.into_inner(), 1000);
}
