//! The policies of each target, looked up once, and the breakers that calls share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use resources::resiliency::PolicyNames;

use crate::breaker::Breaker;
use crate::cache::Cache;
use crate::compile::{Draft, Template};
use crate::retry::Retry;

/// How many endpoints of one app have a breaker of a default policy.
const DEFAULT_ENDPOINTS: usize = 100;
/// How many targets have breakers of one default policy. Callers name targets
/// freely, so there has to be an end.
const DEFAULT_TARGETS: usize = 1000;

/// The building block of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // They say it all.
pub enum ComponentKind {
    Binding,
    Configuration,
    Lock,
    Pubsub,
    Crypto,
    Conversation,
    Secretstore,
    Statestore,
}

impl ComponentKind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Binding,
        Self::Configuration,
        Self::Lock,
        Self::Pubsub,
        Self::Crypto,
        Self::Conversation,
        Self::Secretstore,
        Self::Statestore,
    ];

    /// The word in names of default policies and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Binding => "Binding",
            Self::Configuration => "Configuration",
            Self::Lock => "Lock",
            Self::Pubsub => "Pubsub",
            Self::Crypto => "Crypto",
            Self::Conversation => "Conversation",
            Self::Secretstore => "Secretstore",
            Self::Statestore => "Statestore",
        }
    }
}

/// Which way a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a component to the app.
    Inbound,
    /// From the API to a component, an app or an actor.
    Outbound,
}

/// The policies of a call; its breaker is the one of its target's instance.
#[derive(Default)]
pub(crate) struct Chosen {
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Arc<Retry>>,
    pub(crate) breaker: Option<Arc<Breaker>>,
}

/// The breakers of one policy.
struct Breakers {
    template: Template,
    instances: Cache<Arc<Breaker>>,
}

impl Breakers {
    fn new(template: &Template, size: usize) -> Arc<Self> {
        Arc::new(Self {
            template: template.clone(),
            instances: Cache::new(size),
        })
    }

    fn get(&self, key: &str, name: impl FnOnce() -> String) -> Arc<Breaker> {
        let Template { settings, trip } = &self.template;
        let make = || Breaker::new(name(), *settings, trip.clone());
        self.instances.get(key, make)
    }
}

/// The policies of a target, or of those without an entry of their own.
#[derive(Default)]
struct Set {
    timeout: Option<Duration>,
    retry: Option<Arc<Retry>>,
    breakers: Option<Arc<Breakers>>,
}

impl Set {
    fn choose(&self, key: &str, name: impl FnOnce() -> String) -> Chosen {
        let breakers = self.breakers.as_deref();
        Chosen {
            timeout: self.timeout,
            retry: self.retry.clone(),
            breaker: breakers.map(|breakers| breakers.get(key, name)),
        }
    }
}

struct Actor {
    set: Set,
    by_id: bool,
}

/// Apps without an entry: each has its own breakers.
struct OtherApps {
    set: Set,
    breakers: Option<(Template, Cache<Arc<Breakers>>)>,
}

pub(crate) struct Targets {
    apps: HashMap<String, Set>,
    other_apps: OtherApps,
    actors: HashMap<String, Actor>,
    other_actors: Set,
    /// By direction.
    components: HashMap<String, [Set; 2]>,
    /// By kind and direction.
    other_components: [[Set; 2]; 8],
}

impl Targets {
    pub(crate) fn new(draft: &Draft) -> Self {
        let mut link = Link::new(draft);
        let apps = draft.apps.iter();
        let actors = draft.actors.iter();
        let components = draft.components.iter();
        Self {
            apps: apps
                .map(|(id, app)| (id.clone(), link.target(&app.policies, app.breakers)))
                .collect(),
            other_apps: link.other_apps(),
            actors: actors
                .map(|(actor_type, (actor, by_id))| {
                    let set = link.target(&actor.policies, actor.breakers);
                    (actor_type.clone(), Actor { set, by_id: *by_id })
                })
                .collect(),
            other_actors: link.others(&["Actor", ""]),
            components: components
                .map(|(name, target)| {
                    let inbound = link.target(&target.inbound, 1);
                    let mut outbound = link.target(&target.outbound, 1);
                    // Both directions share the breaker of the same policy.
                    if target.inbound.circuit_breaker == target.outbound.circuit_breaker {
                        outbound.breakers = inbound.breakers.clone();
                    }
                    (name.clone(), [inbound, outbound])
                })
                .collect(),
            other_components: ComponentKind::ALL.map(|kind| {
                ["Inbound", "Outbound"].map(|direction| {
                    let general = format!("Component{direction}");
                    let special = format!("{}{general}", kind.as_str());
                    link.others(&[&special, &general, "Component", ""])
                })
            }),
        }
    }

    pub(crate) fn has_app(&self, id: &str) -> bool {
        self.apps.contains_key(id)
    }

    pub(crate) fn has_actor(&self, actor_type: &str) -> bool {
        self.actors.contains_key(actor_type)
    }

    pub(crate) fn app(&self, id: &str, endpoint: &str) -> Chosen {
        if let Some(set) = self.apps.get(id) {
            return set.choose(endpoint, || endpoint.to_owned());
        }
        let OtherApps { set, breakers } = &self.other_apps;
        let breakers = breakers
            .as_ref()
            .map(|(template, apps)| apps.get(id, || Breakers::new(template, DEFAULT_ENDPOINTS)));
        Chosen {
            breaker: breakers.map(|breakers| breakers.get(endpoint, || endpoint.to_owned())),
            ..set.choose(endpoint, String::new)
        }
    }

    pub(crate) fn actor(&self, actor_type: &str, id: &str) -> Chosen {
        match self.actors.get(actor_type) {
            Some(Actor { set, by_id: true }) => set.choose(id, || format!("{actor_type}-{id}")),
            Some(Actor { set, by_id: false }) => set.choose(actor_type, || actor_type.to_owned()),
            None => self
                .other_actors
                .choose(actor_type, || actor_type.to_owned()),
        }
    }

    pub(crate) fn component(&self, name: &str, kind: ComponentKind, way: Direction) -> Chosen {
        let sets = self.components.get(name);
        let sets = sets.unwrap_or(&self.other_components[kind as usize]);
        sets[way as usize].choose(name, || name.to_owned())
    }
}

/// Looks names up. An unknown name is no policy, silently, as upstream has it.
struct Link<'a> {
    draft: &'a Draft,
    /// The breakers of default policies: whoever uses one shares them.
    defaults: HashMap<&'a str, Arc<Breakers>>,
}

impl<'a> Link<'a> {
    fn new(draft: &'a Draft) -> Self {
        Self {
            draft,
            defaults: HashMap::new(),
        }
    }

    fn target(&self, names: &PolicyNames, breakers: usize) -> Set {
        let template = self.draft.breakers.get(&names.circuit_breaker);
        Set {
            timeout: self.draft.timeouts.get(&names.timeout).copied(),
            retry: self.draft.retries.get(&names.retry).cloned(),
            breakers: template.map(|template| Breakers::new(template, breakers)),
        }
    }

    /// The default policies of the first of these words that has one, kind by kind.
    fn others(&mut self, words: &[&str]) -> Set {
        let draft = self.draft;
        let breaker = first(words, "CircuitBreaker", &draft.breakers);
        let breakers = breaker.map(|(name, template)| {
            let entry = self.defaults.entry(name);
            entry
                .or_insert_with(|| Breakers::new(template, DEFAULT_TARGETS))
                .clone()
        });
        Set {
            timeout: first(words, "Timeout", &draft.timeouts).map(|(_, timeout)| *timeout),
            retry: first(words, "Retry", &draft.retries).map(|(_, retry)| retry.clone()),
            breakers,
        }
    }

    fn other_apps(&mut self) -> OtherApps {
        let words = ["App", ""];
        let template = first(&words, "CircuitBreaker", &self.draft.breakers);
        OtherApps {
            set: Set {
                breakers: None,
                ..self.others(&words)
            },
            breakers: template.map(|(_, it)| (it.clone(), Cache::new(DEFAULT_TARGETS))),
        }
    }
}

fn first<'a, T>(
    words: &[&str],
    policy: &str,
    all: &'a HashMap<String, T>,
) -> Option<(&'a str, &'a T)> {
    words.iter().find_map(|word| {
        let found = all.get_key_value(&format!("Default{word}{policy}Policy"));
        found.map(|(name, it)| (name.as_str(), it))
    })
}
