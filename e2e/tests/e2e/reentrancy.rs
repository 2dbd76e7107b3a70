//! Actors that call themselves.

use std::time::Duration;

use anyhow::ensure;
use e2e::{ActorHost, Call, Plane, Turns};
use serde_json::{Value, json};
use testkit::{DEADLINE, Http, Response, eventually};
use tokio::task::JoinSet;

const CHAIN: &str = "dapr-reentrancy-id";

/// The method `nest` calls itself as deep as its body says, and hands on what came of
/// it: `bottom`, the code of an error, or `no answer`.
async fn nest(call: Call, http: Http) -> Response {
    let depth: u32 = String::from_utf8_lossy(&call.request.body).parse().unwrap();
    if depth == 0 {
        return Response::ok("bottom");
    }
    let http = match call.request.header(CHAIN) {
        "" => http,
        chain => http.header(CHAIN, chain),
    };
    let path = format!("/v1.0/actors/{}/method/nest", call.actor);
    match http.post(&path, (depth - 1).to_string()).await {
        Ok(reply) if reply.status == 200 => Response::ok(reply.body),
        Ok(reply) => Response::ok(format!(
            "{} {}",
            reply.status.as_u16(),
            reply.json()["errorCode"]
        )),
        Err(_) => Response::ok("no answer"),
    }
}

/// A host of `Nested` whose methods wait so long for the actors that they call.
async fn host(plane: &Plane, turns: &Turns, reentrancy: Value, patience: Duration) -> ActorHost {
    let sidecar = plane.sidecar("nested");
    let http = Http::port(sidecar.http_port()).within(patience);
    let config = json!({"entities": ["Nested"], "reentrancy": reentrancy});
    let method = move |call| nest(call, http.clone());
    ActorHost::start_with(sidecar, turns, "a", config, method).await
}

async fn nested(http: &Http, id: &str, depth: u32) -> String {
    let path = format!("/v1.0/actors/Nested/{id}/method/nest");
    let reply = http.post(&path, depth.to_string()).await.unwrap();
    reply.expect_status(200).text()
}

#[tokio::test]
async fn without_reentrancy_an_actor_waits_for_itself_as_long_as_its_caller_does() {
    let (plane, turns) = (Plane::start().await, Turns::default());
    let off = json!({"enabled": false});
    let host = host(&plane, &turns, off, Duration::from_secs(2)).await;
    let http = host.sidecar.http();
    let (own, ()) = tokio::join!(nested(&http, "self", 1), async {
        eventually(DEADLINE, async || {
            ensure!(turns.calls("Nested/self/nest") == 1, "it is not called");
            Ok(())
        })
        .await;
        assert_eq!(nested(&http, "other", 0).await, "bottom");
        assert_eq!(turns.calls("Nested/self/nest"), 1, "the inner call waits");
    });
    assert_eq!(own, "no answer");
    assert_eq!(nested(&http, "self", 0).await, "bottom");
    assert_eq!(turns.faults(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_reentrancy_an_actor_may_call_itself_to_the_depth_that_is_allowed() {
    let (plane, turns) = (Plane::start().await, Turns::default());
    let on = json!({"enabled": true, "maxStackDepth": 3});
    let host = host(&plane, &turns, on, DEADLINE).await;
    let http = host.sidecar.http();
    assert_eq!(nested(&http, "1", 2).await, "bottom");
    assert_eq!(nested(&http, "1", 3).await, "500 \"ERR_ACTOR_STACK_DEPTH\"");
    // What was refused has left nothing behind, and chains wait for each other.
    let mut chains = JoinSet::new();
    for _ in 0..20 {
        let http = http.clone();
        chains.spawn(async move { nested(&http, "1", 2).await });
    }
    for result in chains.join_all().await {
        assert_eq!(result, "bottom");
    }
}
