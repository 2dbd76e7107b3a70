//! Who may act for an actor now: lookups, the claims they give, and what ends them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::gate::{Gate, Pass};
use super::ring::{Peer, Ring};
use super::tables::Tables;
use crate::call::Actor;
use crate::error::Error;

/// Where an actor lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// In this sidecar.
    Local,
    Remote(Arc<Peer>),
}

/// The answer of a lookup. While one for a local actor is held, its type stays here,
/// unless the time to finish is over: then it is revoked.
#[derive(Debug)]
pub struct Claim {
    pub owner: Owner,
    /// Calls of other sidecars are theirs to drain.
    pass: Option<Pass>,
}

impl Claim {
    /// Waits until the claim is revoked; the text for what it ends is [`Error::Revoked`].
    pub async fn revoked(&self) {
        match &self.pass {
            Some(pass) => pass.revoked().await,
            None => std::future::pending().await,
        }
    }
}

/// The tables as lookups see them. Lookups only read; the stream's loop alone writes.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    view: ArcSwap<View>,
    /// Closed gates that somebody is still behind.
    closed: Mutex<Vec<Leaving>>,
    /// Told of every change of the view or of a gate.
    changed: Notify,
}

#[derive(Debug, Default)]
struct View {
    generation: u64,
    /// Whether the stream has had its first tables.
    open: bool,
    types: HashMap<Arc<str>, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// None for a type that goes away.
    ring: Option<Arc<Ring>>,
    gate: Arc<Gate>,
}

/// A gate that was closed, and its actor type.
#[derive(Clone, Debug)]
pub(crate) struct Leaving {
    pub(crate) kind: Arc<str>,
    pub(crate) gate: Arc<Gate>,
}

impl Claims {
    /// The owner of an actor; waits while there are no tables or its type is being moved.
    pub(crate) async fn lookup(&self, actor: &Actor) -> Result<Claim, Error> {
        loop {
            if let Some(found) = self.find(actor) {
                return found;
            }
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = self.find(actor) {
                return found;
            }
            changed.await;
        }
    }

    /// None when the answer is not known yet.
    fn find(&self, actor: &Actor) -> Option<Result<Claim, Error>> {
        let view = self.view.load();
        if !view.open {
            return None;
        }
        let absent = || Some(Err(Error::NoAddress(actor.clone())));
        let Some(entry) = view.types.get(&*actor.kind) else {
            return absent();
        };
        // Behind the gate the ring is the valid one: a newer view comes after closing it.
        let pass = Gate::enter(&entry.gate)?;
        let Some(owner) = entry.ring.as_ref().and_then(|ring| ring.owner(&actor.id)) else {
            return absent();
        };
        let (owner, pass) = if owner.local {
            (Owner::Local, Some(pass))
        } else {
            (Owner::Remote(owner.peer.clone()), None)
        };
        Some(Ok(Claim { owner, pass }))
    }

    /// Which tables there are now.
    pub(crate) fn generation(&self) -> u64 {
        self.view.load().generation
    }

    /// Waits for tables that are not those of `generation`.
    pub(crate) async fn changed_since(&self, generation: u64) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.generation() != generation {
                return;
            }
            changed.await;
        }
    }

    /// Waits until no actor is local, by tables that hold everywhere, or there are none.
    pub(crate) async fn nothing_local(&self) {
        let is_clear = |entry: &Entry| {
            let hosted = entry.ring.as_ref().is_some_and(|it| it.is_hosted_here());
            !hosted && !entry.gate.is_closed()
        };
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.view.load().types.values().all(is_clear) {
                return;
            }
            changed.await;
        }
    }

    /// Installs tables. The types of `blocked` are looked up no more until
    /// [`Claims::release`]; who holds claims of them is what has to be drained.
    pub(crate) fn switch(&self, tables: &Tables, blocked: &BTreeSet<Arc<str>>) -> Vec<Leaving> {
        let before = self.view.load_full();
        let closed = self.close(&before, |kind| blocked.contains(kind));
        let mut types = HashMap::with_capacity(tables.rings.len() + blocked.len());
        for (kind, ring) in &tables.rings {
            let gate = match before.types.get(kind) {
                _ if blocked.contains(kind) => Gate::closed(),
                Some(entry) => entry.gate.clone(),
                None => Gate::open(),
            };
            let ring = Some(ring.clone());
            types.insert(kind.clone(), Entry { ring, gate });
        }
        for kind in blocked
            .iter()
            .filter(|kind| !tables.rings.contains_key(*kind))
        {
            let (ring, gate) = (None, Gate::closed());
            types.insert(kind.clone(), Entry { ring, gate });
        }
        self.install(true, types);
        closed
    }

    /// Lets all types be looked up again.
    pub(crate) fn release(&self) {
        let view = self.view.load();
        for entry in view.types.values() {
            entry.gate.reopen();
        }
        self.changed.notify_waiters();
    }

    /// Takes the tables away; everybody who holds a claim is to be drained.
    pub(crate) fn lose(&self) -> Vec<Leaving> {
        let before = self.view.load_full();
        self.close(&before, |_| true);
        self.install(false, HashMap::new());
        self.closed.lock().clone()
    }

    fn close(&self, view: &View, which: impl Fn(&Arc<str>) -> bool) -> Vec<Leaving> {
        let chosen = view.types.iter().filter(|(kind, _)| which(kind));
        let closing = chosen.map(|(kind, entry)| Leaving {
            kind: kind.clone(),
            gate: entry.gate.clone(),
        });
        let mut closing: Vec<Leaving> = closing.collect();
        closing.retain(|it| it.gate.close());
        let mut closed = self.closed.lock();
        closed.retain(|it| it.gate.is_occupied());
        closed.extend(closing.iter().cloned());
        closing
    }

    fn install(&self, open: bool, types: HashMap<Arc<str>, Entry>) {
        let generation = self.generation() + 1;
        self.view.store(Arc::new(View {
            generation,
            open,
            types,
        }));
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
impl Claims {
    pub(crate) fn leaving(&self) -> Vec<Leaving> {
        self.closed.lock().clone()
    }
}

#[cfg(test)]
impl Claim {
    /// Whether it holds this gate's type; one of a remote actor holds none.
    pub(crate) fn is_behind(&self, gate: &Arc<Gate>) -> bool {
        self.pass.as_ref().is_some_and(|pass| pass.is_behind(gate))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::super::tables::Own;
    use super::super::testing;
    use super::*;

    type Types<'a> = &'a [(&'a str, &'a [&'a str])];

    /// What the loop around the stream does with new tables, as sidecar `a:1`.
    fn switch(claims: &Claims, before: &Tables, types: Types) -> (Tables, Vec<Leaving>) {
        let message = testing::tables(types);
        let (tables, changed) = before.next(message, &Own::new("a:1")).unwrap();
        let leaving = claims.switch(&tables, &changed);
        (tables, leaving)
    }

    /// The name of the owner, `here`, or `-` when nobody hosts the type; none when it waits.
    fn owner(claims: &Claims, kind: &str) -> Option<String> {
        let found = claims.lookup(&Actor::new(kind, "1")).now_or_never()?;
        Some(match found.map(|claim| claim.owner) {
            Ok(Owner::Local) => "here".to_owned(),
            Ok(Owner::Remote(peer)) => peer.name.clone(),
            Err(_) => "-".to_owned(),
        })
    }

    #[track_caller]
    fn check(claims: &Claims, expected: &[(&str, &str)]) {
        for (kind, expected) in expected {
            let expected = (*expected != "waits").then(|| (*expected).to_owned());
            assert_eq!(owner(claims, kind), expected, "{kind}");
        }
    }

    #[test]
    fn only_types_that_change_wait_and_only_until_the_unlock() {
        let claims = Claims::default();
        check(&claims, &[("cat", "waits"), ("absent", "waits")]);
        let first: Types = &[("cat", &["a:1"]), ("dog", &["b:1"])];
        let (tables, _) = switch(&claims, &Tables::default(), first);
        check(
            &claims,
            &[("cat", "waits"), ("dog", "waits"), ("absent", "-")],
        );
        claims.release();
        check(&claims, &[("cat", "here"), ("dog", "b:1"), ("absent", "-")]);
        let second: Types = &[("cat", &["a:1"]), ("emu", &["a:1"])];
        switch(&claims, &tables, second);
        check(
            &claims,
            &[("cat", "here"), ("dog", "waits"), ("emu", "waits")],
        );
        claims.release();
        check(&claims, &[("cat", "here"), ("dog", "-"), ("emu", "here")]);
        claims.lose();
        check(
            &claims,
            &[("cat", "waits"), ("dog", "waits"), ("absent", "waits")],
        );
    }

    #[tokio::test]
    async fn whoever_waits_goes_on_to_the_new_owner() {
        let claims = Claims::default();
        let (tables, _) = switch(&claims, &Tables::default(), &[("cat", &["a:1"])]);
        claims.release();
        switch(&claims, &tables, &[("cat", &["b:1"])]);
        let actor = Actor::new("cat", "1");
        let release = async {
            tokio::task::yield_now().await;
            claims.release();
        };
        let (claim, ()) = tokio::join!(claims.lookup(&actor), release);
        let Owner::Remote(peer) = claim.unwrap().owner else {
            panic!("the actor is not here any more");
        };
        assert_eq!(peer.app_id, "app of b:1");
    }

    #[tokio::test(start_paused = true)]
    async fn claims_of_moved_types_are_drained_and_no_others() {
        let claims = Claims::default();
        let first: Types = &[("cat", &["a:1"]), ("dog", &["a:1"]), ("emu", &["b:1"])];
        let (tables, leaving) = switch(&claims, &Tables::default(), first);
        assert!(leaving.is_empty());
        claims.release();
        let claim = async |kind| claims.lookup(&Actor::new(kind, "1")).await.unwrap();
        let (cat, dog, emu) = (claim("cat").await, claim("dog").await, claim("emu").await);
        let second: Types = &[("cat", &["b:1"]), ("dog", &["a:1"]), ("emu", &["c:1"])];
        let (_, leaving) = switch(&claims, &tables, second);
        let kinds: Vec<&str> = leaving.iter().map(|it| &*it.kind).collect();
        assert_eq!(kinds, ["cat"], "claims of others' actors hold nothing");
        assert!(!leaving[0].gate.drain(Duration::from_secs(2)).await);
        cat.revoked().await;
        assert!(dog.revoked().now_or_never().is_none());
        assert!(emu.revoked().now_or_never().is_none());
        // The stream goes while the claim is still held: it is to be drained again.
        let kinds = claims.lose();
        let mut kinds: Vec<&str> = kinds.iter().map(|it| &*it.kind).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["cat", "dog"]);
        drop((cat, dog));
        assert!(claims.lose().is_empty());
    }

    #[tokio::test]
    async fn leaving_is_over_when_everybody_knows() {
        let claims = Claims::default();
        claims.nothing_local().await;
        let (tables, _) = switch(&claims, &Tables::default(), &[("cat", &["a:1"])]);
        claims.release();
        assert!(claims.nothing_local().now_or_never().is_none());
        let (tables, _) = switch(&claims, &tables, &[("dog", &["b:1"])]);
        assert!(claims.nothing_local().now_or_never().is_none());
        claims.release();
        claims.nothing_local().await;
        switch(&claims, &tables, &[("cat", &["a:1"])]);
        claims.lose();
        claims.nothing_local().await;
    }
}
