//! A map of bounded size that forgets what was not asked for the longest.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

pub(crate) struct Cache<V> {
    size: usize,
    entries: Mutex<Entries<V>>,
}

struct Entries<V> {
    by_key: HashMap<Arc<str>, (V, u64)>,
    /// The keys by the time they were last asked for.
    by_age: BTreeMap<u64, Arc<str>>,
    clock: u64,
}

impl<V: Clone> Cache<V> {
    /// A cache of at least one entry.
    pub(crate) fn new(size: usize) -> Self {
        let entries = Entries {
            by_key: HashMap::new(),
            by_age: BTreeMap::new(),
            clock: 0,
        };
        Self {
            size: size.max(1),
            entries: Mutex::new(entries),
        }
    }

    /// The value of `key`, made now if it is not there.
    pub(crate) fn get(&self, key: &str, make: impl FnOnce() -> V) -> V {
        let mut entries = self.entries.lock();
        let entries = &mut *entries;
        let newest = entries.clock;
        if let Some((value, age)) = entries.by_key.get_mut(key) {
            if *age != newest
                && let Some(key) = entries.by_age.remove(age)
            {
                entries.clock += 1;
                *age = entries.clock;
                entries.by_age.insert(entries.clock, key);
            }
            return value.clone();
        }
        if entries.by_key.len() >= self.size
            && let Some((_, oldest)) = entries.by_age.pop_first()
        {
            entries.by_key.remove(&oldest);
        }
        let value = make();
        let key: Arc<str> = key.into();
        entries.clock += 1;
        entries.by_age.insert(entries.clock, key.clone());
        entries.by_key.insert(key, (value.clone(), entries.clock));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_keys_asked_for_last_keep_their_values(
            size in 1usize..6,
            keys in proptest::collection::vec(0u8..10, 1..100),
        ) {
            let cache = Cache::new(size);
            // The model: keys with their values, the newest last.
            let mut model: Vec<(u8, usize)> = Vec::new();
            for (turn, key) in keys.into_iter().enumerate() {
                let kept = model.iter().position(|(k, _)| *k == key);
                let entry = kept.map_or((key, turn), |at| model.remove(at));
                if model.len() == size {
                    model.remove(0);
                }
                model.push(entry);
                prop_assert_eq!(cache.get(&key.to_string(), || turn), entry.1);
                prop_assert_eq!(cache.entries.lock().by_key.len(), model.len());
                prop_assert_eq!(cache.entries.lock().by_age.len(), model.len());
            }
        }
    }
}
