//! Copies of objects, and a server with all the bad manners that servers have.

#![allow(clippy::unwrap_used)] // clippy sees only #[test] functions as tests, not their helpers

use std::sync::{Arc, Mutex};

use anyhow::ensure;
use k8s::{Cache, Change, Client, Error, Kind};
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::kubernetes::{Api, Manners};
use testkit::{DEADLINE, eventually};
use tokio::task::AbortHandle;

const PODS: Kind = Kind {
    group: "",
    version: "v1",
    plural: "pods",
};

#[derive(Debug, PartialEq, Deserialize)]
struct Pod {
    spec: Spec,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Spec {
    size: u32,
}

fn path(name: &str) -> String {
    format!("/api/v1/namespaces/shop/pods/{name}")
}

fn pod(size: u32) -> Value {
    json!({"spec": {"size": size}, "status": {"ignored": [1, 2]}})
}

async fn client(api: &Api) -> Client {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = api.kubeconfig(folder.path()).unwrap();
    Client::connect(kubeconfig.to_str().unwrap()).await.unwrap()
}

/// A copy that follows, and the changes that it told.
struct Followed {
    cache: Cache<Pod>,
    changes: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Followed {
    async fn start(api: &Api) -> Self {
        let cache = Cache::new(client(api).await, PODS, None);
        let changes = Arc::<Mutex<Vec<String>>>::default();
        let (following, told) = (cache.clone(), changes.clone());
        #[allow(clippy::disallowed_methods)] // Drop aborts it; tests have no task tracker.
        let task = tokio::spawn(async move {
            following
                .follow(|change| told.lock().unwrap().push(line(&change)))
                .await;
        });
        Self {
            cache,
            changes,
            task: task.abort_handle(),
        }
    }

    /// Waits until the objects have these sizes; 0 means none.
    async fn becomes(&self, expected: &[(&str, u32)]) {
        eventually(DEADLINE, async || {
            for (name, size) in expected {
                let found = self.cache.get("shop", name).map_or(0, |pod| pod.spec.size);
                ensure!(found == *size, "{name} is {found} and not {size}");
            }
            Ok(())
        })
        .await;
    }

    fn changes(&self) -> Vec<String> {
        self.changes.lock().unwrap().clone()
    }
}

fn line(change: &Change<Pod>) -> String {
    let size = |pod: &Option<Arc<Pod>>| pod.as_ref().map_or(0, |pod| pod.spec.size);
    let (before, after) = (size(&change.before), size(&change.after));
    format!(
        "{}/{} {before}>{after}",
        change.key.namespace, change.key.name
    )
}

#[tokio::test]
async fn objects_are_listed_in_pages_and_then_watched() {
    let api = Api::start().await.unwrap();
    for number in 0..1200 {
        api.put(&path(&format!("p{number}")), pod(1));
    }
    let followed = Followed::start(&api).await;
    followed.cache.synced().await;
    assert_eq!(followed.changes().len(), 1200);
    followed.becomes(&[("p0", 1), ("p1199", 1)]).await;
    api.put(&path("p0"), pod(2));
    api.put(&path("new"), pod(3));
    api.remove(&path("p1"));
    // What does not change what matters is no change.
    api.put(&path("p2"), json!({"spec": {"size": 1}, "status": {}}));
    api.put("/api/v1/namespaces/shop/secrets/s", json!({}));
    api.put(&path("last"), pod(4));
    followed.becomes(&[("p0", 2), ("p1", 0), ("last", 4)]).await;
    assert_eq!(
        followed.changes()[1200..],
        [
            "shop/p0 1>2",
            "shop/new 0>3",
            "shop/p1 1>0",
            "shop/last 0>4"
        ]
    );
    let lists = api.requests();
    let lists = lists.iter().filter(|r| r.contains("limit=500"));
    assert_eq!(lists.count(), 3, "a good server is listed once");
}

/// Whatever the server does, its objects arrive.
async fn survives(manners: Manners) {
    let api = Api::start().await.unwrap();
    api.behave(manners);
    api.put(&path("stays"), pod(1));
    api.put(&path("goes"), pod(1));
    let followed = Followed::start(&api).await;
    followed.becomes(&[("stays", 1), ("goes", 1)]).await;
    api.put(&path("stays"), pod(2));
    api.remove(&path("goes"));
    api.put(&path("comes"), pod(3));
    followed
        .becomes(&[("stays", 2), ("goes", 0), ("comes", 3)])
        .await;
    let mut changes = followed.changes();
    changes.sort();
    assert_eq!(
        changes,
        [
            "shop/comes 0>3",
            "shop/goes 0>1",
            "shop/goes 1>0",
            "shop/stays 0>1",
            "shop/stays 1>2"
        ]
    );
}

#[tokio::test]
async fn a_server_without_versions_is_followed() {
    survives(Manners {
        no_versions: true,
        ..Manners::default()
    })
    .await;
}

#[tokio::test]
async fn a_server_that_closes_watches_at_once_is_followed() {
    survives(Manners {
        closes_watches: true,
        ..Manners::default()
    })
    .await;
}

#[tokio::test]
async fn a_server_that_forgets_versions_is_listed_again() {
    survives(Manners {
        forgets_versions: true,
        ..Manners::default()
    })
    .await;
}

#[tokio::test]
async fn a_server_with_every_bad_manner_is_followed() {
    survives(Manners {
        no_versions: true,
        forgets_versions: true,
        closes_watches: true,
        ..Manners::default()
    })
    .await;
}

#[tokio::test]
async fn what_is_known_stays_while_the_server_fails() {
    let api = Api::start().await.unwrap();
    api.put(&path("one"), pod(1));
    let followed = Followed::start(&api).await;
    followed.becomes(&[("one", 1)]).await;
    let before = api.requests().len();
    api.behave(Manners {
        fails: true,
        ..Manners::default()
    });
    api.put(&path("one"), pod(2));
    eventually(DEADLINE, async || {
        ensure!(api.requests().len() > before, "it was not asked again");
        Ok(())
    })
    .await;
    followed.becomes(&[("one", 1)]).await;
    api.behave(Manners::default());
    followed.becomes(&[("one", 2)]).await;
}

#[tokio::test]
async fn an_object_that_cannot_be_read_counts_as_none() {
    let api = Api::start().await.unwrap();
    api.put(&path("bad"), json!({"spec": {"size": "big"}}));
    api.put(&path("good"), pod(1));
    let followed = Followed::start(&api).await;
    followed.becomes(&[("bad", 0), ("good", 1)]).await;
    api.put(&path("good"), json!({"spec": null}));
    followed.becomes(&[("good", 0)]).await;
    api.put(&path("bad"), pod(2));
    followed.becomes(&[("bad", 2), ("good", 0)]).await;
}

#[tokio::test]
async fn an_object_that_is_not_known_yet_is_asked_for() {
    let api = Api::start().await.unwrap();
    api.put(&path("young"), pod(7));
    let cache = Cache::<Pod>::new(client(&api).await, PODS, None);
    assert_eq!(cache.find("shop", "young").await.unwrap().spec.size, 7);
    let error = cache.find("shop", "none").await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
    let error = cache.find("shop", "../secrets").await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
    assert!(api.requests().last().unwrap().ends_with("..%2Fsecrets"));
}

#[tokio::test]
async fn a_replacement_of_what_somebody_else_changed_is_a_conflict() {
    let api = Api::start().await.unwrap();
    api.put(&path("one"), pod(1));
    let client = client(&api).await;
    let read: Value = client.get(PODS, "shop", "one").await.unwrap();
    let written: Value = client.replace(PODS, "shop", "one", &read).await.unwrap();
    assert_ne!(read["metadata"], written["metadata"]);
    let again = client.replace::<_, Value>(PODS, "shop", "one", &read).await;
    assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be() {
    let api = Api::start().await.unwrap();
    let client = client(&api).await;
    drop(api);
    let asked = eventually(DEADLINE, async || {
        let asked = client.get::<Value>(PODS, "shop", "one").await;
        match asked {
            Err(e @ Error::Unreachable(_)) => Ok(e.to_string()),
            other => anyhow::bail!("{other:?}"),
        }
    })
    .await;
    assert!(asked.contains("refused"), "{asked}");
}
