//! The only place that spawns: every task has a name, a token that asks it to
//! end, and somebody who waits for it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A group of tasks that end together; clones are the same group.
#[derive(Clone, Debug)]
pub struct Tasks {
    group: Arc<Group>,
}

#[derive(Debug)]
struct Group {
    parent: Option<Arc<Group>>,
    token: CancellationToken,
    tracker: TaskTracker,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    names: BTreeMap<u64, &'static str>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// An empty group with a token of its own.
    pub fn new() -> Self {
        Self::with(None, CancellationToken::new())
    }

    /// A group inside this one: it can be ended alone, and ends with this one.
    pub fn child(&self) -> Self {
        Self::with(Some(self.group.clone()), self.group.token.child_token())
    }

    fn with(parent: Option<Arc<Group>>, token: CancellationToken) -> Self {
        let group = Group {
            parent,
            token,
            tracker: TaskTracker::new(),
            running: Mutex::default(),
        };
        Self {
            group: Arc::new(group),
        }
    }

    /// The token that is cancelled when the group is asked to end.
    pub fn token(&self) -> CancellationToken {
        self.group.token.clone()
    }

    /// Starts a task; a panic in it is logged with its name and ends only it.
    ///
    /// The task must end by itself soon after [`Tasks::token`] is cancelled.
    #[allow(clippy::disallowed_methods)] // This is the tracker the rule asks for.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(listed(Entry::new(name, &self.group), future))
    }

    /// Runs a blocking function on a thread of its own, tracked like a task.
    #[allow(clippy::disallowed_methods)] // As above.
    pub fn spawn_blocking<F, T>(&self, name: &'static str, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let entry = Entry::new(name, &self.group);
        tokio::task::spawn_blocking(move || {
            let _entry = entry;
            work()
        })
    }

    /// Asks all tasks to end, waits at most `deadline`, and answers the names
    /// of those that are still running.
    pub async fn shutdown(&self, deadline: Duration) -> Vec<&'static str> {
        self.group.token.cancel();
        self.wait(deadline).await
    }

    /// Waits at most `deadline` for all tasks without asking them to end, and
    /// answers the names of those that are still running.
    pub async fn wait(&self, deadline: Duration) -> Vec<&'static str> {
        self.group.tracker.close();
        // The list below tells what the time-out would.
        let _ = tokio::time::timeout(deadline, self.group.tracker.wait()).await;
        self.running()
    }

    /// The names of the tasks that are running now, oldest first.
    pub fn running(&self) -> Vec<&'static str> {
        self.group.running.lock().names.values().copied().collect()
    }
}

/// The future with its place on the lists. An async block would be twice as large as
/// the future: it keeps what it took, and what it waits for beside it.
fn listed<F: Future>(entry: Entry, future: F) -> impl Future<Output = F::Output> {
    future.map(move |output| {
        drop(entry);
        output
    })
}

/// Keeps a task on the lists of its group and of every group around it.
struct Entry {
    name: &'static str,
    places: Vec<Place>,
}

struct Place {
    group: Arc<Group>,
    id: u64,
    _token: TaskTrackerToken,
}

impl Entry {
    fn new(name: &'static str, group: &Arc<Group>) -> Self {
        let mut places = Vec::with_capacity(2);
        let mut next = Some(group.clone());
        while let Some(group) = next {
            let id = {
                let mut running = group.running.lock();
                running.next += 1;
                let id = running.next;
                running.names.insert(id, name);
                id
            };
            next = group.parent.clone();
            places.push(Place {
                _token: group.tracker.token(),
                id,
                group,
            });
        }
        Self { name, places }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(target: "dapr.service", "task {} panicked", self.name);
        }
        // The list is cleared before the tracker's tokens go, so that whoever
        // waits for the tracker sees the list without this task.
        for place in &self.places {
            place.group.running.lock().names.remove(&place.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn shutdown_waits_for_tasks_that_obey_the_token() {
        let tasks = Tasks::new();
        for name in ["one", "two"] {
            let token = tasks.token();
            tasks.spawn(name, async move { token.cancelled().await });
        }
        assert_eq!(tasks.running(), ["one", "two"]);
        assert!(tasks.shutdown(LONG).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_do_not_end_are_named() {
        let tasks = Tasks::new();
        let token = tasks.token();
        tasks.spawn("obedient", async move { token.cancelled().await });
        tasks.spawn("stubborn", std::future::pending::<()>());
        assert_eq!(tasks.shutdown(Duration::from_secs(1)).await, ["stubborn"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_parent_waits_for_the_tasks_of_its_children() {
        let parent = Tasks::new();
        let child = parent.child();
        child.spawn("inner", std::future::pending::<()>());
        assert_eq!(parent.shutdown(Duration::from_secs(1)).await, ["inner"]);
        assert!(child.token().is_cancelled());
    }

    #[tokio::test]
    async fn a_child_ends_alone() {
        let parent = Tasks::new();
        let child = parent.child();
        let token = child.token();
        child.spawn("inner", async move { token.cancelled().await });
        assert!(child.shutdown(LONG).await.is_empty());
        assert!(!parent.token().is_cancelled());
        assert!(parent.running().is_empty());
    }

    #[tokio::test]
    async fn a_panic_ends_only_its_task() {
        let tasks = Tasks::new();
        let result = tasks.spawn("bad", async { panic!("on purpose") }).await;
        assert!(result.is_err_and(|e| e.is_panic()));
        assert!(tasks.shutdown(LONG).await.is_empty());
    }

    #[test]
    fn a_task_is_hardly_larger_than_its_future() {
        let large = [0_u8; 4096];
        let future = async move {
            tokio::task::yield_now().await;
            large.len()
        };
        let size = size_of_val(&future);
        let listed = listed(Entry::new("large", &Tasks::new().group), future);
        assert!(size_of_val(&listed) < size + 128);
    }

    #[tokio::test]
    async fn a_task_gives_its_result_to_whoever_waits() {
        let tasks = Tasks::new();
        assert_eq!(tasks.spawn("sum", async { 1 + 1 }).await.unwrap(), 2);
        assert_eq!(tasks.spawn_blocking("product", || 2 * 3).await.unwrap(), 6);
    }
}
