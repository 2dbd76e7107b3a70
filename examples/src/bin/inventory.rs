//! The inventory: keeps the stock of each item in the state store, and tells the order service
//! when one runs low.

use anyhow::Result;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use examples::{Sidecar, port, say};
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// What an item starts with when nobody has reserved any.
const FULL_STOCK: i64 = 10;
/// Below this the order service wants to know.
const LOW_STOCK: i64 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port("APP_PORT")?)).await?;
    let routes = Router::new()
        .route("/ready", get(async || StatusCode::NO_CONTENT))
        .route("/reserve", post(reserve))
        .route("/callers", get(callers))
        .with_state(Sidecar::from_env()?);
    axum::serve(listener, routes).await?;
    Ok(())
}

/// Who called this service: the sidecar counts whom its access policy has let in, by the identity
/// in the caller's certificate. A caller without one is let in by no policy.
async fn callers(State(sidecar): State<Sidecar>) -> Response {
    let name = "dapr_runtime_acl_app_policy_action_allowed_total";
    let lines = match sidecar.metric(name).await {
        Ok(lines) => lines,
        Err(error) => {
            return (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response();
        }
    };
    let callers = lines.iter().map(|line| {
        let [domain, namespace, app] =
            ["trustDomain", "namespace", "app_id"].map(|name| label(line, name));
        format!("spiffe://{domain}/ns/{namespace}/{app}")
    });
    json!(callers.collect::<Vec<_>>())
        .to_string()
        .into_response()
}

fn label<'a>(line: &'a str, name: &str) -> &'a str {
    let value = line.split_once(&format!("{name}=\"")).map(|(_, rest)| rest);
    value
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default()
}

async fn reserve(State(sidecar): State<Sidecar>, body: Bytes) -> Response {
    let answer = match serde_json::from_slice::<Value>(&body) {
        Ok(wish) => take(&sidecar, &wish).await,
        Err(error) => Err(error.into()),
    };
    match answer {
        Ok(answer) => answer.to_string().into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response(),
    }
}

async fn take(sidecar: &Sidecar, wish: &Value) -> Result<Value> {
    let item = wish["item"].as_str().unwrap_or_default();
    let count = wish["count"].as_i64().unwrap_or_default();
    let key = format!("stock-{item}");
    let stock = sidecar
        .call(
            Method::GET,
            &format!("/v1.0/state/statestore/{key}"),
            &Value::Null,
        )
        .await?;
    let left = stock.body.as_i64().unwrap_or(FULL_STOCK) - count;
    say(&format!("   {count} of {item} reserved, {left} left"));
    // The ETag makes sure that nobody else has reserved in the meantime.
    let save = json!([{ "key": key, "value": left, "etag": stock.etag }]);
    sidecar
        .tell(
            Method::POST,
            "/v1.0/state/statestore",
            &save,
            StatusCode::NO_CONTENT,
        )
        .await?;
    if left < LOW_STOCK {
        let notice = json!({ "item": item, "left": left });
        let path = "/v1.0/invoke/orders/method/low-stock";
        sidecar
            .tell(Method::POST, path, &notice, StatusCode::OK)
            .await?;
    }
    Ok(json!({ "item": item, "left": left }))
}
