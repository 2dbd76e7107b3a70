//! The store against real servers.

mod connection;
mod layout;
mod topology;

use std::sync::Arc;

use component::metadata::{Properties, decode};
use component::state::{Concurrency, Value};
use component::{Component, Env, Error, ErrorKind, Result};
use conformance::state::{Options, check};
use testkit::redis::Redis;

use super::*;

/// What `start` starts, unless there is no Redis here: then the test is skipped.
fn installed<T>(start: impl FnOnce() -> anyhow::Result<T>) -> Option<T> {
    if !testkit::redis::is_installed() {
        testkit::skip("redis-server is not installed");
        return None;
    }
    Some(start().unwrap())
}

fn server(extra: &[&str]) -> Option<Redis> {
    installed(|| Redis::start(extra))
}

async fn open(properties: &[(&str, &str)]) -> Result<RedisState> {
    open_in(Env::named("s"), properties).await
}

async fn open_in(env: Env, properties: &[(&str, &str)]) -> Result<RedisState> {
    let properties: Properties = properties.iter().copied().collect();
    RedisState::open(decode(&properties)?, env).await
}

async fn refusal(properties: &[(&str, &str)]) -> Error {
    match open(properties).await {
        Ok(_) => panic!("it opened"),
        Err(e) => e,
    }
}

fn item(key: &str, value: &str) -> SetRequest {
    SetRequest::new(key, Value::Bytes(value.to_owned().into()))
}

fn get_of(key: &str) -> GetRequest {
    GetRequest {
        key: key.into(),
        ..GetRequest::default()
    }
}

fn delete_of(key: &str, etag: Option<&str>) -> DeleteRequest {
    DeleteRequest {
        key: key.into(),
        etag: etag.map(Into::into),
        ..DeleteRequest::default()
    }
}

/// Value and etag of a key, joined by `@`.
async fn shown(store: &RedisState, key: &str) -> String {
    match store.get(get_of(key)).await.unwrap() {
        Some(item) => {
            let value = String::from_utf8_lossy(&item.data).into_owned();
            format!("{value}@{}", item.etag.unwrap_or_default())
        }
        None => "none".into(),
    }
}

/// Set, get, etag, transaction and listing: enough to see that a connection serves.
async fn smoke(store: &RedisState) {
    store.set(item("smoke-a", "1")).await.unwrap();
    store.set(item("smoke-b", "1")).await.unwrap();
    assert_eq!(shown(store, "smoke-a").await, "1@1");
    let mut stale = item("smoke-a", "2");
    stale.etag = Some("7".into());
    let error = store.set(stale.clone()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::EtagMismatch, "{error}");
    stale.etag = Some("1".into());
    store.set(stale).await.unwrap();
    let ops = ["smoke-c", "smoke-d", "smoke-e"].map(|key| Operation::Set(item(key, "3")));
    let mut ops = ops.to_vec();
    ops.push(Operation::Delete(delete_of("smoke-b", None)));
    store.transact(ops, Metadata::new()).await.unwrap();
    let req = KeysRequest {
        pattern: "smoke-_".into(),
        ..KeysRequest::default()
    };
    let keys = store.keys_like(req).await.unwrap().keys;
    assert_eq!(keys, ["smoke-a", "smoke-c", "smoke-d", "smoke-e"]);
    assert_eq!(shown(store, "smoke-a").await, "2@2");
    store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_server_passes_the_suite() {
    let Some(redis) = server(&[]) else { return };
    let store = open(&[("redisHost", &redis.address())]).await.unwrap();
    // What this store promises less than others, as upstream has it.
    let options = Options {
        name: "state.redis",
        bad_etag: "9999999",
        atomic_transactions: false,
        first_write_mismatch: false,
        etag_needs_item: false,
        ttl_expire_time: false,
        ttl_cleared_by_write: false,
        ..Options::default()
    };
    check(Arc::new(store), options).await;
}
