//! What two sidecars tell each other, and what the callers see.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{Method, StatusCode};
use proto::dapr::common::v1::http_extension::Verb;
use proto::dapr::common::v1::{HttpExtension, InvokeRequest, InvokeResponse};
use proto::dapr::internals::v1 as wire;
use proto::dapr::runtime::v1::InvokeServiceRequest;
use proto::dapr::runtime::v1::dapr_client::DaprClient;
use serde_json::json;
use tonic::{Code, Status};

use crate::support::{Mesh, echo, serve, unary};

#[tokio::test]
async fn the_app_learns_who_calls_it_but_not_for_its_own_calls() {
    let (mesh, app) = (Mesh::new(), serve(echo(), false).await);
    let callee = mesh.callee("app", &app, &[]).await;
    let caller = mesh.caller().await;
    let path = "/v1.0/invoke/app.default/method/x";
    let seen = caller
        .http()
        .get(path)
        .await
        .unwrap()
        .expect_status(200)
        .json();
    for (name, expected) in [
        ("dapr-caller-app-id", "caller"),
        ("dapr-caller-namespace", "default"),
        ("dapr-callee-app-id", "app"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        assert_eq!(seen["headers"][name], json!([expected]), "{name}");
    }
    assert_eq!(seen["headers"].get("destination-app-id"), None);
    let seen = callee
        .http()
        .get(path)
        .await
        .unwrap()
        .expect_status(200)
        .json();
    assert_eq!(seen["headers"].get("dapr-caller-app-id"), None);
    assert_eq!(seen["headers"].get("forwarded"), None);
}

fn statuses() -> Router {
    Router::new().fallback(|req: Request| async move {
        let code = req.uri().path().trim_start_matches('/').parse::<u16>();
        let status = code.ok().and_then(|c| StatusCode::from_u16(c).ok());
        let status = status.unwrap_or(StatusCode::OK);
        let empty = matches!(status.as_u16(), 204 | 304);
        let text = if empty { String::new() } else { "x".repeat(70) };
        let mut response = Response::builder().status(status).header("x-app", "here");
        if status.is_redirection() {
            response = response.header("location", "/elsewhere");
        }
        response.body(Body::from(text)).unwrap()
    })
}

#[tokio::test]
async fn statuses_pass_through_unchanged() {
    let (mesh, app) = (Mesh::new(), serve(statuses(), false).await);
    let callee = mesh.callee("app", &app, &[]).await;
    let caller = mesh.caller().await;
    for sidecar in [&callee, &caller] {
        for (verb, code, length) in [
            (Method::GET, 200, 70),
            (Method::HEAD, 200, 0),
            (Method::GET, 204, 0),
            (Method::GET, 304, 0),
            (Method::GET, 302, 70),
            (Method::POST, 418, 70),
            (Method::DELETE, 503, 70),
        ] {
            let path = format!("/v1.0/invoke/app/method/{code}");
            let reply = sidecar.http().call(verb.clone(), &path, "").await.unwrap();
            assert_eq!(reply.body.len(), length, "{verb} {code}");
            assert_eq!(reply.header("x-app"), "here", "{verb} {code}");
            reply.expect_status(code);
        }
    }
}

#[tokio::test]
async fn invoke_service_maps_the_status_of_an_http_app() {
    let (mesh, app) = (Mesh::new(), serve(statuses(), false).await);
    let _callee = mesh.callee("app", &app, &[]).await;
    let caller = mesh.caller().await;
    let address = format!("http://127.0.0.1:{}", caller.grpc);
    let mut client = DaprClient::connect(address).await.unwrap();
    for (status, expected) in [
        (200, None),
        (202, None),
        (302, Some(Code::Unknown)),
        (400, Some(Code::Internal)),
        (401, Some(Code::Unauthenticated)),
        (403, Some(Code::PermissionDenied)),
        (404, Some(Code::NotFound)),
        (409, Some(Code::AlreadyExists)),
        (429, Some(Code::ResourceExhausted)),
        (500, Some(Code::Unknown)),
        (503, Some(Code::Unavailable)),
    ] {
        let request = InvokeServiceRequest {
            id: "app".into(),
            message: Some(InvokeRequest {
                method: status.to_string(),
                http_extension: Some(HttpExtension {
                    verb: Verb::Get.into(),
                    querystring: String::new(),
                }),
                ..Default::default()
            }),
        };
        let result = client.invoke_service(request).await;
        let metadata = match &result {
            Ok(response) => response.metadata(),
            Err(refused) => refused.metadata(),
        };
        let shown = metadata.get("dapr-http-status").map(|v| v.as_bytes());
        assert_eq!(shown, Some(status.to_string().as_bytes()), "{status}");
        assert_eq!(
            result.as_ref().err().map(Status::code),
            expected,
            "{status}"
        );
        let Err(refused) = result else { continue };
        let details: proto::google::rpc::Status =
            prost::Message::decode(refused.details()).unwrap();
        let info: proto::google::rpc::ErrorInfo = details.details[0].to_msg().unwrap();
        assert_eq!(info.domain, "dapr.io");
        assert_eq!(info.metadata["http.code"], status.to_string());
        assert_eq!(info.metadata["http.error_message"].len(), 63);
    }
}

/// A peer from before the streaming call.
fn old_peer() -> Router {
    let call = async |request: tonic::Request<wire::InternalInvokeRequest>| {
        let message = request.into_inner().message.unwrap_or_default();
        let body = message.data.unwrap_or_default().value;
        let mut reply = message.method.into_bytes();
        reply.extend_from_slice(&body);
        Ok(tonic::Response::new(wire::InternalInvokeResponse {
            status: Some(wire::Status {
                code: 200,
                ..Default::default()
            }),
            message: Some(InvokeResponse {
                data: Some(prost_types::Any {
                    value: reply,
                    ..Default::default()
                }),
                content_type: "text/plain".into(),
            }),
            ..Default::default()
        }))
    };
    Router::new()
        .route(
            "/dapr.proto.internals.v1.ServiceInvocation/CallLocal",
            axum::routing::post(move |req| unary(req, call)),
        )
        .fallback(async || Status::unimplemented("").into_http::<Body>())
}

/// Makes an app id known at a port of this machine.
fn register(mesh: &Mesh, id: &str, port: u16) {
    let entry = json!({
        "appId": id,
        "address": format!("127.0.0.1:{port}"),
        "pid": std::process::id(),
    });
    std::fs::write(
        mesh.apps.path().join(format!("{id}.json")),
        entry.to_string(),
    )
    .unwrap();
}

#[tokio::test]
async fn a_peer_that_is_down_is_tried_again_unless_the_body_streams() {
    let mesh = Mesh::new();
    register(&mesh, "down", testkit::free_port());
    let caller = mesh.caller().await;
    let path = "/v1.0/invoke/down/method/m";
    let reply = caller.http().post(path, "body").await.unwrap();
    let message = reply.expect_error(500, "ERR_DIRECT_INVOKE");
    let expected = "failed to invoke, id: down, err: failed to invoke target down after 3 retries. Error: rpc error: code = Unavailable desc = ";
    assert!(message.starts_with(expected), "{message}");

    let chunk = futures_util::stream::iter([Ok::<_, std::io::Error>("body")]);
    let req = Request::post(path).header("host", "localhost");
    let req = req.body(Body::from_stream(chunk)).unwrap();
    let (response, _driver) = crate::stream::send(caller.http, req).await;
    assert_eq!(response.status(), 500);
    let text = axum::body::to_bytes(response.into_body(), 4096)
        .await
        .unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let expected = "failed to invoke, id: down, err: rpc error: code = Unavailable desc = ";
    assert!(text.contains(expected), "{text}");
}

#[tokio::test]
async fn a_peer_that_knows_no_streams_gets_the_call_in_one_message() {
    let (mesh, peer) = (Mesh::new(), serve(old_peer(), false).await);
    register(&mesh, "old", peer.port);
    let caller = mesh.caller().await;
    let http = caller.http();
    let reply = http
        .post("/v1.0/invoke/old/method/m", "+body")
        .await
        .unwrap();
    assert_eq!(reply.expect_status(200).text(), "m+body");
}

#[tokio::test]
async fn invoke_service_passes_the_answer_of_a_grpc_app() {
    let (mesh, app) = (Mesh::new(), serve(crate::support::grpc_app(), false).await);
    let callee = mesh.callee("app", &app, &["--app-protocol", "grpc"]).await;
    let caller = mesh.caller().await;
    for port in [callee.grpc, caller.grpc] {
        let address = format!("http://127.0.0.1:{port}");
        let mut client = DaprClient::connect(address).await.unwrap();
        let call = |method: &str| InvokeServiceRequest {
            id: "app".into(),
            message: Some(InvokeRequest {
                method: method.into(),
                content_type: "text/plain".into(),
                ..Default::default()
            }),
        };
        let mut request = tonic::Request::new(call("m"));
        let metadata = request.metadata_mut();
        metadata.insert("x-own", "1".parse().unwrap());
        metadata.insert_bin(
            "x-raw-bin",
            tonic::metadata::MetadataValue::from_bytes(&[0, 255]),
        );
        let response = client.invoke_service(request).await.unwrap();
        assert_eq!(response.metadata().get("x-app").unwrap(), "grpc");
        assert_eq!(response.metadata().get("dapr-http-status"), None);
        let data = response.into_inner().data.unwrap();
        let seen: serde_json::Value = serde_json::from_slice(&data.value).unwrap();
        assert_eq!(seen["method"], "m");
        assert_eq!(seen["headers"]["x-own"], "1");
        let raw = seen["headers"]["x-raw-bin"].as_str().unwrap();
        assert_eq!(raw.trim_end_matches('='), "AP8");
        // What the caller's own connection is about stays there.
        assert_eq!(seen["headers"].get("dapr-content-type"), None);

        let refused = client.invoke_service(call("fail")).await.unwrap_err();
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::NotFound, "no such order")
        );
        let details: proto::google::rpc::Status =
            prost::Message::decode(refused.details()).unwrap();
        let info: proto::google::rpc::ErrorInfo = details.details[0].to_msg().unwrap();
        assert_eq!(info.reason, "GONE");
    }
}
