//! Replicas, sentinels and clusters.

use component::state::Consistency;
use testkit::redis::{Cluster, MASTER, Sentinel, replicated};
use testkit::{DEADLINE, eventually};

use super::*;

#[tokio::test]
async fn a_strong_write_is_on_the_replica_when_it_returns() {
    let Some((master, replica)) = installed(replicated) else {
        return;
    };
    let store = open(&[("redisHost", &master.address())]).await.unwrap();
    for n in 1..=20 {
        let mut req = item("k", &n.to_string());
        req.consistency = Consistency::Strong;
        store.set(req).await.unwrap();
        let found = replica.cli(&["HMGET", "k", "data", "version"]).unwrap();
        assert_eq!(found, format!("{n}\n{n}\n"));
    }
    let mut req = delete_of("k", Some("20"));
    req.consistency = Consistency::Strong;
    store.delete(req).await.unwrap();
    assert_eq!(replica.cli(&["EXISTS", "k"]).unwrap(), "0\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_that_sentinels_name_is_used_and_followed() {
    let Some(mut servers) = installed(Sentinel::start) else {
        return;
    };
    // One sentinel that is not there must not matter.
    let hosts = format!(
        "127.0.0.1:{},{}",
        testkit::free_port(),
        servers.sentinel.address()
    );
    let properties = [
        ("redisHost", hosts.as_str()),
        ("failover", "true"),
        ("redisMinRetryInterval", "50ms"),
    ];
    let unknown = [&properties[..], &[("sentinelMasterName", "other")]].concat();
    let error = refusal(&unknown).await;
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    let named = [&properties[..], &[("sentinelMasterName", MASTER)]].concat();
    let store = open(&named).await.unwrap();
    smoke(&store).await;
    let mut strong = item("kept", "1");
    strong.consistency = Consistency::Strong;
    store.set(strong).await.unwrap();
    servers.master.kill();
    eventually(DEADLINE, async || {
        let result = store.set(item("after", "1")).await;
        if let Err(error) = &result {
            assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        }
        Ok(result?)
    })
    .await;
    let found = servers.replica.cli(&["HGET", "after", "data"]).unwrap();
    assert_eq!(found, "1\n");
    assert_eq!(shown(&store, "kept").await, "1@1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_each_key_on_its_server() {
    let Some(cluster) = installed(Cluster::start) else {
        return;
    };
    let hosts = cluster.addresses();
    let properties = [("redisHost", hosts.as_str()), ("redisType", "cluster")];
    let store = open(&properties).await.unwrap();
    smoke(&store).await;
    // One name is enough to find the others.
    let one = cluster.0[1].address();
    let other = open(&[("redisHost", one.as_str()), ("redisType", "cluster")]).await;
    let other = other.unwrap();
    for n in 0..100 {
        other.set(item(&format!("many-{n}"), "v")).await.unwrap();
    }
    for node in &cluster.0 {
        assert_ne!(node.cli(&["DBSIZE"]).unwrap(), "0\n");
    }
    let req = KeysRequest {
        pattern: "many-%".into(),
        ..KeysRequest::default()
    };
    assert_eq!(store.keys_like(req).await.unwrap().keys.len(), 100);
    // A refused operation fails the call; the others stay, in its slot and elsewhere.
    let mut refused = item("many-1", "w");
    refused.etag = Some("9".into());
    let ops = vec![
        Operation::Set(item("many-2", "w")),
        Operation::Set(refused),
        Operation::Set(item("many-3", "w")),
    ];
    let error = store.transact(ops, Metadata::new()).await.unwrap_err();
    assert!(
        error.message.contains("failed to set key many-1"),
        "{error}"
    );
    assert_eq!(shown(&store, "many-1").await, "v@1");
    assert_eq!(shown(&store, "many-2").await, "w@2");
    assert_eq!(shown(&store, "many-3").await, "w@2");
}
