use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use proptest::prelude::*;
use redb::backends::InMemoryBackend;
use redb::{BackendError, Builder, StorageBackend};
use tempfile::TempDir;

use super::*;
use crate::records::{api, stored};
use crate::store::PAGE;

const LONG: Duration = Duration::from_secs(30);

fn job(partition_id: u64) -> stored::Job {
    stored::Job {
        partition_id,
        job: Some(api::Job {
            schedule: Some("@every 1s".into()),
            ..api::Job::default()
        }),
        ..stored::Job::default()
    }
}

fn put(key: &str, partition_id: u64, overwrite: bool) -> Command {
    Command::Put {
        key: key.into(),
        job: Box::new(job(partition_id)),
        overwrite,
    }
}

fn counter(key: &str, revision: u64, count: u32) -> Command {
    Command::PutCounter {
        key: key.into(),
        revision,
        counter: stored::Counter {
            job_partition_id: 1,
            count,
            ..stored::Counter::default()
        },
    }
}

async fn open(folder: &TempDir, tasks: &Tasks) -> Embedded {
    Embedded::open(folder.path(), tasks).await.unwrap()
}

async fn get(store: &Embedded, key: &str) -> Option<Record> {
    store.read(vec![key.into()]).await.unwrap().remove(0)
}

async fn keys(store: &Embedded, prefix: &str) -> Vec<String> {
    let pages: Vec<Vec<Record>> = store.list(prefix.into()).try_collect().await.unwrap();
    let records = pages.into_iter().flatten();
    records.map(|record| record.key.to_string()).collect()
}

#[tokio::test]
async fn writes_are_conditional_as_they_say() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let store = open(&folder, &tasks).await;
    let check = async |command: Command, expected: Outcome| {
        let shown = format!("{command:?}");
        assert_eq!(store.apply(command).await, Ok(expected), "{shown}");
    };
    check(put("a", 1, false), Outcome::Done).await;
    check(put("a", 2, false), Outcome::Exists).await;
    let first = get(&store, "a").await.unwrap();
    assert_eq!((first.job.partition_id, first.counter), (1, None));
    check(counter("a", first.revision, 3), Outcome::Done).await;
    assert_eq!(get(&store, "a").await.unwrap().count().unwrap().count, 3);

    check(put("a", 2, true), Outcome::Done).await;
    let second = get(&store, "a").await.unwrap();
    assert!(second.revision > first.revision);
    assert_eq!(second.count(), None, "it counts for the former version");
    check(counter("a", first.revision, 4), Outcome::Changed).await;
    assert_eq!(second.counter.unwrap().count, 3);
    let end = |revision| Command::End {
        key: "a".into(),
        revision,
    };
    check(end(first.revision), Outcome::Changed).await;
    check(end(second.revision), Outcome::Done).await;
    assert_eq!(get(&store, "a").await, None);
    check(counter("a", second.revision, 1), Outcome::Changed).await;
    check(Command::Delete { key: "a".into() }, Outcome::Done).await;
}

#[tokio::test]
async fn a_prefix_takes_what_begins_with_it_and_nothing_else() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let store = open(&folder, &tasks).await;
    let many = (0..PAGE + 5).map(|n| format!("b||{n:05}"));
    let all: Vec<String> = ["a", "b", "b|", "b}", "c"].map(str::to_owned).into();
    let puts = all.iter().cloned().chain(many.clone());
    let puts = puts.map(|key| store.apply(put(&key, 1, false)));
    futures_util::future::try_join_all(puts).await.unwrap();
    assert_eq!(keys(&store, "b||").await, many.collect::<Vec<_>>());
    let prefix = "b||".to_owned();
    let done = store.apply(Command::DeletePrefix { prefix }).await;
    assert_eq!(done, Ok(Outcome::Done));
    assert_eq!(keys(&store, "").await, all);
}

#[tokio::test]
async fn what_was_answered_is_there_after_the_file_was_copied_at_that_moment() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let store = open(&folder, &tasks).await;
    let writes = (0..200).map(|n| {
        let store = store.clone();
        async move { store.apply(put(&format!("k{n:03}"), n, false)).await }
    });
    futures_util::future::try_join_all(writes).await.unwrap();
    // As after a crash: the process never closes this file.
    let copy = tempfile::tempdir().unwrap();
    for name in ["jobs.redb", "jobs.log"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let again = open(&copy, &tasks).await;
    assert_eq!(keys(&again, "").await.len(), 200);
    let revision = again.revision().await.unwrap();
    assert_eq!(revision, 200);
    again.apply(put("k000", 1, true)).await.unwrap();
    assert_eq!(get(&again, "k000").await.unwrap().revision, revision + 1);
}

#[tokio::test]
async fn a_log_that_is_damaged_before_its_end_is_refused_and_left_alone() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let store = open(&folder, &tasks).await;
    // One commit each; the first goes into the tables, the others to the log.
    for n in 0..4 {
        store.apply(put(&format!("k{n}"), n, false)).await.unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    for name in ["jobs.redb", "jobs.log"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let path = copy.path().join("jobs.log");
    let mut log = std::fs::read(&path).unwrap();
    log[40] ^= 1;
    std::fs::write(&path, &log).unwrap();
    let error = Embedded::open(copy.path(), &tasks).await.err().unwrap();
    assert!(error.contains("damaged before its end"), "{error}");
    assert!(error.contains("from a backup"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), log);
}

#[tokio::test]
async fn a_file_that_is_not_ours_or_damaged_is_refused_and_left_alone() {
    let tasks = Tasks::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.redb");
    drop(open(&folder, &tasks).await);
    let ours = || async {
        let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
        let store = open(&folder, &tasks).await;
        store.apply(put("a", 1, false)).await.unwrap();
        tasks.shutdown(LONG).await;
        drop(store);
        std::fs::read(folder.path().join("jobs.redb")).unwrap()
    };
    let mut damaged = ours().await;
    damaged[9..320].fill(0xff);
    for (bytes, text) in [
        (b"SQLite format 3\0".to_vec(), "it is no store of jobs"),
        (damaged, "restore it from a backup"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.redb");
        std::fs::write(&path, &bytes).unwrap();
        let error = Embedded::open(folder.path(), &tasks).await.err().unwrap();
        assert!(error.contains(text), "{error}");
        assert!(error.contains("jobs.redb"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    drop(path);
}

#[tokio::test]
async fn a_second_process_is_told_about_the_first() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let _first = open(&folder, &tasks).await;
    let error = Embedded::open(folder.path(), &tasks).await.err().unwrap();
    assert!(error.contains("another process uses it"), "{error}");
}

/// A disk that can be full.
#[derive(Debug)]
struct Disk {
    memory: Arc<InMemoryBackend>,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn check(&self) -> Result<(), BackendError> {
        match self.full.load(Ordering::Relaxed) {
            true => Err(io::Error::from(io::ErrorKind::StorageFull).into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.memory.write(offset, data)
    }
}

#[tokio::test]
async fn a_full_disk_fails_writes_until_there_is_room_and_loses_nothing() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let (memory, full) = (
        Arc::new(InMemoryBackend::new()),
        Arc::<AtomicBool>::default(),
    );
    let (disk, is_full) = (memory.clone(), full.clone());
    let file = File::with(
        folder.path().join("jobs.redb"),
        Box::new(move || {
            Builder::new().create_with_backend(Disk {
                memory: disk.clone(),
                full: is_full.clone(),
            })
        }),
    );
    let store = Embedded::start(file.unwrap(), &tasks);
    store.apply(put("0", 1, false)).await.unwrap();
    full.store(true, Ordering::Relaxed);
    let mut there = vec!["0".to_owned()];
    // The log has room for a while.
    let error = loop {
        let key = format!("a{:03}", there.len());
        match store.apply(large(&key)).await {
            Ok(_) => there.push(key),
            Err(e) => break e,
        }
    };
    assert!(matches!(error, Error::Full(_)), "{error}");
    assert!(error.to_string().contains("no space is left"), "{error}");
    store.apply(large("during")).await.unwrap_err();
    full.store(false, Ordering::Relaxed);
    store.apply(put("z", 1, false)).await.unwrap();
    there.push("z".into());
    assert_eq!(keys(&store, "").await, there);
}

/// A job of a quarter of a megabyte.
fn large(key: &str) -> Command {
    let mut job = job(1);
    job.job.get_or_insert_default().payload = Some(prost_types::Any {
        type_url: "bytes".into(),
        value: vec![7; 256 << 10],
    });
    Command::Put {
        key: key.into(),
        job: Box::new(job),
        overwrite: false,
    }
}

/// A file system of eight megabytes, as long as this lives.
struct Small(TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]);
        let mounted = mount.arg(folder.path()).output();
        mounted.ok()?.status.success().then_some(Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let mut unmount = std::process::Command::new("umount");
        let _ = unmount.arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_file_system_that_is_full_is_told_and_used_again_once_it_is_not() {
    let Some(small) = Small::mount() else {
        // Not even in CI: most containers may not, and the test above shows the same.
        eprintln!("skipped: no file system can be mounted, which needs root");
        return;
    };
    let tasks = Tasks::new();
    let store = open(&small.0, &tasks).await;
    let ballast = small.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 3 << 20]).unwrap();
    let mut there = Vec::new();
    let error = loop {
        let key = format!("a{:03}", there.len());
        match store.apply(large(&key)).await {
            Ok(_) => there.push(key),
            Err(e) => break e,
        }
    };
    assert!(matches!(error, Error::Full(_)), "{error}");
    let folder = small.0.path().to_str().unwrap();
    assert!(error.to_string().contains(folder), "{error}");
    store.apply(large("during")).await.unwrap_err();
    std::fs::remove_file(&ballast).unwrap();
    store.apply(put("z", 1, false)).await.unwrap();
    there.push("z".into());
    assert_eq!(keys(&store, "").await, there);
    // A start finds the same.
    tasks.shutdown(LONG).await;
    drop(store);
    let tasks = Tasks::new();
    let store = open(&small.0, &tasks).await;
    assert_eq!(keys(&store, "").await, there);
    tasks.shutdown(LONG).await;
}

#[tokio::test]
async fn what_is_queued_is_written_before_the_end() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let store = open(&folder, &tasks).await;
    let mut answers = Vec::new();
    for n in 0..50 {
        let (answer, answered) = oneshot::channel();
        let command = put(&n.to_string(), 1, false);
        let request = Request { command, answer };
        store.queue.send(request).await.unwrap();
        answers.push(answered);
    }
    assert!(tasks.shutdown(LONG).await.is_empty());
    for answer in answers {
        assert_eq!(answer.await.unwrap(), Ok(Outcome::Done));
    }
    let error = store.apply(put("late", 1, false)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8),
    Delete(u8),
    Prefix,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..40u8).prop_map(Step::Put),
        2 => (0..40u8).prop_map(Step::Delete),
        1 => Just(Step::Prefix),
    ]
}

/// What a follower knows after it was told all this.
fn known(changes: Vec<Change>) -> Vec<(String, u64)> {
    let mut jobs = std::collections::BTreeMap::new();
    for change in changes {
        match change {
            Change::Reset => jobs.clear(),
            Change::Put(record) => {
                let known = jobs.entry(record.key.to_string()).or_insert(0);
                *known = record.revision.max(*known);
            }
            Change::Deleted { key, revision } => {
                if jobs.get(&*key).is_some_and(|known| *known <= revision) {
                    jobs.remove(&*key);
                }
            }
            Change::Synced | Change::Ending(_) => {}
        }
    }
    jobs.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_follower_knows_what_is_stored_whenever_it_begins(
        before in prop::collection::vec(step(), 0..40),
        after in prop::collection::vec(step(), 0..40),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
            let store = open(&folder, &tasks).await;
            let perform = async |steps: Vec<Step>| {
                for step in steps {
                    let command = match step {
                        Step::Put(n) => put(&format!("{n:02}"), 1, true),
                        Step::Delete(n) => Command::Delete { key: format!("{n:02}").into() },
                        Step::Prefix => Command::DeletePrefix { prefix: "1".into() },
                    };
                    store.apply(command).await.unwrap();
                }
            };
            perform(before).await;
            let mut feed = store.follow();
            let mut told = Vec::new();
            let synced = async {
                while !matches!(told.last(), Some(Change::Synced)) {
                    told.extend(feed.next().await);
                }
            };
            tokio::join!(perform(after), synced);
            let pages: Vec<Vec<Record>> = store.list(String::new()).try_collect().await.unwrap();
            tasks.shutdown(LONG).await;
            while let Some(change) = feed.next().await {
                told.push(change);
            }
            let stored = pages.into_iter().flatten().map(|r| (r.key.to_string(), r.revision));
            assert_eq!(known(told), stored.collect::<Vec<_>>());
        });
    }
}
