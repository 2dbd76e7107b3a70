//! A host of one type, and an app whose methods can be held up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::super::*;
use crate::settings::TypeSettings;

pub(super) const IDLE: Duration = Duration::from_secs(60);

/// An app whose methods say what they do: `hold` waits for the gate, `cancel` answers
/// the signal to cancel, others answer at once.
#[derive(Default)]
pub(super) struct Fake {
    log: Mutex<Vec<String>>,
    gate: Option<Semaphore>,
    pub(super) running: AtomicUsize,
    pub(super) most: AtomicUsize,
    refuses: bool,
    quiet: bool,
}

struct Count<'a>(&'a AtomicUsize);

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fake {
    pub(super) fn gated() -> Self {
        Self {
            gate: Some(Semaphore::new(0)),
            ..Self::default()
        }
    }

    /// Does not take the deactivation of actors.
    pub(super) fn refusing() -> Self {
        Self {
            refuses: true,
            ..Self::default()
        }
    }

    /// Keeps no log.
    pub(super) fn quiet() -> Self {
        Self {
            quiet: true,
            ..Self::default()
        }
    }

    pub(super) fn open(&self, calls: usize) {
        self.gate.as_ref().unwrap().add_permits(calls);
    }

    fn note(&self, line: String) {
        self.log.lock().push(line);
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    async fn pass(&self) {
        let running = 1 + self.running.fetch_add(1, Ordering::SeqCst);
        let _count = Count(&self.running);
        self.most.fetch_max(running, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
    }
}

#[async_trait]
impl App for Fake {
    async fn invoke(&self, call: &Invoke) -> Result<Reply, Error> {
        if self.quiet {
            return Ok(Reply::default());
        }
        self.note(format!("begin {}", call.method));
        if call.method.starts_with("hold") {
            self.pass().await;
        }
        self.note(format!("end {}", call.method));
        let mut headers = http::HeaderMap::new();
        if let Some(chain) = call.headers.get(REENTRANCY_HEADER) {
            headers.insert(REENTRANCY_HEADER, chain.clone());
        }
        if call.method == "cancel" {
            headers.insert("X-Daprremindercancel", HeaderValue::from_static("true"));
        }
        Ok(Reply {
            headers,
            body: call.body.clone(),
            ..Reply::default()
        })
    }

    async fn reminder(&self, fire: &Fire) -> Result<Fired, Error> {
        self.note(format!("reminder {}", fire.name));
        Ok(Fired::Done)
    }

    async fn timer(&self, fire: &Fire) -> Result<Fired, Error> {
        self.note(format!("timer {}", fire.name));
        Ok(Fired::Canceled)
    }

    async fn deactivate(&self, actor: &Actor) -> Result<(), Error> {
        self.pass().await;
        self.note(format!("gone {actor}"));
        match self.refuses {
            true => Err(Error::HostNotConnected),
            false => Ok(()),
        }
    }
}

#[derive(Default)]
pub(super) struct Counts(Mutex<BTreeMap<String, i64>>);

impl Counts {
    fn add(&self, name: impl Into<String>, change: i64) {
        *self.0.lock().entry(name.into()).or_default() += change;
    }

    pub(super) fn of(&self, name: &str) -> i64 {
        self.0.lock().get(name).copied().unwrap_or_default()
    }
}

impl Observer for Counts {
    fn pending(&self, kind: &str, change: i64) {
        self.add(format!("pending {kind}"), change);
    }
    fn halted(&self, kind: &str) {
        self.add(format!("halted {kind}"), 1);
    }
    fn deactivated(&self, kind: &str, success: bool) {
        self.add(format!("deactivated {kind} {success}"), 1);
    }
    fn reminder_fired(&self, kind: &str, success: bool) {
        self.add(format!("reminder {kind} {success}"), 1);
    }
    fn timer_fired(&self, kind: &str, success: bool) {
        self.add(format!("timer {kind} {success}"), 1);
    }
    fn timers(&self, _: &str, _: usize) {}
}

pub(super) struct Stage {
    pub(super) host: Host,
    pub(super) app: Arc<Fake>,
    pub(super) counts: Arc<Counts>,
    pub(super) tasks: Tasks,
}

/// A host of the type `cat`.
pub(super) fn stage(app: Fake, reentrancy: Option<u32>) -> Stage {
    stage_under(Policies::default(), app, reentrancy)
}

pub(super) fn stage_under(policies: Policies, app: Fake, reentrancy: Option<u32>) -> Stage {
    let (tasks, app, counts) = (Tasks::new(), Arc::new(app), Arc::<Counts>::default());
    let host = Host::start_under(policies, counts.clone(), &tasks);
    let settings = TypeSettings {
        idle_timeout: IDLE,
        reentrancy,
        ..TypeSettings::default()
    };
    let served: Arc<dyn App> = app.clone();
    let registration = Registration {
        types: [("cat".into(), settings)].into(),
        drain: None,
    };
    host.register(&registration, &served);
    Stage {
        host,
        app,
        counts,
        tasks,
    }
}

impl Stage {
    /// A call under way in a task of its own.
    pub(super) fn call(&self, id: &str, method: &str) -> JoinHandle<Result<Reply, Error>> {
        self.call_in(id, method, None)
    }

    pub(super) fn call_in(
        &self,
        id: &str,
        method: &str,
        chain: Option<&'static str>,
    ) -> JoinHandle<Result<Reply, Error>> {
        let mut call = Invoke::new(Actor::new("cat", id), method);
        if let Some(chain) = chain {
            let chain = HeaderValue::from_static(chain);
            call.headers.insert(REENTRANCY_HEADER, chain);
        }
        let host = self.host.clone();
        let call = async move { host.call(&call).await };
        self.tasks.spawn("call", call)
    }

    pub(super) fn let_go(&self, id: &'static str) -> JoinHandle<()> {
        let host = self.host.clone();
        let halt = async move { host.let_go(|actor| &*actor.id == id).await };
        self.tasks.spawn("halt", halt)
    }

    /// Lets everybody do what can be done without time passing.
    pub(super) async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn fire(&self, is_timer: bool, skip_lock: bool) -> JoinHandle<Result<Fired, Error>> {
        let fire = Fire {
            actor: Actor::new("cat", "1"),
            name: "wake".into(),
            data: None,
            due_time: String::new(),
            period: String::new(),
            callback: String::new(),
            is_timer,
            skip_lock,
        };
        let host = self.host.clone();
        let fire = async move { host.fire(&fire).await };
        self.tasks.spawn("fire", fire)
    }
}
