//! The kept answers, and the task that watches the agent for changes of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use component::{Error, Result};
use parking_lot::Mutex;
use reqwest::Method;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::client::Client;
use crate::config::{Nanos, QueryOptions};
use crate::query::{Found, healthy};

/// How long the agent may hold a question for changes.
const WAIT: Duration = Duration::from_secs(60);
/// The shortest time between two questions, against an agent that never waits.
const PAUSE: Duration = Duration::from_millis(100);
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(180);
/// With more names all changes are watched, because the names go into the URL.
const FILTERED: usize = 50;
const NAMES: usize = 4096;

/// The answers that are known to be current.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<HashMap<String, Vec<Found>>>>);

impl Kept {
    pub(crate) fn get(&self, id: &str) -> Option<Vec<Found>> {
        self.0.lock().get(id).cloned()
    }
}

pub(crate) struct Watch {
    pub(crate) client: Arc<Client>,
    pub(crate) options: QueryOptions,
    pub(crate) kept: Kept,
}

impl Watch {
    /// Runs until nobody can ask any more. `asked` are the names that callers
    /// asked for. While the agent fails nothing is kept, so that they ask it
    /// themselves.
    pub(crate) async fn run(self, mut asked: mpsc::Receiver<String>) {
        let mut names = BTreeSet::new();
        let (mut index, mut back_off) = (0, SHORTEST);
        loop {
            if names.is_empty() {
                match asked.recv().await {
                    Some(name) => names.insert(name),
                    None => return,
                };
            }
            let pause = sleep_until(Instant::now() + PAUSE);
            let changed = tokio::select! {
                Some(name) = asked.recv() => {
                    // The question has to be asked again with the new name.
                    if names.len() < NAMES && names.insert(name) {
                        index = 0;
                    }
                    continue;
                }
                changed = self.changed(&names, index) => changed,
            };
            let refreshed = match changed {
                Ok(new) if new == index => Ok(index),
                // An index that goes back is one of a new agent.
                Ok(new) => self
                    .refresh(&names)
                    .await
                    .map(|()| if new < index { 0 } else { new }),
                Err(e) => Err(e),
            };
            match refreshed {
                Ok(new) => {
                    (index, back_off) = (new, SHORTEST);
                    pause.await;
                }
                Err(error) => {
                    tracing::warn!(target: "dapr.contrib", "consul cannot be watched, again in {back_off:?}: {error}");
                    self.kept.0.lock().clear();
                    sleep(back_off).await;
                    index = 0;
                    back_off = (back_off * 2).min(LONGEST);
                }
            }
        }
    }

    /// The new index when a health check changed or the wait is over.
    async fn changed(&self, names: &BTreeSet<String>, index: u64) -> Result<u64> {
        let mut options = self.options.clone();
        // A cached answer does not wait.
        (options.use_cache, options.wait_index) = (false, index);
        if options.wait_time.0.is_zero() {
            options.wait_time = Nanos(WAIT);
        }
        options.filter = String::new();
        if names.len() <= FILTERED {
            let each = names.iter().map(|name| format!("ServiceName == {name:?}"));
            options.filter = each.collect::<Vec<_>>().join(" or ");
        }
        let mut request = options.request();
        request.path = ["health", "state", "any"].map(str::to_owned).into();
        let answer = self.client.send(Method::GET, request).await?;
        let index = answer.index.filter(|index| *index > 0);
        index.ok_or_else(|| Error::internal("consul gave no index"))
    }

    async fn refresh(&self, names: &BTreeSet<String>) -> Result<()> {
        // The agent's own cache may still hold what was true before the change.
        let mut options = self.options.clone();
        options.use_cache = false;
        for name in names {
            let found = healthy(&self.client, &options, name).await?;
            let mut kept = self.kept.0.lock();
            if found.is_empty() {
                kept.remove(name);
            } else {
                kept.insert(name.clone(), found);
            }
        }
        Ok(())
    }
}
