use ::http::{Request, StatusCode};
use axum::body::Body;
use component::Registry;
use component::metadata::Properties;
use http_body_util::BodyExt;
use proto::dapr::common::v1 as common;
use proto::dapr::runtime::v1 as rt;
use resiliency::{ComponentKind, Policies};
use service::metrics::Registry as Metrics;

use super::*;
use crate::api::access::Access;
use crate::api::router::Router;

pub(crate) async fn open(properties: &[(&str, &str)], secret: Option<&'static str>) -> State {
    let mut registry = Registry::default();
    components_all::register(&mut registry);
    let properties: Properties = properties.iter().map(|(k, v)| (*k, *v)).collect();
    let open = registry.state_store("in-memory", "v1").unwrap();
    let store = open(properties.clone(), component::Env::named("s"))
        .await
        .unwrap();
    let names = |_: &str| secret.map(str::to_owned);
    let store = Store::new(("s", &properties), names, "app", "", store).unwrap();
    let slots = Slots::default();
    slots.opening("s").keep(Arc::new(store));
    let block = Block::new(
        &Metrics::new(&[]),
        &Policies::default(),
        ("state", ComponentKind::Statestore),
        OPERATIONS,
        ("app", "default"),
        &[],
    );
    State::new(slots, block)
}

fn router(state: &State) -> Router {
    http::routes(state.clone(), "app").router(&Access::default(), None)
}

/// Sends `VERB path body` and compares status and body.
async fn check(router: &Router, line: &str, status: u16, body: &str) {
    let mut parts = line.splitn(3, ' ');
    let (verb, path) = (parts.next().unwrap(), parts.next().unwrap());
    let req = Request::builder().method(verb).uri(path);
    let req = req
        .body(Body::from(parts.next().unwrap_or("").to_owned()))
        .unwrap();
    let response = router.call(req).await;
    let got = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(
        (got, String::from_utf8_lossy(&bytes).as_ref()),
        (status, body),
        "{line}"
    );
}

#[tokio::test]
async fn items_are_saved_read_and_deleted_over_http() {
    let state = open(&[], None).await;
    let r = router(&state);
    check(
        &r,
        r#"POST /v1.0/state/s [{"KEY":"k","Value":{"b": 1.50, "a":"<"}}]"#,
        204,
        "",
    )
    .await;
    check(&r, "GET /v1.0/state/s/k", 200, r#"{"a":"\u003c","b":1.5}"#).await;
    check(
        &r,
        r#"PUT /v1.0/state/s [{"key":"a b/c","value":2}]"#,
        204,
        "",
    )
    .await;
    check(&r, "GET /v1.0/state/s/a+b%2Fc", 200, "2").await;
    check(&r, "DELETE /v1.0/state/s/k", 204, "").await;
    check(&r, "GET /v1.0/state/s/k", 204, "").await;
    for body in ["[]", "null", "[] trailing"] {
        check(&r, &format!("POST /v1.0/state/s {body}"), 204, "").await;
    }
    // These are keys here, not operations.
    check(&r, "GET /v1.0/state/s/bulk", 204, "").await;
    check(&r, "DELETE /v1.0/state/s/transaction", 204, "").await;
}

#[tokio::test]
async fn bad_requests_are_refused_with_their_reason() {
    let state = open(&[], None).await;
    let r = router(&state);
    let malformed = |message: &str| {
        let message = message.replace('"', "\\\"");
        format!(r#"{{"errorCode":"ERR_MALFORMED_REQUEST","message":"{message}"}}"#)
    };
    check(&r, "POST /v1.0/state/s", 400, &malformed("EOF")).await;
    check(
        &r,
        r#"POST /v1.0/state/s [{"value":1}]"#,
        400,
        &malformed(r#""key" is a required field"#),
    )
    .await;
    check(
        &r,
        "POST /v1.0/state/s/transaction",
        400,
        &malformed("failed deserializing HTTP body: EOF"),
    )
    .await;
    check(
        &r,
        r#"POST /v1.0/state/s [{"key":"k","value":1,"options":{"consistency":"x"}}]"#,
        500,
        r#"{"errorCode":"ERR_STATE_SAVE","message":"failed saving state in state store s: unrecognized consistency model 'x'"}"#,
    )
    .await;
    check(
        &r,
        r#"POST /v1.0/state/s/transaction {"operations":[{"operation":"move","request":{"key":"a"}}]}"#,
        400,
        r#"{"errorCode":"ERR_NOT_SUPPORTED_STATE_OPERATION","message":"operation type move not supported"}"#,
    )
    .await;
    check(
        &r,
        "GET /v1.0/state/s/bad%zz",
        400,
        "failed to unescape request parameter \"key\". Error: invalid URL escape \"%zz\"\n",
    )
    .await;
    check(&r, "GET /v1.0/state/other/k", 400, r#"{"errorCode":"ERR_STATE_STORE_NOT_FOUND","message":"state store other is not found","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"appID":"app"},"reason":"DAPR_STATE_NOT_FOUND"}]}"#).await;
}

#[tokio::test]
async fn bulk_and_transactions_work_over_http() {
    let state = open(&[], None).await;
    let r = router(&state);
    let ops = r#"{"operations":[{"operation":"upsert","request":{"key":"a","value":"x"}},{"operation":"delete","request":{"key":"b"}}]}"#;
    check(
        &r,
        &format!("POST /v1.0/state/s/transaction {ops}"),
        204,
        "",
    )
    .await;
    check(&r, r#"POST /v1.0/state/s/bulk {"keys":[]}"#, 200, "[]\n").await;
    let req = Request::post("/v1.0/state/s/bulk")
        .body(Body::from(r#"{"keys":["a","none"]}"#))
        .unwrap();
    let body = r
        .call(req)
        .await
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    let items: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&items[0]["data"], &items[1]),
        (&"x".into(), &serde_json::json!({ "key": "none" }))
    );
}

#[tokio::test]
async fn keys_are_listed_by_prefix_in_pages() {
    let state = open(&[], None).await;
    let r = router(&state);
    let items: Vec<String> = ["order-1", "order-2", "Order-3", "order%", "x"]
        .iter()
        .map(|k| format!(r#"{{"key":"{k}","value":1}}"#))
        .collect();
    check(
        &r,
        &format!("POST /v1.0/state/s [{}]", items.join(",")),
        204,
        "",
    )
    .await;
    check(
        &r,
        "GET /v1.0-alpha1/state/s/keys?prefix=order-",
        200,
        r#"{"keys":["order-1","order-2"]}"#,
    )
    .await;
    check(
        &r,
        "GET /v1.0-alpha1/state/s/keys?prefix=order%25",
        200,
        r#"{"keys":["order%"]}"#,
    )
    .await;
    let mut all = Vec::new();
    let (mut token, store) = (
        None,
        state
            .store("s", None)
            .await
            .unwrap_or_else(|e| panic!("{e}")),
    );
    loop {
        let page = store.keys("", 2, token).await.unwrap();
        all.extend(page.keys);
        token = page.token;
        if token.is_none() {
            break;
        }
    }
    all.sort();
    assert_eq!(all, ["Order-3", "order%", "order-1", "order-2", "x"]);
    use proto::dapr_rs::state::v1alpha1::{ListKeysRequest, state_keys_server::StateKeys};
    let wanted = ListKeysRequest {
        store_name: "s".into(),
        prefix: "order-".into(),
        ..Default::default()
    };
    let service = grpc::Keys(state.clone());
    let page = service.list_keys_alpha1(tonic::Request::new(wanted)).await;
    assert_eq!(page.unwrap().into_inner().keys, ["order-1", "order-2"]);
    let req = Request::get("/v1.0-alpha1/state/s/keys?pageSize=x")
        .body(Body::empty())
        .unwrap();
    assert_eq!(r.call(req).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn encrypted_stores_hold_no_plain_text_and_give_it_back() {
    let key = "ab".repeat(32);
    let state = open(&[("primaryEncryptionKey", key.as_str())], Some("key-1")).await;
    let r = router(&state);
    check(
        &r,
        r#"POST /v1.0/state/s [{"key":"k","value":{"a":1}},{"key":"t","value":"text"}]"#,
        204,
        "",
    )
    .await;
    check(&r, "GET /v1.0/state/s/k", 200, r#"{"a":1}"#).await;
    check(&r, "GET /v1.0/state/s/t", 200, "text").await;
    let query = check(
        &r,
        "POST /v1.0-alpha1/state/s/query {}",
        500,
        r#"{"errorCode":"ERR_STATE_QUERY","message":"state store s query failed: cannot query encrypted store","details":[{"@type":"type.googleapis.com/google.rpc.ResourceInfo","description":"","owner":"","resource_name":"s","resource_type":"state"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":null,"reason":"DAPR_STATE_QUERY_FAILED"}]}"#,
    );
    query.await;
}

fn item(key: &str, value: &str, content_type: &str) -> common::StateItem {
    let metadata =
        (!content_type.is_empty()).then(|| ("contentType".to_owned(), content_type.to_owned()));
    common::StateItem {
        key: key.into(),
        value: Bytes::copy_from_slice(value.as_bytes()),
        metadata: metadata.into_iter().collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn values_over_grpc_are_bytes_unless_they_are_said_to_be_json() {
    let state = open(&[], None).await;
    for (value, content_type, stored) in [
        ("{ \"a\": 1 }", "", "{ \"a\": 1 }"),
        ("{ \"a\": 1 }", "application/json", "{\"a\":1}"),
        ("raw", "text/plain", "raw"),
    ] {
        let req = rt::SaveStateRequest {
            store_name: "s".into(),
            states: vec![item("k", value, content_type)],
        };
        grpc::save(&state, req).await.unwrap();
        let req = rt::GetStateRequest {
            store_name: "s".into(),
            key: "k".into(),
            ..Default::default()
        };
        let got = grpc::get(&state, req).await.unwrap();
        assert_eq!(
            (got.data.as_ref(), got.etag.is_empty()),
            (stored.as_bytes(), false)
        );
    }
    let save = |item| rt::SaveStateRequest {
        store_name: "s".into(),
        states: vec![item],
    };
    let code = |r: Result<(), tonic::Status>| r.unwrap_err().code();
    assert_eq!(
        code(grpc::save(&state, save(item("k", "{", "application/json"))).await),
        tonic::Code::Unknown
    );
    assert_eq!(
        code(grpc::save(&state, save(item("", "x", ""))).await),
        tonic::Code::InvalidArgument
    );
    assert_eq!(
        code(grpc::save(&state, save(item("a||b", "x", ""))).await),
        tonic::Code::InvalidArgument
    );
    let stale = common::StateItem {
        etag: Some(common::Etag { value: "77".into() }),
        ..item("k", "x", "")
    };
    assert_eq!(
        code(grpc::save(&state, save(stale)).await),
        tonic::Code::Aborted
    );
}
