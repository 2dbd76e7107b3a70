//! Shopping carts as actors: one at a time each, with a state and a reminder that nothing makes
//! it forget. Tells what happens, and ends the scheduler in the middle of it.

use std::{
    process::{Command, ExitCode},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{delete, get, put},
};
use bytes::Bytes;
use examples::{Sidecar, port, say};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

const CART: &str = "/v1.0/actors/Cart/anna";
const DEADLINE: Duration = Duration::from_secs(90);
/// Long enough for the scheduler to be gone when the time comes.
const DUE: &str = "4s";

/// How many calls are inside a cart now, and how many there were at most.
static INSIDE: AtomicU32 = AtomicU32::new(0);
static MOST: AtomicU32 = AtomicU32::new(0);
/// Rung by the reminder.
static EXPIRED: Notify = Notify::const_new();

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => {
            say("The carts are done: the reminder came in spite of everything.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("The carts went wrong: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port("APP_PORT")?)).await?;
    let cart = "/actors/Cart/{id}";
    let routes = Router::new()
        .route(
            "/dapr/config",
            get(async || json!({ "entities": ["Cart"] }).to_string()),
        )
        .route(cart, delete(async || StatusCode::OK))
        .route(&format!("{cart}/method/add"), put(add))
        .route(&format!("{cart}/method/remind/expire"), put(expire))
        .with_state(Sidecar::from_env()?);
    tokio::select! {
        ended = axum::serve(listener, routes) => ended.context("the server ended"),
        told = tokio::time::timeout(DEADLINE, story()) => told.context("it took too long")?,
    }
}

/// A method of the cart: its sidecar calls it when it is this cart's turn.
async fn add(State(sidecar): State<Sidecar>, Path(id): Path<String>, body: Bytes) -> Response {
    let inside = INSIDE.fetch_add(1, Ordering::SeqCst) + 1;
    MOST.fetch_max(inside, Ordering::SeqCst);
    let added = put_in(&sidecar, &id, &body).await;
    INSIDE.fetch_sub(1, Ordering::SeqCst);
    match added {
        Ok(items) => items.to_string().into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response(),
    }
}

/// Reads, changes and writes without an ETag: nobody else is in this cart meanwhile.
async fn put_in(sidecar: &Sidecar, id: &str, item: &[u8]) -> Result<Value> {
    let path = format!("/v1.0/actors/Cart/{id}/state");
    let items = sidecar
        .call(Method::GET, &format!("{path}/items"), &Value::Null)
        .await?;
    let mut items = items.body.as_array().cloned().unwrap_or_default();
    items.push(serde_json::from_slice(item)?);
    let change = json!([{ "operation": "upsert", "request": { "key": "items", "value": items } }]);
    let saved = sidecar.call(Method::POST, &path, &change).await?;
    ensure!(
        saved.status == StatusCode::NO_CONTENT,
        "saving: {}",
        saved.status
    );
    Ok(items.into())
}

/// The reminder of step 10.
async fn expire(Path(id): Path<String>, body: Bytes) -> StatusCode {
    let text = String::from_utf8_lossy(&body).into_owned();
    say(&format!("   the cart of {id} is reminded: {text}"));
    EXPIRED.notify_one();
    StatusCode::OK
}

async fn story() -> Result<()> {
    let sidecar = Sidecar::from_env()?;
    sidecar.wait_for("/v1.0/healthz").await?;

    say("8. Put something into Anna's cart. It is an actor: found by its name, wherever it is.");
    let add = format!("{CART}/method/add");
    let soap = json!("soap");
    sidecar
        .tell(Method::POST, &add, &soap, StatusCode::OK)
        .await?;

    say("9. Put five things in at the same time. The cart takes them one after the other.");
    let put = async |n: u32| sidecar.call(Method::POST, &add, &json!(n)).await;
    let (one, two, three, four, five) = tokio::join!(put(1), put(2), put(3), put(4), put(5));
    for answer in [one, two, three, four, five] {
        let status = answer?.status;
        ensure!(status == StatusCode::OK, "one was refused: {status}");
    }
    let items = sidecar
        .tell(
            Method::GET,
            &format!("{CART}/state/items"),
            &Value::Null,
            StatusCode::OK,
        )
        .await?;
    let count = items.body.as_array().map_or(0, Vec::len);
    ensure!(count == 6, "there are {count} things in the cart");
    let most = MOST.load(Ordering::SeqCst);
    ensure!(most == 1, "{most} calls were in the cart at once");

    say("10. Let the cart be reminded, and kill the scheduler before the time comes.");
    let reminder = json!({ "dueTime": DUE, "data": "nothing bought" });
    let path = format!("{CART}/reminders/expire");
    sidecar
        .tell(Method::POST, &path, &reminder, StatusCode::NO_CONTENT)
        .await?;
    let scheduler = scheduler()?;
    say(&format!("   kill -9 {scheduler}"));
    run_program("kill", &["-9", &scheduler])?;
    let gone = sidecar
        .call(Method::GET, "/v1.0/healthz", &Value::Null)
        .await?;
    say(&format!("   meanwhile the sidecar answers {}", gone.status));
    say("   dapr init, which starts what has ended");
    run_program("dapr", &["init"])?;
    EXPIRED.notified().await;
    Ok(())
}

/// The process id of the scheduler, as `dapr status` tells it.
fn scheduler() -> Result<String> {
    let services: Value = serde_json::from_str(&run_program("dapr", &["status", "-o", "json"])?)?;
    let mut services = services.as_array().into_iter().flatten();
    let scheduler = services.find(|service| service["name"] == "scheduler");
    let pid = scheduler.and_then(|service| service["pid"].as_u64());
    Ok(pid.context("dapr status shows no scheduler")?.to_string())
}

/// What the program wrote to its standard output.
fn run_program(name: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(name).args(args).output();
    let output = output.with_context(|| format!("cannot start {name}"))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} {args:?}: {told}{stderr}");
    Ok(told)
}
