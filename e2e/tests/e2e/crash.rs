//! A crash in the middle of writes loses nothing that was acknowledged.

use std::time::Duration;

use anyhow::ensure;
use e2e::Sidecar;
use serde_json::json;
use testkit::{DEADLINE, eventually};
use tokio::task::JoinSet;

#[tokio::test]
async fn kill_during_sqlite_writes_loses_no_acknowledged_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let start = || {
        Sidecar::builder("crashing")
            .component(
                "statestore",
                "state.sqlite",
                &[("connectionString", path.to_str().unwrap())],
            )
            .start()
            .ready()
    };
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let mut sidecar = start().await;
        let (sender, mut received) = tokio::sync::mpsc::channel(1024);
        let mut writers = JoinSet::new();
        for writer in 0..8 {
            let http = sidecar.http().within(Duration::from_secs(5));
            let sender = sender.clone();
            writers.spawn(async move {
                for number in 0.. {
                    let key = format!("{round}-{writer}-{number}");
                    let body = json!([{"key": key, "value": key}]);
                    let reply = http.post_json("/v1.0/state/statestore", &body).await;
                    // The first failure is the crash.
                    let Ok(reply) = reply else { return };
                    assert_eq!(reply.status, 204, "{}", reply.text());
                    if sender.send(key).await.is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for _ in 0..100 {
            acknowledged.push(received.recv().await.unwrap());
        }
        sidecar.kill().await.unwrap();
        while let Some(key) = received.recv().await {
            acknowledged.push(key);
        }
        while let Some(writer) = writers.join_next().await {
            writer.unwrap();
        }
    }

    let sidecar = start().await;
    let http = sidecar.http();
    for chunk in acknowledged.chunks(500) {
        let body = json!({"keys": chunk});
        let reply = http.post_json("/v1.0/state/statestore/bulk", &body).await;
        for entry in reply.unwrap().expect_status(200).json().as_array().unwrap() {
            assert_eq!(entry["data"], entry["key"], "an acknowledged write is lost");
        }
    }
    // And the store still takes writes.
    eventually(DEADLINE, async || {
        let body = json!([{"key": "after", "value": 1}]);
        let reply = http.post_json("/v1.0/state/statestore", &body).await?;
        ensure!(reply.status == 204, "{}", reply.text());
        Ok(())
    })
    .await;
}
