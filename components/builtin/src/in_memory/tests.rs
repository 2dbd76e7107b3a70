use std::sync::Arc;

use bytes::Bytes;
use component::ErrorKind;
use component::state::{Concurrency, Like};
use jiff::{SignedDuration, Timestamp};

use super::table::Table;
use super::*;

fn after(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn table(rows: &[(&str, Option<i64>)]) -> Table {
    let mut table = Table::default();
    for (key, expires) in rows {
        table.put((*key).into(), Bytes::from_static(b"1"), expires.map(after));
    }
    table
}

#[test]
fn an_expired_row_is_absent_before_it_is_swept() {
    let mut table = table(&[("a", Some(10)), ("b", None)]);
    let item = table.item("a", after(9)).unwrap();
    assert_eq!(item.metadata["ttlExpireTime"], "1970-01-01T00:00:10Z");
    assert_eq!(table.item("a", after(10)), None);
    assert!(
        table
            .check("a", None, Concurrency::FirstWrite, after(10))
            .is_ok()
    );
    assert_eq!(
        table.keys(&Like::new("%").unwrap(), 0, 0, after(10)).keys,
        ["b"]
    );

    table.sweep(after(9));
    assert!(table.item("a", after(9)).is_some());
    table.sweep(after(10));
    assert_eq!(table.item("a", after(9)), None);
    assert!(table.item("b", after(10)).is_some());
}

#[test]
fn a_rewritten_row_keeps_no_old_expiry() {
    let mut table = table(&[
        ("a", Some(10)),
        ("a", None),
        ("b", Some(5)),
        ("b", Some(20)),
    ]);
    table.sweep(after(15));
    assert!(table.item("a", after(15)).is_some());
    assert!(table.item("b", after(15)).is_some());
}

#[test]
fn mismatches_have_upstreams_texts() {
    let table = table(&[("a", None)]);
    let check = |key, etag, concurrency, expected: &str| {
        let error = table.check(key, etag, concurrency, after(0)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::EtagMismatch);
        let text = error.to_string();
        let cause = text
            .strip_prefix("possible etag mismatch. error from state store: ")
            .unwrap();
        assert_eq!(cause, expected);
    };
    let current = table.item("a", after(0)).unwrap().etag.unwrap();
    check(
        "a",
        None,
        Concurrency::FirstWrite,
        "item already exists and no etag was passed",
    );
    check(
        "b",
        Some("x"),
        Concurrency::Unset,
        "state not exist or expired for key=b",
    );
    let text = format!("state etag not match for key=a: current={current}, expect=x");
    check("a", Some("x"), Concurrency::Unset, &text);
}

#[test]
fn listings_follow_the_last_write() {
    let table = table(&[
        ("x||1", None),
        ("x||2", None),
        ("y", None),
        ("x||3", None),
        ("x||1", None),
    ]);
    let like = Like::new("x||%").unwrap();
    let first = table.keys(&like, 0, 2, after(0));
    assert_eq!(first.keys, ["x||2", "x||3"]);
    let second = table.keys(&like, first.token.unwrap().parse().unwrap(), 2, after(0));
    assert_eq!((second.keys, second.token), (vec!["x||1".to_owned()], None));
}

#[test]
fn only_direct_children_of_a_prefix_go() {
    let mut table = table(&[
        ("p||1", None),
        ("p||2", Some(5)),
        ("p||q||1", None),
        ("pp||1", None),
        ("p", None),
    ]);
    assert_eq!(table.delete_children("p||", after(5)), 1);
    assert_eq!(
        table.keys(&Like::new("%").unwrap(), 0, 0, after(0)).keys,
        ["p||2", "p||q||1", "pp||1", "p"]
    );
}

// The races of the suite need threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_conforms() {
    let store = InMemory::open(Config {}, Env::named("memory"))
        .await
        .unwrap();
    conformance::state::check(Arc::new(store), conformance::state::Options::default()).await;
}

/// Declares transactions, which it lacks, and hides that items expire.
struct Liar(InMemory);

#[async_trait]
impl StateStore for Liar {
    fn features(&self) -> Features {
        Features::ETAG.and(Features::TRANSACTIONAL)
    }

    async fn get(&self, req: GetRequest) -> Result<Option<Item>> {
        self.0.get(req).await
    }

    async fn set(&self, req: SetRequest) -> Result<()> {
        self.0.set(req).await
    }

    async fn delete(&self, req: DeleteRequest) -> Result<()> {
        self.0.delete(req).await
    }
}

#[tokio::test]
async fn the_suite_finds_false_declarations() {
    use conformance::Outcome;

    let store = InMemory::open(Config {}, Env::named("liar")).await.unwrap();
    let report = conformance::state::run(Arc::new(Liar(store)), Default::default()).await;
    let mut failed = report
        .cases
        .iter()
        .filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
    assert!(
        failed.clone().any(|(case, _)| *case == "absent::ttl"),
        "{report}"
    );
    assert!(
        failed
            .clone()
            .any(|(case, _)| *case == "transaction::sets_and_deletes"),
        "{report}"
    );
    let about = |case: &str| case == "absent::ttl" || case.contains("transaction");
    assert!(failed.all(|(case, _)| about(case)), "{report}");
}
