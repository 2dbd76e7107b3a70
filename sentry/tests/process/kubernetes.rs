//! Sentry in a cluster: an API server that is a small one, and a folder that is
//! what the kubelet mounts of the Secret.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proto::dapr::sentry::v1::sign_certificate_request::TokenValidator;
use proto::dapr::sentry::v1::{SignCertificateRequest, SignCertificateResponse};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use testkit::kubernetes::Api;
use testkit::{DEADLINE, Process, eventually};
use tonic::{Code, Status};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::authority::{Authority, USERS};
use crate::client::{Client, request, verifies};
use crate::sentry::Sentry;

const SECRET: &str = "/api/v1/namespaces/dapr/secrets/dapr-trust-bundle";
const CONFIG: &str = "/api/v1/namespaces/dapr/configmaps/dapr-trust-bundle";
const SYSTEM: &str = "/apis/dapr.io/v1alpha1/namespaces/dapr/configurations/daprsystem";
const ENV: [(&str, &str); 2] = [
    ("NAMESPACE", "dapr"),
    ("DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK", "true"),
];

/// A cluster as the chart leaves it, with one app.
async fn installed() -> Api {
    let api = Api::start().await.unwrap();
    api.put(SECRET, json!({"kind": "Secret", "type": "Opaque"}));
    api.put(CONFIG, json!({"kind": "ConfigMap"}));
    api.put(
        "/api/v1/namespaces/shop/pods/cart-1",
        json!({
            "metadata": {"annotations": {"dapr.io/app-id": "cart"}},
            "spec": {"serviceAccountName": "cart-sa"},
        }),
    );
    let user = json!({"username": "system:serviceaccount:shop:cart-sa"});
    api.review(&token(), json!({"authenticated": true, "user": user}));
    api
}

fn token() -> String {
    let claims = json!({"kubernetes.io": {"pod": {"name": "cart-1"}}});
    format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

async fn start(api: &Api, folder: &Path, flags: &[&str]) -> Sentry {
    let kubeconfig = api.kubeconfig(folder).unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap();
    let mut all = vec!["--mode", "kubernetes", "--kubeconfig", kubeconfig];
    all.extend(["--trust-domain", "cluster.local"]);
    all.extend(flags);
    Sentry::start_with(folder, &all, &ENV).await
}

fn cart() -> SignCertificateRequest {
    let mut request = request("cart");
    request.namespace = "shop".into();
    request.token = token();
    request
}

/// The anchors as everybody else in the cluster sees them.
fn anchors(api: &Api) -> String {
    let config = api.get(CONFIG).unwrap();
    config["data"]["ca.crt"].as_str().unwrap().to_owned()
}

async fn ask(
    api: &Api,
    sentry: &Sentry,
    request: SignCertificateRequest,
) -> Result<SignCertificateResponse, Status> {
    let client = Client::new(sentry.port, anchors(api).as_bytes());
    client.ask(request).await
}

/// The identity and the end of a leaf.
fn leaf(answer: &SignCertificateResponse) -> (String, i64) {
    let leaf = CertificateDer::from_pem_slice(&answer.workload_certificate).unwrap();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    let uri = match &names.value.general_names[..] {
        [x509_parser::extensions::GeneralName::URI(uri)] => (*uri).to_owned(),
        other => panic!("{other:?}"),
    };
    (uri, leaf.validity().not_after.timestamp())
}

fn secret_of(authority: &Authority) -> Value {
    let data = |text: &str| STANDARD.encode(text);
    json!({
        "kind": "Secret",
        "data": {
            "ca.crt": data(&authority.root),
            "issuer.crt": data(&authority.issuer),
            "issuer.key": data(&authority.key),
        },
    })
}

#[tokio::test]
async fn a_pod_gets_a_certificate_of_an_authority_that_is_in_the_cluster() {
    let api = installed().await;
    let folder = tempfile::tempdir().unwrap();
    let sentry = start(&api, folder.path(), &[]).await;
    let answer = ask(&api, &sentry, cart()).await.unwrap();
    assert_eq!(leaf(&answer).0, "spiffe://public/ns/shop/cart");
    assert_eq!(answer.trust_chain_certificates, [anchors(&api)]);
    verifies(&answer.workload_certificate, anchors(&api).as_bytes()).unwrap();
    let client = Client::new(sentry.port, anchors(&api).as_bytes());
    let own = client.server_uri().await.unwrap();
    assert_eq!(own, "spiffe://cluster.local/ns/dapr/dapr-sentry");
    for line in [
        "Using kubernetes secret store for trust bundle storage",
        "Adding validator 'kubernetes' with Sentry ID: spiffe://cluster.local/ns/dapr/dapr-sentry",
        "Using validator 'kubernetes'",
        "config CRD not found",
    ] {
        assert_eq!(sentry.process.lines_with(line).len(), 1, "{line}");
    }
    // No other validator is there, and a token is needed.
    let mut insecure = cart();
    insecure.token_validator = TokenValidator::Insecure.into();
    let status = ask(&api, &sentry, insecure).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let mut other = cart();
    other.id = "other".into();
    let status = ask(&api, &sentry, other).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(
        status.message(),
        "app-id mismatch. expected: cart, received: other"
    );
}

#[tokio::test]
async fn an_authority_that_is_there_is_taken_over() {
    let api = installed().await;
    let authority = Authority::new(USERS, 365, &rcgen::PKCS_ECDSA_P256_SHA256);
    api.put(SECRET, secret_of(&authority));
    api.put(CONFIG, json!({"data": {"ca.crt": authority.root}}));
    api.put(
        SYSTEM,
        json!({"spec": {"mtls": {"enabled": true, "workloadCertTTL": "1h"}}}),
    );
    let folder = tempfile::tempdir().unwrap();
    let sentry = start(&api, folder.path(), &[]).await;
    let answer = ask(&api, &sentry, cart()).await.unwrap();
    verifies(&answer.workload_certificate, authority.root.as_bytes()).unwrap();
    let left = leaf(&answer).1 - x509_parser::time::ASN1Time::now().timestamp();
    assert!((3000..=3600).contains(&left), "it lives for {left} s");
    let writes = api.requests();
    assert!(!writes.iter().any(|r| r.starts_with("PUT")), "{writes:?}");
}

#[tokio::test]
async fn a_new_authority_is_used_when_both_objects_have_it() {
    let api = installed().await;
    let folder = tempfile::tempdir().unwrap();
    let sentry = start(&api, folder.path(), &[]).await;
    let before = anchors(&api);
    let new = Authority::new(USERS, 365, &rcgen::PKCS_ED25519);
    api.put(SECRET, secret_of(&new));
    // What the kubelet does.
    new.write(folder.path());
    // The ConfigMap lags behind.
    let text = "those before stay: root, issuer or key is missing";
    sentry.process.wait_line(text, DEADLINE).await;
    let answer = ask(&api, &sentry, cart()).await.unwrap();
    verifies(&answer.workload_certificate, before.as_bytes()).unwrap();
    api.put(CONFIG, json!({"data": {"ca.crt": new.root}}));
    new.write(folder.path());
    eventually(DEADLINE, async || {
        let answer = ask(&api, &sentry, cart()).await?;
        verifies(&answer.workload_certificate, new.root.as_bytes())
    })
    .await;
}

#[tokio::test]
async fn two_replicas_sign_for_the_same_root() {
    let api = installed().await;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [a, b] = &folders;
    let (a, b) = tokio::join!(start(&api, a.path(), &[]), start(&api, b.path(), &[]));
    for sentry in [&a, &b] {
        let answer = ask(&api, sentry, cart()).await.unwrap();
        verifies(&answer.workload_certificate, anchors(&api).as_bytes()).unwrap();
    }
    let text = "Self-signed certs and JWT root key generated and persisted successfully";
    let made = [&a, &b].map(|s| s.process.lines_with(text).len());
    assert_eq!(made.iter().sum::<usize>(), 1, "{made:?}");
}

#[tokio::test]
async fn what_sentry_cannot_do_without_ends_it_with_the_reason() {
    let api = Api::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = api.kubeconfig(folder.path()).unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap();
    let root = rustix::process::getuid().is_root();
    let no_secret = "failed to read Secret dapr-trust-bundle: ";
    for (kubeconfig, env, text) in [
        (kubeconfig, &ENV[..], no_secret),
        ("/nowhere/at/all", &ENV, "set --kubeconfig"),
        (
            kubeconfig,
            &ENV[..1],
            if root {
                "current user UID(0) is root"
            } else {
                no_secret
            },
        ),
    ] {
        let mut builder = Process::builder(env!("CARGO_BIN_EXE_sentry"))
            .args(["--mode", "kubernetes", "--kubeconfig", kubeconfig])
            .args(["--port", "0", "--healthz-port", "0"])
            .arg("--enable-metrics=false")
            .arg("--issuer-credentials")
            .arg(folder.path());
        for (name, value) in env {
            builder = builder.env(name, value);
        }
        let mut process = builder.start().unwrap();
        assert_eq!(process.exit_code(DEADLINE).await.unwrap(), 1);
        let output = process.output();
        let last = output.lines().last().unwrap_or_default();
        assert!(
            last.contains("level=fatal") && last.contains(text),
            "{last}"
        );
    }
}
