//! The actors that live in this sidecar, and their turns.

mod halt;
mod idle;
mod instance;
mod shards;
mod state;
mod turn;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderValue;
use resiliency::Policies;
use service::Tasks;

use crate::call::{Actor, App, Fire, Fired, Invoke, REENTRANCY_HEADER, Reply, cancels};
use crate::error::Error;
use crate::host::instance::{Entrance, Kind};
use crate::host::state::{Hosted, State};
use crate::observer::Observer;
use crate::placement;
use crate::settings::Registration;

const SCOPE: &str = "dapr.runtime.actors.targets.app";

/// The actors of this sidecar; clones are the same.
///
/// Whoever calls holds the claim of the actor's type, so that no actor is activated
/// here while its type is moved.
#[derive(Clone)]
pub struct Host {
    state: Arc<State>,
}

impl Host {
    /// A host without any type. One task looks after the idle until `tasks` ends.
    pub fn start(observer: Arc<dyn Observer>, tasks: &Tasks) -> Self {
        Self::start_under(Policies::default(), observer, tasks)
    }

    /// A host where each turn has the time that the policies give it. What they say of
    /// retries and breakers is for whoever calls.
    pub fn start_under(policies: Policies, observer: Arc<dyn Observer>, tasks: &Tasks) -> Self {
        let state = Arc::new(State::new(policies, observer, tasks));
        tasks.spawn("idle actors", halt::idle_loop(state.clone()));
        Self { state }
    }

    /// Hosts these types with this app, instead of how they were hosted before. Actors
    /// that are active stay with what was registered when they were activated.
    pub fn register(&self, registration: &Registration, app: &Arc<dyn App>) {
        self.state.hosted.rcu(|hosted| {
            let mut hosted = Hosted::clone(hosted);
            for (name, settings) in &registration.types {
                let kind = Kind {
                    name: name.clone(),
                    settings: settings.clone(),
                    app: app.clone(),
                };
                hosted.kinds.insert(name.clone(), Arc::new(kind));
            }
            hosted.drain = registration.drain.unwrap_or(hosted.drain);
            hosted
        });
    }

    /// What Placement has to know of the hosted types.
    pub fn hosted(&self) -> placement::Hosted {
        let hosted = self.state.hosted.load();
        let kinds = hosted.kinds.values();
        placement::Hosted {
            types: kinds
                .map(|kind| (kind.name.clone(), kind.settings.drain()))
                .collect(),
            drain: hosted.drain,
        }
    }

    /// Whether the type is hosted here.
    pub fn hosts(&self, kind: &str) -> bool {
        self.state.hosted.load().kinds.contains_key(kind)
    }

    /// Whether the actor is active here.
    pub fn active(&self, actor: &Actor) -> bool {
        self.state.residents.contains(actor)
    }

    /// How many actors are active, for each hosted type.
    pub fn active_counts(&self) -> BTreeMap<Arc<str>, usize> {
        let hosted = self.state.hosted.load();
        let kinds = hosted.kinds.keys();
        let mut counts: BTreeMap<_, _> = kinds.map(|kind| (kind.clone(), 0)).collect();
        let count = |actor: &Actor| *counts.entry(actor.kind.clone()).or_default() += 1;
        self.state.residents.for_each(count);
        counts
    }

    /// Calls a method in a turn of the actor, which is activated if it is not active.
    /// Dropping the future ends the wait or the turn.
    ///
    /// Fails with [`Error::NoAddress`] when the type is not hosted here, with one of
    /// [`Error::is_gone`] when the actor is let go first, and with what the app says.
    pub async fn call(&self, call: &Invoke) -> Result<Reply, Error> {
        let mut named;
        let mut call = call;
        let instance = self.state.instance(&call.actor)?;
        let reentrancy = match instance.kind.settings.reentrancy {
            None => None,
            Some(depth) => {
                let chain = call.headers.get(REENTRANCY_HEADER).cloned();
                let chain = match chain {
                    Some(chain) => chain,
                    None => {
                        let chain = new_chain();
                        named = call.clone();
                        named.headers.insert(REENTRANCY_HEADER, chain.clone());
                        call = &named;
                        chain
                    }
                };
                Some((chain, depth))
            }
        };
        let entrance = || match &reentrancy {
            None => Entrance::Turn,
            Some((chain, depth)) => Entrance::Reentrant {
                chain: chain.clone(),
                depth: *depth,
            },
        };
        let turn = self.state.turn(instance, entrance, &call.method).await?;
        let app = &turn.instance.kind.app;
        let reply = turn.run(self.state.now(), || app.invoke(call)).await?;
        match cancels(&reply.headers) {
            true => Err(Error::ReminderCanceled),
            false => Ok(reply),
        }
    }

    /// Delivers a reminder or a timer in a turn of the actor, or beside them if it skips
    /// the lock. Otherwise like [`Host::call`].
    pub async fn fire(&self, fire: &Fire) -> Result<Fired, Error> {
        let result = self.deliver(fire).await;
        let (observer, kind) = (&self.state.observer, &*fire.actor.kind);
        let what = if fire.is_timer {
            observer.timer_fired(kind, result.is_ok());
            "timer"
        } else {
            observer.reminder_fired(kind, result.is_ok());
            "reminder"
        };
        // One that was let go is fired again where it lives then.
        if let Some(e) = result.as_ref().err().filter(|e| !e.is_gone()) {
            tracing::error!(target: SCOPE, "Error executing {what} for actor {}: {e}", fire.actor);
        }
        result
    }

    async fn deliver(&self, fire: &Fire) -> Result<Fired, Error> {
        let instance = self.state.instance(&fire.actor)?;
        let entrance = || match fire.skip_lock {
            true => Entrance::Beside,
            false => Entrance::Turn,
        };
        let turn = self.state.turn(instance, entrance, &fire.name).await?;
        let (app, now) = (&turn.instance.kind.app, self.state.now());
        match fire.is_timer {
            true => turn.run(now, || app.timer(fire)).await,
            false => turn.run(now, || app.reminder(fire)).await,
        }
    }
}

fn new_chain() -> HeaderValue {
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
    let mut text = uuid::Uuid::encode_buffer();
    let text = id.as_hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).expect("a UUID is made of digits, letters and hyphens")
}
