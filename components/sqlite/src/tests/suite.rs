//! The suite for state stores, in memory and in files.

use std::sync::Arc;

use conformance::state::{Options, check};

use super::*;

async fn passes(name: &'static str, config: Config) {
    let store = open(config).await.unwrap();
    // LIKE of SQLite takes upper and lower case of ASCII as the same.
    let options = Options {
        name,
        case_sensitive_keys: false,
        ..Options::default()
    };
    check(Arc::new(store), options).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_in_memory_passes() {
    passes("state.sqlite in memory", Config::at(":memory:")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_passes_with_either_journal() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| Config::at(dir.path().join(name).to_str().unwrap());
    passes("state.sqlite", at("wal.db")).await;
    passes(
        "state.sqlite without WAL",
        Config {
            disable_wal: true,
            ..at("rollback.db")
        },
    )
    .await;
}
