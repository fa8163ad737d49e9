//! Whatever is done with them, cache and store do what lists do that are searched from one end to the other: also which
//! entry gives way to a new one.

use proptest::prelude::*;
use tls_core::ProtocolVersion;

use super::shards::SHARDS;
use super::tests::{NOW, cache, get_bytes, put, put_bytes, remove, server, session, store, take, take_bytes};
use super::*;

/// How long anything is kept, in milliseconds.
const TIME_TO_LIVE: u64 = 100_000;

/// Sixteen lists of what was used, the latest last.
struct Model<V> {
    shards: Vec<Vec<(u32, V)>>,
    capacity_of_each: usize,
}

impl<V> Model<V> {
    fn new(capacity_of_each: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Vec::new()).collect(),
            capacity_of_each,
        }
    }

    /// The entry, which counts as used.
    fn used(&mut self, shard: usize, key: u32) -> Option<&mut V> {
        let list = &mut self.shards[shard];
        let at = list.iter().position(|(of, _)| *of == key)?;
        let entry = list.remove(at);
        list.push(entry);
        list.last_mut().map(|(_, value)| value)
    }

    fn remove(&mut self, shard: usize, key: u32) {
        self.shards[shard].retain(|(of, _)| *of != key);
    }

    fn insert(&mut self, shard: usize, key: u32, value: V) {
        self.remove(shard, key);
        let list = &mut self.shards[shard];
        list.push((key, value));
        if list.len() > self.capacity_of_each {
            list.remove(0);
        }
    }

    fn len(&self) -> usize {
        self.shards.iter().map(Vec::len).sum()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put {
        key: u32,
        is_tls13: bool,
        lifetime: u32,
    },
    /// Of the store: the session stays.
    Get(u32),
    Take(u32),
    Remove(u32),
    /// So many milliseconds go by.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Some are used often, and more exist than there is room for.
    let key = || prop_oneof![0..2_u32, 0..10_u32, 0..120_u32];
    let step = prop_oneof![
        8 => (key(), any::<bool>(), 0..150_u32)
            .prop_map(|(key, is_tls13, lifetime)| Step::Put { key, is_tls13, lifetime }),
        4 => key().prop_map(Step::Get),
        4 => key().prop_map(Step::Take),
        1 => key().prop_map(Step::Remove),
        1 => (0..40_000_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..300)
}

/// A session of the model.
#[derive(Clone, Copy)]
struct Entry {
    ticket: u32,
    is_tls13: bool,
    put_at: u64,
    lifetime: u32,
}

impl Entry {
    fn is_good(&self, now: u64) -> bool {
        let age = now - self.put_at;
        age < TIME_TO_LIVE && age < u64::from(self.lifetime) * 1000
    }
}

/// What the model gives: the newest of the entries of a server, the last one.
fn take_of_model(model: &mut Model<Vec<Entry>>, shard: usize, key: u32, now: u64) -> Option<u32> {
    let entries = model.used(shard, key)?;
    entries.retain(|entry| entry.is_good(now));
    let newest = entries.last().copied();
    if newest.is_some_and(|newest| newest.is_tls13) {
        entries.pop();
    }
    if entries.is_empty() {
        model.remove(shard, key);
    }
    newest.map(|newest| newest.ticket)
}

fn put_in_model(model: &mut Model<Vec<Entry>>, shard: usize, key: u32, entry: Entry) {
    let Some(entries) = model.used(shard, key) else {
        model.insert(shard, key, vec![entry]);
        return;
    };
    if !entry.is_tls13 {
        entries.retain(|kept| kept.is_tls13);
    }
    entries.push(entry);
    if entries.len() > SESSIONS_PER_SERVER {
        entries.remove(0);
    }
}

/// Which keys share a shard is another matter in each run, so that a case that failed is of no use in the next.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_cache_forgets_what_the_model_forgets(capacity in 1..5_usize, steps in steps()) {
        let (cache, time) = cache(SHARDS * capacity);
        let cache = cache.with_time_to_live(Duration::from_millis(TIME_TO_LIVE));
        let shard = |key| cache.shards.index(&server(key));
        let mut model = Model::new(capacity);
        let mut now = NOW;
        for (ticket, step) in (0..).zip(steps) {
            match step {
                Step::Put { key, is_tls13, lifetime } => {
                    let version = if is_tls13 { ProtocolVersion::TLS13 } else { ProtocolVersion::TLS12 };
                    put(&cache, &server(key), session(version, ticket, now, lifetime));
                    if lifetime > 0 {
                        put_in_model(&mut model, shard(key), key, Entry { ticket, is_tls13, put_at: now, lifetime });
                    }
                }
                Step::Get(_) => {}
                Step::Take(key) => {
                    prop_assert_eq!(take(&cache, &server(key)), take_of_model(&mut model, shard(key), key, now));
                }
                Step::Remove(key) => {
                    remove(&cache, &server(key));
                    model.remove(shard(key), key);
                }
                Step::Wait(milliseconds) => {
                    now += milliseconds;
                    time.store(now, std::sync::atomic::Ordering::Relaxed);
                }
            }
            prop_assert_eq!(cache.len(), model.len());
        }
        // All that is left, and once more than there can be.
        for key in (0..120).flat_map(|key| [key; SESSIONS_PER_SERVER + 1]) {
            prop_assert_eq!(take(&cache, &server(key)), take_of_model(&mut model, shard(key), key, now));
        }
    }

    #[test]
    fn the_store_forgets_what_the_model_forgets(capacity in 1..5_usize, steps in steps()) {
        let (store, time) = store(SHARDS * capacity);
        let store = store.with_time_to_live(Duration::from_millis(TIME_TO_LIVE));
        let shard = |id: u32| store.shards.index::<[u8]>(&id.to_be_bytes());
        let mut model = Model::new(capacity);
        let mut now = NOW;
        let keys = (0..120).map(Step::Take);
        for (number, step) in (0_u32..).zip(steps.into_iter().chain(keys)) {
            match step {
                Step::Put { key, lifetime, .. } => {
                    put_bytes(&store, key, &number.to_be_bytes(), lifetime.into());
                    model.insert(shard(key), key, Entry { ticket: number, is_tls13: false, put_at: now, lifetime });
                }
                Step::Get(key) | Step::Take(key) | Step::Remove(key) => {
                    let stays = matches!(step, Step::Get(_));
                    let found = model.used(shard(key), key).copied().filter(|entry| entry.is_good(now));
                    if !stays || found.is_none() {
                        model.remove(shard(key), key);
                    }
                    let got = if stays { get_bytes(&store, key) } else { take_bytes(&store, key) };
                    prop_assert_eq!(got, found.map(|entry| entry.ticket.to_be_bytes().to_vec()));
                }
                Step::Wait(milliseconds) => {
                    now += milliseconds;
                    time.store(now, std::sync::atomic::Ordering::Relaxed);
                }
            }
            prop_assert_eq!(store.len(), model.len());
        }
    }
}
