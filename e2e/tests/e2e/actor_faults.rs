//! Actors whose app, state or own methods fail: others do not notice.

use std::collections::HashMap;

use anyhow::ensure;
use e2e::{ActorHost, Call, Plane, Turns, metric, quick};
use serde_json::{Value, json};
use testkit::redis::{self, Redis};
use testkit::{DEADLINE, Http, Reply, Response, eventually};
use tokio::task::JoinSet;

fn counters() -> Value {
    json!({"entities": ["Counter"]})
}

/// A method `hang` never ends by itself.
async fn may_hang(call: Call) -> Response {
    if call.method == "hang" {
        std::future::pending::<()>().await;
    }
    quick(call).await
}

async fn call(http: &Http, actor: &str, method: &str) -> anyhow::Result<Reply> {
    let path = format!("/v1.0/actors/{actor}/method/{method}");
    http.post(&path, "").await
}

async fn succeeds(http: &Http, actor: &str) {
    let reply = call(http, actor, "add").await.unwrap().expect_status(200);
    assert_eq!(reply.text(), "done");
}

async fn wait_begun(turns: &Turns, path: &str) {
    eventually(DEADLINE, async || {
        ensure!(turns.calls(path) > 0, "{path} is not called");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_method_that_hangs_holds_up_neither_others_nor_the_shutdown() {
    let (plane, turns) = (Plane::start().await, Turns::default());
    let sidecar = plane.sidecar("hanging");
    let mut host = ActorHost::start_with(sidecar, &turns, "a", counters(), may_hang).await;
    let http = host.sidecar.http();
    let others = async {
        wait_begun(&turns, "Counter/stuck/hang").await;
        for id in 0..20 {
            succeeds(&http, &format!("Counter/{id}")).await;
        }
        let code = host.sidecar.stop(DEADLINE).await.unwrap();
        assert_eq!(code, 0, "{}", host.sidecar.output());
    };
    // One that runs, and one that waits behind it.
    let (stuck, waiting, ()) = tokio::join!(
        call(&http, "Counter/stuck", "hang"),
        async {
            wait_begun(&turns, "Counter/stuck/hang").await;
            call(&http, "Counter/stuck", "add").await
        },
        others
    );
    for reply in [stuck, waiting] {
        let reply = reply.unwrap();
        assert!(
            reply.status.is_server_error(),
            "{} {}",
            reply.status,
            reply.text()
        );
    }
    assert_eq!(turns.calls("Counter/stuck/add"), 0, "it was not its turn");
    assert_eq!(turns.faults(), [""; 0]);
}

#[tokio::test]
async fn an_app_that_dies_in_a_call_fails_it_and_is_called_again_when_it_is_back() {
    let (plane, turns) = (Plane::start().await, Turns::default());
    let sidecar = plane.sidecar("dying");
    let mut host = ActorHost::start_with(sidecar, &turns, "a", counters(), may_hang).await;
    let http = host.sidecar.http();
    let (reply, ()) = tokio::join!(call(&http, "Counter/1", "hang"), async {
        wait_begun(&turns, "Counter/1/hang").await;
        host.kill_app();
    });
    reply.unwrap().expect_error(500, "ERR_ACTOR_INVOKE_METHOD");
    host.start_app_again().await;
    for id in 1..3 {
        succeeds(&http, &format!("Counter/{id}")).await;
    }
}

async fn save(http: &Http, value: u32) -> anyhow::Result<Reply> {
    let row = json!([{"operation": "upsert", "request": {"key": "total", "value": value}}]);
    http.post_json("/v1.0/actors/Counter/1/state", &row).await
}

#[tokio::test]
async fn a_state_store_that_is_away_fails_state_alone_and_serves_again_when_it_is_back() {
    if !redis::is_installed() {
        testkit::skip("redis-server is not installed");
        return;
    }
    let mut redis = Redis::start(&[]).unwrap();
    let (plane, turns) = (Plane::start().await, Turns::default());
    let metadata = [
        ("redisHost", &*redis.address()),
        ("actorStateStore", "true"),
    ];
    let sidecar = plane.sidecar("stateful");
    let sidecar = sidecar.component("statestore", "state.redis", &metadata);
    let host = ActorHost::start_with(sidecar, &turns, "a", counters(), quick).await;
    let http = host.sidecar.http();
    succeeds(&http, "Counter/1").await;
    save(&http, 1).await.unwrap().expect_status(204);
    redis.kill();
    let reply = save(&http, 2).await.unwrap();
    reply.expect_error(500, "ERR_ACTOR_STATE_TRANSACTION_SAVE");
    let path = "/v1.0/actors/Counter/1/state/total";
    let reply = http.get(path).await.unwrap();
    reply.expect_error(500, "ERR_ACTOR_STATE_GET");
    succeeds(&http, "Counter/1").await;
    redis.restart().unwrap();
    eventually(DEADLINE, async || {
        let reply = save(&http, 3).await?;
        ensure!(reply.status == 204, "{}", reply.text());
        Ok(())
    })
    .await;
    let reply = http.get(path).await.unwrap().expect_status(200);
    assert_eq!(reply.json(), json!(3));
    assert!(turns.deactivated().is_empty(), "the actor stayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_actors_go_and_each_is_told_once() {
    const ACTORS: usize = 2000;
    let (plane, turns) = (Plane::start().await, Turns::default());
    let config = json!({"entities": ["Counter"], "actorIdleTimeout": "1s"});
    let sidecar = plane.sidecar("idle");
    let host = ActorHost::start_with(sidecar, &turns, "a", config, quick).await;
    let http = host.sidecar.http();
    let mut callers = JoinSet::new();
    for caller in 0..40 {
        let http = http.clone();
        callers.spawn(async move {
            for id in (caller..ACTORS).step_by(40) {
                succeeds(&http, &format!("Counter/{id}")).await;
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    eventually(DEADLINE, async || {
        let metadata = http.get("/v1.0/metadata").await?.json();
        let active = &metadata["actorRuntime"]["activeActors"][0]["count"];
        ensure!(active.as_u64().unwrap_or(0) == 0, "{active} are active");
        let gone = metric(&host.sidecar, "dapr_runtime_actor_deactivated_total", &[]).await?;
        ensure!(gone >= ACTORS as f64, "{gone} were told");
        Ok(())
    })
    .await;
    let once: HashMap<_, _> = (0..ACTORS).map(|id| (format!("Counter/{id}"), 1)).collect();
    assert_eq!(turns.deactivated(), once);
    let count = async |name| metric(&host.sidecar, name, &[]).await.unwrap();
    assert_eq!(
        count("dapr_runtime_actor_deactivated_total").await,
        ACTORS as f64
    );
    assert_eq!(
        count("dapr_runtime_actor_deactivated_failed_total").await,
        0.0
    );
}
