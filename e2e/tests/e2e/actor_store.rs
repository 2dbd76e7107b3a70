//! The one store that actors keep their state in: there are never two, and it may come and go.

use std::fs;

use anyhow::ensure;
use e2e::{ActorHost, Plane, Sidecar, Turns, component};
use serde_json::{Value, json};
use testkit::{DEADLINE, Http, eventually};

const METADATA: [(&str, &str); 1] = [("actorStateStore", "true")];

async fn hosted(http: &Http) -> anyhow::Result<Value> {
    let reply = http.get("/v1.0/metadata").await?;
    let metadata: Value = serde_json::from_str(&reply.text())?;
    Ok(metadata["actorRuntime"]["activeActors"].clone())
}

#[tokio::test]
async fn two_stores_for_actors_end_the_start() {
    let mut sidecar = Sidecar::builder("two-stores")
        .component("one", "state.in-memory", &METADATA)
        .component("two", "state.in-memory", &METADATA)
        .start();
    let code = sidecar.exit_code(DEADLINE).await.unwrap();
    let output = sidecar.output();
    assert_eq!(code, 1, "{output}");
    let either = ["one and two", "two and one"];
    let told =
        |pair: &&str| output.contains(&format!("detected duplicate actor state store: {pair}"));
    assert!(either.iter().any(told), "{output}");
}

#[tokio::test]
async fn actors_go_with_their_store_and_come_back_with_another() {
    let (plane, turns) = (Plane::start().await, Turns::default());
    let config = json!({"entities": ["Counter"]});
    let sidecar = plane.sidecar("changing");
    let host = ActorHost::start_with(sidecar, &turns, "a", config, e2e::quick).await;
    let (http, folder) = (host.sidecar.http(), host.sidecar.folder());
    let call = async || {
        let path = "/v1.0/actors/Counter/1/method/add";
        http.post(path, "").await.unwrap().expect_status(200);
    };
    call().await;
    assert_eq!(
        hosted(&http).await.unwrap(),
        json!([{"type": "Counter", "count": 1}])
    );

    // A second store has to wait for its turn.
    let other = component("other", "state.in-memory", &METADATA);
    fs::write(folder.join("other.yaml"), other).unwrap();
    let skipped = "Skipping hot reload of other (state.in-memory/v1): statestore is already the actor state store";
    host.sidecar.wait_line(skipped, DEADLINE).await;
    call().await;

    // Its turn comes when the first is gone; in between the actor has been let go.
    fs::remove_file(folder.join("statestore.yaml")).unwrap();
    let applied = "Applying previously skipped actor state store: other";
    host.sidecar.wait_line(applied, DEADLINE).await;
    eventually(DEADLINE, async || {
        let gone = turns.deactivated().get("Counter/1").copied();
        ensure!(gone == Some(1), "the actor is still active");
        Ok(())
    })
    .await;
    call().await;

    fs::remove_file(folder.join("other.yaml")).unwrap();
    eventually(DEADLINE, async || {
        let hosted = hosted(&http).await?;
        ensure!(hosted.is_null(), "still hosted: {hosted}");
        Ok(())
    })
    .await;
    assert_eq!(turns.faults(), Vec::<String>::new());
}
