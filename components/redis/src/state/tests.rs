use std::sync::Arc;

use component::metadata::{Properties, decode};
use component::state::Value as Stored;
use conformance::state::{Options, check};
use testkit::redis::Redis;

use super::*;

fn server(extra: &[&str]) -> Option<Redis> {
    if !testkit::redis::is_installed() {
        testkit::skip("redis-server is not installed");
        return None;
    }
    Some(Redis::start(extra).unwrap())
}

async fn open(properties: &[(&str, &str)]) -> Result<RedisState> {
    let properties: Properties = properties.iter().map(|(k, v)| (*k, *v)).collect();
    RedisState::open(decode(&properties)?, Env::named("s")).await
}

async fn refusal(properties: &[(&str, &str)]) -> Error {
    match open(properties).await {
        Ok(_) => panic!("it opened"),
        Err(e) => e,
    }
}

/// What this store promises less than others, as upstream has it.
fn promises(name: &'static str) -> Options {
    Options {
        name,
        bad_etag: "9999999",
        atomic_transactions: false,
        first_write_mismatch: false,
        etag_needs_item: false,
        ttl_expire_time: false,
        ttl_cleared_by_write: false,
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_server_passes_the_suite() {
    let Some(redis) = server(&[]) else { return };
    let store = open(&[("redisHost", &redis.address())]).await.unwrap();
    check(Arc::new(store), promises("state.redis")).await;
}

#[tokio::test]
async fn a_password_is_used_and_never_shown() {
    let Some(redis) = server(&["--requirepass", "s3cret-pw"]) else {
        return;
    };
    let address = redis.address();
    let host = ("redisHost", address.as_str());
    let store = open(&[host, ("redisPassword", "s3cret-pw")]).await.unwrap();
    store.ping().await.unwrap();
    let wrong = refusal(&[host, ("redisPassword", "wrong-pw")]).await;
    let text = format!("{wrong} {wrong:?}");
    assert!(
        wrong.message.starts_with(&format!(
            "redis store: error connecting to redis at {address}: "
        )),
        "{text}"
    );
    assert!(!text.contains("wrong-pw"), "{text}");
    let none = refusal(&[host]).await;
    assert!(
        none.message.contains("NOAUTH") || none.message.contains("password"),
        "{none}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let port = testkit::free_port();
    let error = refusal(&[
        ("redisHost", &format!("127.0.0.1:{port}")),
        ("redisMaxRetries", "-1"),
    ])
    .await;
    let start = format!("redis store: error connecting to redis at 127.0.0.1:{port}: ");
    assert!(error.message.starts_with(&start), "{error}");
    assert_eq!(error.kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_restarted_server_is_used_again() {
    let Some(mut redis) = server(&[]) else { return };
    let store = open(&[
        ("redisHost", &redis.address()),
        ("redisMinRetryInterval", "50ms"),
    ])
    .await
    .unwrap();
    let item = || SetRequest::new("k", Stored::Bytes("1".into()));
    store.set(item()).await.unwrap();
    redis.kill();
    let error = store.set(item()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    redis.restart().unwrap();
    store.set(item()).await.unwrap();
    let found = store
        .get(GetRequest {
            key: "k".into(),
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(found.unwrap().etag.as_deref(), Some("1"));
}

#[tokio::test]
async fn keys_are_hashes_of_data_and_version() {
    let Some(redis) = server(&[]) else { return };
    let store = open(&[("redisHost", &redis.address())]).await.unwrap();
    let mut item = SetRequest::new("app||k", Stored::Json("\"v\"".into()));
    item.metadata.insert("ttlInSeconds".into(), "100".into());
    store.set(item.clone()).await.unwrap();
    store.set(item).await.unwrap();
    let shown = redis.cli(&["HMGET", "app||k", "data", "version"]).unwrap();
    assert_eq!(shown, "\"v\"\n2\n");
    assert!(
        redis
            .cli(&["TTL", "app||k"])
            .unwrap()
            .trim()
            .parse::<i64>()
            .unwrap()
            > 90
    );
    redis.cli(&["SET", "plain", "text"]).unwrap();
    let plain = store
        .get(GetRequest {
            key: "plain".into(),
            ..Default::default()
        })
        .await
        .unwrap()
        .unwrap();
    assert_eq!((plain.data.as_ref(), plain.etag), (&b"text"[..], None));
}

#[tokio::test]
async fn queries_need_a_server_with_json() {
    let Some(redis) = server(&[]) else { return };
    let store = open(&[("redisHost", &redis.address())]).await.unwrap();
    let error = store.query("{}".into(), Metadata::new()).await.unwrap_err();
    assert_eq!(
        error.message,
        "redis-json server support is required for query capability"
    );
    let error = refusal(&[("redisHost", &redis.address()), ("queryIndexes", "[1")]).await;
    assert!(error.message.contains("queryIndexes"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_that_sentinels_name_is_used() {
    let Some(redis) = server(&[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("sentinel.conf");
    let text = format!("sentinel monitor mymaster 127.0.0.1 {} 1\n", redis.port);
    std::fs::write(&config, text).unwrap();
    let path = config.display().to_string();
    let sentinel = Redis::start_with_file(&path, &["--sentinel"]).unwrap();
    let properties = [
        ("redisHost", sentinel.address()),
        ("failover", "true".into()),
        ("sentinelMasterName", "mymaster".into()),
    ];
    let properties: Vec<(&str, &str)> = properties.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let store = open(&properties).await.unwrap();
    store
        .set(SetRequest::new("k", Stored::Bytes("1".into())))
        .await
        .unwrap();
    assert_eq!(redis.cli(&["HGET", "k", "data"]).unwrap(), "1\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_each_key_on_its_server() {
    if !testkit::redis::is_installed() {
        return testkit::skip("redis-server is not installed");
    }
    let nodes: Vec<Redis> = (0..3)
        .map(|_| {
            Redis::start(&["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"]).unwrap()
        })
        .collect();
    let addresses: Vec<String> = nodes.iter().map(Redis::address).collect();
    let mut create = vec!["--cluster", "create"];
    create.extend(addresses.iter().map(String::as_str));
    create.extend(["--cluster-yes", "--cluster-replicas", "0"]);
    nodes[0].cli(&create).unwrap();
    testkit::eventually(testkit::DEADLINE, async || {
        for node in &nodes {
            let info = node.cli(&["CLUSTER", "INFO"])?;
            anyhow::ensure!(info.contains("cluster_state:ok"), "{info}");
        }
        Ok(())
    })
    .await;
    let store = open(&[
        ("redisHost", &addresses.join(",")),
        ("redisType", "cluster"),
    ])
    .await
    .unwrap();
    for key in ["a", "b", "c", "d"] {
        store
            .set(SetRequest::new(key, Stored::Bytes(key.into())))
            .await
            .unwrap();
    }
    let page = store
        .keys_like(KeysRequest {
            pattern: "_".into(),
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(page.keys, ["a", "b", "c", "d"]);
    let found = store
        .get(GetRequest {
            key: "c".into(),
            ..Default::default()
        })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.data.as_ref(), b"c");
}
