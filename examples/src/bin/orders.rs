//! The order service: tells, step by step, what an application asks its sidecar and what it
//! gets. It ends when the story is told, or when something went otherwise.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use axum::{Router, routing::post};
use bytes::Bytes;
use examples::{Answer, Sidecar, port, say};
use http::{Method, StatusCode};
use serde_json::{Value, json};

const STORE: &str = "/v1.0/state/statestore";
const DEADLINE: Duration = Duration::from_secs(60);

/// What the inventory has said is left of an item; -1 before it has said anything.
static LOW_STOCK: AtomicI64 = AtomicI64::new(-1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => {
            say("The story is complete: every answer was the expected one.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("The story went wrong: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port("APP_PORT")?)).await?;
    let routes = Router::new().route("/low-stock", post(low_stock));
    tokio::select! {
        ended = axum::serve(listener, routes) => ended.context("the server ended"),
        told = tokio::time::timeout(DEADLINE, story()) => told.context("it took too long")?,
    }
}

/// Called by the inventory, through both sidecars.
async fn low_stock(body: Bytes) -> &'static str {
    let notice: Value = serde_json::from_slice(&body).unwrap_or_default();
    say(&format!("   heard from inventory: {notice}"));
    LOW_STOCK.store(notice["left"].as_i64().unwrap_or(-1), Ordering::Relaxed);
    "noted"
}

async fn story() -> Result<()> {
    let sidecar = Sidecar::from_env()?;
    sidecar.wait_for("/v1.0/healthz/outbound").await?;

    say("1. Read a secret. The database's file name comes from the same secret store.");
    let secret = get(&sidecar, "/v1.0/secrets/secrets/currency").await?;
    let currency = secret.body["currency"].clone();
    ensure!(currency == "EUR", "the currency is {currency}");

    say("2. Save an order, and read it back.");
    let order = json!({ "item": "widget", "count": 1, "currency": currency });
    save(&sidecar, "order-1", &order, None, StatusCode::NO_CONTENT).await?;
    let saved = get(&sidecar, &format!("{STORE}/order-1")).await?;
    ensure!(saved.body == order, "the order came back changed");
    let first = saved.etag.context("the order has no ETag")?;

    say("3. Change the order, if nobody else has: the ETag of step 2 still fits.");
    let order = json!({ "item": "widget", "count": 8, "currency": currency });
    save(
        &sidecar,
        "order-1",
        &order,
        Some(&first),
        StatusCode::NO_CONTENT,
    )
    .await?;

    say("4. Change it with that ETag again: it is outdated now, so this is a conflict.");
    let late = json!({ "item": "widget", "count": 2, "currency": currency });
    save(
        &sidecar,
        "order-1",
        &late,
        Some(&first),
        StatusCode::CONFLICT,
    )
    .await?;
    let kept = get(&sidecar, &format!("{STORE}/order-1")).await?;
    ensure!(kept.body == order, "the conflicting change was made");

    say("5. Make three changes at once: all of them or none.");
    let transaction = json!({ "operations": [
        { "operation": "upsert", "request": { "key": "order-2", "value": order } },
        { "operation": "upsert", "request": { "key": "orders", "value": ["order-2"] } },
        { "operation": "delete", "request": { "key": "order-1" } },
    ]});
    let path = format!("{STORE}/transaction");
    sidecar
        .tell(Method::POST, &path, &transaction, StatusCode::NO_CONTENT)
        .await?;
    let keys = json!({ "keys": ["order-1", "order-2", "orders"] });
    let found = sidecar
        .tell(
            Method::POST,
            &format!("{STORE}/bulk"),
            &keys,
            StatusCode::OK,
        )
        .await?;
    let data = |key: &str| {
        let items = found.body.as_array().into_iter().flatten();
        items
            .filter(|item| item["key"] == key)
            .map(|item| item["data"].clone())
            .next()
    };
    ensure!(data("order-2") == Some(order), "order-2 was not made");
    ensure!(
        data("orders") == Some(json!(["order-2"])),
        "the list was not made"
    );
    ensure!(
        data("order-1").is_none_or(|data| data.is_null()),
        "order-1 was not deleted"
    );

    say("6. Call the inventory by its app id. It keeps its own state, and calls back.");
    sidecar
        .wait_for("/v1.0/invoke/inventory/method/ready")
        .await?;
    let wish = json!({ "item": "widget", "count": 8 });
    let path = "/v1.0/invoke/inventory/method/reserve";
    let answer = sidecar
        .tell(Method::POST, path, &wish, StatusCode::OK)
        .await?;
    ensure!(
        answer.body["left"] == 2,
        "{} widgets are left",
        answer.body["left"]
    );
    let heard = LOW_STOCK.load(Ordering::Relaxed);
    ensure!(heard == 2, "the inventory has not told that stock is low");

    say("7. Ask the inventory who called it. Its sidecar lets in nobody but orders, and knows a");
    say("   caller by the certificate that it shows.");
    let callers = get(&sidecar, "/v1.0/invoke/inventory/method/callers").await?;
    let callers = callers.body.as_array().cloned().unwrap_or_default();
    ensure!(callers.len() == 1, "there are {} callers", callers.len());
    let id = callers[0].as_str().unwrap_or_default();
    ensure!(id.ends_with("/orders"), "the caller was {id}");
    say(&format!(
        "   orders called inventory over mutual TLS: its certificate says {id}"
    ));
    Ok(())
}

async fn get(sidecar: &Sidecar, path: &str) -> Result<Answer> {
    sidecar
        .tell(Method::GET, path, &Value::Null, StatusCode::OK)
        .await
}

async fn save(
    sidecar: &Sidecar,
    key: &str,
    value: &Value,
    etag: Option<&str>,
    expected: StatusCode,
) -> Result<Answer> {
    let mut item = json!({ "key": key, "value": value });
    if let Some(etag) = etag {
        item["etag"] = etag.into();
        item["options"] = json!({ "concurrency": "first-write" });
    }
    sidecar
        .tell(Method::POST, STORE, &json!([item]), expected)
        .await
}
