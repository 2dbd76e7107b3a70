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
