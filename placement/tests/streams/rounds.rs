//! Rounds as sidecars see them.

use std::time::Duration;

use proto::dapr::placement::v1::{HostOperation, PlacementOrder};
use tonic::Code;

use crate::service::Placement;
use crate::sidecar::{Sidecar, host};

/// Types with the ids of their hosts.
fn table(update: &PlacementOrder) -> Vec<(String, Vec<String>)> {
    let tables = update.tables.as_ref().unwrap();
    let entry = |(name, table): (&String, &proto::dapr::placement::v1::PlacementTable)| {
        let hosts = table.load_map.values();
        (name.clone(), hosts.map(|host| host.id.clone()).collect())
    };
    tables.entries.iter().map(entry).collect()
}

fn row(name: &str, ids: &[&str]) -> (String, Vec<String>) {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    (name.to_owned(), ids)
}

/// The version as peers of before read it.
// It is deprecated, and yet they do.
#[allow(deprecated)]
fn old_version(update: &PlacementOrder) -> &str {
    update.tables.as_ref().map_or("", |tables| &tables.version)
}

#[tokio::test]
async fn a_sidecar_gets_its_table_and_the_next_one_changes_it() {
    let placement = Placement::start(|_| {}).await;
    let mut one = Sidecar::connect(placement.channel(), host("one", &["b", "a"]))
        .await
        .unwrap();
    let update = one.round(1).await;
    assert_eq!(table(&update), [row("a", &["one"]), row("b", &["one"])]);
    assert_eq!(old_version(&update), "1");
    let tables = update.tables.unwrap();
    assert_eq!(tables.replication_factor, 100);
    // The whole report, with its types sorted.
    let sorted = host("one", &["a", "b"]);
    assert_eq!(tables.entries["a"].load_map[&sorted.name], sorted);

    let mut two = Sidecar::connect(placement.channel(), host("two", &["a"]))
        .await
        .unwrap();
    let (first, second) = tokio::join!(one.round(2), two.round(2));
    assert_eq!(first, second);
    assert_eq!(
        table(&first),
        [row("a", &["one", "two"]), row("b", &["one"])]
    );
}

#[tokio::test]
async fn a_sidecar_without_types_gets_the_table_for_itself() {
    let placement = Placement::start(|_| {}).await;
    let mut caller = Sidecar::connect(placement.channel(), host("caller", &[]))
        .await
        .unwrap();
    for operation in ["lock", "update", "unlock"] {
        caller.expect(operation, 0).await;
    }
    for operation in [
        HostOperation::Lock,
        HostOperation::Update,
        HostOperation::Unlock,
    ] {
        caller.ack(operation, 0).await;
    }
    // From now on it is one of those that every round waits for.
    let mut one = Sidecar::connect(placement.channel(), host("one", &["a"]))
        .await
        .unwrap();
    let (seen, _) = tokio::join!(caller.round(1), one.round(1));
    assert_eq!(table(&seen), [row("a", &["one"])]);
}

#[tokio::test]
async fn a_sidecar_that_leaves_is_taken_out() {
    let placement = Placement::start(|_| {}).await;
    let mut one = Sidecar::connect(placement.channel(), host("one", &["a"]))
        .await
        .unwrap();
    one.round(1).await;
    let mut two = Sidecar::connect(placement.channel(), host("two", &["a"]))
        .await
        .unwrap();
    tokio::join!(one.round(2), two.round(2));
    let mut orders = two.hang_up();
    assert_eq!(orders.message().await.unwrap(), None);
    assert_eq!(table(&one.round(3).await), [row("a", &["one"])]);
}

#[tokio::test]
async fn a_report_that_changes_begins_a_round_and_restarts_one() {
    let placement = Placement::start(|_| {}).await;
    let mut one = Sidecar::connect(placement.channel(), host("one", &["a"]))
        .await
        .unwrap();
    one.round(1).await;
    // The same in another order is no change.
    one.report(&["a"]).await;
    one.report(&["b", "a"]).await;
    one.expect("lock", 2).await;
    one.report(&["c"]).await;
    one.expect("lock", 3).await;
    one.ack(HostOperation::Lock, 2).await;
    one.ack(HostOperation::Lock, 3).await;
    assert_eq!(table(&one.expect("update", 3).await), [row("c", &["one"])]);
}

#[tokio::test]
async fn a_sidecar_that_does_not_answer_is_closed_and_the_others_go_on() {
    let placement = Placement::start(|c| c.timeout = Duration::from_secs(1)).await;
    let mut one = Sidecar::connect(placement.channel(), host("one", &["a"]))
        .await
        .unwrap();
    one.round(1).await;
    let mut mute = Sidecar::connect(placement.channel(), host("mute", &["a"]))
        .await
        .unwrap();
    one.expect("lock", 2).await;
    one.ack(HostOperation::Lock, 2).await;
    let end = mute.end().await;
    assert_eq!(end.code(), Code::DeadlineExceeded);
    assert_eq!(
        end.message(),
        "dissemination timeout after 1s for version 2"
    );
    assert_eq!(table(&one.round(3).await), [row("a", &["one"])]);
}

#[tokio::test]
async fn a_peer_of_before_acknowledges_by_its_heartbeat() {
    let placement = Placement::start(|_| {}).await;
    let mut heartbeat = host("old", &["a"]);
    heartbeat.operation = HostOperation::Unknown as i32;
    let mut old = Sidecar::connect(placement.channel(), heartbeat.clone())
        .await
        .unwrap();
    for operation in ["lock", "update", "unlock"] {
        let order = old.expect(operation, 1).await;
        assert_eq!(
            old_version(&order),
            if operation == "update" { "1" } else { "" }
        );
        old.send(heartbeat.clone()).await;
    }
    heartbeat.entities = vec!["b".into()];
    let beat = old.requests();
    // The first may still count as an acknowledgement.
    let beating = async {
        loop {
            beat.send(heartbeat.clone()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        _ = old.expect("lock", 2) => {}
        () = beating => {}
    }
}

#[tokio::test]
async fn namespaces_do_not_see_each_other() {
    let placement = Placement::start(|_| {}).await;
    let mut one = Sidecar::connect(placement.channel(), host("one", &["a"]))
        .await
        .unwrap();
    one.round(1).await;
    let mut other = host("two", &["a"]);
    other.namespace = "other".into();
    let mut two = Sidecar::connect(placement.channel(), other).await.unwrap();
    assert_eq!(table(&two.round(1).await), [row("a", &["two"])]);
}
