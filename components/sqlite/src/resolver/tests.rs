use std::path::Path;

use anyhow::ensure;
use component::Registry;
use component::metadata::decode_json;
use rusqlite::Connection;
use serde_json::{Value, json};
use testkit::{DEADLINE, eventually};

use super::*;

fn instance(app_id: &str, address: &str, internal_port: u16) -> Instance {
    Instance {
        app_id: app_id.into(),
        address: address.into(),
        internal_port,
        ..Instance::default()
    }
}

async fn open_with(configuration: Value, instance: Instance) -> Result<SqliteResolver> {
    let config = decode_json(&configuration)?;
    SqliteResolver::open(config, Env::named("nr"), instance).await
}

/// With an interval so long that a slow machine is in time.
async fn open(file: &Path, app_id: &str, port: u16) -> SqliteResolver {
    let configuration = json!({ "connectionString": file, "updateInterval": "60s" });
    let instance = instance(app_id, "10.0.0.1", port);
    open_with(configuration, instance).await.unwrap()
}

/// With the shortest interval: it is renewed every second.
async fn open_quick(file: &Path, app_id: &str, port: u16) -> SqliteResolver {
    let configuration = json!({ "connectionString": file, "updateInterval": 2 });
    let instance = instance(app_id, "10.0.0.1", port);
    open_with(configuration, instance).await.unwrap()
}

async fn ask(resolver: &SqliteResolver, id: &str) -> String {
    let id = id.to_owned();
    let req = ResolveRequest {
        id,
        ..ResolveRequest::default()
    };
    match resolver.resolve(req).await {
        Ok(found) => found.join(","),
        Err(e) => format!("error: {e}"),
    }
}

fn file() -> (tempfile::TempDir, std::path::PathBuf, Connection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nr.db");
    let conn = Connection::open(&path).unwrap();
    conn.busy_timeout(Duration::from_secs(5)).unwrap();
    (folder, path, conn)
}

#[tokio::test]
async fn sidecars_find_each_other_until_they_close() {
    let (_folder, path, conn) = file();
    let a = open(&path, "a", 1).await;
    let b = open(&path, "b", 2).await;
    let v6 = json!({ "ConnectionString": path });
    let c = open_with(v6, instance("c", "fd00::1", 3)).await.unwrap();
    assert_eq!(ask(&a, "b").await, "10.0.0.1:2");
    assert_eq!(ask(&b, "a").await, "10.0.0.1:1");
    assert_eq!(ask(&b, "c").await, "[fd00::1]:3");
    let none = "error: no host found with the given ID";
    assert_eq!(ask(&a, "none").await, none);
    b.close().await;
    assert_eq!(ask(&a, "b").await, none);
    c.close().await;

    let (id, namespace, columns): (String, String, usize) = conn
        .query_row("SELECT * FROM hosts", [], |row| {
            Ok((row.get(0)?, row.get(3)?, row.as_ref().column_count()))
        })
        .unwrap();
    assert_eq!((id.len(), namespace.as_str(), columns), (36, "", 5));
    let level: String = conn
        .query_row(
            "SELECT value FROM metadata WHERE key = 'nr-migrations'",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(level, "1");
}

#[tokio::test]
async fn all_instances_of_an_app_are_given_out() {
    let (_folder, path, _) = file();
    let (a, _b) = (open(&path, "app", 1).await, open(&path, "app", 2).await);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        seen.insert(ask(&a, "app").await);
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["10.0.0.1:1", "10.0.0.1:2"]
    );
}

#[tokio::test]
async fn an_address_has_one_owner() {
    let (_folder, path, conn) = file();
    let _old = open(&path, "old", 1).await;
    let new = open(&path, "new", 1).await;
    assert_eq!(ask(&new, "new").await, "10.0.0.1:1");
    let rows: u32 = conn
        .query_row("SELECT count(*) FROM hosts", [], |r| r.get(0))
        .unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn a_row_that_is_not_renewed_is_not_given_out_and_goes_at_the_cleanup() {
    let (_folder, path, conn) = file();
    let a = open(&path, "a", 1).await;
    let none = "error: no host found with the given ID";
    let put = |age: i64| {
        let row = format!("REPLACE INTO hosts VALUES ('id', 'h:9', 'b', '', unixepoch() - {age})");
        conn.execute(&row, []).unwrap();
    };
    let (age, interval) = (Duration::from_secs(60), Duration::from_secs(3600));
    let clean_up = async || a.hosts.clean_up(age, interval).await.unwrap();
    let let_it_be_due = || {
        let due = "UPDATE metadata SET value = '2000-01-01 00:00:00' WHERE key = 'nr-last-cleanup'";
        conn.execute(due, []).unwrap();
    };

    put(0);
    assert_eq!(ask(&a, "b").await, "h:9");
    assert_eq!(clean_up().await, 0, "it is young");
    put(60);
    assert_eq!(ask(&a, "b").await, none);
    assert_eq!(clean_up().await, 0, "one cleanup in an interval");
    let_it_be_due();
    assert_eq!(clean_up().await, 1);
    assert_eq!(ask(&a, "a").await, "10.0.0.1:1", "its own row is young");
}

#[tokio::test]
async fn a_registration_is_renewed() {
    let (_folder, path, conn) = file();
    let a = open_quick(&path, "a", 1).await;
    conn.execute("UPDATE hosts SET last_update = 0", [])
        .unwrap();
    eventually(DEADLINE, async || {
        let found = ask(&a, "a").await;
        ensure!(found == "10.0.0.1:1", "{found}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_lost_registration_is_reported_but_a_closed_one_is_not() {
    let (_folder, path, conn) = file();
    let (a, b) = (
        open_quick(&path, "a", 1).await,
        open_quick(&path, "b", 2).await,
    );
    conn.execute("DELETE FROM hosts WHERE app_id = 'a'", [])
        .unwrap();
    let error = tokio::time::timeout(DEADLINE, a.lost()).await.unwrap();
    assert_eq!(error.message, "Host registration lost");
    b.close().await;
    let closed = tokio::time::timeout(Duration::from_millis(50), b.lost()).await;
    assert!(closed.is_err(), "closing is no loss");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let check = async |configuration: Value, expected: &str| {
        let instance = instance("a", "10.0.0.1", 1);
        let error = open_with(configuration, instance)
            .await
            .map(|_| ())
            .unwrap_err();
        assert!(error.message.contains(expected), "{error}");
    };
    let file = ":memory:";
    check(Value::Null, "missing connection string").await;
    let with = |key: &str, value: &str| json!({ "connectionString": file, key: value });
    check(with("tableName", "a-b"), "tableName").await;
    check(with("timeout", "10ms"), "'timeout'").await;
    check(
        with("updateInterval", "2500ms"),
        "update interval must not contain fractions of seconds",
    )
    .await;
    check(
        with("updateInterval", "1"),
        "update interval must be at least 1s greater than timeout",
    )
    .await;
    check(
        json!({ "url": "/none/x.db" }),
        "directory \"/none\" does not exist",
    )
    .await;
    for (change, expected) in [
        (instance("", "h", 1), "name is missing"),
        (instance("a", "", 1), "address is missing"),
        (instance("a", "h", 0), "port is missing or invalid"),
    ] {
        let error = open_with(json!({ "url": file }), change)
            .await
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.message, expected);
    }
    let mut registry = Registry::default();
    crate::register(&mut registry);
    assert!(registry.name_resolver("SQLite", "").is_some());
}
