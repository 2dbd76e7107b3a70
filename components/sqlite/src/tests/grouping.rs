//! Writers that share a commit keep their own outcomes.

use component::ErrorKind;
use component::state::{DeleteRequest, KeysRequest, Metadata, Operation};
use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn waiting_writers_share_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = open_at(&path).await;
    let writes = 200;
    let keys: Vec<_> = (0..writes).map(|i| format!("k{i}")).collect();
    held_back(
        &store,
        join_all(keys.iter().map(|k| store.set(json(k, "1")))),
    )
    .await
    .into_iter()
    .for_each(Result::unwrap);
    // Alone, every write would append at least two pages to the log.
    let pages: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
        .unwrap();
    assert!(pages < writes, "{pages} pages for {writes} writes");
    for key in &keys {
        assert_eq!(text(&store, key).await.as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn one_refusal_undoes_nobody_elses_write() {
    for place in ["file", ":memory:"] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.db");
        let place = if place == "file" {
            file.to_str().unwrap()
        } else {
            place
        };
        let store = open(Config::at(place)).await.unwrap();
        store.set(json("old", "0")).await.unwrap();

        let stale = |key: &str| SetRequest {
            etag: Some("stale".into()),
            ..json(key, "9")
        };
        let refused = vec![
            Operation::Set(json("undone", "9")),
            Operation::Delete(DeleteRequest {
                key: "old".into(),
                ..DeleteRequest::default()
            }),
            Operation::Set(stale("old")),
        ];
        let accepted = vec![
            Operation::Set(json("d", "4")),
            Operation::Set(json("e", "5")),
        ];
        let all = async {
            tokio::join!(
                store.set(json("a", "1")),
                store.set(stale("old")),
                store.transact(refused, Metadata::new()),
                store.set(json("b", "2")),
                store.transact(accepted, Metadata::new()),
                store.delete(DeleteRequest {
                    key: "b".into(),
                    etag: Some("x".into()),
                    ..DeleteRequest::default()
                }),
            )
        };
        let (a, stale, refused, b, accepted, delete) = held_back(&store, all).await;
        assert!(a.is_ok() && b.is_ok() && accepted.is_ok(), "{place}");
        for error in [stale, refused, delete] {
            assert_eq!(error.unwrap_err().kind, ErrorKind::EtagMismatch, "{place}");
        }
        let mut found = Vec::new();
        for key in ["a", "b", "d", "e", "old", "undone"] {
            found.push(text(&store, key).await.unwrap_or_else(|| "none".into()));
        }
        assert_eq!(found, ["1", "2", "4", "5", "0", "none"], "{place}");
    }
}

#[tokio::test]
async fn a_write_nobody_waits_for_is_not_begun() {
    let store = open(Config::at(":memory:")).await.unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let blocker = store.writer().call(move |_| {
        let _ = held.recv();
        Ok(())
    });
    let abandoned = async {
        let write = store.set(json("abandoned", "1"));
        let gave_up = tokio::time::timeout(std::time::Duration::from_millis(1), write)
            .await
            .is_err();
        release.send(()).unwrap();
        gave_up
    };
    let (blocked, gave_up) = tokio::join!(blocker, abandoned);
    blocked.unwrap();
    assert!(gave_up);
    store.set(json("kept", "1")).await.unwrap();
    let page = store
        .keys_like(KeysRequest {
            pattern: "%".into(),
            ..KeysRequest::default()
        })
        .await
        .unwrap();
    assert_eq!(page.keys, ["kept"]);
}

#[tokio::test]
async fn close_ends_what_is_queued_and_removes_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = open_at(&path).await;
    let (written, ()) = held_back(&store, async {
        tokio::join!(store.set(json("k", "1")), store.close())
    })
    .await;
    written.unwrap();
    assert_eq!(
        store.set(json("k", "2")).await.unwrap_err().kind,
        ErrorKind::Unavailable
    );
    let files: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    assert_eq!(files, ["state.db"]);
    assert_eq!(text(&open_at(&path).await, "k").await.as_deref(), Some("1"));
}

/// Polls `calls` while the writer is busy, so that their writes form one group.
async fn held_back<T>(store: &Sqlite, calls: impl Future<Output = T>) -> T {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let blocker = store.writer().call(move |_| {
        let _ = held.recv();
        Ok(())
    });
    // `join!` polls in order, and every call queues its write at its first poll.
    let (blocked, answer, ()) =
        tokio::join!(biased; blocker, calls, async { release.send(()).unwrap() });
    blocked.unwrap();
    answer
}
