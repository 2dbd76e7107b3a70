//! Which streams there should be.

use std::collections::BTreeSet;
use std::sync::Arc;

/// What triggers are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Accept {
    pub(super) jobs: bool,
    pub(super) actor_types: BTreeSet<Arc<str>>,
}

impl Accept {
    pub(super) fn is_empty(&self) -> bool {
        !self.jobs && self.actor_types.is_empty()
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// These are the schedulers.
    Hosts(BTreeSet<Arc<str>>),
    /// The app can or cannot take jobs.
    Healthy(bool),
    /// Actors of these types are hosted.
    ActorTypes(BTreeSet<Arc<str>>),
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// No more triggers from this address.
    Close(Arc<str>),
    /// Streams to this address, with what the plan accepts.
    Open(Arc<str>),
}

/// Streams to every scheduler, as long as there is something to accept.
#[derive(Debug, Default)]
pub(super) struct Plan {
    accept: Accept,
    hosts: BTreeSet<Arc<str>>,
}

impl Plan {
    pub(super) fn accept(&self) -> &Accept {
        &self.accept
    }

    /// Streams to hosts that stay are left alone; another `accept` renews all.
    pub(super) fn on(&mut self, event: Event) -> Vec<Effect> {
        let (before, accepted) = (self.open(), self.accept.clone());
        match event {
            Event::Hosts(hosts) => self.hosts = hosts,
            Event::Healthy(healthy) => self.accept.jobs = healthy,
            Event::ActorTypes(types) => self.accept.actor_types = types,
        }
        let (after, renew) = (self.open(), self.accept != accepted);
        let stays = |host: &&Arc<str>, other: &BTreeSet<Arc<str>>| !renew && other.contains(*host);
        let closed = before.iter().filter(|host| !stays(host, &after));
        let opened = after.iter().filter(|host| !stays(host, &before));
        let closed = closed.cloned().map(Effect::Close);
        closed.chain(opened.cloned().map(Effect::Open)).collect()
    }

    /// The hosts that streams lead to.
    fn open(&self) -> BTreeSet<Arc<str>> {
        match self.accept.is_empty() {
            true => BTreeSet::new(),
            false => self.hosts.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn streams_follow_hosts_health_and_types() {
        let mut plan = Plan::default();
        for (event, expected) in [
            (Event::Hosts(set(&["a", "b"])), ""),
            (Event::Healthy(false), ""),
            (Event::Healthy(true), "+a +b"),
            (Event::Hosts(set(&["b", "c"])), "-a +c"),
            (Event::ActorTypes(set(&["cat"])), "-b -c +b +c"),
            (Event::ActorTypes(set(&["cat"])), ""),
            (Event::Healthy(false), "-b -c +b +c"),
            (Event::ActorTypes(set(&[])), "-b -c"),
            (Event::Hosts(set(&["d"])), ""),
        ] {
            let shown = format!("{event:?}");
            let effects = plan.on(event).into_iter().map(|effect| match effect {
                Effect::Close(host) => format!("-{host}"),
                Effect::Open(host) => format!("+{host}"),
            });
            let effects: Vec<_> = effects.collect();
            assert_eq!(effects.join(" "), expected, "{shown}");
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        let some = || proptest::collection::btree_set("[ab]", 0..3);
        let shared = |set: BTreeSet<String>| set.into_iter().map(Arc::from).collect();
        prop_oneof![
            some().prop_map(move |hosts| Event::Hosts(shared(hosts))),
            some().prop_map(move |types| Event::ActorTypes(shared(types))),
            any::<bool>().prop_map(Event::Healthy),
        ]
    }

    proptest! {
        /// Whoever does what the plan says has streams to every host with what is
        /// accepted now, and to nobody else.
        #[test]
        fn open_streams_are_always_those_that_are_wanted(events in proptest::collection::vec(event(), 0..30)) {
            let mut plan = Plan::default();
            let mut open = std::collections::BTreeMap::new();
            for event in events {
                for effect in plan.on(event) {
                    match effect {
                        Effect::Close(host) => prop_assert!(open.remove(&host).is_some()),
                        Effect::Open(host) => {
                            prop_assert!(open.insert(host, plan.accept().clone()).is_none());
                        }
                    }
                }
                let wanted = if plan.accept().is_empty() { 0 } else { plan.hosts.len() };
                prop_assert_eq!(open.len(), wanted);
                for (host, accept) in &open {
                    prop_assert!(plan.hosts.contains(host));
                    prop_assert_eq!(accept, plan.accept());
                }
            }
        }
    }
}
