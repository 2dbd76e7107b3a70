//! The active actors, in a set that many calls read and change at once.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::call::Actor;
use crate::host::instance::Instance;

const SHARDS: usize = 64;

/// The active actors by type and id.
pub(super) struct Shards {
    hasher: RandomState,
    shards: [Mutex<HashSet<Resident>>; SHARDS],
}

/// An instance is found by its actor, which it holds itself.
struct Resident(Arc<Instance>);

impl Borrow<Actor> for Resident {
    fn borrow(&self) -> &Actor {
        &self.0.actor
    }
}

impl Hash for Resident {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.actor.hash(state);
    }
}

impl PartialEq for Resident {
    fn eq(&self, other: &Self) -> bool {
        self.0.actor == other.0.actor
    }
}

impl Eq for Resident {}

impl Default for Shards {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Shards {
    fn shard(&self, actor: &Actor) -> &Mutex<HashSet<Resident>> {
        let hash = self.hasher.hash_one(actor);
        &self.shards[hash as usize % SHARDS]
    }

    pub(super) fn contains(&self, actor: &Actor) -> bool {
        self.shard(actor).lock().contains(actor)
    }

    /// The instance of an actor; a new one is made while nobody else can.
    pub(super) fn get_or<E>(
        &self,
        actor: &Actor,
        make: impl FnOnce() -> Result<Arc<Instance>, E>,
    ) -> Result<Arc<Instance>, E> {
        let mut shard = self.shard(actor).lock();
        if let Some(resident) = shard.get(actor) {
            return Ok(resident.0.clone());
        }
        let instance = make()?;
        shard.insert(Resident(instance.clone()));
        Ok(instance)
    }

    /// Takes the instance out if `goes` agrees while nobody can find it. An instance
    /// that is not the actor's any more stays as it is.
    pub(super) fn remove_if(&self, instance: &Arc<Instance>, goes: impl FnOnce() -> bool) -> bool {
        let mut shard = self.shard(&instance.actor).lock();
        let current = shard.get(&instance.actor);
        if !current.is_some_and(|resident| Arc::ptr_eq(&resident.0, instance)) || !goes() {
            return false;
        }
        shard.remove(&instance.actor)
    }

    /// Takes out those that are asked for; `leave` sees each while nobody can find it.
    pub(super) fn extract(
        &self,
        which: impl Fn(&Actor) -> bool,
        leave: impl Fn(&Instance),
    ) -> Vec<Arc<Instance>> {
        let mut extracted = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            let gone = shard.extract_if(|resident| which(&resident.0.actor));
            extracted.extend(gone.map(|resident| {
                leave(&resident.0);
                resident.0
            }));
        }
        extracted
    }

    /// Shows every active actor, shard by shard.
    pub(super) fn for_each(&self, mut see: impl FnMut(&Actor)) {
        for shard in &self.shards {
            for resident in shard.lock().iter() {
                see(&resident.0.actor);
            }
        }
    }
}
