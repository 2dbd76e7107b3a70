//! The file is upstream's: what it wrote opens here, and the other way round.

use bytes::Bytes;
use component::state::{Concurrency, KeysRequest, Metadata, SetRequest, StateStore, Value};
use component::{Component, Env, ErrorKind};
use rusqlite::Connection;

use super::*;

/// A file as upstream leaves it.
const UPSTREAM: &str = "
    CREATE TABLE metadata (key text NOT NULL PRIMARY KEY, value text NOT NULL);
    INSERT INTO metadata VALUES ('migrations', '1'), ('last-cleanup', '2020-01-01 00:00:00');
    CREATE TABLE state (
        key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, is_binary BOOLEAN NOT NULL, etag TEXT NOT NULL,
        expiration_time TIMESTAMP DEFAULT NULL, update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO state (key, value, is_binary, etag, expiration_time) VALUES
        ('app||json', '{\"a\":1}', 0, 'c5a6ee5f-9a8c-4a52-8d2c-6bbbe10c4d6b', NULL),
        ('app||bytes', 'AAEC/w==', 1, 'etag-2', NULL),
        ('app||old', '1', 0, 'etag-3', '2001-02-03 04:05:06'),
        ('app||later', '2', 0, 'etag-4', '2101-02-03 04:05:06');";

#[tokio::test]
async fn a_file_of_upstream_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch(UPSTREAM)
        .unwrap();
    let store = open_at(&path).await;
    let item = get(&store, "app||json").await.unwrap();
    assert_eq!(
        (item.data.as_ref(), item.etag.as_deref()),
        (
            &br#"{"a":1}"#[..],
            Some("c5a6ee5f-9a8c-4a52-8d2c-6bbbe10c4d6b")
        )
    );
    assert_eq!(
        get(&store, "app||bytes").await.unwrap().data.as_ref(),
        &[0, 1, 2, 255]
    );
    assert_eq!(get(&store, "app||old").await, None);
    let later = get(&store, "app||later").await.unwrap();
    assert_eq!(
        later.metadata.get("ttlExpireTime").map(String::as_str),
        Some("2101-02-03T04:05:06Z")
    );
    let page = store
        .keys_like(KeysRequest {
            pattern: "app||%".into(),
            ..KeysRequest::default()
        })
        .await
        .unwrap();
    assert_eq!(page.keys, ["app||json", "app||bytes", "app||later"]);
}

#[tokio::test]
async fn rows_are_written_as_upstream_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = open_at(&path).await;
    store.set(json("json", r#""text""#)).await.unwrap();
    let mut bytes = SetRequest::new("bytes", Value::Bytes(Bytes::from_static(&[0, 1, 2, 255])));
    bytes.metadata = Metadata::from([("ttlInSeconds".into(), "60".into())]);
    store.set(bytes).await.unwrap();
    store.close().await;

    let raw = Connection::open(&path).unwrap();
    let columns: Vec<(String, String, bool)> = raw
        .prepare("SELECT name, type, \"notnull\" FROM pragma_table_info('state') ORDER BY cid")
        .unwrap()
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let expected = [
        ("key", "TEXT", true),
        ("value", "TEXT", true),
        ("is_binary", "BOOLEAN", true),
        ("etag", "TEXT", true),
        ("expiration_time", "TIMESTAMP", false),
        ("update_time", "TIMESTAMP", true),
    ];
    assert_eq!(
        columns,
        expected.map(|(n, t, not_null)| (n.to_owned(), t.to_owned(), not_null))
    );
    let row = |key: &str| {
        raw.query_row(
            "SELECT typeof(value) || ' ' || value || ' ' || is_binary || ' ' || length(etag) || ' '
                || coalesce(unixepoch(expiration_time) - unixepoch(update_time), 'never') || ' ' || length(update_time)
             FROM state WHERE key = ?1",
            [key],
            |r| r.get::<_, String>(0),
        )
        .unwrap()
    };
    assert_eq!(row("json"), r#"text "text" 0 36 never 19"#);
    assert_eq!(row("bytes"), "text AAEC/w== 1 36 60 19");
    let level: String = raw
        .query_row(
            "SELECT value FROM metadata WHERE key = 'migrations'",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(level, "1");
}

#[tokio::test]
async fn an_expired_row_is_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch(UPSTREAM)
        .unwrap();
    let store = open_at(&path).await;
    let update = SetRequest {
        etag: Some("etag-3".into()),
        ..json("app||old", "2")
    };
    assert_eq!(
        store.set(update).await.unwrap_err().kind,
        ErrorKind::EtagMismatch
    );
    let first = SetRequest {
        concurrency: Concurrency::FirstWrite,
        ..json("app||old", "3")
    };
    store.set(first.clone()).await.unwrap();
    let error = store.set(first).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::EtagMismatch);
    assert!(
        error
            .message
            .starts_with("possible etag mismatch. error from state store"),
        "{error}"
    );
    assert_eq!(text(&store, "app||old").await.as_deref(), Some("3"));
}

#[tokio::test]
async fn a_time_to_live_is_set_and_cleared() {
    let store = open(Config::at(":memory:")).await.unwrap();
    let with = |ttl: &str| SetRequest {
        metadata: Metadata::from([("ttlInSeconds".into(), ttl.into())]),
        ..json("k", "1")
    };
    for clears in ["-1", "0", ""] {
        store.set(with("3600")).await.unwrap();
        assert!(
            get(&store, "k")
                .await
                .unwrap()
                .metadata
                .contains_key("ttlExpireTime")
        );
        store.set(with(clears)).await.unwrap();
        assert!(get(&store, "k").await.unwrap().metadata.is_empty());
    }
    for refused in ["foo", "-2", "2147483648"] {
        let error = store.set(with(refused)).await.unwrap_err();
        assert_eq!(
            error.message,
            "incorrect value for metadata 'ttlInSeconds': must be -1 or greater"
        );
    }
}

#[tokio::test]
async fn the_cleanup_removes_expired_rows_once_per_interval() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch(UPSTREAM)
        .unwrap();
    let interval = component::metadata::Seconds(std::time::Duration::from_millis(20));
    let env = Env::named("store");
    let config = Config {
        cleanup_interval: interval,
        ..Config::at(path.to_str().unwrap())
    };
    let store = Sqlite::open(config, env.clone()).await.unwrap();
    let raw = Connection::open(&path).unwrap();
    let old = || {
        raw.query_row(
            "SELECT count(*) FROM state WHERE key = 'app||old'",
            [],
            |r| r.get::<_, i64>(0),
        )
        .unwrap()
    };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while old() != 0 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the expired row stays"
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    env.shutdown.cancel();
    store.close().await;
    // A second sidecar with a long interval finds the work done.
    let sql = crate::sql::Sql::new("state", "metadata", Default::default());
    assert_eq!(sql.clean_up(&raw, 3600).unwrap(), None);
    let rows: i64 = raw
        .query_row("SELECT count(*) FROM state", [], |r| r.get(0))
        .unwrap();
    assert_eq!(rows, 3);
}
