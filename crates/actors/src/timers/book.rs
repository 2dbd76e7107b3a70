//! The timers of all actors by the time they are due, without waiting in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::call::{Actor, Fire};
use crate::timers::plan::{End, Plan};

/// When, and which timer. Numbers ascend in the order of creation.
type Key = (Timestamp, u64);

/// Every timer there is.
///
/// A timer stands in exactly one place: among the waiting, or among the parked of its
/// actor because another timer of the actor fires, or it fires itself.
#[derive(Default)]
pub(super) struct Book {
    waiting: BTreeMap<Key, Arc<Fire>>,
    actors: HashMap<Actor, Own>,
    counts: HashMap<Arc<str>, usize>,
    total: usize,
    next: u64,
}

/// The timers of one actor.
#[derive(Default)]
struct Own {
    timers: HashMap<String, Timer>,
    parked: BTreeMap<Key, Arc<Fire>>,
    firing: bool,
}

struct Timer {
    number: u64,
    plan: Plan,
}

/// A timer that is due now.
#[derive(Clone, Debug)]
pub(super) struct Tick {
    number: u64,
    pub(super) fire: Arc<Fire>,
}

/// What the end of a tick brings.
#[derive(Debug)]
pub(super) struct Done {
    /// The timer is gone.
    pub(super) end: Option<End>,
    /// The next timer of the actor is due.
    pub(super) tick: Option<Tick>,
}

impl Book {
    /// Adds a timer instead of the one of the same name.
    pub(super) fn create(&mut self, fire: Arc<Fire>, plan: Plan) {
        self.delete(&fire.actor, &fire.name);
        let number = self.next;
        self.next += 1;
        let due = plan.due;
        let own = self.actors.entry(fire.actor.clone()).or_default();
        own.timers.insert(fire.name.clone(), Timer { number, plan });
        *self.counts.entry(fire.actor.kind.clone()).or_default() += 1;
        self.total += 1;
        self.waiting.insert((due, number), fire);
    }

    /// Removes a timer, whether it waits, is parked or fires.
    pub(super) fn delete(&mut self, actor: &Actor, name: &str) -> bool {
        let Some(own) = self.actors.get_mut(actor) else {
            return false;
        };
        let Some(timer) = own.timers.remove(name) else {
            return false;
        };
        let key = (timer.plan.due, timer.number);
        self.waiting.remove(&key);
        own.parked.remove(&key);
        self.forget(actor);
        true
    }

    /// Counts a timer of the actor less, and drops what nobody needs any more.
    fn forget(&mut self, actor: &Actor) {
        self.total -= 1;
        if let Some(count) = self.counts.get_mut(&actor.kind) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&actor.kind);
            }
        }
        self.close(actor);
    }

    fn close(&mut self, actor: &Actor) {
        let done = |own: &Own| own.timers.is_empty() && !own.firing;
        if self.actors.get(actor).is_some_and(done) {
            self.actors.remove(actor);
        }
    }

    /// Takes what is due: one timer of each actor, in due order. The others of an actor
    /// are parked until [`Book::done`].
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Tick> {
        let mut ticks = Vec::new();
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let (key, fire) = entry.remove_entry();
            let own = self.actors.entry(fire.actor.clone()).or_default();
            if own.firing {
                own.parked.insert(key, fire);
            } else {
                own.firing = true;
                ticks.push(Tick {
                    number: key.1,
                    fire,
                });
            }
        }
        ticks
    }

    /// Ends a tick: its timer goes on, unless it was deleted or replaced meanwhile, and
    /// the actor's next one that is due has its turn.
    pub(super) fn done(&mut self, tick: &Tick, now: Timestamp) -> Done {
        let actor = &tick.fire.actor;
        let mut done = Done {
            end: None,
            tick: None,
        };
        let Some(own) = self.actors.get_mut(actor) else {
            return done;
        };
        let current = own.timers.get_mut(&tick.fire.name);
        if let Some(timer) = current.filter(|timer| timer.number == tick.number) {
            match timer.plan.advance() {
                Ok(()) => {
                    let key = (timer.plan.due, timer.number);
                    let place = match key.0 <= now {
                        true => &mut own.parked,
                        false => &mut self.waiting,
                    };
                    place.insert(key, tick.fire.clone());
                }
                Err(end) => {
                    own.timers.remove(&tick.fire.name);
                    done.end = Some(end);
                }
            }
        }
        match own.parked.pop_first() {
            Some(((_, number), fire)) => done.tick = Some(Tick { number, fire }),
            None => own.firing = false,
        }
        match done.end {
            Some(_) => self.forget(actor),
            None => self.close(actor),
        }
        done
    }

    /// When the next timer is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.waiting.keys().next().map(|key| key.0)
    }

    /// How many timers the type has.
    pub(super) fn count(&self, kind: &str) -> usize {
        self.counts.get(kind).copied().unwrap_or_default()
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.actors.is_empty() && self.counts.is_empty()
    }
}

#[cfg(test)]
mod tests;
