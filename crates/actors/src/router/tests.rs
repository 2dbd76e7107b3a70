//! Several sidecars in one process, whose calls go on while their tables change.

mod rebalance;
mod retries;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use resiliency::Policies;
use service::Tasks;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{Peers, Router};
use crate::call::{Actor, App, Fire, Fired, Invoke, Reply};
use crate::error::Error;
use crate::host::Host;
use crate::placement::Peer;
use crate::placement::testing::Puppet;
use crate::settings::{Registration, TypeSettings};

const KINDS: [&str; 2] = ["cat", "dog"];

/// All sidecars by name, and where actors are active.
#[derive(Default)]
struct World {
    sidecars: Mutex<HashMap<String, Arc<Sidecar>>>,
    active: Mutex<HashMap<Actor, String>>,
    /// Answers that the actor is not there.
    moved: AtomicUsize,
    /// Calls that were ended because their time was over.
    abandoned: AtomicUsize,
}

struct Sidecar {
    name: String,
    router: Router,
    host: Host,
    puppet: Puppet,
    tasks: Tasks,
    /// Its process.
    dead: CancellationToken,
}

impl World {
    /// A new sidecar with an app whose calls take `work`.
    fn join(self: &Arc<Self>, name: &str, drain: Duration, work: Duration) -> Arc<Sidecar> {
        self.join_with(name, drain, work, Policies::default())
    }

    fn join_with(
        self: &Arc<Self>,
        name: &str,
        drain: Duration,
        work: Duration,
        policies: Policies,
    ) -> Arc<Sidecar> {
        let tasks = Tasks::new();
        let host = Host::start(Arc::new(()), &tasks);
        let app: Arc<dyn App> = Arc::new(Code {
            world: self.clone(),
            name: name.to_owned(),
            work,
        });
        let types = KINDS.map(|kind| (kind.into(), TypeSettings::default()));
        let registration = Registration {
            types: types.into(),
            drain: None,
        };
        host.register(&registration, &app);
        let puppet = Puppet::new(name, Arc::new(host.clone()), drain);
        let (placement, peers) = (puppet.placement.clone(), Arc::new(Net(self.clone())));
        let sidecar = Arc::new(Sidecar {
            name: name.to_owned(),
            router: Router::new(host.clone(), placement, peers, policies),
            host,
            puppet,
            tasks,
            dead: CancellationToken::new(),
        });
        self.sidecars
            .lock()
            .insert(name.to_owned(), sidecar.clone());
        sidecar
    }

    /// The end of a process, without a word.
    fn kill(&self, name: &str) {
        let gone = self.sidecars.lock().remove(name).expect("it lives");
        gone.dead.cancel();
        gone.tasks.token().cancel();
        self.active.lock().retain(|_, host| host != name);
    }

    fn all(&self) -> Vec<Arc<Sidecar>> {
        let mut all: Vec<_> = self.sidecars.lock().values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

/// The app of one sidecar; it answers with the sidecar's name.
struct Code {
    world: Arc<World>,
    name: String,
    work: Duration,
}

/// Counts the calls that are dropped before their end.
struct Running<'a>(Option<&'a AtomicUsize>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(abandoned) = self.0 {
            abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl App for Code {
    async fn invoke(&self, call: &Invoke) -> Result<Reply, Error> {
        let mut running = Running(Some(&self.world.abandoned));
        {
            let mut active = self.world.active.lock();
            let host = active.entry(call.actor.clone());
            let host = host.or_insert_with(|| self.name.clone());
            assert_eq!(*host, self.name, "{} is active twice", call.actor);
        }
        tokio::time::sleep(self.work).await;
        running.0 = None;
        match &*call.method {
            "fail" => Err(Error::App {
                status: Some(500),
                text: "(500) no".to_owned(),
            }),
            _ => Ok(Reply {
                body: self.name.clone().into(),
                ..Reply::default()
            }),
        }
    }

    async fn reminder(&self, fire: &Fire) -> Result<Fired, Error> {
        let reply = self
            .invoke(&Invoke::new(fire.actor.clone(), &fire.name))
            .await;
        match &*fire.name {
            "cancel" => Ok(Fired::Canceled),
            _ => reply.map(|_| Fired::Done),
        }
    }

    async fn timer(&self, fire: &Fire) -> Result<Fired, Error> {
        self.reminder(fire).await
    }

    async fn deactivate(&self, actor: &Actor) -> Result<(), Error> {
        tokio::time::sleep(self.work).await;
        let host = self.world.active.lock().remove(actor);
        assert!(host.is_none_or(|host| host == self.name));
        Ok(())
    }
}

/// The connections between the sidecars.
struct Net(Arc<World>);

impl Net {
    async fn call<T>(
        &self,
        peer: &Peer,
        call: impl AsyncFnOnce(&Router) -> Result<T, Error>,
    ) -> Result<T, Status> {
        let lost = || Status::unavailable("connection lost");
        let sidecar = self.0.sidecars.lock().get(&peer.name).cloned();
        let sidecar = sidecar.ok_or_else(lost)?;
        let answer = tokio::select! {
            // First, for the dead do nothing more.
            biased;
            () = sidecar.dead.cancelled() => return Err(lost()),
            answer = call(&sidecar.router) => answer,
        };
        answer.map_err(|error| {
            if matches!(error, Error::Moved) {
                self.0.moved.fetch_add(1, Ordering::Relaxed);
            }
            Status::internal(format!("error invoke actor method: {error}"))
        })
    }
}

#[async_trait]
impl Peers for Net {
    async fn invoke(&self, peer: &Peer, call: &Invoke) -> Result<Reply, Status> {
        self.call(peer, async |router| router.receive(call).await)
            .await
    }

    async fn fire(&self, peer: &Peer, fire: &Fire) -> Result<(), Status> {
        let fired = self
            .call(peer, async |router| router.receive_fire(fire).await)
            .await?;
        match fired {
            Fired::Done => Ok(()),
            Fired::Canceled => Err(Status::internal(Error::ReminderCanceled.to_string())),
        }
    }
}
