use serde_json::json;
use testkit::kubernetes::{Api, Manners};

use super::*;
use crate::bundle::Store;
use crate::bundle::{self, Bundles, JwtOptions, Occasion, Owner};
use crate::keys::Algorithm;

const SECRET: &str = "/api/v1/namespaces/dapr/secrets/dapr-trust-bundle";
const CONFIG: &str = "/api/v1/namespaces/dapr/configmaps/dapr-trust-bundle";
const NOW: i64 = 1_900_000_000;

/// A server with both objects as the chart leaves them.
async fn installed() -> Api {
    let api = Api::start().await.unwrap();
    let secret =
        json!({"kind": "Secret", "metadata": {"labels": {"app": "dapr"}}, "type": "Opaque"});
    api.put(SECRET, secret);
    api.put(
        CONFIG,
        json!({"kind": "ConfigMap", "data": {"other": "stays"}}),
    );
    api
}

async fn objects(api: &Api) -> Objects {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = api.kubeconfig(folder.path()).unwrap();
    let client = Client::connect(kubeconfig.to_str().unwrap()).await.unwrap();
    let file = |name: &str| folder.path().join(name);
    let paths = Paths {
        root: file("ca.crt"),
        issuer: file("issuer.crt"),
        key: file("issuer.key"),
        jwt_key: file("jwt.key"),
        jwks: file("jwks.json"),
    };
    Objects::new(client, "dapr".into(), &paths)
}

async fn open(store: &Store, tokens: bool, occasion: Occasion) -> Result<Bundles, String> {
    let owner = Owner {
        trust_domain: "cluster.local".into(),
        id: "spiffe://cluster.local/ns/dapr/dapr-sentry".into(),
    };
    let tokens = tokens.then_some(JwtOptions {
        algorithm: Algorithm::Rs256,
        key_id: None,
    });
    bundle::open(store, &owner, 900, tokens.as_ref(), occasion, NOW).await
}

fn three(text: &str) -> Stored {
    let content = || Some(text.as_bytes().to_vec());
    Stored {
        root: content(),
        issuer: content(),
        key: content(),
        ..Stored::default()
    }
}

fn puts(api: &Api) -> usize {
    let requests = api.requests();
    requests.iter().filter(|r| r.starts_with("PUT")).count()
}

#[tokio::test]
async fn a_new_authority_is_put_into_both_objects() {
    let api = installed().await;
    let store = Store::Objects(Box::new(objects(&api).await));
    let made = open(&store, false, Occasion::Start).await.unwrap();
    assert!(made.new);
    let secret = api.get(SECRET).unwrap();
    assert_eq!(secret["type"], "Opaque");
    assert_eq!(secret["metadata"]["labels"], json!({"app": "dapr"}));
    let root = STANDARD.decode(secret["data"]["ca.crt"].as_str().unwrap());
    let config = api.get(CONFIG).unwrap();
    let root = String::from_utf8(root.unwrap()).unwrap();
    assert_eq!(config["data"], json!({"other": "stays", "ca.crt": root}));
    // Another start finds it.
    let again = Store::Objects(Box::new(objects(&api).await));
    let found = open(&again, false, Occasion::Start).await.unwrap();
    assert!(!found.new && found.x509.same_as(&made.x509));
    assert_eq!(puts(&api), 2);
}

#[tokio::test]
async fn token_keys_are_published_as_long_as_there_are_any() {
    let api = installed().await;
    let store = Store::Objects(Box::new(objects(&api).await));
    open(&store, false, Occasion::Start).await.unwrap();
    let made = open(&store, true, Occasion::Start).await.unwrap();
    assert!(!made.new);
    let json = String::from_utf8(made.jwt.unwrap().json).unwrap();
    assert_eq!(api.get(CONFIG).unwrap()["data"]["jwks.json"], json);
    // A new authority keeps them.
    let mut config = api.get(CONFIG).unwrap();
    config["data"]["ca.crt"] = "another".into();
    api.put(CONFIG, config);
    let made = open(&store, false, Occasion::Start).await.unwrap();
    assert!(made.new);
    assert_eq!(api.get(CONFIG).unwrap()["data"]["jwks.json"], json);
    let mut secret = api.get(SECRET).unwrap();
    let data = secret["data"].as_object_mut().unwrap();
    for key in ["jwt.key", "issuer.key"] {
        data.remove(key);
    }
    api.put(SECRET, secret);
    open(&store, false, Occasion::Start).await.unwrap();
    assert!(api.get(CONFIG).unwrap()["data"].get("jwks.json").is_none());
}

#[tokio::test]
async fn the_slower_of_two_replicas_takes_over_what_the_faster_made() {
    let api = installed().await;
    let (fast, slow) = (objects(&api).await, objects(&api).await);
    for store in [&fast, &slow] {
        assert!(store.load().await.unwrap().root.is_none());
    }
    assert_eq!(fast.save(&three("fast")).await, Ok(Saved::Done));
    assert_eq!(slow.save(&three("slow")).await, Ok(Saved::Overtaken));
    assert_eq!(slow.load().await.unwrap().root.unwrap(), b"fast");
    assert_eq!(api.get(CONFIG).unwrap()["data"]["ca.crt"], "fast");
    // The other way round, as long as each has read what the other wrote.
    assert_eq!(slow.save(&three("slow")).await, Ok(Saved::Done));
    assert_eq!(fast.save(&three("fast")).await, Ok(Saved::Overtaken));
}

#[tokio::test]
async fn replicas_that_start_together_have_one_authority() {
    let api = installed().await;
    let stores = [
        Store::Objects(Box::new(objects(&api).await)),
        Store::Objects(Box::new(objects(&api).await)),
        Store::Objects(Box::new(objects(&api).await)),
    ];
    let [a, b, c] = &stores;
    let (a, b, c) = tokio::join!(
        open(a, false, Occasion::Start),
        open(b, false, Occasion::Start),
        open(c, false, Occasion::Start)
    );
    let all = [a.unwrap(), b.unwrap(), c.unwrap()];
    assert_eq!(all.iter().filter(|bundles| bundles.new).count(), 1);
    assert!(all.iter().all(|bundles| bundles.x509.same_as(&all[0].x509)));
    let config = api.get(CONFIG).unwrap();
    assert_eq!(config["data"]["ca.crt"], all[0].x509.anchors_pem());
}

#[tokio::test]
async fn half_of_a_replacement_is_waited_for() {
    let api = installed().await;
    let first = objects(&api).await;
    first.load().await.unwrap();
    first.save(&three("one")).await.unwrap();
    let published = api.get(CONFIG).unwrap();
    api.put(CONFIG, json!({"data": {}}));
    let second = objects(&api).await;
    let (stored, ()) = tokio::join!(second.load(), async {
        // The second reads at least once before the first goes on.
        testkit::eventually(testkit::DEADLINE, async || {
            let reads = api.requests().iter().filter(|r| r.contains("GET")).count();
            anyhow::ensure!(reads >= 4, "only {reads}");
            Ok(())
        })
        .await;
        api.put(CONFIG, published.clone());
    });
    assert_eq!(stored.unwrap().root.unwrap(), b"one");
}

#[tokio::test]
async fn a_root_that_is_not_published_counts_as_missing() {
    let api = installed().await;
    let store = objects(&api).await;
    store.load().await.unwrap();
    store.save(&three("one")).await.unwrap();
    for (published, found) in [("one\n", true), ("two", false), ("", false)] {
        api.put(CONFIG, json!({"data": {"ca.crt": published}}));
        let stored = store.load().await.unwrap();
        assert_eq!(stored.root.is_some(), found, "{published:?}");
        assert!(stored.issuer.is_some());
    }
    // Files that change under a serving process make no new authority.
    let store = Store::Objects(Box::new(store));
    let error = open(&store, false, Occasion::Change).await.unwrap_err();
    assert_eq!(error, "root, issuer or key is missing");
}

#[tokio::test]
async fn what_is_missing_or_malformed_is_named_without_its_content() {
    let api = Api::start().await.unwrap();
    let store = objects(&api).await;
    let error = store.load().await.map(drop).unwrap_err();
    assert!(
        error.starts_with("failed to read Secret dapr-trust-bundle: "),
        "{error}"
    );
    api.put(SECRET, json!({"data": {"issuer.key": "hunter2!"}}));
    let error = store.load().await.map(drop).unwrap_err();
    assert!(
        error.starts_with("failed to read ConfigMap dapr-trust-bundle: "),
        "{error}"
    );
    api.put(CONFIG, json!({}));
    let error = store.load().await.map(drop).unwrap_err();
    assert_eq!(error, "issuer.key of Secret dapr-trust-bundle is no base64");
    api.behave(Manners {
        fails: true,
        ..Manners::default()
    });
    let error = store.load().await.map(drop).unwrap_err();
    assert!(error.ends_with("it fails (status 500)"), "{error}");
}
