//! Sixteen LRU caches, each under a lock of its own.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// A power of two. With more, no less is waited for; with one, two threads take three times as long.
pub(super) const SHARDS: usize = 16;

type Shard<K, V> = LruCache<K, V, RandomState>;

/// A cache that forgets what was used least recently, within a shard.
pub(super) struct Shards<K, V> {
    shards: [Mutex<Shard<K, V>>; SHARDS],
    capacity_of_each: usize,
    /// Keyed, because peers choose the ids that are looked up and could else aim at one shard.
    hasher: RandomState,
}

impl<K: Hash + Eq, V> Shards<K, V> {
    /// `capacity` is rounded up to a multiple of the number of shards, and at least one for each.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            // "Unbounded", because a bounded one takes all its memory at once. We keep the bound ourselves.
            shards: std::array::from_fn(|_| Mutex::new(LruCache::unbounded_with_hasher(RandomState::new()))),
            capacity_of_each: capacity.div_ceil(SHARDS).max(1),
            hasher: RandomState::new(),
        }
    }

    /// The shard for this key, locked. Never hold it across an await.
    pub(super) fn of<Q: Hash + ?Sized>(&self, key: &Q) -> MutexGuard<'_, Shard<K, V>> {
        #[expect(
            clippy::indexing_slicing,
            reason = "the index is less than the number of shards"
        )]
        lock(&self.shards[self.index(key)])
    }

    /// Which shard is the one for this key: less than [`SHARDS`].
    pub(super) fn index<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        self.hasher.hash_one(key) as usize % SHARDS
    }

    /// Puts an entry into the shard that [`Self::of`] gave for it, and makes room.
    pub(super) fn insert(&self, shard: &mut Shard<K, V>, key: K, value: V) {
        shard.put(key, value);
        if shard.len() > self.capacity_of_each {
            shard.pop_lru();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    pub(super) fn clear(&self) {
        for shard in &self.shards {
            lock(shard).clear();
        }
    }
}

/// Nothing in here can panic half way through a change, so that a poisoned lock guards a sound cache.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_of_a_shard_makes_room() {
        let shards = Shards::<u32, ()>::new(16 * 3);
        let mut shard = lock(&shards.shards[0]);
        for key in 0..3 {
            shards.insert(&mut shard, key, ());
        }
        shard.get(&0);
        shards.insert(&mut shard, 3, ());
        let kept: Vec<u32> = shard.iter().map(|(key, ())| *key).collect();
        assert_eq!(kept, [3, 0, 2]);
    }

    #[test]
    fn keys_spread_over_all_shards_and_find_theirs_again() {
        let shards = Shards::<u32, u32>::new(2000);
        for key in 0..1000 {
            shards.insert(&mut shards.of(&key), key, key);
        }
        assert!(shards.shards.iter().all(|shard| lock(shard).len() > 20));
        assert!((0..1000).all(|key| shards.of(&key).peek(&key) == Some(&key)));
        shards.clear();
        assert_eq!(shards.len(), 0);
    }

    #[test]
    fn the_capacity_is_rounded_up() {
        for (capacity, rounded) in [(0, 16), (1, 16), (16, 16), (17, 32)] {
            let shards = Shards::<u32, ()>::new(capacity);
            for key in 0..1000 {
                shards.insert(&mut shards.of(&key), key, ());
            }
            assert_eq!(shards.len(), rounded);
        }
    }
}
