//! Candidates for one leadership, and an API server that comes and goes.

#![allow(clippy::unwrap_used)] // clippy sees only #[test] functions as tests, not their helpers

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use k8s::{Client, Election};
use serde_json::{Value, json};
use testkit::kubernetes::{Api, Manners};
use testkit::{DEADLINE, eventually};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/dapr-system/leases/dapr-placement";

/// Counts who leads at the same time.
type Leaders = Arc<AtomicUsize>;

/// A candidate in a task; it is killed when it is dropped.
struct Member {
    /// None until it knows.
    leads: watch::Receiver<Option<bool>>,
    release: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Member {
    async fn start(api: &Api, identity: &str, leaders: &Leaders) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = api.kubeconfig(folder.path()).unwrap();
        let client = Client::connect(kubeconfig.to_str().unwrap()).await.unwrap();
        let mut election = Election::new(client, "dapr-system", "dapr-placement", identity);
        let (told, leads) = watch::channel(None);
        let release = CancellationToken::new();
        let (released, leaders) = (release.clone(), leaders.clone());
        #[allow(clippy::disallowed_methods)] // Drop aborts it; tests have no task tracker.
        let task = tokio::spawn(async move {
            let campaign = election.campaign(|leads| {
                let before = told.send_replace(Some(leads)) == Some(true);
                if leads && !before {
                    assert_eq!(leaders.fetch_add(1, Ordering::SeqCst), 0, "two lead");
                } else if before && !leads {
                    leaders.fetch_sub(1, Ordering::SeqCst);
                }
            });
            tokio::select! {
                () = campaign => {}
                () = released.cancelled() => {}
            }
            election.release().await;
        });
        Self {
            leads,
            release,
            task,
        }
    }

    async fn becomes(&mut self, leads: bool) {
        let changed = self.leads.wait_for(|now| *now == Some(leads));
        tokio::time::timeout(DEADLINE, changed)
            .await
            .unwrap()
            .unwrap();
    }

    fn leads(&self) -> Option<bool> {
        *self.leads.borrow()
    }

    /// Gives the leadership away and ends.
    async fn release(mut self, leaders: &Leaders) {
        leaders.fetch_sub(1, Ordering::SeqCst);
        self.release.cancel();
        (&mut self.task).await.unwrap();
    }

    /// Ends without a word.
    fn kill(self, leaders: &Leaders) {
        leaders.fetch_sub(1, Ordering::SeqCst);
    }
}

fn spec(api: &Api) -> Value {
    api.get(PATH).unwrap()["spec"].clone()
}

#[tokio::test]
async fn the_first_leads_and_hands_over_when_it_ends() {
    let (api, leaders) = (Api::start().await.unwrap(), Leaders::default());
    let mut first = Member::start(&api, "first", &leaders).await;
    first.becomes(true).await;
    assert_eq!(spec(&api)["holderIdentity"], "first");
    assert_eq!(spec(&api)["leaseDurationSeconds"], 6);
    assert_eq!(spec(&api)["leaseTransitions"], 0);
    let mut second = Member::start(&api, "second", &leaders).await;
    second.becomes(false).await;
    let began = Instant::now();
    first.release(&leaders).await;
    second.becomes(true).await;
    // Nobody waited for the lease to run out.
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(spec(&api)["holderIdentity"], "second");
    assert_eq!(spec(&api)["leaseTransitions"], 1);
}

#[tokio::test]
async fn a_leader_that_dies_is_followed_by_another() {
    let (api, leaders) = (Api::start().await.unwrap(), Leaders::default());
    let mut first = Member::start(&api, "first", &leaders).await;
    first.becomes(true).await;
    let mut second = Member::start(&api, "second", &leaders).await;
    let mut third = Member::start(&api, "third", &leaders).await;
    second.becomes(false).await;
    third.becomes(false).await;
    first.kill(&leaders);
    tokio::select! {
        () = second.becomes(true) => {}
        () = third.becomes(true) => {}
    }
    // The other one sees a leader again, and stays what it is.
    eventually(DEADLINE, async || {
        ensure!(spec(&api)["holderIdentity"] != "first");
        Ok(())
    })
    .await;
    assert!(second.leads() != third.leads());
}

#[tokio::test]
async fn a_leader_that_cannot_renew_gives_up_before_anybody_takes_over() {
    let (api, leaders) = (Api::start().await.unwrap(), Leaders::default());
    let mut first = Member::start(&api, "first", &leaders).await;
    first.becomes(true).await;
    let mut second = Member::start(&api, "second", &leaders).await;
    second.becomes(false).await;
    api.behave(Manners {
        fails: true,
        ..Manners::default()
    });
    let began = Instant::now();
    first.becomes(false).await;
    assert!(began.elapsed() < Duration::from_secs(6));
    assert_eq!(second.leads(), Some(false));
    api.behave(Manners::default());
    tokio::select! {
        () = first.becomes(true) => {}
        () = second.becomes(true) => {}
    }
}

#[tokio::test]
async fn times_of_another_clock_and_foreign_fields_are_left_alone() {
    let (api, leaders) = (Api::start().await.unwrap(), Leaders::default());
    // Its holder is gone, and had a clock that was far ahead.
    let spec = json!({
        "holderIdentity": "gone",
        "leaseDurationSeconds": 1,
        "renewTime": "2999-01-01T00:00:00.000000Z",
        "leaseTransitions": 7,
        "strategy": "OldestEmulationVersion",
    });
    let metadata = json!({"labels": {"kept": "yes"}});
    api.put(
        PATH,
        json!({"kind": "Lease", "metadata": metadata, "spec": spec}),
    );
    let mut member = Member::start(&api, "member", &leaders).await;
    member.becomes(false).await;
    member.becomes(true).await;
    let lease = api.get(PATH).unwrap();
    assert_eq!(lease["kind"], "Lease");
    assert_eq!(lease["metadata"]["labels"]["kept"], "yes");
    assert_eq!(lease["spec"]["strategy"], "OldestEmulationVersion");
    assert_eq!(lease["spec"]["leaseTransitions"], 8);
    let renewed = lease["spec"]["renewTime"].as_str().unwrap();
    assert!(renewed.starts_with("20") && renewed.len() == "2999-01-01T00:00:00.000000Z".len());
}
