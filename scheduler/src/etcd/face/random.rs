//! Random requests: what is answered is what a sorted map would answer, and nothing
//! that can be sent breaks the face.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use prost::Message;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::etcd::wire::etcdserverpb::range_request::SortOrder;
use crate::records::stored;
use crate::store::{Command, Store};

const NAMES: [&str; 7] = ["a", "a||b", "a||c", "ab", "b", "b||é", "z"];

struct Setup {
    runtime: Runtime,
    face: Face,
    tasks: Tasks,
    _folder: TempDir,
}

/// The runtime waits for the store's writer.
impl Drop for Setup {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

impl Setup {
    fn new() -> Self {
        let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
        let runtime = Runtime::new().unwrap();
        let face = runtime.block_on(async {
            let store = Embedded::open(folder.path(), &tasks).await.unwrap();
            for (place, name) in NAMES.iter().enumerate() {
                let partition_id = place as u64;
                let job = stored::Job {
                    partition_id,
                    ..stored::Job::default()
                };
                let put = Command::Put {
                    key: (*name).into(),
                    job: Box::new(job),
                    overwrite: true,
                };
                store.apply(put).await.unwrap();
                let count = Command::PutCounter {
                    key: (*name).into(),
                    revision: store.revision().await.unwrap(),
                    counter: stored::Counter::default(),
                };
                if place % 2 == 0 {
                    store.apply(count).await.unwrap();
                }
            }
            Face::new(store, "one", "one:1", String::new())
        });
        Self {
            runtime,
            face,
            tasks,
            _folder: folder,
        }
    }

    fn read(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        self.runtime.block_on(self.face.read(request))
    }
}

fn cases(count: u32) -> TestRunner {
    TestRunner::new(Config::with_cases(count))
}

/// Keys around those that are there.
fn key() -> impl Strategy<Value = Bytes> {
    let name = prop_oneof![prop::sample::select(&NAMES[..]), Just(""), Just("one")];
    let folder = [
        "dapr/counters/",
        "dapr/jobs/",
        "dapr/leadership/",
        "dapr/",
        "",
    ];
    let folder = prop::sample::select(folder.to_vec());
    let tail = prop::sample::select(vec![&b""[..], b"\0", b"|", b"\xff"]);
    (folder, name, tail)
        .prop_map(|(folder, name, tail)| [folder.as_bytes(), name.as_bytes(), tail].concat().into())
}

fn end() -> impl Strategy<Value = Bytes> {
    let special = [&b""[..], b"\0", b"dapr0", b"dapr/jobs0"];
    let special = special.map(Bytes::from_static);
    prop_oneof![prop::sample::select(special.to_vec()), key()]
}

#[test]
fn ranges_answer_as_a_sorted_map_does() {
    let setup = Setup::new();
    let everything = RangeRequest {
        key: Bytes::from_static(b"\0"),
        range_end: Bytes::from_static(b"\0"),
        ..RangeRequest::default()
    };
    let everything = setup.read(everything).unwrap().kvs.into_iter();
    let all: BTreeMap<_, _> = everything.map(|pair| (pair.key.clone(), pair)).collect();
    assert_eq!(all.len(), NAMES.len() + NAMES.len().div_ceil(2) + 1);
    let request = (key(), end(), 0..5i64, any::<bool>(), any::<bool>());
    let check = |(key, end, limit, descend, keys_only): (Bytes, Bytes, i64, bool, bool)| {
        prop_assume!(!key.is_empty());
        let inside = |other: &Bytes| match &*end {
            b"" => *other == key,
            b"\0" => *other >= key,
            _ => *other >= key && *other < end,
        };
        let mut expected: Vec<_> = all
            .values()
            .filter(|pair| inside(&pair.key))
            .cloned()
            .collect();
        let count = expected.len();
        if descend {
            expected.reverse();
        }
        if limit > 0 {
            expected.truncate(limit as usize);
        }
        if keys_only {
            expected.iter_mut().for_each(|pair| pair.value.clear());
        }
        let order = if descend {
            SortOrder::Descend
        } else {
            SortOrder::None
        };
        let answer = setup.read(RangeRequest {
            key: key.clone(),
            range_end: end.clone(),
            limit,
            sort_order: order.into(),
            keys_only,
            ..RangeRequest::default()
        });
        let answer = answer.unwrap();
        prop_assert_eq!(answer.more, expected.len() < count);
        prop_assert_eq!(answer.count, count as i64);
        prop_assert_eq!(answer.kvs, expected);
        Ok(())
    };
    cases(500).run(&request, check).unwrap();
}

#[test]
fn whatever_is_sent_is_answered() {
    let setup = Setup::new();
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    let known = (key(), end(), bytes.clone()).prop_map(|(key, range_end, value)| {
        let put = PutRequest {
            key: key.clone(),
            value: value.into(),
            ..PutRequest::default()
        };
        let delete = DeleteRangeRequest {
            key,
            range_end,
            prev_kv: true,
        };
        let operations = [
            Operation::RequestPut(put),
            Operation::RequestDeleteRange(delete),
        ];
        let operations = operations.map(|operation| {
            let request = Some(operation);
            crate::etcd::wire::etcdserverpb::RequestOp { request }
        });
        TxnRequest {
            success: operations.into(),
            ..TxnRequest::default()
        }
    });
    let random = bytes.prop_filter_map("no message", |bytes| TxnRequest::decode(&*bytes).ok());
    let request = prop_oneof![3 => known, 1 => random];
    let check = |request| {
        // Refused or done, but answered.
        let _ = setup.runtime.block_on(setup.face.transact(request));
        Ok(())
    };
    let mut runner = TestRunner::new(Config {
        cases: 200,
        max_global_rejects: 1_000_000,
        max_local_rejects: 1_000_000,
        ..Config::default()
    });
    runner.run(&request, check).unwrap();
}
