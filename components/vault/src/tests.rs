use std::collections::BTreeMap;

use component::metadata::{Properties, decode};
use component::secrets::SecretStore;
use component::{Component, Env, Result};
use testkit::{App, Recorded, Response};

use super::*;

/// As much of a Vault server as reading secrets needs.
fn answer(request: &Recorded) -> Response {
    if request.header("x-vault-token") != "root" {
        return Response::json(&serde_json::json!({ "errors": ["permission denied"] }))
            .with_status(403);
    }
    let data =
        |data: serde_json::Value| Response::json(&serde_json::json!({ "data": { "data": data } }));
    let keys =
        |keys: serde_json::Value| Response::json(&serde_json::json!({ "data": { "keys": keys } }));
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/v1/secret/data/dapr/db") => {
            data(serde_json::json!({ "user": "u", "password": "p" }))
        }
        ("GET", "/v1/secret/data/dapr/team/odd%20name") => data(serde_json::json!({ "k": "v" })),
        ("GET", "/v1/secret/data/dapr/bad") => {
            data(serde_json::json!({ "k": { "leak": "s3cret" } }))
        }
        ("LIST", "/v1/secret/metadata/dapr/") => keys(serde_json::json!(["db", "gone", "team/"])),
        ("LIST", "/v1/secret/metadata/dapr/team/") => keys(serde_json::json!(["odd name"])),
        _ => Response::json(&serde_json::json!({ "errors": [] })).with_status(404),
    }
}

async fn open(properties: &[(&str, &str)]) -> Result<Vault> {
    let properties: Properties = properties.iter().map(|(k, v)| (*k, *v)).collect();
    Vault::open(decode(&properties)?, Env::named("vault")).await
}

async fn get(store: &Vault, name: &str) -> String {
    match store.get(name, &BTreeMap::new()).await {
        Ok(secret) => format!("{:?}", secret.0),
        Err(e) => format!("{:?}: {e}", e.kind),
    }
}

#[tokio::test]
async fn secrets_are_read_and_listed() {
    let app = App::start(answer).await.unwrap();
    let address = format!("http://127.0.0.1:{}", app.port());
    let (at, token) = (("vaultAddr", address.as_str()), ("vaultToken", "root"));
    let store = open(&[at, token]).await.unwrap();
    assert_eq!(get(&store, "db").await, r#"{"password": "p", "user": "u"}"#);
    assert_eq!(
        get(&store, "none").await,
        "NotFound: getSecret none failed secret key or version not exist"
    );
    let bad = get(&store, "bad").await;
    assert!(
        bad.contains("secret bad") && !bad.contains("s3cret"),
        "{bad}"
    );
    let all = store.bulk_get(&BTreeMap::new()).await.unwrap();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["db", "team/odd name"]);
    let text = open(&[at, token, ("vaultValueType", "text")])
        .await
        .unwrap();
    assert_eq!(
        get(&text, "db").await,
        r#"{"db": "{\"password\":\"p\",\"user\":\"u\"}"}"#
    );
    let other = open(&[at, token, ("vaultKVUsePrefix", "false")])
        .await
        .unwrap();
    assert_eq!(
        get(&other, "dapr/db").await,
        r#"{"password": "p", "user": "u"}"#
    );
    let wrong = open(&[at, ("vaultToken", "wr0ng")]).await.unwrap();
    let refused = get(&wrong, "db").await;
    assert!(
        refused.starts_with("Unauthorized: couldn't get successful response, status code 403"),
        "{refused}"
    );
    assert!(!refused.contains("wr0ng"), "{refused}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    for (properties, part) in [
        (&[][..], "token mount path and token not set"),
        (
            &[("vaultToken", "a"), ("vaultTokenMountPath", "/b")],
            "token mount path and token both set",
        ),
        (
            &[("vaultToken", "a"), ("vaultValueType", "x")],
            "accepted values are map or text",
        ),
        (&[("vaultToken", "a"), ("vaultAddr", "::")], "is not a URL"),
        (&[("vaultToken", "a"), ("caPem", "rubbish")], "caPem"),
        (&[("vaultToken", "a"), ("caCert", "/none")], "/none"),
    ] {
        let error = open(properties).await.map(|_| ()).unwrap_err();
        assert!(error.message.contains(part), "{}", error.message);
    }
    let port = testkit::free_port();
    let store = open(&[
        ("vaultToken", "a"),
        ("vaultAddr", &format!("http://127.0.0.1:{port}")),
    ])
    .await
    .unwrap();
    let text = get(&store, "x").await;
    assert!(
        text.starts_with(&format!(
            "Unavailable: couldn't reach vault at http://127.0.0.1:{port}: "
        )),
        "{text}"
    );
}
