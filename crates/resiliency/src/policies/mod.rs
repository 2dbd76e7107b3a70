//! All policies of a process, by what a call is for.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use resources::Resiliency;

use crate::builtin::Builtin;
use crate::compile::{Draft, Source};
use crate::observer::Observer;
use crate::policy::{Plan, Policy, Report};
use crate::targets::{Chosen, ComponentKind, Direction, Targets};

/// All policies of a process; clones share their circuit breakers.
#[derive(Clone)]
pub struct Policies {
    inner: Arc<Inner>,
}

struct Inner {
    targets: Targets,
    builtins: [Policy; Builtin::ALL.len()],
    loaded: Vec<Source>,
    observer: Option<Arc<dyn Observer>>,
    /// What metrics call the origin of every policy.
    source: Arc<Source>,
}

/// The two parts of the policy of an actor.
#[derive(Clone, Debug, Default)]
pub struct ActorPolicy {
    /// Retry and circuit breaker: around waiting for the actor's lock and the call.
    pub before_lock: Policy,
    /// The timeout: around the call once the lock is held.
    pub after_lock: Policy,
}

impl Default for Policies {
    /// Only the built-in policies.
    fn default() -> Self {
        Self::compile(&[], None, &mut |_| {})
    }
}

impl Policies {
    /// Reads resources in order; names in later ones replace those in earlier
    /// ones. The caller leaves out resources whose scopes exclude the app. From
    /// a fault on, the rest of a resource is skipped and `on_fault` gets the
    /// text of upstream's log line.
    pub fn compile(
        objects: &[Resiliency],
        observer: Option<Arc<dyn Observer>>,
        on_fault: &mut dyn FnMut(String),
    ) -> Self {
        let mut draft = Draft::new();
        let mut loaded = Vec::new();
        for object in objects {
            let name = &object.metadata.name;
            tracing::info!(target: "dapr.runtime", "Loading Resiliency configuration: {name}");
            match draft.add(object) {
                Ok(()) => loaded.push(draft.last.clone()),
                Err(fault) => on_fault(format!("Could not read resiliency policy {name}: {fault}")),
            }
        }
        let builtins = Builtin::ALL.map(|builtin| {
            Plan {
                title: builtin.name().to_owned(),
                retry: draft.retries.get(builtin.name()).cloned(),
                ..Plan::default()
            }
            .into()
        });
        let inner = Inner {
            targets: Targets::new(&draft),
            builtins,
            loaded,
            observer,
            source: Arc::new(draft.last),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The resources that were read without a fault, for `dapr_resiliency_loaded`.
    pub fn loaded(&self) -> &[Source] {
        &self.inner.loaded
    }

    /// Whether a resource names this app among its targets, which switches
    /// [`Builtin::ServiceRetries`] off. Default policies do not count.
    pub fn has_app(&self, target: &str) -> bool {
        self.inner.targets.has_app(target)
    }

    /// Whether a resource names this actor type among its targets, which
    /// switches [`Builtin::ActorNotFoundRetries`] off. Default policies do not count.
    pub fn has_actor(&self, actor_type: &str) -> bool {
        self.inner.targets.has_actor(actor_type)
    }

    /// The policy of a call to an app id, HTTPEndpoint or URL. Each endpoint has
    /// a breaker of its own: `<id>:<method>`, for an HTTPEndpoint `<name>:<base
    /// URL>`, for a URL `<url>/<method>`.
    pub fn app(&self, target: &str, endpoint: &str) -> Policy {
        let chosen = self.inner.targets.app(target, endpoint);
        self.policy(
            chosen,
            Direction::Outbound,
            || format!("endpoint[{target}, {endpoint}]"),
            || format!("app_{target}"),
        )
    }

    /// The policy of a call to or from a component.
    pub fn component(&self, name: &str, kind: ComponentKind, direction: Direction) -> Policy {
        let chosen = self.inner.targets.component(name, kind, direction);
        let side = match direction {
            Direction::Inbound => "input",
            Direction::Outbound => "output",
        };
        self.policy(
            chosen,
            direction,
            || format!("component[{name}] {side}"),
            || format!("{}_{name}", kind.as_str()),
        )
    }

    /// The policy of a call to an actor.
    pub fn actor(&self, actor_type: &str, id: &str) -> ActorPolicy {
        let chosen = self.inner.targets.actor(actor_type, id);
        let after = Chosen {
            timeout: chosen.timeout,
            ..Chosen::default()
        };
        let before = Chosen {
            timeout: None,
            ..chosen
        };
        let policy = |chosen| {
            self.policy(
                chosen,
                Direction::Outbound,
                || format!("actor[{actor_type}, {id}]"),
                || format!("actor_{actor_type}"),
            )
        };
        ActorPolicy {
            before_lock: policy(before),
            after_lock: policy(after),
        }
    }

    /// A built-in policy, as a resource may have redefined it.
    pub fn builtin(&self, builtin: Builtin) -> Policy {
        self.inner.builtins[builtin as usize].clone()
    }

    fn policy(
        &self,
        chosen: Chosen,
        direction: Direction,
        title: impl FnOnce() -> String,
        target: impl FnOnce() -> String,
    ) -> Policy {
        let Chosen {
            timeout,
            retry,
            breaker,
        } = chosen;
        let timeout = timeout.filter(|timeout| !timeout.is_zero());
        if timeout.is_none() && retry.is_none() && breaker.is_none() {
            return Policy::default();
        }
        let report = self.inner.observer.as_ref().map(|observer| Report {
            observer: observer.clone(),
            source: self.inner.source.clone(),
            direction,
            target: target(),
        });
        Plan {
            title: title(),
            timeout,
            retry,
            breaker,
            report,
        }
        .into()
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies")
            .field("loaded", &self.inner.loaded)
            .finish_non_exhaustive()
    }
}
