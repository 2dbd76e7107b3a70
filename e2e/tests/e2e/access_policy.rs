//! Who may call what: the callee's policy, decided by certificates alone.

use e2e::{Mesh, Sidecar};
use serde_json::json;
use testkit::{App, Response};
use tonic::Code;

use crate::grpc_service::{self, Client};

/// `friend` may GET below `/open` and call one gRPC method; nobody else may call.
fn policy() -> String {
    let operations = json!([
        {"name": "/open", "httpVerb": ["GET"], "action": "allow"},
        {"name": "/e2e.Shapes/One", "action": "allow"},
    ]);
    let friend = json!({
        "appId": "friend", "defaultAction": "deny", "trustDomain": "public",
        "namespace": "default", "operations": operations,
    });
    let access = json!({"defaultAction": "deny", "trustDomain": "public", "policies": [friend]});
    json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration",
        "metadata": {"name": "guarded"}, "spec": {"accessControl": access},
    })
    .to_string()
}

struct Guarded {
    friend: Sidecar,
    stranger: Sidecar,
    _callee: Sidecar,
    _policy: tempfile::TempDir,
    _mesh: Mesh,
}

impl Guarded {
    async fn start(port: u16, protocol: &str) -> Self {
        let mesh = Mesh::start().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, policy()).unwrap();
        let callee = mesh
            .sidecar("callee")
            .args(["--app-protocol", protocol, "--config"])
            .args([&file])
            .app_port(port);
        Self {
            _callee: callee.start().ready().await,
            friend: mesh.sidecar("friend").start().ready().await,
            stranger: mesh.sidecar("stranger").start().ready().await,
            _policy: folder,
            _mesh: mesh,
        }
    }
}

fn denied(app_id: &str, operation: &str, verb: &str) -> String {
    format!(
        "access control policy has denied access to id: spiffe://public/ns/default/{app_id} \
         operation: {operation} verb: {verb}"
    )
}

#[tokio::test]
async fn verb_path_and_certificate_decide_and_headers_do_not() {
    let app = App::start(|request| match request.path.as_str() {
        path if path.starts_with("/dapr/") => Response::status(404),
        _ => Response::ok("in"),
    })
    .await
    .unwrap();
    let guarded = Guarded::start(app.port(), "http").await;
    let forged = [
        ("dapr-caller-app-id", "friend"),
        ("dapr-caller-namespace", "default"),
    ];
    for (sidecar, app_id, verb, path, allowed) in [
        (&guarded.friend, "friend", "GET", "open", true),
        (&guarded.friend, "friend", "GET", "open/door", true),
        (&guarded.friend, "friend", "GET", "open/../closed", false),
        (&guarded.friend, "friend", "POST", "open", false),
        (&guarded.friend, "friend", "GET", "closed", false),
        (&guarded.stranger, "stranger", "GET", "open", false),
    ] {
        let what = format!("{app_id} {verb} {path}");
        let before = app.requests().len();
        let mut http = sidecar.http();
        for (name, value) in forged {
            http = http.header(name, value);
        }
        let method = http::Method::from_bytes(verb.as_bytes()).unwrap();
        let url = format!("/v1.0/invoke/callee/method/{path}");
        let reply = http.call(method, &url, "").await.unwrap();
        if allowed {
            assert_eq!(reply.expect_status(200).text(), "in", "{what}");
            continue;
        }
        let message = reply.expect_error(403, "ERR_DIRECT_INVOKE");
        let operation = path.trim_start_matches("open/../");
        let refusal = denied(app_id, operation, verb);
        assert!(message.contains(&refusal), "{what}: {message}");
        assert_eq!(app.requests().len(), before, "{what}");
    }
}

#[tokio::test]
async fn grpc_calls_are_denied_as_well() {
    let app = grpc_service::serve().await;
    let guarded = Guarded::start(app.port(), "grpc").await;
    let forged = [("dapr-caller-app-id", "friend")];

    let mut client = Client::connect(guarded.friend.grpc, "callee").await;
    let answer = client.one("a", &forged).await.unwrap();
    assert_eq!(answer.into_inner(), "one:a");
    let status = client.spread("a").await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");

    let before = app.requests();
    let mut client = Client::connect(guarded.stranger.grpc, "callee").await;
    let status = client.one("a", &forged).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    let id = "spiffe://public/ns/default/stranger";
    assert!(status.message().contains(id), "{status:?}");
    assert_eq!(app.requests(), before);
}
