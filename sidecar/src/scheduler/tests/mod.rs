mod calls;
mod hosts;
mod identity;
mod streams;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use service::health::Health;
use testkit::{DEADLINE, eventually};
use tokio::sync::Semaphore;

use super::testing::{Fake, client, options};
use super::*;
use crate::api::pipeline::Pipeline;
use crate::flags::AppConfig;

/// Takes triggers as a test lets it: one for each permit, named ones fail.
struct Taker {
    permits: Semaphore,
    running: AtomicUsize,
    /// The most that ran at once.
    peak: AtomicUsize,
}

impl Taker {
    async fn outcome(&self, name: &str) -> Outcome {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(running, Ordering::SeqCst);
        let permit = self.permits.acquire().await.expect("it stays open");
        permit.forget();
        self.running.fetch_sub(1, Ordering::SeqCst);
        match name.starts_with("bad") {
            true => Outcome::Failed,
            false => Outcome::Success,
        }
    }
}

#[async_trait]
impl Jobs for Taker {
    async fn job(&self, job: JobTrigger) -> Outcome {
        self.outcome(&job.name).await
    }
}

#[async_trait]
impl Reminders for Taker {
    async fn reminder(&self, reminder: ReminderTrigger) -> Outcome {
        assert_eq!((reminder.kind.as_str(), reminder.id.as_str()), ("cat", "1"));
        self.outcome(&reminder.name).await
    }
}

/// A client that takes triggers, and what a test does to it.
pub(crate) struct Running {
    pub(crate) client: Client,
    app: App,
    health: Health,
    taker: Arc<Taker>,
    tasks: Tasks,
}

impl Running {
    async fn wait_for_running(&self, triggers: usize) {
        eventually(DEADLINE, async || {
            let running = self.taker.running.load(Ordering::SeqCst);
            anyhow::ensure!(running == triggers, "{running}");
            Ok(())
        })
        .await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

/// With an app that is not healthy yet.
pub(crate) fn running(addresses: &[&str], permits: usize) -> Running {
    started(client(addresses), permits)
}

fn started(client: Client, permits: usize) -> Running {
    let config = AppConfig {
        port: Some(1),
        protocol: "http".into(),
        address: "127.0.0.1".into(),
        max_concurrency: None,
        token: String::new(),
        ask_config: false,
        health: None,
    };
    let app = App::new(&config, 4096, Pipeline::default(), None, None).unwrap();
    let taker = Arc::new(Taker {
        permits: Semaphore::new(permits),
        running: AtomicUsize::new(0),
        peak: AtomicUsize::new(0),
    });
    let triggers = Triggers {
        jobs: taker.clone(),
        reminders: Some(taker.clone()),
    };
    let (health, tasks) = (Health::new(), Tasks::new());
    client.start(
        triggers,
        &app,
        health.target("scheduler-watch-hosts"),
        &tasks,
    );
    Running {
        client,
        app,
        health,
        taker,
        tasks,
    }
}

fn types(names: &[&str]) -> BTreeSet<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

async fn wait_for_hosts(client: &Client, expected: &[&str]) {
    eventually(DEADLINE, async || {
        let found = client.connected_addresses();
        anyhow::ensure!(found == expected, "{found:?}");
        Ok(())
    })
    .await;
}
