//! Every app protocol, called by its own sidecar and by another.

use serde_json::json;

use crate::support::{Mesh, echo, grpc_app, serve};

async fn check_http(protocol: &str, tls: bool, version: &str) {
    let (mesh, app) = (Mesh::new(), serve(echo(), tls).await);
    let callee = mesh
        .callee("app", &app, &["--app-protocol", protocol])
        .await;
    let caller = mesh.caller().await;
    for sidecar in [&callee, &caller] {
        let http = sidecar
            .http()
            .header("x-many", "1")
            .header("x-many", "2")
            .header("connection", "close, x-hop")
            .header("x-hop", "gone")
            .header(
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
            .header("tracestate", "a=b")
            .header("baggage", "k=v");
        let reply = http
            .put(
                "/v1.0/invoke/app/method/a%2Fb//c/gr%C3%BCn/d+e?q=%2F+x&q=2",
                "text",
            )
            .await
            .unwrap()
            .expect_status(200);
        let seen = reply.json();
        assert_eq!(seen["method"], "PUT");
        assert_eq!(seen["uri"], "/a/b/c/gr%C3%BCn/d+e?q=%2F+x&q=2");
        assert_eq!(seen["version"], version);
        assert_eq!(seen["body"], "text");
        assert_eq!(seen["headers"]["x-many"], json!(["1", "2"]));
        assert_eq!(seen["headers"]["tracestate"], json!(["a=b"]));
        assert_eq!(seen["headers"]["baggage"], json!(["k=v"]));
        assert!(
            seen["headers"]["traceparent"][0]
                .as_str()
                .unwrap()
                .contains("0af7651916cd43dd")
        );
        assert_eq!(seen["headers"].get("x-hop"), None);
        let many = reply.headers.get_all("x-many").iter().count();
        assert_eq!(
            (many, reply.header("content-type")),
            (2, "application/json")
        );
    }
}

#[tokio::test]
async fn an_http_app_is_called() {
    check_http("http", false, "HTTP/1.1").await;
}

#[tokio::test]
async fn an_https_app_is_called_whatever_its_certificate() {
    check_http("https", true, "HTTP/1.1").await;
}

#[tokio::test]
async fn an_h2c_app_is_called() {
    check_http("h2c", false, "HTTP/2.0").await;
}

async fn check_grpc(protocol: &str, tls: bool) {
    let (mesh, app) = (Mesh::new(), serve(grpc_app(), tls).await);
    let callee = mesh
        .callee("app", &app, &["--app-protocol", protocol])
        .await;
    let caller = mesh.caller().await;
    for sidecar in [&callee, &caller] {
        let http = sidecar
            .http()
            .header("content-type", "text/plain")
            .header("accept", "a/b")
            .header(
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
            .header("tracestate", "a=b");
        let reply = http
            .post("/v1.0/invoke/app/method/x/y?q=1", "text")
            .await
            .unwrap();
        let seen = reply.clone().expect_status(200).json();
        for (field, expected) in [
            ("method", "x/y"),
            ("verb", "POST"),
            ("query", "q=1"),
            ("contentType", "text/plain"),
            ("body", "text"),
        ] {
            assert_eq!(seen[field], expected, "{field}");
        }
        assert_eq!(seen["headers"]["dapr-accept"], "a/b");
        assert_eq!(seen["headers"]["tracestate"], "a=b");
        assert!(
            seen["headers"]["traceparent"]
                .as_str()
                .unwrap()
                .contains("0af7651916cd43dd")
        );
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("x-app"), "grpc");
        assert_eq!(reply.header("dapr-grpc-status"), "");

        let reply = http.get("/v1.0/invoke/app/method/fail").await.unwrap();
        let info = json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "GONE", "domain": "app", "metadata": {"k": "v"}
        });
        assert_eq!(
            reply.expect_status(404).json(),
            json!({"code": 5, "message": "no such order", "details": [info]})
        );
    }
}

#[tokio::test]
async fn a_grpc_app_is_called() {
    check_grpc("grpc", false).await;
}

#[tokio::test]
async fn a_grpcs_app_is_called_whatever_its_certificate() {
    check_grpc("grpcs", true).await;
}

#[tokio::test]
async fn a_grpc_app_that_went_away_is_unavailable() {
    let (mesh, app) = (Mesh::new(), serve(grpc_app(), false).await);
    let callee = mesh.callee("app", &app, &["--app-protocol", "grpc"]).await;
    drop(app);
    let reply = callee
        .http()
        .get("/v1.0/invoke/app/method/x")
        .await
        .unwrap();
    assert_eq!(reply.expect_status(503).json()["code"], 14);
}
