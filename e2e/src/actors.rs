//! The code of actors, in the test's own process: it sees where each actor lives and
//! when turns of one actor overlap.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use testkit::{App, DEADLINE, Recorded, Response, eventually, free_port};

use crate::{Plane, Sidecar, SidecarBuilder};

/// What all hosts of a test have seen together; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    /// The host in which each active actor lives.
    homes: HashMap<String, String>,
    running: HashMap<String, usize>,
    /// How often each method of each actor was called.
    begun: HashMap<String, usize>,
    hosts: HashMap<String, usize>,
    deactivated: HashMap<String, usize>,
    faults: Vec<String>,
}

/// A call as the actor gets it.
#[derive(Clone, Debug)]
pub struct Call {
    /// `type/id`.
    pub actor: String,
    /// `remind/<name>` and `timer/<name>` for those.
    pub method: String,
    /// The whole request.
    pub request: Recorded,
}

impl Turns {
    /// Turns of one actor that overlapped, and actors that lived in two hosts at once.
    pub fn faults(&self) -> Vec<String> {
        self.lock().faults.clone()
    }

    /// How often a method of an actor, `type/id/method`, was called.
    pub fn calls(&self, path: &str) -> usize {
        self.lock().begun.get(path).copied().unwrap_or(0)
    }

    /// How often any method was called in this host.
    pub fn calls_in(&self, host: &str) -> usize {
        self.lock().hosts.get(host).copied().unwrap_or(0)
    }

    /// The host in which an actor, `type/id`, is active.
    pub fn home(&self, actor: &str) -> Option<String> {
        self.lock().homes.get(actor).cloned()
    }

    /// How often each actor was deactivated.
    pub fn deactivated(&self) -> HashMap<String, usize> {
        self.lock().deactivated.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, host: &str, call: &Call) -> Turn {
        let Call { actor, method, .. } = call;
        let mut guard = self.lock();
        let book = &mut *guard;
        let home = book.homes.entry(actor.clone());
        let home = home.or_insert_with(|| host.to_owned());
        if home != host {
            let fault = format!("{actor} is called in {host} while it is active in {home}");
            book.faults.push(fault);
            host.clone_into(home);
        }
        let running = book.running.entry(actor.clone()).or_default();
        *running += 1;
        if *running > 1 {
            let fault = format!("{actor}: {running} turns at once");
            book.faults.push(fault);
        }
        *book.begun.entry(format!("{actor}/{method}")).or_default() += 1;
        *book.hosts.entry(host.to_owned()).or_default() += 1;
        drop(guard);
        Turn {
            turns: self.clone(),
            actor: actor.clone(),
        }
    }

    fn deactivate(&self, host: &str, actor: &str) {
        let mut book = self.lock();
        if book.homes.get(actor).is_some_and(|home| home == host) {
            book.homes.remove(actor);
        }
        *book.deactivated.entry(actor.to_owned()).or_default() += 1;
    }
}

/// Ends with the answer, or when its caller is gone.
struct Turn {
    turns: Turns,
    actor: String,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(running) = self.turns.lock().running.get_mut(&self.actor) {
            *running -= 1;
        }
    }
}

/// A turn as long as real ones are: short, but long enough to meet another one.
pub async fn quick(_: Call) -> Response {
    tokio::time::sleep(Duration::from_millis(1)).await;
    Response::ok("done")
}

/// One host of actors: a sidecar and its app.
#[derive(Debug)]
pub struct ActorHost {
    /// The process.
    pub sidecar: Sidecar,
    code: Code,
    port: u16,
    /// `None` while the app is down.
    app: Option<App>,
}

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// What an app is made of.
#[derive(Clone)]
struct Code {
    turns: Turns,
    host: String,
    /// What `/dapr/config` says.
    config: Value,
    method: Arc<dyn Fn(Call) -> Answer + Send + Sync>,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Code").field(&self.host).finish()
    }
}

impl ActorHost {
    /// A ready host of the type `Counter` whose methods are short. It may take its time
    /// to end, for on a busy machine the others take theirs to learn of it.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start(plane: &Plane, turns: &Turns, name: &str) -> Self {
        let config = json!({"entities": ["Counter"]});
        let patient = ["--dapr-graceful-shutdown-seconds", "60"];
        let sidecar = plane.sidecar("host").args(patient);
        Self::start_with(sidecar, turns, name, config, quick).await
    }

    /// A ready host of what `config` says. Its state is in memory unless the sidecar has
    /// a component `statestore`.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start_with<F, A>(
        sidecar: SidecarBuilder,
        turns: &Turns,
        name: &str,
        config: Value,
        method: F,
    ) -> Self
    where
        F: Fn(Call) -> A + Send + Sync + 'static,
        A: Future<Output = Response> + Send + 'static,
    {
        let code = Code {
            turns: turns.clone(),
            host: name.to_owned(),
            config,
            method: Arc::new(move |call| Box::pin(method(call))),
        };
        let port = free_port();
        let app = code.start_on(port).await;
        let app = Some(app.expect("a free port can be bound"));
        let sidecar = match sidecar.folder().join("statestore.yaml").exists() {
            true => sidecar,
            false => {
                let metadata = [("actorStateStore", "true")];
                sidecar.component("statestore", "state.in-memory", &metadata)
            }
        };
        let sidecar = sidecar.app_port(port).start().ready().await;
        Self {
            sidecar,
            code,
            port,
            app,
        }
    }

    /// The requests of its app for one path, since that was last started.
    pub fn seen(&self, path: &str) -> Vec<Recorded> {
        self.app
            .as_ref()
            .map(|app| app.seen(path))
            .unwrap_or_default()
    }

    /// Ends the app as a crash does: its connections break.
    pub fn kill_app(&mut self) {
        self.app = None;
    }

    /// Starts the app again where it was.
    ///
    /// # Panics
    /// When its port does not become free.
    pub async fn start_app_again(&mut self) {
        let start = async || self.code.start_on(self.port).await;
        self.app = Some(eventually(DEADLINE, start).await);
    }
}

impl Code {
    async fn start_on(&self, port: u16) -> anyhow::Result<App> {
        let code = self.clone();
        let app = App::start_slow_on(port, move |request| code.clone().answer(request));
        app.await.context("the app of the actors")
    }

    async fn answer(self, request: Recorded) -> Response {
        let path = request.path.clone();
        let Some(rest) = path.strip_prefix("/actors/") else {
            return match path.as_str() {
                "/dapr/config" => Response::json(&self.config),
                path if path.starts_with("/job/") => Response::status(200),
                _ => Response::status(404),
            };
        };
        let Some((actor, method)) = rest.split_once("/method/") else {
            self.turns.deactivate(&self.host, rest);
            return Response::status(200);
        };
        let call = Call {
            actor: actor.to_owned(),
            method: method.to_owned(),
            request,
        };
        let _turn = self.turns.begin(&self.host, &call);
        (self.method)(call).await
    }
}
