//! What becomes of the jobs of a namespace that is deleted: they go with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s::{Cache, Change, Client, Kind};
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::IgnoredAny;
use service::Tasks;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::records::target;
use crate::store::{Command, Error, Store};

const SCOPE: &str = "dapr.scheduler.server.controller";
const NAMESPACES: Kind = Kind {
    group: "",
    version: "v1",
    plural: "namespaces",
};
/// A namespace that no cluster lets go: a list without it is not believed.
const ALWAYS_THERE: &str = "default";
/// The pause after a deletion that failed.
const AGAIN: Duration = Duration::from_secs(5);

/// What matters of a namespace. Nothing that it may hold fails its decoding,
/// which would make it look deleted.
#[derive(Debug, PartialEq, Deserialize)]
struct Namespace {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    deletion_timestamp: Option<IgnoredAny>,
}

/// Follows the namespaces of the cluster until the tasks are told to end, and
/// deletes the jobs of those that are deleted.
pub(crate) fn follow(client: Client, store: Arc<dyn Store>, tasks: &Tasks) {
    let end = tasks.token();
    let namespaces = Cache::new(client, NAMESPACES, None);
    tasks.spawn("namespaces", async move {
        let gone = Gone::default();
        let seen = |change: Change<Namespace>| {
            // One that is seen first when it goes may be another's of that name.
            if change.before.is_some() {
                gone.add(change.key.name);
            }
        };
        let ready = async {
            namespaces.synced().await;
            tracing::info!(target: SCOPE, "Controller ready");
            std::future::pending().await
        };
        tokio::select! {
            // What was seen is judged before more is seen.
            biased;
            () = end.cancelled() => {}
            () = ready => {}
            () = namespaces.follow(seen) => {}
            () = delete(&gone, &namespaces, &*store) => {}
        }
    });
}

/// Namespaces whose jobs may have to go.
#[derive(Default)]
struct Gone {
    names: Mutex<BTreeSet<String>>,
    added: Notify,
}

impl Gone {
    fn add(&self, name: String) {
        self.names.lock().insert(name);
        self.added.notify_one();
    }

    async fn next(&self) -> String {
        loop {
            if let Some(name) = self.names.lock().pop_first() {
                return name;
            }
            self.added.notified().await;
        }
    }
}

async fn delete(gone: &Gone, namespaces: &Cache<Namespace>, store: &dyn Store) {
    loop {
        let name = gone.next().await;
        if !is_deleted(namespaces, &name) {
            continue;
        }
        tracing::info!(target: SCOPE, "Deleting jobs from deleted namespace {name}");
        if let Err(e) = delete_jobs(store, &name).await {
            tracing::error!(
                target: SCOPE,
                "Failed to delete cron jobs for namespace {name}: {e}"
            );
            gone.add(name);
            sleep(AGAIN).await;
        }
    }
}

/// Whether it is gone or going, as far as what is known can be believed.
fn is_deleted(namespaces: &Cache<Namespace>, name: &str) -> bool {
    match namespaces.get("", name) {
        Some(namespace) => namespace.metadata.deletion_timestamp.is_some(),
        None => namespaces.get("", ALWAYS_THERE).is_some(),
    }
}

async fn delete_jobs(store: &dyn Store, name: &str) -> Result<(), Error> {
    for prefix in target::prefixes_of_namespace(name) {
        store.apply(Command::DeletePrefix { prefix }).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;
    use tempfile::TempDir;
    use testkit::kubernetes::{Api, Manners};
    use testkit::{DEADLINE, eventually};

    use super::*;
    use crate::records::stored;
    use crate::store::Embedded;

    struct Running {
        api: Api,
        store: Embedded,
        tasks: Tasks,
        _folder: TempDir,
    }

    impl Running {
        async fn start() -> Self {
            let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
            let api = Api::start().await.unwrap();
            for name in ["default", "a", "ab", "b"] {
                api.put(&path(name), "{}".parse().unwrap());
            }
            let store = Embedded::open(folder.path(), &tasks).await.unwrap();
            for namespace in ["default", "a", "ab", "b"] {
                for prefix in target::prefixes_of_namespace(namespace) {
                    store.apply(put(format!("{prefix}x||y"))).await.unwrap();
                }
            }
            let kubeconfig = api.kubeconfig(folder.path()).unwrap();
            let client = Client::connect(kubeconfig.to_str().unwrap()).await.unwrap();
            follow(client, Arc::new(store.clone()), &tasks);
            let running = Self {
                api,
                store,
                tasks,
                _folder: folder,
            };
            running.watched(0).await;
            running
        }

        /// Waits until the server has been asked for more than so many watches.
        async fn watched(&self, times: usize) {
            eventually(DEADLINE, async || {
                anyhow::ensure!(self.watches() > times);
                Ok(())
            })
            .await;
        }

        fn watches(&self) -> usize {
            let requests = self.api.requests();
            requests.iter().filter(|r| r.contains("watch=true")).count()
        }

        /// Waits until the namespaces that have jobs are these.
        async fn left(&self, expected: &[&str]) {
            eventually(DEADLINE, async || {
                let left = self.namespaces().await;
                anyhow::ensure!(left == expected, "{left:?} are left");
                Ok(())
            })
            .await;
        }

        async fn namespaces(&self) -> Vec<String> {
            let pages: Vec<_> = self.store.list("".into()).try_collect().await.unwrap();
            let records = pages.into_iter().flatten();
            let names: BTreeSet<_> = records
                .map(|r| r.key.split("||").nth(1).unwrap().to_owned())
                .collect();
            names.into_iter().collect()
        }
    }

    fn path(name: &str) -> String {
        format!("/api/v1/namespaces/{name}")
    }

    fn put(key: String) -> Command {
        Command::Put {
            key: key.into(),
            job: Box::new(stored::Job::default()),
            overwrite: true,
        }
    }

    #[tokio::test]
    async fn jobs_go_with_their_namespace_and_no_others_do() {
        let running = Running::start().await;
        running.left(&["a", "ab", "b", "default"]).await;
        running.api.remove(&path("a"));
        running.left(&["ab", "b", "default"]).await;
        let ending = r#"{"metadata": {"deletionTimestamp": "2030-01-01T00:00:00Z"}}"#;
        running.api.put(&path("ab"), ending.parse().unwrap());
        running.left(&["b", "default"]).await;
        // A label that changes is no end.
        let labelled = r#"{"metadata": {"labels": {"x": 1}}}"#;
        let labelled = labelled.parse().unwrap();
        running.api.put(&path("default"), labelled);
        running.api.remove(&path("b"));
        running.left(&["default"]).await;
        running.tasks.shutdown(DEADLINE).await;
    }

    #[tokio::test]
    async fn an_empty_list_and_a_server_that_is_away_delete_nothing() {
        let running = Running::start().await;
        let fails = Manners {
            fails: true,
            ..Manners::default()
        };
        running.api.behave(fails);
        for name in ["a", "ab", "b", "default"] {
            running.api.remove(&path(name));
        }
        let before = running.watches();
        running.api.behave(Manners::default());
        // The empty list has been taken in when the next watch begins.
        running.watched(before).await;
        let store = &running.store;
        store.apply(put("app||e||x||y".into())).await.unwrap();
        for name in ["default", "e"] {
            running.api.put(&path(name), "{}".parse().unwrap());
        }
        running.api.remove(&path("e"));
        running.left(&["a", "ab", "b", "default"]).await;
        running.tasks.shutdown(DEADLINE).await;
    }
}
