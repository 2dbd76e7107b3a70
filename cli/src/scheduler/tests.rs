//! The commands against an etcd of the tests' own.

mod fake;

use std::fs;

use anyhow::Result;
use bytes::Bytes;
use prost::Message;
use proto::dapr::scheduler::v1::{
    JobMetadata, JobTargetMetadata, TargetActorReminder, TargetJob,
    job_target_metadata::Type as Target,
};

use super::{
    backup,
    job::Job,
    store::{Entry, PAGE, Store},
    wire::{api, stored},
};
use fake::Etcd;

/// The stored value of a job.
fn value(app: &str, actor: Option<(&str, &str)>, partition: u64, payload: usize) -> Bytes {
    let target = match actor {
        None => Target::Job(TargetJob {}),
        Some((kind, id)) => Target::Actor(TargetActorReminder {
            r#type: kind.to_owned(),
            id: id.to_owned(),
        }),
    };
    let metadata = JobMetadata {
        app_id: app.to_owned(),
        namespace: "default".to_owned(),
        target: Some(JobTargetMetadata {
            r#type: Some(target),
        }),
        concurrency_key: None,
    };
    let any = |value| prost_types::Any {
        type_url: String::new(),
        value,
    };
    let job = stored::Job {
        partition_id: partition,
        begin: Some(stored::job::Begin::DueTime(prost_types::Timestamp {
            seconds: 1_759_510_735,
            nanos: 0,
        })),
        expiration: None,
        job: Some(api::Job {
            schedule: Some("@every 1h".to_owned()),
            repeats: Some(3),
            metadata: Some(any(metadata.encode_to_vec())),
            payload: Some(any(vec![7; payload])),
            ..api::Job::default()
        }),
    };
    job.encode_to_vec().into()
}

fn counter(partition: u64, count: u32) -> Bytes {
    let counter = stored::Counter {
        job_partition_id: partition,
        count,
        last_trigger: Some(prost_types::Timestamp {
            seconds: 1_759_514_335,
            nanos: 0,
        }),
        attempts: 0,
    };
    counter.encode_to_vec().into()
}

/// An etcd with these jobs of application `a`.
async fn with_jobs(names: impl IntoIterator<Item = String>) -> (Etcd, Store) {
    let etcd = Etcd::start().await;
    for name in names {
        etcd.set(
            &format!("dapr/jobs/app||default||a||{name}"),
            value("a", None, 1, 0),
        );
    }
    let store = Store::connect(&etcd.address()).await.expect("connects");
    (etcd, store)
}

async fn names(store: &Store, prefix: &str) -> Result<Vec<String>> {
    let mut scan = store.scan(prefix);
    let mut names = Vec::new();
    while let Some(entry) = scan.next().await? {
        names.push(entry.name);
    }
    Ok(names)
}

#[tokio::test]
async fn a_job_is_read_with_the_counter_of_its_own_version() {
    let (etcd, mut store) = with_jobs(["new".into(), "ran".into(), "replaced".into()]).await;
    let set =
        |name: &str, value| etcd.set(&format!("dapr/counters/app||default||a||{name}"), value);
    // One is left over from a job that is gone.
    set("gone", counter(1, 9));
    set("ran", counter(1, 2));
    set("replaced", counter(8, 9));
    let mut scan = store.scan("app||default||");
    let mut counts = Vec::new();
    while let Some(entry) = scan.next().await.expect("answers") {
        let job = Job::read(&entry).expect("a job");
        let got = store.get(&entry.name).await.expect("answers");
        assert_eq!(got.as_ref(), Some(&entry));
        counts.push((job.name, job.count, job.last_trigger.is_some()));
    }
    let expected = [("new", 0, false), ("ran", 2, true), ("replaced", 0, false)];
    let expected = expected.map(|(name, count, ran)| (format!("app/a/{name}"), count, ran));
    assert_eq!(counts, expected);
    let job = store.get("app||default||a||ran").await.expect("answers");
    let job = Job::read(&job.expect("there")).expect("a job");
    let text = serde_json::to_value(&job).expect("JSON");
    let expected = serde_json::json!({
        "namespace": "default", "name": "app/a/ran", "begin": "2025-10-03T16:58:55Z",
        "schedule": "@every 1h", "repeats": 3, "count": 2, "lastTrigger": "2025-10-03T17:58:55Z"
    });
    assert_eq!(text, expected);
    assert_eq!(
        store.get("app||default||a||none").await.expect("answers"),
        None
    );
}

#[tokio::test]
async fn many_jobs_are_read_in_pages_and_only_those_that_begin_so() {
    let all: Vec<String> = (0..PAGE + 500).map(|n| format!("{n:05}")).collect();
    let (etcd, store) = with_jobs(all.clone()).await;
    etcd.set("dapr/jobs/app||default||b||x", value("b", None, 1, 0));
    etcd.set("dapr/jobs/app||other||a||x", value("a", None, 1, 0));
    let found = names(&store, "app||default||a||").await.expect("answers");
    let expected: Vec<String> = all
        .iter()
        .map(|n| format!("app||default||a||{n}"))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(etcd.largest_answer(), usize::from(PAGE));
    assert_eq!(
        names(&store, "").await.expect("answers").len(),
        all.len() + 2
    );
}

#[tokio::test]
async fn jobs_with_much_data_are_read_in_smaller_pages() {
    let (etcd, store) = with_jobs([]).await;
    for n in 0..18 {
        let name = format!("dapr/jobs/app||default||a||{n:02}");
        etcd.set(&name, value("a", None, 1, 4 << 20));
    }
    assert_eq!(names(&store, "").await.expect("answers").len(), 18);
}

#[tokio::test]
async fn deleting_takes_the_counter_along_and_tells_what_was_there() {
    let (etcd, mut store) = with_jobs(["x".into(), "xy".into()]).await;
    etcd.set("dapr/counters/app||default||a||x", counter(1, 2));
    assert!(store.delete("app||default||a||x").await.expect("answers"));
    assert!(!store.delete("app||default||a||x").await.expect("answers"));
    assert_eq!(etcd.keys(), ["dapr/jobs/app||default||a||xy"]);
}

#[tokio::test]
async fn deleting_all_counts_jobs_and_leaves_the_others() {
    let (etcd, mut store) = with_jobs((0..30).map(|n| format!("{n}"))).await;
    etcd.set("dapr/counters/app||default||a||7", counter(1, 2));
    etcd.set("dapr/jobs/app||default||ab||x", value("ab", None, 1, 0));
    let reminder = "dapr/jobs/actorreminder||default||T||1||x";
    etcd.set(reminder, value("a", Some(("T", "1")), 1, 0));
    let prefixes = [
        "app||default||a||".to_owned(),
        "actorreminder||default||T||".to_owned(),
    ];
    assert_eq!(store.delete_all(&prefixes).await.expect("answers"), 31);
    assert_eq!(etcd.keys(), ["dapr/jobs/app||default||ab||x"]);
}

#[tokio::test]
async fn an_export_is_put_back_as_it_was() {
    let (etcd, mut store) = with_jobs((0..120).map(|n| format!("{n:03}"))).await;
    etcd.set("dapr/counters/app||default||a||007", counter(1, 2));
    let before = etcd.content();
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("jobs.jsonl");
    fs::write(&path, "an earlier one").expect("written");
    assert_eq!(backup::export(&store, &path).await.expect("exports"), 120);
    store
        .delete_all(&["app||".to_owned()])
        .await
        .expect("deletes");
    assert!(etcd.keys().is_empty());
    assert_eq!(
        backup::import(&mut store, &path).await.expect("imports"),
        120
    );
    assert_eq!(etcd.content(), before);
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).expect("there"));
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);
}

#[tokio::test]
async fn a_damaged_file_changes_nothing() {
    let (etcd, mut store) = with_jobs(["1".into(), "2".into()]).await;
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("jobs.jsonl");
    backup::export(&store, &path).await.expect("exports");
    let text = fs::read_to_string(&path).expect("readable");
    store
        .delete_all(&["app||".to_owned()])
        .await
        .expect("deletes");
    let lines: Vec<&str> = text.lines().collect();
    let [begin, one, two, end] = lines[..] else {
        panic!("four lines")
    };
    let renamed = one.replace("||1", "||a||1").replace("||a||", "||b||");
    let without = one.replace("job\":\"", "job\":\"????");
    for (lines, expected) in [
        (vec![], "no file that `dapr scheduler export`"),
        (
            vec!["\x0d\x7f\u{4}\u{1}\u{2}jobs"],
            "no file that `dapr scheduler export`",
        ),
        (vec![one, two, end], "no file that `dapr scheduler export`"),
        (vec![begin, one, two], "it was cut off after line 3"),
        (vec![begin, one, end], "line 3 does not fit"),
        (vec![begin, one, two, end, one], "line 4 does not fit"),
        (vec![begin, one, "{", end], "line 3 is damaged"),
        (vec![begin, begin, one, two, end], "line 2 is damaged"),
        (vec![begin, &without, two, end], "line 2 is damaged"),
        (
            vec![begin, &renamed, two, end],
            "its name is that of another",
        ),
    ] {
        fs::write(&path, lines.join("\n")).expect("written");
        let error = backup::import(&mut store, &path).await.expect_err(expected);
        assert!(format!("{error:#}").contains(expected), "{error:#}");
        assert!(etcd.keys().is_empty());
    }
}

#[tokio::test]
async fn what_is_no_job_is_said_to_be_none() {
    let check = |name: &str, job: Bytes, expected: &str| {
        let entry = Entry {
            name: name.to_owned(),
            job,
            counter: None,
        };
        let error = Job::read(&entry).expect_err(expected);
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    };
    let job = || value("a", None, 1, 0);
    check("app||default||b||x", job(), "its name is that of another");
    check("app||default||a||x", job().slice(..30), "decode");
    check("app||default||a||x", Bytes::new(), "it is empty");
}

#[tokio::test]
async fn a_strange_or_absent_server_is_an_error_with_the_remedy() {
    let nobody = format!("127.0.0.1:{}", testkit::free_port());
    let error = Store::connect(&nobody).await.err().expect("nobody");
    assert!(
        error.to_string().contains("`dapr init` starts it"),
        "{error}"
    );
    let error = Store::connect("a b").await.err().expect("no address");
    assert!(error.to_string().contains("write HOST:PORT"), "{error}");

    let (etcd, mut store) = with_jobs(["1".into(), "2".into()]).await;
    etcd.behave(fake::Mood::SameAgain);
    let error = names(&store, "").await.expect_err("for ever the same");
    assert!(
        error.to_string().contains("its keys are not in order"),
        "{error}"
    );
    etcd.behave(fake::Mood::Unimplemented);
    let error = names(&store, "").await.expect_err("not there");
    assert!(
        error.to_string().contains("is not a scheduler's etcd"),
        "{error}"
    );
    etcd.behave(fake::Mood::Refuses);
    let error = store.delete("x").await.expect_err("refused");
    assert!(
        error
            .to_string()
            .contains("refuses: writes come from elsewhere"),
        "{error}"
    );
    etcd.behave(fake::Mood::Silent);
    let error = store.delete("x").await.expect_err("no counts");
    assert!(error.to_string().contains("does not count"), "{error}");
    etcd.behave(fake::Mood::Away);
    let error = names(&store, "").await.expect_err("gone");
    assert!(
        error.to_string().contains("has stopped answering"),
        "{error}"
    );
}
