//! Invocation of the sidecar's own app.

use e2e::Sidecar;
use http::Request;
use http_body::Frame;
use http_body_util::BodyExt;
use serde_json::json;
use testkit::server::channel;
use testkit::{App, Connection, Http, Response};

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
async fn a_get_with_a_body_of_unknown_length_reaches_the_app_whole() {
    let app = echo().await;
    let sidecar = pair(&app).await;
    let (sender, body) = channel();
    let request = Request::get("/v1.0/invoke/orders/method/find")
        .header("transfer-encoding", "chunked")
        .body(body);
    let mut connection = Connection::open(sidecar.http).await.unwrap();
    let sent = async {
        sender.send(Ok(Frame::data("who ".into()))).await.unwrap();
        sender.send(Ok(Frame::data("else".into()))).await.unwrap();
        drop(sender);
    };
    let (response, ()) = tokio::join!(connection.send(request.unwrap()), sent);
    let body = response.unwrap().into_body().collect().await.unwrap();
    let seen: serde_json::Value = serde_json::from_slice(&body.to_bytes()).unwrap();
    assert_eq!(
        (&seen["method"], &seen["body"]),
        (&json!("GET"), &json!("who else"))
    );
}

#[tokio::test]
async fn a_trace_passes_as_it_came_unless_tracing_is_configured() {
    let app = echo().await;
    let sidecar = pair(&app).await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let http = sidecar.http();
    let traced = http.clone().header("traceparent", parent);
    let reply = traced.get("/v1.0/invoke/orders/method/a").await.unwrap();
    assert_eq!(reply.expect_status(200).header("traceparent"), parent);
    assert_eq!(app.seen("/a")[0].header("traceparent"), parent);
    let reply = http.get("/v1.0/invoke/orders/method/b").await.unwrap();
    assert_eq!(reply.expect_status(200).header("traceparent"), "");
    assert_eq!(app.seen("/b")[0].header("traceparent"), "");
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
