//! Invocation of the sidecar's own app.

use e2e::Sidecar;
use serde_json::json;
use testkit::{App, Http, Response};

async fn pair(app: &App) -> Sidecar {
    Sidecar::builder("orders")
        .env("APP_API_TOKEN", "app-t0ken")
        .app_port(app.port())
        .start()
        .ready()
        .await
}

async fn echo() -> App {
    App::start(|request| match request.path.as_str() {
        "/teapot" => Response::ok("short and stout").with_status(418),
        path if path.starts_with("/dapr/") => Response::status(404),
        _ => Response::json(&json!({
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "token": request.header("dapr-api-token"),
            "body": String::from_utf8_lossy(&request.body),
        })),
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_call_reaches_the_app_with_verb_query_body_and_token() {
    let app = echo().await;
    let sidecar = pair(&app).await;
    let http = sidecar.http();
    let reply = http
        .put("/v1.0/invoke/orders/method/a/b?x=1&y=2", "hello")
        .await
        .unwrap();
    assert_eq!(
        reply.expect_status(200).json(),
        json!({
            "method": "PUT", "path": "/a/b", "query": "x=1&y=2",
            "token": "app-t0ken", "body": "hello"
        })
    );
    let by_header = http.header("dapr-app-id", "orders");
    let reply = by_header.get("/a/b").await.unwrap().expect_status(200);
    assert_eq!(reply.json()["path"], "/a/b");
}

#[tokio::test]
async fn the_apps_status_and_body_come_back_unchanged() {
    let app = echo().await;
    let sidecar = pair(&app).await;
    let reply = sidecar
        .http()
        .get("/v1.0/invoke/orders/method/teapot")
        .await;
    assert_eq!(reply.unwrap().expect_status(418).text(), "short and stout");
}

#[tokio::test]
async fn an_app_id_that_nobody_has_is_named() {
    let app = echo().await;
    let sidecar = pair(&app).await;
    let id = format!("nobody-{}", sidecar.id());
    let http: Http = sidecar.http();
    let reply = http.get(&format!("/v1.0/invoke/{id}/method/x")).await;
    let message = reply.unwrap().expect_error(500, "ERR_DIRECT_INVOKE");
    assert!(message.contains(&id), "{message}");
}
