//! An actor that is active here: its turns, its age, its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use parking_lot::Mutex;
use resiliency::{Policy, Verdict};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::call::{Actor, App};
use crate::error::Error;
use crate::host::turn::{Place, Refusal, Turns};
use crate::observer::Observer;
use crate::settings::TypeSettings;

/// An actor type as it was registered.
pub(super) struct Kind {
    pub(super) name: Arc<str>,
    pub(super) settings: TypeSettings,
    pub(super) app: Arc<dyn App>,
}

/// An active actor.
pub(super) struct Instance {
    pub(super) actor: Actor,
    /// As it was when the actor was activated; a later registration is for later actors.
    pub(super) kind: Arc<Kind>,
    /// How long a turn may take, if the user says so.
    limit: Policy,
    turns: Mutex<Turns<oneshot::Sender<()>>>,
    /// Cancelled when the instance is let go, under calls that run.
    closed: CancellationToken,
    /// When the latest turn began, in the host's milliseconds.
    touched: AtomicU64,
    /// Where it stands in the queue of the idle; written under that queue's lock.
    pub(super) armed: AtomicU64,
    pub(super) number: u64,
}

/// How a call takes part in the turns.
pub(super) enum Entrance {
    Turn,
    Reentrant { chain: HeaderValue, depth: u32 },
    Beside,
}

/// Whether an instance may go.
pub(super) enum Idle {
    /// Not before this time.
    Until(u64),
    Busy,
    /// It is closed now.
    Closed,
}

impl Instance {
    pub(super) fn new(
        actor: &Actor,
        kind: Arc<Kind>,
        limit: Policy,
        number: u64,
        now: u64,
    ) -> Self {
        Self {
            // All actors of a type share the type's name.
            actor: Actor::new(kind.name.clone(), actor.id.clone()),
            kind,
            limit,
            turns: Mutex::default(),
            closed: CancellationToken::new(),
            touched: AtomicU64::new(now),
            armed: AtomicU64::new(0),
            number,
        }
    }

    /// Waits for a turn. `Ok(None)` when the instance was closed already, so that the
    /// call belongs to the next one; an error when it was closed while the call waited.
    pub(super) async fn turn(
        self: &Arc<Self>,
        entrance: Entrance,
        method: &str,
        observer: &dyn Observer,
    ) -> Result<Option<Turn>, Error> {
        let mut waits = None;
        let place = {
            let bell = || {
                let (bell, rung) = oneshot::channel();
                waits = Some(rung);
                bell
            };
            let mut turns = self.turns.lock();
            match entrance {
                Entrance::Turn => turns.enter(bell),
                Entrance::Reentrant { chain, depth } => turns.reenter(chain, depth, bell),
                Entrance::Beside => turns.beside(),
            }
        };
        let place = match place {
            Ok(place) => Some(place),
            Err(Refusal::Closed) => return Ok(None),
            Err(Refusal::StackDepth) => return Err(Error::StackDepth),
        };
        let turn = Turn {
            instance: self.clone(),
            place,
        };
        if let Some(rung) = waits {
            let _pending = Pending::new(&turn.instance.kind.name, observer);
            // The bell is thrown away when the instance closes.
            if rung.await.is_err() {
                let method = method.to_owned();
                return Err(Error::ActorClosed { method });
            }
        }
        Ok(Some(turn))
    }

    /// Lets nobody in any more, fails those who wait and ends those who run.
    pub(super) fn close(&self) {
        let waiting = self.turns.lock().close();
        self.closed.cancel();
        drop(waiting);
    }

    /// Closes the instance if nothing happened in it for the idle timeout of its type.
    pub(super) fn close_if_idle(&self, now: u64) -> Idle {
        let mut turns = self.turns.lock();
        if turns.is_busy() {
            return Idle::Busy;
        }
        let idle_at = self.idle_at();
        if idle_at > now {
            return Idle::Until(idle_at);
        }
        turns.close();
        Idle::Closed
    }

    pub(super) fn idle_at(&self) -> u64 {
        let timeout = self.kind.settings.idle_timeout.as_millis();
        let timeout = u64::try_from(timeout).unwrap_or(u64::MAX);
        self.touched.load(Ordering::Relaxed).saturating_add(timeout)
    }
}

/// A turn, until it is dropped.
pub(super) struct Turn {
    pub(super) instance: Arc<Instance>,
    place: Option<Place>,
}

impl Turn {
    /// Runs the app's part at the time `now`, unless the instance is let go under it or
    /// the user's time for it is over.
    pub(super) async fn run<T, F>(&self, now: u64, call: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let instance = &self.instance;
        instance.touched.store(now, Ordering::Relaxed);
        let limited = async {
            if instance.limit.is_none() {
                return call().await;
            }
            let result = instance.limit.run(verdict, call).await;
            result.map_err(|e| match e {
                resiliency::Error::Attempt(e) => e,
                over => Error::Policy(over.to_string()),
            })
        };
        tokio::select! {
            biased;
            answer = limited => answer,
            () = instance.closed.cancelled() => Err(Error::Interrupted),
        }
    }
}

/// The limit holds for one try; whether there is another is decided before the turn.
fn verdict<T>(result: &Result<T, Error>) -> Verdict {
    match result {
        Ok(_) => Verdict::Success,
        Err(_) => Verdict::Final,
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        let bells = self.instance.turns.lock().leave(place);
        for bell in bells {
            // Who does not listen any more is about to leave its place as well.
            let _ = bell.send(());
        }
    }
}

/// Counts a call that waits.
struct Pending<'a> {
    kind: &'a str,
    observer: &'a dyn Observer,
}

impl<'a> Pending<'a> {
    fn new(kind: &'a str, observer: &'a dyn Observer) -> Self {
        observer.pending(kind, 1);
        Self { kind, observer }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.observer.pending(self.kind, -1);
    }
}
