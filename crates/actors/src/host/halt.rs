//! Letting actors go: when they are idle, when they moved, when their type goes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::call::Actor;
use crate::host::idle::Next;
use crate::host::instance::{Idle, Instance};
use crate::host::state::{Hosted, State};
use crate::host::{Host, SCOPE};
use crate::placement::{Halt, Residents};

/// How many actors the app is told of at once that they go.
const CONCURRENT: usize = 128;
/// An actor that is busy when it could be idle is not looked at again before.
const BUSY: Duration = Duration::from_millis(100);

impl Host {
    /// Hosts these types no more and lets their actors go.
    pub async fn withdraw(&self, types: &BTreeSet<Arc<str>>) {
        self.state.hosted.rcu(|hosted| {
            let mut hosted = Hosted::clone(hosted);
            hosted.kinds.retain(|name, _| !types.contains(name));
            hosted
        });
        self.let_go(|actor| types.contains(&actor.kind)).await;
    }

    /// Lets all actors go and activates none any more.
    pub async fn close(&self) {
        self.state.hosted.rcu(|hosted| Hosted {
            closed: true,
            ..Hosted::clone(hosted)
        });
        self.let_go(|_| true).await;
    }

    /// Lets the actors go that are asked for. At once: calls that wait fail, those that
    /// run end, and the next call finds a new instance. Returns when the app was told of
    /// each, which has no deadline; it is told even if the future is dropped.
    pub async fn let_go(&self, which: impl Fn(&Actor) -> bool) {
        let state = &self.state;
        let gone = state.residents.extract(which, |instance| {
            instance.close();
            state.idle.lock().disarm(instance);
        });
        if gone.is_empty() {
            return;
        }
        let told = state
            .tasks
            .spawn("halted actors", tell(state.clone(), gone));
        // A panic was logged by whoever spawns.
        let _ = told.await;
    }
}

#[async_trait]
impl Residents for Host {
    async fn halt(&self, which: &Halt) {
        self.let_go(|actor| which.includes(actor)).await;
    }
}

async fn tell(state: Arc<State>, gone: Vec<Arc<Instance>>) {
    futures_util::stream::iter(gone)
        .for_each_concurrent(CONCURRENT, async |instance| {
            state.deactivate(&instance).await
        })
        .await;
}

impl State {
    /// Tells the app that an instance is gone.
    async fn deactivate(&self, instance: &Instance) {
        let kind = &instance.kind;
        self.observer.halted(&kind.name);
        let told = kind.app.deactivate(&instance.actor).await;
        self.observer.deactivated(&kind.name, told.is_ok());
        if let Err(e) = told {
            tracing::error!(target: SCOPE, "Failed to halt actor {}: {e}", instance.actor);
        }
    }

    /// Lets an actor go if it is idle, else queues it for another look.
    fn expire(self: &Arc<Self>, instance: Arc<Instance>, permit: OwnedSemaphorePermit) {
        let now = self.now();
        let mut idle = Idle::Closed;
        let gone = self.residents.remove_if(&instance, || {
            idle = instance.close_if_idle(now);
            let again = match idle {
                Idle::Closed => return true,
                Idle::Until(at) => at,
                Idle::Busy => {
                    let pause = instance.kind.settings.idle_timeout.max(BUSY).as_millis();
                    now.saturating_add(u64::try_from(pause).unwrap_or(u64::MAX))
                }
            };
            self.idle.lock().arm(instance.clone(), again);
            false
        });
        if gone {
            let state = self.clone();
            self.tasks.spawn("idle actor", async move {
                state.deactivate(&instance).await;
                drop(permit);
            });
        }
    }
}

/// Lets actors go as they become idle, so many at once and no more.
pub(super) async fn idle_loop(state: Arc<State>) {
    let stop = state.tasks.token();
    let permits = Arc::new(Semaphore::new(CONCURRENT));
    let work = async {
        // Nobody closes the semaphore.
        while let Ok(permit) = permits.clone().acquire_owned().await {
            let next = state.idle.lock().next(state.now());
            match next {
                Next::Due(instance) => state.expire(instance, permit),
                Next::Nothing => state.earlier.notified().await,
                Next::At(at) => {
                    let at = state.start + Duration::from_millis(at);
                    let wait = tokio::time::timeout_at(at, state.earlier.notified());
                    // Both ends of the wait are reasons to look.
                    let _ = wait.await;
                }
            }
        }
    };
    stop.run_until_cancelled(work).await;
}
