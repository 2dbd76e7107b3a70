//! What cannot be opened is named, with what to do.

use std::path::Path;

use component::ErrorKind;
use rusqlite::Connection;

use super::*;

async fn check(connection_string: &str, kind: ErrorKind, parts: &[&str]) {
    let error = open(Config::at(connection_string)).await.err().unwrap();
    assert_eq!(error.kind, kind, "{error}");
    for part in parts {
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
}

fn in_dir(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

#[tokio::test]
async fn unusable_files() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| in_dir(dir.path(), name);
    check(
        &at("no/such/state.db"),
        ErrorKind::InvalidConfig,
        &["no/such\" does not exist", "create it"],
    )
    .await;
    check(
        dir.path().to_str().unwrap(),
        ErrorKind::InvalidConfig,
        &["is a directory"],
    )
    .await;
    std::fs::write(
        at("text.db"),
        "this is a text file, much longer than a header is. ".repeat(100),
    )
    .unwrap();
    check(
        &at("text.db"),
        ErrorKind::InvalidConfig,
        &["text.db", "not a SQLite database"],
    )
    .await;
    check(
        &format!("{}?mode=ro", at("none.db")),
        ErrorKind::InvalidConfig,
        &["none.db"],
    )
    .await;
    check("", ErrorKind::InvalidConfig, &["missing connection string"]).await;
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = in_dir(dir.path(), "damaged.db");
    let store = open(Config::at(&path)).await.unwrap();
    store.set(json("k", "1")).await.unwrap();
    store.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    // The header stays; the page of the schema is overwritten.
    bytes[100..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    check(
        &path,
        ErrorKind::InvalidConfig,
        &["damaged.db", "the file is damaged", "backup"],
    )
    .await;
}

#[tokio::test]
async fn a_read_only_database_is_read_and_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = in_dir(dir.path(), "state.db");
    let store = open(Config {
        disable_wal: true,
        ..Config::at(&path)
    })
    .await
    .unwrap();
    store.set(json("k", "1")).await.unwrap();
    store.close().await;
    for suffix in ["?mode=ro", "?immutable=1"] {
        let store = open(Config::at(format!("{path}{suffix}"))).await.unwrap();
        assert_eq!(text(&store, "k").await.as_deref(), Some("1"));
        let error = store.set(json("k", "2")).await.unwrap_err();
        assert!(error.message.contains("read-only"), "{error}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_lock_of_another_process_is_reported_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = in_dir(dir.path(), "state.db");
    let busy_timeout = component::metadata::Seconds(std::time::Duration::from_millis(1));
    let store = open(Config {
        busy_timeout,
        ..Config::at(&path)
    })
    .await
    .unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.set(json("k", "1")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("busyTimeout"), "{error}");
    other.execute_batch("COMMIT").unwrap();
    store.set(json("k", "1")).await.unwrap();
}

#[tokio::test]
async fn the_journal_follows_the_settings() {
    let dir = tempfile::tempdir().unwrap();
    let path = in_dir(dir.path(), "state.db");
    for (disable_wal, expected) in [(false, "wal"), (true, "delete"), (false, "wal")] {
        let config = Config {
            disable_wal,
            ..Config::at(format!("{path}?_pragma=synchronous(normal)"))
        };
        let store = open(config).await.unwrap();
        let settings = store.writer().call(|conn| {
            let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
            let sync: i64 = conn.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
            Ok((mode, sync))
        });
        assert_eq!(settings.await.unwrap(), (expected.to_owned(), 1));
        store.close().await;
    }
}

#[tokio::test]
async fn two_sidecars_open_one_new_file_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = in_dir(dir.path(), "state.db");
    let (a, b, c) = tokio::join!(
        open(Config::at(&path)),
        open(Config::at(&path)),
        open(Config::at(&path))
    );
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    a.set(json("k", "1")).await.unwrap();
    assert_eq!(text(&b, "k").await.as_deref(), Some("1"));
    c.set(json("k", "2")).await.unwrap();
    assert_eq!(text(&a, "k").await.as_deref(), Some("2"));
}
