//! Timers: kept in memory by the sidecar that made them, while their actors live anywhere.

mod book;
mod plan;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use security::Clock;
use service::Tasks;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::book::{Book, Tick};
use self::plan::{End, Plan};
use crate::call::{Actor, Data, Fire, Fired};
use crate::error::Error;
use crate::host::Host;
use crate::observer::Observer;

const SCOPE: &str = "dapr.runtime.actors.timers.inmemory";

/// How many timers there may be in all; upstream has no limit.
const MOST: usize = 1 << 20;

/// Where a tick goes: to the actor, wherever it lives now.
#[async_trait]
pub trait Ticks: Send + Sync {
    async fn tick(&self, fire: &Fire) -> Result<Fired, Error>;
}

/// A timer that a caller asks for. Empty texts were not given.
#[derive(Clone, Debug)]
pub struct NewTimer {
    pub actor: Actor,
    pub name: String,
    /// RFC 3339, or a duration from now; without one it fires at once.
    pub due_time: String,
    /// Without one it fires once.
    pub period: String,
    /// RFC 3339, or a duration from the due time.
    pub ttl: String,
    pub callback: String,
    pub data: Option<Data>,
}

/// The timers of this sidecar; clones are the same.
#[derive(Clone)]
pub struct Timers {
    state: Arc<State>,
}

struct State {
    book: Mutex<Book>,
    /// Rung when a timer may be due earlier than the loop thinks.
    earlier: Notify,
    clock: Clock,
    host: Host,
    ticks: Arc<dyn Ticks>,
    observer: Arc<dyn Observer>,
    tasks: Tasks,
}

impl Timers {
    /// No timer yet. One task looks after all of them until `tasks` ends.
    pub fn start(
        host: &Host,
        ticks: Arc<dyn Ticks>,
        observer: Arc<dyn Observer>,
        clock: Clock,
        tasks: &Tasks,
    ) -> Self {
        let state = Arc::new(State {
            book: Mutex::default(),
            earlier: Notify::new(),
            clock,
            host: host.clone(),
            ticks,
            observer,
            tasks: tasks.clone(),
        });
        tasks.spawn("timers", state.clone().run());
        Self { state }
    }

    /// Adds a timer, instead of the one of the same name. The type must be hosted here;
    /// the actor need not be.
    pub fn create(&self, timer: NewTimer) -> Result<(), Error> {
        let state = &self.state;
        if !state.host.hosts(&timer.actor.kind) {
            return Err(Error::TypeNotRegistered(timer.actor));
        }
        let now = state.clock.now();
        let plan = Plan::new(&timer.due_time, &timer.period, &timer.ttl, now);
        let plan = plan.map_err(|e| Error::Invalid(e.to_string()))?;
        let fire = Arc::new(Fire {
            actor: timer.actor,
            name: timer.name,
            data: timer.data,
            due_time: timer.due_time,
            period: timer.period,
            callback: timer.callback,
            is_timer: true,
            skip_lock: false,
        });
        let mut book = state.book.lock();
        if book.total() >= MOST {
            return Err(Error::Invalid(format!("there are {MOST} timers already")));
        }
        let (due, next) = (plan.due, book.next());
        book.create(fire.clone(), plan);
        let count = book.count(&fire.actor.kind);
        drop(book);
        state.observer.timers(&fire.actor.kind, count);
        if next.is_none_or(|next| due < next) {
            state.earlier.notify_one();
        }
        Ok(())
    }

    /// Removes a timer. A tick under way goes on; one that waits for another timer of
    /// the actor does not come.
    pub fn delete(&self, actor: &Actor, name: &str) {
        let mut book = self.state.book.lock();
        let deleted = book.delete(actor, name);
        let count = book.count(&actor.kind);
        drop(book);
        if deleted {
            self.state.observer.timers(&actor.kind, count);
        }
    }
}

impl State {
    async fn run(self: Arc<Self>) {
        let stop = self.tasks.token();
        while !stop.is_cancelled() {
            let (due, next) = {
                let mut book = self.book.lock();
                (book.due(self.clock.now()), book.next())
            };
            for tick in due {
                let fires = self.clone().fires(tick, stop.clone());
                self.tasks.spawn("timers of an actor", fires);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.earlier.notified() => {}
                () = self.sleep(next) => {}
            }
        }
    }

    async fn sleep(&self, until: Option<Timestamp>) {
        match until {
            Some(until) => self.clock.sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    /// Fires the timers of one actor until none is due.
    async fn fires(self: Arc<Self>, first: Tick, stop: CancellationToken) {
        let mut due = Some(first);
        while let Some(tick) = due {
            let Some(result) = stop.run_until_cancelled(self.ticks.tick(&tick.fire)).await else {
                return;
            };
            if let Err(e) = result {
                tracing::error!(target: SCOPE, "Error executing timer: {e}");
            }
            due = self.done(&tick);
        }
    }

    fn done(&self, tick: &Tick) -> Option<Tick> {
        let (done, earlier, count) = {
            let mut book = self.book.lock();
            let before = book.next();
            let done = book.done(tick, self.clock.now());
            let count = book.count(&tick.fire.actor.kind);
            (done, book.next() != before, count)
        };
        if earlier {
            self.earlier.notify_one();
        }
        if let Some(end) = done.end {
            let Fire { actor, name, .. } = &*tick.fire;
            let how = match end {
                End::Completed => "been completed",
                End::Expired => "expired",
            };
            tracing::info!(target: SCOPE, "Timer {actor}||{name} has {how}");
            self.observer.timers(&actor.kind, count);
        }
        done.tick
    }
}
