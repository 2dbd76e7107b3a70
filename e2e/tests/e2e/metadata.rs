//! The metadata call: what a sidecar says about itself.

use e2e::{Sidecar, component, component_with};
use serde_json::json;

#[tokio::test]
async fn metadata_names_app_components_and_version() {
    let sidecar = Sidecar::builder("order-service")
        .component("statestore", "state.in-memory", &[])
        .start()
        .ready()
        .await;
    let reply = sidecar.http().get("/v1.0/metadata").await.unwrap();
    let metadata = reply.expect_status(200).json();
    assert_eq!(metadata["id"], "order-service");
    let version = metadata["runtimeVersion"].as_str().unwrap();
    assert!(!version.is_empty());
    assert_eq!(metadata["extended"]["daprRuntimeVersion"], version);
    let components = metadata["components"].as_array().unwrap();
    assert_eq!(components.len(), 1);
    let first = &components[0];
    assert_eq!(
        json!([first["name"], first["type"], first["version"]]),
        json!(["statestore", "state.in-memory", "v1"])
    );
    let capabilities = first["capabilities"].as_array().unwrap();
    for capability in ["ETAG", "TRANSACTIONAL", "TTL", "ACTOR"] {
        assert!(
            capabilities.contains(&json!(capability)),
            "{capabilities:?}"
        );
    }
    assert_eq!(
        metadata["appConnectionProperties"],
        json!({"protocol": "http", "channelAddress": "127.0.0.1"})
    );
    assert_eq!(metadata["actorRuntime"]["runtimeStatus"], "DISABLED");
}

#[tokio::test]
async fn own_labels_are_kept() {
    let sidecar = Sidecar::builder("labels").start().ready().await;
    let http = sidecar.http();
    let reply = http.put("/v1.0/metadata/owner", "team a").await.unwrap();
    reply.expect_status(204);
    let metadata = http.get("/v1.0/metadata").await.unwrap().json();
    assert_eq!(metadata["extended"]["owner"], "team a");
}

#[tokio::test]
async fn several_folders_and_scopes_decide_what_is_loaded() {
    let more = tempfile::tempdir().unwrap();
    std::fs::write(
        more.path().join("env.yml"),
        component("envstore", "secretstores.local.env", &[]),
    )
    .unwrap();
    let sidecar = Sidecar::builder("folders")
        .component("mine", "state.in-memory", &[])
        .file(
            "theirs.yaml",
            component_with("theirs", "state.in-memory", &[], "scopes: [someone-else]\n"),
        )
        .args(["--resources-path".as_ref(), more.path().as_os_str()])
        .start()
        .ready()
        .await;
    let http = sidecar.http();
    let metadata = http.get("/v1.0/metadata").await.unwrap().json();
    let mut names: Vec<_> = metadata["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| component["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["envstore", "mine"]);
    let reply = http.get("/v1.0/state/theirs/k").await.unwrap();
    reply.expect_error(400, "ERR_STATE_STORE_NOT_FOUND");
}

#[tokio::test]
async fn unknown_paths_and_verbs_answer_404_with_a_reason() {
    let sidecar = Sidecar::builder("paths").start().ready().await;
    let http = sidecar.http();
    for reply in [
        http.get("/v1.0/nothing").await.unwrap(),
        http.delete("/v1.0/metadata").await.unwrap(),
        http.get("/").await.unwrap(),
    ] {
        let message = reply.expect_error(404, "ERR_DIRECT_INVOKE");
        assert_eq!(
            message,
            "failed getting app id either from the URL path or the header dapr-app-id"
        );
    }
}
