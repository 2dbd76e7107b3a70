//! State through the HTTP API, the same scenario over several stores.

use e2e::Sidecar;
use serde_json::json;
use testkit::DEADLINE;

async fn walk(sidecar: &Sidecar) {
    let http = sidecar.http();
    let base = "/v1.0/state/statestore";
    let cart = json!({"items": ["widget", "gadget"]});
    let save = async |body| http.post_json(base, &body).await.unwrap();
    save(json!([{"key": "cart", "value": cart}, {"key": "n", "value": 7}]))
        .await
        .expect_status(204);

    let reply = http.get(&format!("{base}/cart")).await.unwrap();
    let reply = reply.expect_status(200);
    assert_eq!(reply.json(), cart);
    assert_eq!(reply.header("content-type"), "application/json");
    let etag = reply.header("etag").to_owned();
    assert!(!etag.is_empty());

    save(json!([{"key": "cart", "value": 2, "etag": etag}]))
        .await
        .expect_status(204);
    let message = save(json!([{"key": "cart", "value": 3, "etag": etag}]))
        .await
        .expect_error(409, "ERR_STATE_SAVE");
    assert!(message.contains("possible etag mismatch"), "{message}");
    let stale = http.clone().header("if-match", &etag);
    let message = stale
        .delete(&format!("{base}/cart"))
        .await
        .unwrap()
        .expect_error(409, "ERR_STATE_DELETE");
    assert!(
        message.starts_with("failed deleting state with key cart: possible etag mismatch"),
        "{message}"
    );

    let operations = json!({"operations": [
        {"operation": "upsert", "request": {"key": "new", "value": [1]}},
        {"operation": "delete", "request": {"key": "n"}}]});
    http.post_json(&format!("{base}/transaction"), &operations)
        .await
        .unwrap()
        .expect_status(204);
    let keys = json!({"keys": ["new", "n", "cart"], "parallelism": 2});
    let reply = http
        .post_json(&format!("{base}/bulk"), &keys)
        .await
        .unwrap();
    let found = reply.expect_status(200).json();
    let data = |key| {
        let entries = found.as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["key"] == key).unwrap();
        entry["data"].clone()
    };
    assert_eq!(data("new"), json!([1]));
    assert_eq!(data("cart"), json!(2));
    assert_eq!(data("n"), json!(null));

    http.delete(&format!("{base}/cart"))
        .await
        .unwrap()
        .expect_status(204);
    let reply = http.get(&format!("{base}/cart")).await.unwrap();
    assert_eq!(reply.expect_status(204).body.len(), 0);
}

#[tokio::test]
async fn the_in_memory_store_keeps_the_contract() {
    let sidecar = Sidecar::builder("memory")
        .component("statestore", "state.in-memory", &[])
        .start()
        .ready()
        .await;
    walk(&sidecar).await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let start = || {
        Sidecar::builder("shop")
            .component(
                "statestore",
                "state.sqlite",
                &[("connectionString", path.to_str().unwrap())],
            )
            .start()
            .ready()
    };
    let mut sidecar = start().await;
    walk(&sidecar).await;
    assert_eq!(sidecar.stop(DEADLINE).await.unwrap(), 0);
    let sidecar = start().await;
    let reply = sidecar.http().get("/v1.0/state/statestore/new").await;
    assert_eq!(reply.unwrap().expect_status(200).json(), json!([1]));
}

#[tokio::test]
async fn wrong_requests_are_answered_with_the_code_of_their_fault() {
    let sidecar = Sidecar::builder("wrong")
        .component("statestore", "state.in-memory", &[])
        .start()
        .ready()
        .await;
    let http = sidecar.http();
    let post = async |path: &str, body: &'static [u8]| http.post(path, body).await.unwrap();
    let base = "/v1.0/state/statestore";

    let reply = http.get("/v1.0/state/other/k").await.unwrap();
    let message = reply.expect_error(400, "ERR_STATE_STORE_NOT_FOUND");
    assert_eq!(message, "state store other is not found");
    let message = post(base, b"")
        .await
        .expect_error(400, "ERR_MALFORMED_REQUEST");
    assert_eq!(message, "EOF");
    let message = post(base, br#"[{"value":1}]"#)
        .await
        .expect_error(400, "ERR_MALFORMED_REQUEST");
    assert_eq!(message, "\"key\" is a required field");
    post(base, b"[{")
        .await
        .expect_error(400, "ERR_MALFORMED_REQUEST");
    let reply = http.get(&format!("{base}/a%7C%7Cb")).await.unwrap();
    let message = reply.expect_error(400, "ERR_MALFORMED_REQUEST");
    assert!(message.contains("can't contain '||'"), "{message}");
    let operations = br#"{"operations":[{"operation":"move","request":{"key":"a"}}]}"#;
    let message = post(&format!("{base}/transaction"), operations)
        .await
        .expect_error(400, "ERR_NOT_SUPPORTED_STATE_OPERATION");
    assert_eq!(message, "operation type move not supported");
}

#[tokio::test]
async fn without_any_store_the_error_says_so() {
    let sidecar = Sidecar::builder("storeless").start().ready().await;
    let reply = sidecar.http().get("/v1.0/state/statestore/k").await;
    let message = reply
        .unwrap()
        .expect_error(500, "ERR_STATE_STORE_NOT_CONFIGURED");
    assert_eq!(message, "state store statestore is not configured");
}
