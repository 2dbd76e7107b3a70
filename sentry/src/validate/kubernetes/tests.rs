use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use service::health::Health;
use testkit::kubernetes::{Api, Manners};
use testkit::{DEADLINE, eventually};

use super::*;

const CARTS: &str = "system:serviceaccount:shop:cart-sa";

fn bound_to(pod: &str) -> String {
    let claims = json!({"kubernetes.io": {"pod": {"name": pod}}});
    format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

struct Cluster {
    api: Api,
    tasks: Tasks,
    health: Health,
    validator: Arc<KubernetesValidator>,
}

impl Cluster {
    async fn start() -> Self {
        let api = Api::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = api.kubeconfig(folder.path()).unwrap();
        let client = Client::connect(kubeconfig.to_str().unwrap()).await.unwrap();
        let health = Health::new();
        let ready = health.target("sentry-kubernetes-validator");
        let own = SpiffeId::new("cluster.local", "dapr", "dapr-sentry");
        let cluster = Self {
            api,
            tasks: Tasks::new(),
            validator: Arc::new(KubernetesValidator::new(client, own, ready)),
            health,
        };
        cluster.api.put(
            "/apis/dapr.io/v1alpha1/namespaces/shop/configurations/good",
            json!({"spec": {"accessControl": {"trustDomain": "shop.example"}}}),
        );
        cluster.api.put(
            "/apis/dapr.io/v1alpha1/namespaces/shop/configurations/plain",
            json!({"spec": {"tracing": {}}}),
        );
        cluster.api.put(
            "/apis/dapr.io/v1alpha1/namespaces/shop/configurations/bad",
            json!({"spec": {"accessControl": {"trustDomain": "No Domain"}}}),
        );
        cluster.pod("shop", "cart-1", &json!({"dapr.io/app-id": "cart"}));
        cluster.known(&bound_to("cart-1"), CARTS);
        cluster
    }

    async fn ready(&self) {
        self.validator.start(&self.tasks);
        eventually(DEADLINE, async || {
            anyhow::ensure!(self.health.is_ready(), "{:?}", self.health.unready());
            Ok(())
        })
        .await;
    }

    fn pod(&self, namespace: &str, name: &str, annotations: &Value) {
        let account = if namespace == "shop" {
            "cart-sa"
        } else {
            "dapr-sa"
        };
        let pod = json!({
            "metadata": {"annotations": annotations},
            "spec": {"serviceAccountName": account},
        });
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        self.api.put(&path, pod);
    }

    fn known(&self, token: &str, user: &str) {
        let status = json!({"authenticated": true, "user": {"username": user}});
        self.api.review(token, status);
    }

    async fn check(&self, namespace: &str, id: &str, token: &str) -> Result<String, String> {
        let request = SignCertificateRequest {
            id: id.into(),
            namespace: namespace.into(),
            token: token.into(),
            // It is ignored.
            trust_domain: "wanted.example".into(),
            ..SignCertificateRequest::default()
        };
        let checked = self.validator.check(&request).await;
        checked.map(|id| id.to_string()).map_err(|e| e.to_string())
    }
}

#[tokio::test]
async fn a_pod_gets_the_identity_that_its_annotations_give() {
    let cluster = Cluster::start().await;
    cluster.pod("shop", "plain-1", &json!({}));
    for config in ["good", "plain", "bad", "none"] {
        let annotations = json!({"dapr.io/app-id": "cart", "dapr.io/config": config});
        cluster.pod("shop", config, &annotations);
    }
    cluster.pod("shop", "dots", &json!({"dapr.io/config": ".."}));
    cluster.pod(
        "shop",
        "fake",
        &json!({"dapr.io/control-plane": "operator"}),
    );
    cluster.pod(
        "dapr",
        "op-1",
        &json!({"dapr.io/control-plane": "operator"}),
    );
    cluster.ready().await;
    let get_config = "failed to get configuration";
    for (pod, namespace, id, expected) in [
        ("cart-1", "shop", "cart", Ok("spiffe://public/ns/shop/cart")),
        (
            "plain-1",
            "shop",
            "plain-1",
            Ok("spiffe://public/ns/shop/plain-1"),
        ),
        (
            "good",
            "shop",
            "cart",
            Ok("spiffe://shop.example/ns/shop/cart"),
        ),
        ("plain", "shop", "cart", Ok("spiffe://public/ns/shop/cart")),
        ("none", "shop", "cart", Err(get_config)),
        ("dots", "shop", "dots", Err(get_config)),
        (
            "bad",
            "shop",
            "cart",
            Err(
                "failed to parse trust domain \"No Domain\": trust domain characters are limited \
                 to lowercase letters, numbers, dots, dashes, and underscores",
            ),
        ),
        (
            "op-1",
            "dapr",
            "dapr-operator",
            Ok("spiffe://cluster.local/ns/dapr/dapr-operator"),
        ),
        (
            "op-1",
            "dapr",
            "op-1",
            Err("app-id mismatch. expected: dapr-operator, received: op-1"),
        ),
        (
            "fake",
            "shop",
            "dapr-operator",
            Err("control plane service in namespace 'shop' is not allowed"),
        ),
        (
            "cart-1",
            "shop",
            "other",
            Err("app-id mismatch. expected: cart, received: other"),
        ),
        (
            "cart-1",
            "dapr",
            "cart",
            Err("namespace mismatch; received namespace: dapr"),
        ),
        (
            "gone-1",
            "shop",
            "cart",
            Err("failed to get pod of identity"),
        ),
    ] {
        let token = bound_to(pod);
        let own = if pod == "op-1" {
            "dapr:dapr-sa"
        } else {
            "shop:cart-sa"
        };
        cluster.known(&token, &format!("system:serviceaccount:{own}"));
        let checked = cluster.check(namespace, id, &token).await;
        let checked = checked.as_deref().map_err(String::as_str);
        assert_eq!(checked, expected, "{pod}");
    }
    let review = &cluster.api.reviews()[0];
    assert_eq!(
        review["audiences"],
        json!([
            "dapr.io/sentry",
            "spiffe://cluster.local/ns/dapr/dapr-sentry"
        ])
    );
}

#[tokio::test]
async fn a_token_that_proves_nothing_is_refused() {
    let cluster = Cluster::start().await;
    cluster.ready().await;
    cluster.known("unbound", CARTS);
    let stolen = format!("{}x", bound_to("cart-1"));
    cluster.known(&stolen, "system:serviceaccount:shop:other-sa");
    for (token, text) in [
        ("", "invalid token: unknown token"),
        ("unknown", "invalid token: unknown token"),
        (
            "unbound",
            "failed to parse Kubernetes token: it has not three parts",
        ),
        (&stolen, "pod service account mismatch"),
    ] {
        let checked = cluster.check("shop", "cart", token).await;
        assert_eq!(checked.unwrap_err(), text);
    }
    cluster.api.behave(Manners {
        fails: true,
        ..Manners::default()
    });
    let checked = cluster.check("shop", "cart", &bound_to("cart-1")).await;
    assert_eq!(
        checked.unwrap_err(),
        "token review failed: it fails (status 500)"
    );
}

#[tokio::test]
async fn nobody_is_checked_before_pods_and_configurations_are_known() {
    let cluster = Cluster::start().await;
    let not_ready = Err("validator not ready".to_owned());
    let cart = async || cluster.check("shop", "cart", &bound_to("cart-1")).await;
    assert_eq!(cart().await, not_ready);
    assert!(cluster.api.requests().is_empty());
    cluster.ready().await;
    assert!(cart().await.is_ok());
}

#[tokio::test]
async fn pods_are_followed() {
    let cluster = Cluster::start().await;
    cluster.ready().await;
    let cart = async || cluster.check("shop", "cart", &bound_to("cart-1")).await;
    assert!(cart().await.is_ok());
    cluster.pod("shop", "cart-1", &json!({"dapr.io/app-id": "other"}));
    eventually(DEADLINE, async || {
        anyhow::ensure!(cart().await.is_err(), "the pod's old id is still its own");
        Ok(())
    })
    .await;
    // A pod that was made just now is known at once.
    cluster.pod("shop", "young", &json!({"dapr.io/app-id": "cart"}));
    cluster.known(&bound_to("young"), CARTS);
    let young = cluster.check("shop", "cart", &bound_to("young")).await;
    assert!(young.is_ok(), "{young:?}");
    let left = cluster.tasks.shutdown(Duration::from_secs(10)).await;
    assert!(left.is_empty());
}
