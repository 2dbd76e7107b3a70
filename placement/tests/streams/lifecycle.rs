//! How the service begins and ends, and what it shows meanwhile.

use anyhow::ensure;
use serde_json::json;
use testkit::{DEADLINE, Http, eventually};
use tonic::Code;

use crate::service::Placement;
use crate::sidecar::{Sidecar, host};

#[tokio::test]
async fn it_ends_every_stream_and_tells_why() {
    let placement = Placement::start(|_| {}).await;
    let mut one = Sidecar::connect(placement.channel(), host("one", &["a"]))
        .await
        .unwrap();
    one.round(1).await;
    placement.shut_down();
    let end = one.end().await;
    assert_eq!(end.code(), Code::Unavailable);
    assert_eq!(end.message(), "placement server is shutting down");
    assert_eq!(placement.ended().await, Ok(()));
}

#[tokio::test]
async fn the_state_page_shows_the_tables_in_upstreams_spelling() {
    let placement = Placement::start(|_| {}).await;
    let page = async || Http::port(placement.health).get("/placement/state").await;
    assert_eq!(page().await.unwrap().text(), "{}");
    let mut two = Sidecar::connect(placement.channel(), host("2", &["b", "a"]))
        .await
        .unwrap();
    two.round(1).await;
    let mut one = Sidecar::connect(placement.channel(), host("1", &["a"]))
        .await
        .unwrap();
    tokio::join!(one.round(2), two.round(2));
    let mut other = host("3", &[]);
    other.namespace = "other".into();
    let mut caller = Sidecar::connect(placement.channel(), other).await.unwrap();
    caller.expect("lock", 0).await;
    let row = |id: &str, entities: &[&str]| {
        json!({
            "name": format!("10.0.0.1:{id}"), "entities": entities, "id": id,
            "api_level": 20, "namespace": "default", "operation": 1,
        })
    };
    let hosts = [row("1", &["a"]), row("2", &["a", "b"])];
    assert_eq!(
        page().await.unwrap().json(),
        json!({"tables": {"default": {"hosts": hosts, "version": 2}, "other": {}}})
    );
}

#[tokio::test]
async fn the_state_page_is_there_on_request_only() {
    let placement = Placement::start(|c| c.metadata = false).await;
    let reply = Http::port(placement.health).get("/placement/state").await;
    assert_eq!(reply.unwrap().status, 404);
}

#[tokio::test]
async fn figures_follow_the_streams() {
    let placement = Placement::start(|_| {}).await;
    let shows = async |lines: &[&str]| {
        eventually(DEADLINE, async || {
            let text = Http::port(placement.metrics).get("/").await?.text();
            for line in lines {
                ensure!(text.lines().any(|l| l == *line), "{line} is not in {text}");
            }
            Ok(())
        })
        .await;
    };
    let mut one = Sidecar::connect(placement.channel(), host("one", &["a"]))
        .await
        .unwrap();
    one.round(1).await;
    let two = Sidecar::connect(placement.channel(), host("two", &[]))
        .await
        .unwrap();
    shows(&[
        r#"dapr_placement_runtimes_total{host_namespace="default"} 2"#,
        r#"dapr_placement_actor_runtimes_total{host_namespace="default"} 1"#,
        "dapr_placement_leader_status 1",
        "dapr_placement_raft_leader_status 1",
    ])
    .await;
    drop((one, two));
    shows(&[
        r#"dapr_placement_runtimes_total{host_namespace="default"} 0"#,
        r#"dapr_placement_actor_runtimes_total{host_namespace="default"} 0"#,
    ])
    .await;
}
