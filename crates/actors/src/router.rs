//! Calls of actors, wherever they live.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use resiliency::{ActorPolicy, Policies, Policy, Verdict};
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::call::{Actor, Fire, Fired, Invoke, Reply};
use crate::error::{Error, RESERVED_PREFIX};
use crate::host::Host;
use crate::placement::{Claim, Owner, Peer, Placement};
use crate::timers::Ticks;

/// `DaprBuiltInActorNotFoundRetries`, which no resource can change: so many after the
/// first try, so far apart.
const RETRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);
/// How a receiver says that the actor is not, or no more, in its sidecar.
const MOVED: &str = "error invoke actor method: remote actor moved";

/// The sidecars that have the other actors.
#[async_trait]
pub trait Peers: Send + Sync {
    /// `CallActor` of a peer; the app's own errors are replies.
    async fn invoke(&self, peer: &Peer, call: &Invoke) -> Result<Reply, Status>;

    /// `CallActorReminder` of a peer, for timers too.
    async fn fire(&self, peer: &Peer, fire: &Fire) -> Result<(), Status>;
}

/// Finds actors and calls them; clones are the same.
#[derive(Clone)]
pub struct Router {
    parts: Arc<Parts>,
}

struct Parts {
    host: Host,
    placement: Placement,
    peers: Arc<dyn Peers>,
    policies: Policies,
}

/// A try that failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
struct Failed {
    error: Error,
    again: Again,
    /// The peer that was tried.
    address: Option<String>,
}

/// Whether another try may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    No,
    Yes,
    /// The actor went away; newer tables, if not here already, are on their way.
    Moved,
}

impl Router {
    pub fn new(
        host: Host,
        placement: Placement,
        peers: Arc<dyn Peers>,
        policies: Policies,
    ) -> Self {
        let parts = Parts {
            host,
            placement,
            peers,
            policies,
        };
        Self {
            parts: Arc::new(parts),
        }
    }

    /// Calls a method of an actor, under the policies of its type.
    pub async fn invoke(&self, call: &Invoke) -> Result<Reply, Error> {
        let me = &*self.parts;
        // Boxed here and below, or the kilobytes that a turn takes would be moved into
        // each future around it.
        let attempt = || Box::pin(me.invoke(call));
        me.under_policy(&call.actor, attempt).await
    }

    /// Fires a reminder or a timer. One that skips the lock is tried once: whoever keeps
    /// it fires it again.
    pub async fn fire(&self, fire: &Fire) -> Result<Fired, Error> {
        let me = &*self.parts;
        let attempt = || Box::pin(me.fire(fire));
        if fire.skip_lock {
            return me.patiently(0, attempt).await.map_err(|it| it.error);
        }
        me.under_policy(&fire.actor, attempt).await
    }

    /// A call that came from another sidecar: it goes no further. [`Error::Moved`] when
    /// the actor is not here, which makes the caller look again.
    pub async fn receive(&self, call: &Invoke) -> Result<Reply, Error> {
        let me = &*self.parts;
        me.receive(&call.actor, || Box::pin(me.host.call(call)))
            .await
    }

    /// As [`Router::receive`], a reminder or a timer.
    pub async fn receive_fire(&self, fire: &Fire) -> Result<Fired, Error> {
        let me = &*self.parts;
        me.receive(&fire.actor, || Box::pin(me.host.fire(fire)))
            .await
    }
}

/// A tick of a timer follows its actor.
#[async_trait]
impl Ticks for Router {
    async fn tick(&self, fire: &Fire) -> Result<Fired, Error> {
        self.fire(fire).await
    }
}

impl Parts {
    async fn invoke(&self, call: &Invoke) -> Result<Reply, Failed> {
        let claim = self.placement.lookup(&call.actor).await?;
        let Owner::Remote(peer) = &claim.owner else {
            return Ok(held(&claim, self.host.call(call)).await?);
        };
        self.peers.invoke(peer, call).await.map_err(|status| {
            let again = match status.code() {
                _ if is_moved(&status) => Again::Moved,
                Code::Unavailable => Again::Yes,
                _ => Again::No,
            };
            Failed::at(peer, status, again)
        })
    }

    async fn fire(&self, fire: &Fire) -> Result<Fired, Failed> {
        let claim = self.placement.lookup(&fire.actor).await?;
        let Owner::Remote(peer) = &claim.owner else {
            return Ok(held(&claim, self.host.fire(fire)).await?);
        };
        let Err(status) = self.peers.fire(peer, fire).await else {
            return Ok(Fired::Done);
        };
        // The one word that comes back from there, as a text.
        let canceled = Error::ReminderCanceled.to_string();
        if status.message().contains(&canceled) && !fire.actor.kind.starts_with(RESERVED_PREFIX) {
            return Ok(Fired::Canceled);
        }
        let again = match status.code() {
            _ if is_moved(&status) => Again::Moved,
            Code::Unavailable => Again::No,
            _ => Again::Yes,
        };
        Err(Failed::at(peer, status, again))
    }

    /// The user's policies around the built-in one, which a policy of the type replaces.
    async fn under_policy<T, F>(&self, actor: &Actor, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        let policies = &self.policies;
        let (policy, retries) = if policies.loaded().is_empty() {
            (Policy::default(), RETRIES)
        } else {
            let ActorPolicy { before_lock, .. } = policies.actor(&actor.kind, &actor.id);
            let named = policies.has_actor(&actor.kind);
            (before_lock, if named { 0 } else { RETRIES })
        };
        let attempt = || self.patiently(retries, &attempt);
        let result = if policy.is_none() {
            attempt().await
        } else {
            let result = policy.run(verdict, attempt).await;
            result.map_err(|it| match it {
                resiliency::Error::Attempt(failed) => failed,
                refused => Failed::from(Error::Policy(refused.to_string())),
            })
        };
        result.map_err(|it| it.error)
    }

    /// Tries again while that may help, after a second or as soon as the tables change,
    /// which is not counted: a call that a move delays does not fail for it.
    async fn patiently<T, F>(&self, most: u32, attempt: impl Fn() -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        let mut retries = 0;
        loop {
            let seen = self.placement.generation();
            let failed = match attempt().await {
                Err(failed) if failed.again != Again::No => failed,
                result => return result,
            };
            let patient = retries < most || failed.again == Again::Moved;
            let pause = if patient { PAUSE } else { Duration::ZERO };
            if timeout(pause, self.placement.changed_since(seen))
                .await
                .is_ok()
            {
                continue;
            }
            if retries == most {
                return Err(failed.after(retries));
            }
            retries += 1;
        }
    }

    async fn receive<T, F>(&self, actor: &Actor, run: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut tries = 0;
        loop {
            let claim = self.placement.lookup(actor).await?;
            if claim.owner != Owner::Local {
                return Err(Error::Moved);
            }
            match held(&claim, run()).await {
                // It is looked up again, which waits for the tables that moved it.
                Err(error) if error.is_gone() && tries < RETRIES => tries += 1,
                // Just withdrawn; the tables follow.
                Err(Error::NoAddress(_)) => return Err(Error::Moved),
                result => return result,
            }
        }
    }
}

/// Work on a local actor, for as long as the claim lasts.
async fn held<T>(claim: &Claim, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        // First, for what goes on later might activate the actor again.
        biased;
        () = claim.revoked() => Err(Error::Revoked),
        result = work => result,
    }
}

fn is_moved(status: &Status) -> bool {
    let text = status.message();
    let moved = text == MOVED || text.ends_with(": placement is disseminating");
    status.code() == Code::Internal && moved
}

/// Only the user's own policies judge by codes.
fn verdict<T>(result: &Result<T, Failed>) -> Verdict {
    let Err(Failed { error, .. }) = result else {
        return Verdict::Success;
    };
    if error.is_permanent() {
        return Verdict::Final;
    }
    let code = match error {
        Error::App { status, .. } => status.map(i32::from),
        error => error.code().map(i32::from),
    };
    Verdict::Failure { code }
}

impl Failed {
    fn at(peer: &Peer, status: Status, again: Again) -> Self {
        Self {
            error: status.into(),
            again,
            address: Some(peer.name.clone()),
        }
    }

    /// The text after the last of several tries of a peer.
    fn after(mut self, retries: u32) -> Self {
        if let Some(address) = self.address.take()
            && retries > 0
        {
            let last = Box::new(self.error);
            self.error = Error::Retries {
                address,
                retries,
                last,
            };
        }
        self
    }
}

/// An error of the lookup or of this sidecar.
impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let again = error.is_gone() || matches!(error, Error::NoAddress(_));
        let again = if again { Again::Yes } else { Again::No };
        Self {
            error,
            again,
            address: None,
        }
    }
}

#[cfg(test)]
mod tests;
