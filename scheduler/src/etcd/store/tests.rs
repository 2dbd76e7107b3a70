//! The store on a real etcd, alone and shared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use futures_util::TryStreamExt;
use parking_lot::Mutex;
use prost_types::Timestamp;
use testkit::etcd::{Etcd, is_installed};
use testkit::{DEADLINE, eventually};

use super::*;
use crate::etcd::requests;
use crate::records::{api, stored};

fn etcd() -> Option<Etcd> {
    if !is_installed() {
        testkit::skip("etcd is not installed");
        return None;
    }
    Some(Etcd::start(&[]).unwrap())
}

fn options(etcd: &Etcd) -> Options {
    Options {
        endpoints: vec![etcd.address()],
        ..Options::default()
    }
}

fn job(partition_id: u64) -> stored::Job {
    stored::Job {
        partition_id,
        begin: Some(stored::job::Begin::Start(Timestamp {
            seconds: 1_700_000_000,
            nanos: 0,
        })),
        expiration: None,
        job: Some(api::Job {
            schedule: Some("@every 1h".into()),
            ..api::Job::default()
        }),
    }
}

fn put(key: &str, partition_id: u64, overwrite: bool) -> Command {
    Command::Put {
        key: key.into(),
        job: Box::new(job(partition_id)),
        overwrite,
    }
}

fn counter(job_partition_id: u64, count: u32) -> stored::Counter {
    stored::Counter {
        job_partition_id,
        count,
        ..stored::Counter::default()
    }
}

/// Which scheduler fires which version of which job, all of them together.
type Ledger = Arc<Mutex<BTreeMap<(Key, u64), String>>>;

/// A scheduler that writes down what it would fire.
struct Scheduler {
    store: External,
    hosts: Hosts,
    tasks: Tasks,
}

impl Scheduler {
    fn start(etcd: &Etcd, id: &str, ledger: &Ledger) -> Self {
        let tasks = Tasks::new();
        let address = format!("{id}:50006");
        let opened = External::open(&options(etcd), id, &address, &tasks);
        let (store, hosts) = opened.unwrap();
        let mut changes = store.follow();
        let (id, ledger, end) = (id.to_owned(), ledger.clone(), tasks.token());
        tasks.spawn("engine", async move {
            loop {
                let change = tokio::select! {
                    () = end.cancelled() => break,
                    change = changes.next() => change,
                };
                let mut ledger = ledger.lock();
                let mut forget = |key: &Key| {
                    ledger.retain(|(other, _), owner| other != key || *owner != id);
                };
                match change {
                    None => break,
                    Some(Change::Synced | Change::Ending(_)) => {}
                    Some(Change::Reset) => ledger.retain(|_, owner| *owner != id),
                    Some(Change::Deleted { key, .. }) => forget(&key),
                    Some(Change::Put(record)) => {
                        forget(&record.key);
                        let version = (record.key, record.job.partition_id);
                        let before = ledger.insert(version, id.clone());
                        assert_eq!(before, None, "two fire one job");
                    }
                }
            }
            ledger.lock().retain(|_, owner| *owner != id);
        });
        Self {
            store,
            hosts,
            tasks,
        }
    }

    async fn write(&self, jobs: std::ops::Range<u64>) {
        for id in jobs {
            let written = self
                .store
                .apply(put(&format!("app||ns||a||{id}"), id, false));
            assert_eq!(written.await.unwrap(), Outcome::Done);
        }
    }
}

/// Waits until every one of these fires a part of the jobs, and all of them all.
async fn shared(ledger: &Ledger, jobs: usize, owners: &[&str]) {
    // Longer than a lease on a slow machine.
    eventually(2 * DEADLINE, async || {
        let ledger = ledger.lock();
        let mut seen: Vec<_> = ledger.values().map(String::as_str).collect();
        seen.sort_unstable();
        seen.dedup();
        ensure!(
            ledger.len() == jobs && seen == owners,
            "{} by {seen:?}",
            ledger.len()
        );
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_do_what_they_say() {
    let Some(etcd) = etcd() else { return };
    let ledger = Ledger::default();
    let scheduler = Scheduler::start(&etcd, "one", &ledger);
    let store = &scheduler.store;
    let apply = async |command| store.apply(command).await.unwrap();
    let read = async |key: &str| store.read(vec![key.into()]).await.unwrap().remove(0);

    assert_eq!(apply(put("a", 1, false)).await, Outcome::Done);
    assert_eq!(apply(put("a", 2, false)).await, Outcome::Exists);
    // The same job again is the answer to an attempt whose answer was lost.
    assert_eq!(apply(put("a", 1, false)).await, Outcome::Done);
    let first = read("a").await.unwrap();
    assert_eq!((&*first.job, first.counter), (&job(1), None));
    let count = |revision| Command::PutCounter {
        key: "a".into(),
        revision,
        counter: counter(1, 7),
    };
    assert_eq!(apply(count(first.revision)).await, Outcome::Done);
    let counted = read("a").await.unwrap();
    assert_eq!(counted.revision, first.revision);
    assert_eq!(counted.counter, Some(counter(1, 7)));
    assert_eq!(apply(put("a", 3, true)).await, Outcome::Done);
    assert_eq!(apply(count(first.revision)).await, Outcome::Changed);
    let end = |revision| Command::End {
        key: "a".into(),
        revision,
    };
    assert_eq!(apply(end(first.revision)).await, Outcome::Changed);
    let second = read("a").await.unwrap();
    assert_eq!((&*second.job, second.counter), (&job(3), None));
    assert_eq!(apply(end(second.revision)).await, Outcome::Done);
    assert_eq!(read("a").await, None);

    for (key, id) in [("p||a", 1), ("p||b", 2), ("q||a", 3)] {
        apply(put(key, id, false)).await;
    }
    let list = async |prefix: &str| {
        let pages: Vec<_> = store.list(prefix.into()).try_collect().await.unwrap();
        let keys = pages.into_iter().flatten().map(|record| record.key);
        keys.collect::<Vec<_>>()
    };
    assert_eq!(list("").await.len(), 3);
    assert_eq!(list("p||").await, ["p||a".into(), "p||b".into()]);
    let prefix = "p||".to_owned();
    assert_eq!(apply(Command::DeletePrefix { prefix }).await, Outcome::Done);
    let key = "q||a".into();
    assert_eq!(apply(Command::Delete { key }).await, Outcome::Done);
    assert_eq!(
        etcd.ctl(&["get", "--prefix", JOBS, "--keys-only"])
            .unwrap()
            .trim(),
        ""
    );
    scheduler.tasks.shutdown(DEADLINE).await;
    assert_eq!(etcd.ctl(&["get", "--prefix", "dapr/"]).unwrap(), "");
}

/// The bytes are those that upstream's messages have, written down by hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_an_existing_cluster_are_taken_over() {
    let Some(etcd) = etcd() else { return };
    let client = Client::new(&options(&etcd)).unwrap();
    // partition_id 5, start at 1700000000 s, job { schedule "@every 1h" }
    let job_bytes = b"\x08\x05\x12\x06\x08\x80\xe2\xcf\xaa\x06\x2a\x0b\x0a\x09@every 1h";
    // job_partition_id 5, count 3
    let counter_bytes = b"\x08\x05\x10\x03";
    let request = TxnRequest {
        success: vec![
            requests::put("dapr/jobs/app||ns||a||b", job_bytes.to_vec()),
            requests::put("dapr/counters/app||ns||a||b", counter_bytes.to_vec()),
        ],
        ..TxnRequest::default()
    };
    client.txn(request).await.unwrap();
    let tasks = Tasks::new();
    let (store, _) = External::open(&options(&etcd), "one", "one:1", &tasks).unwrap();
    let mut changes = store.follow();
    assert!(matches!(changes.next().await, Some(Change::Reset)));
    let Some(Change::Put(record)) = changes.next().await else {
        panic!("the job was not told");
    };
    assert_eq!((&*record.key, &*record.job), ("app||ns||a||b", &job(5)));
    assert_eq!(record.count(), Some(&counter(5, 3)));
    assert!(matches!(changes.next().await, Some(Change::Synced)));
    // And written back as it was.
    assert_eq!(
        Bytes::from(record.job.encode_to_vec()),
        job_bytes.as_slice()
    );
    store.apply(put("app||ns||a||c", 5, false)).await.unwrap();
    let Some(Change::Put(written)) = changes.next().await else {
        panic!("the write was not told");
    };
    assert!(written.revision > record.revision);
    drop(changes);
    tasks.shutdown(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedulers_that_come_and_go_share_all_jobs_and_never_one_twice() {
    let Some(etcd) = etcd() else { return };
    let ledger = Ledger::default();
    let one = Scheduler::start(&etcd, "one", &ledger);
    one.write(0..50).await;
    shared(&ledger, 50, &["one"]).await;
    let two = Scheduler::start(&etcd, "two", &ledger);
    two.write(50..100).await;
    shared(&ledger, 100, &["one", "two"]).await;
    let both = ["one:50006", "two:50006"].map(str::to_owned);
    assert_eq!(**two.hosts.all().borrow(), both);
    assert_eq!(two.hosts.place(), (1, 2));
    // A new version may be another scheduler's.
    for id in 0..20 {
        let again = put(&format!("app||ns||a||{id}"), id + 1, true);
        one.store.apply(again).await.unwrap();
    }
    shared(&ledger, 100, &["one", "two"]).await;
    one.tasks.shutdown(DEADLINE).await;
    shared(&ledger, 100, &["two"]).await;
    two.tasks.shutdown(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_a_scheduler_that_crashed_go_on_at_another_after_its_lease() {
    let Some(etcd) = etcd() else { return };
    let ledger = Ledger::default();
    let one = Scheduler::start(&etcd, "one", &ledger);
    one.write(0..40).await;
    let crashing = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let two = {
        // What it starts, it starts there.
        let _there = crashing.enter();
        Scheduler::start(&etcd, "two", &ledger)
    };
    shared(&ledger, 40, &["one", "two"]).await;
    crashing.shutdown_background();
    ledger.lock().retain(|_, owner| owner != "two");
    drop(two);
    let begin = std::time::Instant::now();
    shared(&ledger, 40, &["one"]).await;
    assert!(begin.elapsed() > Duration::from_secs(10), "it had a lease");
    one.tasks.shutdown(DEADLINE).await;
}
