//! What all calls of this sidecar's actors share: the hosted types and the active actors.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use resiliency::{Policies, Policy};
use service::Tasks;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::call::Actor;
use crate::error::Error;
use crate::host::idle::Queue;
use crate::host::instance::{Entrance, Instance, Kind, Turn};
use crate::host::shards::Shards;
use crate::observer::Observer;
use crate::settings::TypeSettings;

pub(super) struct State {
    pub(super) hosted: ArcSwap<Hosted>,
    pub(super) residents: Shards,
    pub(super) idle: Mutex<Queue>,
    /// Rung when an actor becomes the first of the queue of the idle.
    pub(super) earlier: Notify,
    policies: Policies,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) tasks: Tasks,
    pub(super) start: Instant,
    activations: AtomicU64,
}

#[derive(Clone)]
pub(super) struct Hosted {
    pub(super) kinds: HashMap<Arc<str>, Arc<Kind>>,
    /// For calls of all types together.
    pub(super) drain: Duration,
    pub(super) closed: bool,
}

impl Default for Hosted {
    fn default() -> Self {
        Self {
            kinds: HashMap::new(),
            drain: TypeSettings::default().drain(),
            closed: false,
        }
    }
}

impl State {
    pub(super) fn new(policies: Policies, observer: Arc<dyn Observer>, tasks: &Tasks) -> Self {
        Self {
            hosted: ArcSwap::default(),
            residents: Shards::default(),
            idle: Mutex::default(),
            earlier: Notify::new(),
            policies,
            observer,
            tasks: tasks.clone(),
            start: Instant::now(),
            activations: AtomicU64::new(0),
        }
    }

    /// Milliseconds since the start of the host.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The instance of an actor, a new one if there is none.
    pub(super) fn instance(&self, actor: &Actor) -> Result<Arc<Instance>, Error> {
        self.residents.get_or(actor, || {
            // Read while the shard is locked: a type that is withdrawn now is looked
            // for in this shard afterwards.
            let hosted = self.hosted.load();
            if hosted.closed {
                return Err(Error::Closed);
            }
            let kind = hosted.kinds.get(&actor.kind);
            let kind = kind.ok_or_else(|| Error::NoAddress(actor.clone()))?;
            let number = self.activations.fetch_add(1, Ordering::Relaxed);
            let limit = self.limit(actor);
            let instance = Instance::new(actor, kind.clone(), limit, number, self.now());
            let instance = Arc::new(instance);
            let idle_at = instance.idle_at();
            if self.idle.lock().arm(instance.clone(), idle_at) {
                self.earlier.notify_one();
            }
            Ok(instance)
        })
    }

    fn limit(&self, actor: &Actor) -> Policy {
        match self.policies.loaded().is_empty() {
            true => Policy::default(),
            false => self.policies.actor(&actor.kind, &actor.id).after_lock,
        }
    }

    /// A turn of the instance, or of the one after it if it closed in this moment.
    pub(super) async fn turn(
        &self,
        mut instance: Arc<Instance>,
        entrance: impl Fn() -> Entrance,
        method: &str,
    ) -> Result<Turn, Error> {
        loop {
            let turn = instance.turn(entrance(), method, &*self.observer).await?;
            match turn {
                Some(turn) => return Ok(turn),
                None => instance = self.instance(&instance.actor)?,
            }
        }
    }
}
