//! kill -9 loses no acknowledged write.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use futures_util::future::join_all;

use super::*;

/// Tells the child where to write; without it the child's test does nothing.
const FILE: &str = "SQLITE_TEST_CHILD_FILE";

#[tokio::test]
async fn a_killed_process_loses_no_acknowledged_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::durability::child", "--nocapture"])
        .env(FILE, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Some(key) = line
            .unwrap()
            .strip_prefix("acknowledged ")
            .map(str::to_owned)
        else {
            continue;
        };
        acknowledged.push(key);
        if acknowledged.len() == 500 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        acknowledged.len() >= 500,
        "only {} writes",
        acknowledged.len()
    );
    let store = open_at(&path).await;
    for key in acknowledged {
        assert_eq!(
            text(&store, &key).await.as_deref(),
            Some("1"),
            "{key} is lost"
        );
    }
}

/// The process that is killed: eight writers that report every acknowledgement.
#[tokio::test]
async fn child() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let store = open_at(Path::new(&path)).await;
    join_all((0..8).map(|writer| {
        let store = &store;
        async move {
            for n in 0..100_000 {
                let key = format!("{writer}-{n}");
                store.set(json(&key, "1")).await.unwrap();
                let mut out = std::io::stdout().lock();
                // One write per line, so that a killed process leaves no half line.
                out.write_all(format!("acknowledged {key}\n").as_bytes())
                    .unwrap();
                out.flush().unwrap();
            }
        }
    }))
    .await;
}
