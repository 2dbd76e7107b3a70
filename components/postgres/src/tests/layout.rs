//! The tables are upstream's: what it wrote is read here, at every level.

use std::time::Duration;

use component::ErrorKind;
use component::state::{Concurrency, KeysRequest, Metadata};
use futures_util::future::join_all;

use super::*;

/// Version 1 as upstream leaves it before row ids came.
const V1_LEVEL_2: &str = "
    CREATE TABLE old1_meta (key text NOT NULL PRIMARY KEY, value text NOT NULL);
    INSERT INTO old1_meta VALUES ('migrations', '2'), ('lock', 'lock'), ('last-cleanup', '2020-01-01 00:00:00+00');
    CREATE TABLE old1 (key text NOT NULL PRIMARY KEY, value jsonb NOT NULL, isbinary boolean NOT NULL,
        insertdate TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(), updatedate TIMESTAMP WITH TIME ZONE NULL,
        expiredate TIMESTAMP WITH TIME ZONE);
    INSERT INTO old1 (key, value, isbinary, insertdate, expiredate) VALUES
        ('second', '{\"b\": 1.50, \"a\": [1]}', false, '2020-01-02', NULL),
        ('first', '\"AAEC/w==\"', true, '2020-01-01', NULL),
        ('gone', '1', false, '2020-01-03', '2020-01-04'),
        ('later', '2', false, '2020-01-03', '2101-02-03 04:05:06.7+00');";

/// Version 2 at its first level, with a prefix.
const V2_LEVEL_1: &str = "
    CREATE TABLE old2_meta (key text NOT NULL PRIMARY KEY, value text NOT NULL);
    INSERT INTO old2_meta VALUES ('migrations-state-v2-old2_', '1'), ('lock', 'lock');
    CREATE TABLE old2_state (key text NOT NULL PRIMARY KEY, value bytea NOT NULL,
        etag uuid NOT NULL DEFAULT gen_random_uuid(), created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
        updated_at TIMESTAMP WITH TIME ZONE, expires_at TIMESTAMP WITH TIME ZONE);
    CREATE INDEX ON old2_state (expires_at);
    INSERT INTO old2_state (key, value, etag, created_at, expires_at) VALUES
        ('second', '{\"b\":1.50,\"a\":[1]}', 'e9b9e142-74b1-4a2e-8e90-3f4ffeea2e70', '2020-01-02', NULL),
        ('first', '\\x000102ff', gen_random_uuid(), '2020-01-01', NULL),
        ('gone', '1', gen_random_uuid(), '2020-01-03', '2020-01-04'),
        ('later', '2', gen_random_uuid(), '2020-01-03', '2101-02-03 04:05:06.7+00');";

async fn read_back(store: &dyn StateStore, json: &str) {
    assert_eq!(text(store, "second").await.as_deref(), Some(json));
    assert_eq!(
        get(store, "first").await.unwrap().data.as_ref(),
        &[0, 1, 2, 255]
    );
    assert_eq!(get(store, "gone").await, None);
    let later = get(store, "later").await.unwrap();
    assert_eq!(
        later.metadata.get("ttlExpireTime").map(String::as_str),
        Some("2101-02-03T04:05:06Z")
    );
    // New rows come after the old ones, which are in the order of their creation.
    store.set(super::json("newest", "3")).await.unwrap();
    let page = KeysRequest {
        pattern: "%".into(),
        page_size: 2,
        token: None,
    };
    let first = store.keys_like(page.clone()).await.unwrap();
    let second = store
        .keys_like(KeysRequest {
            token: first.token,
            ..page
        })
        .await
        .unwrap();
    assert_eq!(
        [first.keys, second.keys].concat(),
        ["first", "second", "later", "newest"]
    );
    assert_eq!(second.token, None);
}

#[tokio::test]
async fn tables_of_version_1_are_brought_up_to_date() {
    let Some(server) = server() else { return };
    let raw = raw(server).await;
    raw.batch_execute(V1_LEVEL_2).await.unwrap();
    let properties = [
        ("url", server.url.as_str()),
        ("tableName", "old1"),
        ("metadataTableName", "old1_meta"),
    ];
    let store: PostgresV1 = open(&properties).await.unwrap();
    // jsonb has a form of its own.
    read_back(&store, r#"{"a": [1], "b": 1.50}"#).await;
    let level = raw
        .query_one("SELECT value FROM old1_meta WHERE key = 'migrations'", &[])
        .await
        .unwrap();
    assert_eq!(level.get::<_, String>(0), "3");
    let index =
        "SELECT 1 FROM pg_indexes WHERE tablename = 'old1' AND indexname = 'old1_row_id_uidx'";
    assert_eq!(raw.query(index, &[]).await.unwrap().len(), 1);
    let etag = get(&store, "second").await.unwrap().etag.unwrap();
    let xmin = raw
        .query_one("SELECT xmin::text FROM old1 WHERE key = 'second'", &[])
        .await
        .unwrap();
    assert_eq!(etag, xmin.get::<_, String>(0));
    store
        .set(SetRequest {
            etag: Some(etag),
            ..json("second", "4")
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn tables_of_version_2_are_brought_up_to_date() {
    let Some(server) = server() else { return };
    let raw = raw(server).await;
    raw.batch_execute(V2_LEVEL_1).await.unwrap();
    let properties = [
        ("url", server.url.as_str()),
        ("tablePrefix", "old2_"),
        ("metadataTableName", "old2_meta"),
    ];
    let store: PostgresV2 = open(&properties).await.unwrap();
    read_back(&store, r#"{"b":1.50,"a":[1]}"#).await;
    let level = raw
        .query_one(
            "SELECT value FROM old2_meta WHERE key = 'migrations-state-v2-old2_'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(level.get::<_, String>(0), "2");
    let etag = Some("e9b9e142-74b1-4a2e-8e90-3f4ffeea2e70".to_owned());
    store
        .set(SetRequest {
            etag,
            ..json("second", "4")
        })
        .await
        .unwrap();
    let wrong = SetRequest {
        etag: Some("no uuid".into()),
        ..json("second", "5")
    };
    assert_eq!(
        store.set(wrong).await.unwrap_err().kind,
        ErrorKind::EtagMismatch
    );
}

#[tokio::test]
async fn rows_are_written_as_upstream_writes_them() {
    let Some(server) = server() else { return };
    let raw = raw(server).await;
    raw.batch_execute("CREATE SCHEMA app").await.unwrap();
    let v1: PostgresV1 = open(&[("url", &server.url), ("tableName", "app.rows")])
        .await
        .unwrap();
    let v2: PostgresV2 = open(&[("url", &server.url), ("tablePrefix", "app.")])
        .await
        .unwrap();
    let mut bytes = SetRequest::new("bytes", Value::Bytes(vec![0, 1, 2, 255].into()));
    bytes.metadata = Metadata::from([("ttlInSeconds".into(), "60".into())]);
    for store in [&v1 as &dyn StateStore, &v2] {
        store.set(json("json", r#"{"a":"<b>"}"#)).await.unwrap();
        store.set(bytes.clone()).await.unwrap();
    }
    let shown = async |sql: &str| -> Vec<String> {
        raw.query(sql, &[])
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect()
    };
    let rows = shown(
        "SELECT concat_ws(' ', key, value, isbinary, updatedate, extract(epoch FROM expiredate - insertdate)::int, row_id)
         FROM app.rows ORDER BY key",
    );
    assert_eq!(
        rows.await,
        [r#"bytes "AAEC/w==" t 60 2"#, r#"json {"a": "<b>"} f 1"#]
    );
    let rows = shown(
        "SELECT concat_ws(' ', key, encode(value, 'escape'), updated_at, extract(epoch FROM expires_at - created_at)::int,
         row_id) FROM app.state ORDER BY key",
    );
    assert_eq!(
        rows.await,
        [
            r"bytes \000\x01\x02\377 60 2".replace("\\x01\\x02", "\u{1}\u{2}"),
            r#"json {"a":"<b>"} 1"#.into()
        ]
    );
    let levels = shown(
        "SELECT key || ' ' || value FROM dapr_metadata WHERE key IN ('lock', 'migrations', 'migrations-state-v2-app.') ORDER BY key",
    );
    assert_eq!(
        levels.await,
        ["lock lock", "migrations 3", "migrations-state-v2-app. 2"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sidecars_start_on_an_empty_database() {
    let Some(server) = server() else { return };
    let properties = [
        ("url", server.url.as_str()),
        ("tablePrefix", "many_"),
        ("metadataTableName", "many_meta"),
    ];
    let opened = join_all((0..8).map(|_| open::<PostgresV2>(&properties))).await;
    for store in opened {
        store.unwrap().set(json("k", "1")).await.unwrap();
    }
}

#[tokio::test]
async fn an_account_that_may_create_nothing_uses_what_is_there() {
    let Some(server) = server() else { return };
    let admin = raw(server).await;
    let properties = [
        ("url", server.url.as_str()),
        ("tablePrefix", "given_"),
        ("metadataTableName", "given_meta"),
    ];
    open::<PostgresV2>(&properties).await.unwrap();
    let grants = "CREATE ROLE guest LOGIN PASSWORD 'g';
        GRANT SELECT, INSERT, UPDATE, DELETE ON given_state, given_meta TO guest";
    admin.batch_execute(grants).await.unwrap();
    let as_guest = [("user", "guest"), ("password", "g")];
    let store: PostgresV2 = open(&[&properties[..], &as_guest].concat()).await.unwrap();
    store.set(json("k", "1")).await.unwrap();
}

#[tokio::test]
async fn a_first_write_takes_an_expired_place() {
    let Some(server) = server() else { return };
    let v1: PostgresV1 = open(&[("url", &server.url), ("tableName", "firsts")])
        .await
        .unwrap();
    let v2: PostgresV2 = open(&[("url", &server.url), ("tablePrefix", "firsts_")])
        .await
        .unwrap();
    let raw = raw(server).await;
    for (store, expire) in [
        (
            &v1 as &dyn StateStore,
            "UPDATE firsts SET expiredate = now() - interval '1 second'",
        ),
        (
            &v2,
            "UPDATE firsts_state SET expires_at = now() - interval '1 second'",
        ),
    ] {
        let first = SetRequest {
            concurrency: Concurrency::FirstWrite,
            ..json("k", "1")
        };
        store.set(first.clone()).await.unwrap();
        let error = store.set(first.clone()).await.unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::Conflict, "no item was updated")
        );
        raw.execute(expire, &[]).await.unwrap();
        store.set(first).await.unwrap();
        assert_eq!(text(store, "k").await.as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn the_cleanup_runs_once_per_interval() {
    let Some(server) = server() else { return };
    let store: PostgresV1 = open(&[
        ("url", &server.url),
        ("tableName", "cleaned"),
        ("cleanupInterval", "0"),
    ])
    .await
    .unwrap();
    store.set(json("old", "1")).await.unwrap();
    store.set(json("kept", "1")).await.unwrap();
    let expire = "UPDATE cleaned SET expiredate = now() - interval '1 hour' WHERE key = 'old'";
    raw(server).await.execute(expire, &[]).await.unwrap();
    let hour = Duration::from_secs(3600);
    let clean = async || {
        crate::upkeep::clean(
            &store.0.connections,
            "dapr_metadata",
            "last-cleanup-test",
            hour,
            &store.0.sql,
        )
        .await
        .unwrap()
    };
    assert_eq!(clean().await, Some(1));
    assert_eq!(clean().await, None);
    let rewind = "UPDATE dapr_metadata SET value = (now() - interval '2 hours')::text WHERE key = 'last-cleanup-test'";
    raw(server).await.execute(rewind, &[]).await.unwrap();
    assert_eq!(clean().await, Some(0));
    assert_eq!(text(&store, "kept").await.as_deref(), Some("1"));
}
