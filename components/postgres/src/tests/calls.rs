//! The suite, and what calls leave behind.

use std::sync::Arc;

use component::ErrorKind;
use component::state::{DeleteRequest, Metadata, Operation};
use conformance::state::{Options, check};

use super::*;

fn v1() -> Options {
    Options {
        name: "state.postgresql v1",
        bad_etag: "1",
        first_write_mismatch: false,
        ..Options::default()
    }
}

fn v2() -> Options {
    let bad_etag = "7b104dbd-1ae2-4772-bfa0-e29c7b89bc9b";
    Options {
        name: "state.postgresql v2",
        bad_etag,
        first_write_mismatch: false,
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_1_passes_the_suite() {
    let Some(server) = server() else { return };
    let store: PostgresV1 = open(&[("url", &server.url), ("tableName", "suite")])
        .await
        .unwrap();
    check(Arc::new(store), v1()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_2_passes_the_suite() {
    let Some(server) = server() else { return };
    let store: PostgresV2 = open(&[("url", &server.url), ("tablePrefix", "suite_")])
        .await
        .unwrap();
    check(Arc::new(store), v2()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_pass_it_without_prepared_statements() {
    let Some(server) = server() else { return };
    let mode = ("queryExecMode", "exec");
    let store: PostgresV1 = open(&[("url", &server.url), ("tableName", "unnamed"), mode])
        .await
        .unwrap();
    let connections = store.0.connections.clone();
    check(Arc::new(store), v1()).await;
    let store: PostgresV2 = open(&[("url", &server.url), ("tablePrefix", "unnamed_"), mode])
        .await
        .unwrap();
    check(Arc::new(store), v2()).await;
    let lease = connections.lease().await.unwrap();
    let kept = lease
        .once("SELECT 1 FROM pg_prepared_statements", &[])
        .await
        .unwrap();
    assert_eq!(kept.len(), 0);
}

#[tokio::test]
async fn a_call_that_is_given_up_takes_its_connection_with_it() {
    let Some(server) = server() else { return };
    let properties = [
        ("url", server.url.as_str()),
        ("tablePrefix", "given_up_"),
        ("maxConns", "2"),
        ("timeout", "1s"),
    ];
    let store: PostgresV2 = open(&properties).await.unwrap();
    store.set(json("k", "1")).await.unwrap();
    let other = raw(server).await;
    other
        .batch_execute("BEGIN; LOCK TABLE given_up_state")
        .await
        .unwrap();
    // More calls than connections: each must time out and leave a place.
    for _ in 0..3 {
        let ops = vec![
            Operation::Set(json("k", "2")),
            Operation::Set(json("l", "2")),
        ];
        let error = store.transact(ops, Metadata::new()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.contains("within 1s"), "{error}");
    }
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(text(&store, "k").await.as_deref(), Some("1"));
    assert_eq!(text(&store, "l").await, None);
}

#[tokio::test]
async fn a_refused_transaction_leaves_a_usable_connection() {
    let Some(server) = server() else { return };
    let properties = [
        ("url", server.url.as_str()),
        ("tableName", "refused"),
        ("maxConns", "2"),
    ];
    let store: PostgresV1 = open(&properties).await.unwrap();
    store.set(json("old", "0")).await.unwrap();
    for (value, etag, kind) in [
        ("1", Some("1"), ErrorKind::EtagMismatch),
        ("1", Some("x"), ErrorKind::EtagInvalid),
        ("{broken", None, ErrorKind::InvalidRequest),
    ] {
        let last = SetRequest {
            etag: etag.map(Into::into),
            ..json("old", value)
        };
        let delete = DeleteRequest {
            key: "old".into(),
            ..DeleteRequest::default()
        };
        let ops = vec![
            Operation::Set(json("new", "1")),
            Operation::Delete(delete),
            Operation::Set(last),
        ];
        let error = store.transact(ops, Metadata::new()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(text(&store, "old").await.as_deref(), Some("0"));
        assert_eq!(text(&store, "new").await, None);
    }
}

#[tokio::test]
async fn a_key_asked_for_twice_is_answered_twice() {
    let Some(server) = server() else { return };
    let store: PostgresV2 = open(&[("url", &server.url), ("tablePrefix", "twice_")])
        .await
        .unwrap();
    store.set(json("b", "1")).await.unwrap();
    let answers = store
        .bulk_get(vec![key("a"), key("b"), key("b")], 0)
        .await
        .unwrap();
    let shown: Vec<_> = answers
        .iter()
        .map(|a| (a.key.as_str(), a.result.as_ref().unwrap().is_some()))
        .collect();
    assert_eq!(shown, [("b", true), ("b", true), ("a", false)]);
}

#[tokio::test]
async fn connections_that_the_server_ended_are_replaced() {
    let Some(server) = server() else { return };
    let url = format!("{}?application_name=ended", server.url);
    let store: PostgresV2 = open(&[("url", &url), ("tablePrefix", "ended_")])
        .await
        .unwrap();
    store.set(json("k", "1")).await.unwrap();
    let end =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ended'";
    assert!(!raw(server).await.query(end, &[]).await.unwrap().is_empty());
    testkit::eventually(testkit::DEADLINE, async || {
        store.get(key("k")).await?;
        Ok(())
    })
    .await;
}
