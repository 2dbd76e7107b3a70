//! When active actors are looked at again: one queue for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::host::instance::Instance;

/// Active actors by the time, in the host's milliseconds, at which they may be idle.
///
/// A turn does not move its actor: an actor whose time comes is looked at, and queued
/// again if it had a turn since. So each costs one step per idle timeout at most.
#[derive(Default)]
pub(super) struct Queue {
    entries: BTreeMap<(u64, u64), Arc<Instance>>,
}

/// What the queue has for its loop.
pub(super) enum Next {
    Due(Arc<Instance>),
    At(u64),
    Nothing,
}

impl Queue {
    /// Queues an instance that is not in the queue; whether it is the first now.
    pub(super) fn arm(&mut self, instance: Arc<Instance>, at: u64) -> bool {
        instance.armed.store(at, Ordering::Relaxed);
        let key = (at, instance.number);
        self.entries.insert(key, instance);
        self.entries.keys().next() == Some(&key)
    }

    /// Forgets an instance, if it is in the queue.
    pub(super) fn disarm(&mut self, instance: &Instance) {
        let at = instance.armed.load(Ordering::Relaxed);
        self.entries.remove(&(at, instance.number));
    }

    /// Takes the first instance whose time has come.
    pub(super) fn next(&mut self, now: u64) -> Next {
        match self.entries.first_entry() {
            None => Next::Nothing,
            Some(entry) if entry.key().0 > now => Next::At(entry.key().0),
            Some(entry) => Next::Due(entry.remove()),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
