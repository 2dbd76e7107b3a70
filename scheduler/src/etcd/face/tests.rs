//! The face as tools see it: etcdctl, and calls that etcdctl does not make.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use bytes::Bytes;
use futures_util::StreamExt;
use prost::Message;
use prost_types::Timestamp;
use tempfile::TempDir;
use testkit::etcd::{ctl, is_installed};
use tonic::Code;

use super::*;
use crate::etcd::client::{Client, Error, Options};
use crate::etcd::keys::end_of;
use crate::etcd::requests::{delete_prefix, get, is_of, put};
use crate::records::cron::stored::Leadership;
use crate::records::{api, stored};
use crate::store::{Change, Command, Key, Outcome, Store};

struct Setup {
    address: String,
    store: Embedded,
    client: Client,
    tasks: Tasks,
    _folder: TempDir,
}

impl Setup {
    async fn new() -> Self {
        let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
        let store = Embedded::open(folder.path(), &tasks).await.unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        serve(listener, store.clone(), "one", "one:50006", &tasks).unwrap();
        let options = Options {
            endpoints: vec![address.clone()],
            ..Options::default()
        };
        Self {
            address,
            store,
            client: Client::new(&options).unwrap(),
            tasks,
            _folder: folder,
        }
    }

    /// Writes jobs, the first with a counter.
    async fn fill(&self, names: &[&str]) {
        for (place, name) in names.iter().enumerate() {
            let command = Command::Put {
                key: (*name).into(),
                job: Box::new(job(place as u64)),
                overwrite: true,
            };
            assert_eq!(self.store.apply(command).await, Ok(Outcome::Done));
        }
        let key: Key = names[0].into();
        let records = self.store.read(vec![key.clone()]).await.unwrap();
        let command = Command::PutCounter {
            key,
            revision: records[0].as_ref().unwrap().revision,
            counter: counter(0),
        };
        assert_eq!(self.store.apply(command).await, Ok(Outcome::Done));
    }

    /// What etcdctl prints, or its error.
    async fn ctl(&self, args: &[&str]) -> String {
        let (address, args) = (self.address.clone(), args.iter().map(|a| (*a).to_owned()));
        let args: Vec<_> = args.collect();
        let running = self.tasks.spawn_blocking("etcdctl", move || {
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            ctl(&address, &args)
        });
        running.await.unwrap().unwrap_or_else(|e| format!("{e:#}"))
    }

    async fn lines(&self, args: &[&str]) -> Vec<String> {
        let text = self.ctl(args).await;
        let lines = text.lines().filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Error> {
        self.client.range(request).await
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

fn counter(job_partition_id: u64) -> stored::Counter {
    stored::Counter {
        job_partition_id,
        count: 3,
        ..stored::Counter::default()
    }
}

fn all(prefix: &'static str) -> RangeRequest {
    RangeRequest {
        key: prefix.into(),
        range_end: end_of(prefix.as_bytes()),
        ..RangeRequest::default()
    }
}

fn installed() -> bool {
    if !is_installed() {
        testkit::skip("etcdctl is not installed");
    }
    is_installed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_sees_jobs_counters_and_the_scheduler() {
    if !installed() {
        return;
    }
    let setup = Setup::new().await;
    setup
        .fill(&["app||ns||a||1", "app||ns||a||2", "app||ns||b||1"])
        .await;
    let keys = ["get", "--keys-only", "--prefix"];
    let get = async |rest: &[&str]| setup.lines(&[&keys, rest].concat()).await;
    let all = [
        "dapr/counters/app||ns||a||1",
        "dapr/jobs/app||ns||a||1",
        "dapr/jobs/app||ns||a||2",
        "dapr/jobs/app||ns||b||1",
        "dapr/leadership/one",
    ];
    assert_eq!(get(&["dapr/"]).await, all);
    assert_eq!(get(&[""]).await, all);
    assert_eq!(get(&["dapr/jobs/app||ns||a||"]).await, all[1..3]);
    assert_eq!(get(&["dapr/", "--limit", "2"]).await, all[..2]);
    let last_first = ["--order", "DESCEND", "--sort-by", "KEY", "--limit", "2"];
    let last_first = [&["dapr/jobs/"], &last_first[..]].concat();
    assert_eq!(get(&last_first).await, [all[3], all[2]]);
    assert_eq!(get(&["dapr/jobs/none"]).await, [""; 0]);
    let from = ["get", "--keys-only", "--from-key", "dapr/jobs/app||ns||b"];
    assert_eq!(setup.lines(&from).await, all[3..]);
    let value = ["get", all[1], "--print-value-only", "--hex"];
    let value = setup.ctl(&value).await;
    assert!(value.contains(r"\x08\x80\xe2\xcf\xaa\x06"), "{value}");
    let status = setup.ctl(&["endpoint", "status"]).await;
    assert!(status.contains("3.5.0"), "{status}");
    assert!(setup.ctl(&["member", "list"]).await.contains("one"));
    let lease = setup.ctl(&["lease", "grant", "10"]).await;
    assert!(lease.contains("answers KV"), "{lease}");
}

#[tokio::test]
async fn values_are_upstreams_and_the_leadership_names_this_scheduler() {
    let setup = Setup::new().await;
    setup.fill(&["app||ns||a||1"]).await;
    let answer = setup.range(all("dapr/")).await.unwrap();
    let pairs = answer.kvs.into_iter().map(|pair| (pair.key, pair.value));
    let values: BTreeMap<_, _> = pairs.collect();
    let value = |key: &'static str| values[key.as_bytes()].clone();
    let written = stored::Job::decode(value("dapr/jobs/app||ns||a||1")).unwrap();
    assert_eq!(written, job(0));
    let counted = stored::Counter::decode(value("dapr/counters/app||ns||a||1")).unwrap();
    assert_eq!(counted, counter(0));
    let leadership = Leadership::decode(value("dapr/leadership/one")).unwrap();
    assert_eq!(leadership.total, 1);
    let host = leadership.replica_data.unwrap();
    let name = "type.googleapis.com/dapr.proto.scheduler.v1.Host";
    assert_eq!(host.type_url, name);
    assert_eq!(host.value, b"\x0a\x09one:50006");
}

#[tokio::test]
async fn ranges_that_cannot_be_served_are_refused_with_the_reason() {
    let setup = Setup::new().await;
    setup.fill(&["a", "b"]).await;
    let now = setup.range(all("dapr/")).await.unwrap();
    let now = now.header.unwrap().revision;
    let at = |revision| RangeRequest {
        revision,
        ..all("dapr/")
    };
    assert!(setup.range(at(now)).await.is_ok());
    assert_eq!(setup.range(at(now - 1)).await, Err(Error::Compacted));
    let by_revision = RangeRequest {
        sort_order: 1,
        sort_target: 3,
        ..all("dapr/")
    };
    let young = RangeRequest {
        min_mod_revision: 1,
        ..all("dapr/")
    };
    let cases = [
        (at(now + 1), "future revision"),
        (RangeRequest::default(), "key is not provided"),
        (by_revision, "sorted by key only"),
        (young, "not chosen by revision"),
    ];
    for (request, part) in cases {
        let error = setup.range(request).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn pages_and_counts_are_etcds() {
    let setup = Setup::new().await;
    let names: Vec<_> = (0..25).map(|i| format!("n{i:02}")).collect();
    let texts: Vec<_> = names.iter().map(String::as_str).collect();
    setup.fill(&texts).await;
    let end = end_of(b"dapr/jobs/");
    let mut pages = setup.client.pages("dapr/jobs/", end, 10, 0);
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        seen.extend(page.pairs.into_iter().map(|pair| pair.key));
    }
    let expected = names.iter().map(|name| format!("dapr/jobs/{name}"));
    assert_eq!(seen, expected.collect::<Vec<_>>());
    let request = RangeRequest {
        limit: 10,
        ..all("dapr/jobs/")
    };
    let answer = setup.range(request).await.unwrap();
    let shown = (answer.more, answer.count, answer.kvs.len());
    assert_eq!(shown, (true, 25, 10));
    let request = RangeRequest {
        count_only: true,
        ..all("dapr/jobs/")
    };
    let answer = setup.range(request).await.unwrap();
    let shown = (answer.more, answer.count, answer.kvs.len());
    assert_eq!(shown, (false, 25, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_removed_as_upstreams_tool_removes_them() {
    let setup = Setup::new().await;
    setup
        .fill(&["app||ns||a||1", "app||ns||a||2", "app||ns||b||1"])
        .await;
    let request = TxnRequest {
        success: vec![
            delete_prefix("dapr/jobs/app||ns||a||"),
            delete_prefix("dapr/counters/app||ns||a||"),
        ],
        ..TxnRequest::default()
    };
    assert!(setup.client.txn(request).await.unwrap().succeeded);
    let keys = ["app||ns||a||1", "app||ns||b||1"].map(Key::from);
    let left = setup.store.read(keys.into()).await.unwrap();
    assert!(left[0].is_none() && left[1].is_some());
    if installed() {
        let remove = ["del", "dapr/jobs/app||ns||b||1"];
        assert_eq!(setup.ctl(&remove).await.trim(), "1");
        assert_eq!(setup.ctl(&remove).await.trim(), "0");
        let left = setup.ctl(&["get", "--prefix", "dapr/jobs/"]).await;
        assert_eq!(left, "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_brought_has_its_counter_from_the_first_moment() {
    let setup = Setup::new().await;
    let mut changes = setup.store.follow();
    let request = TxnRequest {
        success: vec![
            put("dapr/counters/1", counter(5).encode_to_vec()),
            put("dapr/jobs/1", job(5).encode_to_vec()),
            put("dapr/jobs/2", job(6).encode_to_vec()),
        ],
        ..TxnRequest::default()
    };
    setup.client.txn(request).await.unwrap();
    let mut told: Vec<(Key, bool)> = Vec::new();
    while !told.iter().any(|(key, _)| **key == *"2") {
        // The one that holds the name is never due.
        if let Some(Change::Put(record)) = changes.next().await
            && record.job.begin == job(0).begin
        {
            told.push((record.key.clone(), record.count().is_some()));
        }
    }
    assert_eq!(told, [("1".into(), true), ("2".into(), false)]);
}

#[tokio::test]
async fn a_condition_chooses_the_branch() {
    let setup = Setup::new().await;
    setup.fill(&["a"]).await;
    let absent = |key: &'static str| TxnRequest {
        compare: vec![is_of(key, 0)],
        success: vec![get("dapr/jobs/a")],
        failure: Vec::new(),
    };
    let answer = setup.client.txn(absent("dapr/jobs/a")).await.unwrap();
    assert_eq!((answer.succeeded, answer.responses.len()), (false, 0));
    let answer = setup.client.txn(absent("dapr/jobs/b")).await.unwrap();
    assert_eq!((answer.succeeded, answer.responses.len()), (true, 1));
}

#[tokio::test]
async fn what_is_no_job_is_not_written() {
    let setup = Setup::new().await;
    setup.fill(&["a"]).await;
    let long = format!("dapr/jobs/{}", "n".repeat(513));
    let counted = counter(1).encode_to_vec();
    for (key, value, part) in [
        ("dapr/leadership/one", Vec::new(), "only dapr/jobs"),
        ("dapr/jobs/", Vec::new(), "only dapr/jobs"),
        ("elsewhere", Vec::new(), "only dapr/jobs"),
        (&long, Vec::new(), "only dapr/jobs"),
        ("dapr/jobs/b", vec![0xff], "not one of Dapr's"),
        ("dapr/counters/b", counted, "put the job first"),
    ] {
        let request = TxnRequest {
            success: vec![put(key.to_owned(), value)],
            ..TxnRequest::default()
        };
        let error = setup.client.txn(request).await.unwrap_err().to_string();
        assert!(error.contains(part), "{key}: {error}");
    }
}

#[tokio::test]
async fn only_this_machine_may_write() {
    for (peer, allowed) in [
        ("127.0.0.1:1", true),
        ("[::1]:1", true),
        ("[::ffff:127.0.0.1]:1", true),
        ("10.0.0.1:1", false),
        ("[fe80::1]:1", false),
    ] {
        let mut extensions = Extensions::new();
        let nobody = may_write(&extensions).unwrap_err();
        assert_eq!(nobody.code(), Code::PermissionDenied);
        extensions.insert(Peer(peer.parse().unwrap()));
        assert_eq!(may_write(&extensions).is_ok(), allowed, "{peer}");
    }
    let setup = Setup::new().await;
    let face = Face {
        store: setup.store.clone(),
        member: Arc::new(Member::new("one", "one:1", String::new())),
        walks: Arc::new(Semaphore::new(1)),
    };
    let request = DeleteRangeRequest {
        key: Bytes::from_static(b"dapr/jobs/a"),
        ..DeleteRangeRequest::default()
    };
    let refused = face.delete_range(Request::new(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}
