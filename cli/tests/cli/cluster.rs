//! The certificates of a cluster, by its API server.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use testkit::kubernetes::{Api, Manners};

use crate::tool::{command, dapr, text};

const FILES: [&str; 3] = ["ca.crt", "issuer.crt", "issuer.key"];
const SYSTEM: &str = "/apis/dapr.io/v1alpha1/namespaces/dapr-system/configurations/daprsystem";
const SECRET: &str = "/api/v1/namespaces/dapr-system/secrets/dapr-trust-bundle";
const CONFIG_MAP: &str = "/api/v1/namespaces/dapr-system/configmaps/dapr-trust-bundle";
const SENTRY: &str = "/apis/apps/v1/namespaces/dapr-system/deployments/dapr-sentry";
const PLACEMENT: &str = "/apis/apps/v1/namespaces/dapr-system/statefulsets/dapr-placement-server";
const SCHEDULER: &str = "/apis/apps/v1/namespaces/dapr-system/statefulsets/dapr-scheduler-server";
const MARK: &str = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
const RENEW: [&str; 3] = ["mtls", "renew-certificate", "-k"];

/// An API server, and a home whose kubeconfig names it.
struct Cluster {
    api: Api,
    home: tempfile::TempDir,
}

impl Cluster {
    async fn new() -> Self {
        let api = Api::start().await.expect("starts");
        let home = tempfile::tempdir().expect("folder");
        let folder = home.path().join(".kube");
        fs::create_dir_all(&folder).expect("folder");
        let written = api.kubeconfig(&folder).expect("written");
        fs::rename(written, folder.join("config")).expect("renamed");
        Self { api, home }
    }

    /// With what the chart makes, and certificates.
    async fn installed() -> Self {
        let cluster = Self::new().await;
        let spec = json!({"mtls": {"enabled": true, "controlPlaneTrustDomain": "example.org"}});
        cluster.api.put(SYSTEM, json!({"spec": spec}));
        let home = cluster.home.path();
        let made = dapr(home, &["mtls", "renew-certificate"]);
        assert!(made.status.success(), "{}", text(&made));
        let mut data = json!({"jwt.key": "a2V5"});
        for name in FILES {
            let file = fs::read(home.join(".dapr/certs").join(name)).expect("made");
            data[name] = STANDARD.encode(file).into();
        }
        let root = cluster.decoded(&data["ca.crt"]);
        let secret = json!({"metadata": {"labels": {"app": "dapr"}}, "data": data});
        cluster.api.put(SECRET, secret);
        let published = json!({"data": {"ca.crt": root, "jwks.json": "{}"}});
        cluster.api.put(CONFIG_MAP, published);
        cluster
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = command(self.home.path(), args);
        command.env_remove("KUBECONFIG");
        command
    }

    fn dapr(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("starts")
    }

    fn succeeds(&self, args: &[&str], part: &str) -> String {
        let output = self.dapr(args);
        let all = text(&output);
        assert!(
            output.status.success() && all.contains(part),
            "{part}: {all}"
        );
        all
    }

    fn fails(&self, args: &[&str], part: &str) {
        let output = self.dapr(args);
        let all = text(&output);
        assert_eq!(output.status.code(), Some(1), "{all}");
        assert!(all.contains(part), "{part}: {all}");
    }

    fn secret(&self, key: &str) -> String {
        self.decoded(&self.api.get(SECRET).expect("there")["data"][key])
    }

    fn decoded(&self, value: &Value) -> String {
        let bytes = STANDARD.decode(value.as_str().expect("text"));
        String::from_utf8(bytes.expect("base64")).expect("text")
    }

    fn marked(&self, path: &str) -> bool {
        let object = self.api.get(path).expect("there");
        object.pointer(MARK).is_some_and(Value::is_string)
    }
}

fn certificates(text: &str) -> usize {
    text.matches("BEGIN CERTIFICATE").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificates_of_a_cluster_are_shown_and_copied() {
    let cluster = Cluster::installed().await;
    cluster.succeeds(
        &["mtls", "-k"],
        "Mutual TLS is enabled in your Kubernetes cluster",
    );
    let ends = "Root certificate expires in 8759 hours.";
    cluster.succeeds(&["mtls", "expiry", "-k"], ends);
    let export = ["mtls", "export", "-k", "-o", "out"];
    cluster.succeeds(&export, "successfully exported to ");
    for name in FILES {
        let copy = cluster.home.path().join("out").join(name);
        let mode = copy.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let copy = fs::read_to_string(copy).expect("readable");
        assert_eq!(copy, cluster.secret(name));
    }
    let asked = cluster.api.requests();
    assert!(asked.iter().all(|it| it.starts_with("GET ")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_replaces_the_certificates_and_nothing_else() {
    let cluster = Cluster::installed().await;
    let before = FILES.map(|name| cluster.secret(name));
    let said = cluster.succeeds(
        &[RENEW.as_slice(), &["--valid-until", "30"]].concat(),
        "Certificate rotation is successful!",
    );
    assert!(said.contains("--restart does it at once"), "{said}");
    assert!(!said.contains("Restart all pods"), "{said}");
    let [root, issuer, key] = FILES.map(|name| cluster.secret(name));
    // The earlier root is trusted on, and vouches for the new one.
    assert!(
        root.ends_with(&before[0]) && certificates(&root) == 2,
        "{root}"
    );
    assert!(
        issuer.ends_with(&before[1]) && certificates(&issuer) == 3,
        "{issuer}"
    );
    assert_ne!(key, before[2]);
    assert!(!said.contains("PRIVATE KEY"), "{said}");
    let secret = cluster.api.get(SECRET).expect("there");
    assert_eq!(secret["data"]["jwt.key"], "a2V5");
    assert_eq!(secret["metadata"]["labels"]["app"], "dapr");
    let published = cluster.api.get(CONFIG_MAP).expect("there");
    assert_eq!(
        published["data"],
        json!({"ca.crt": root, "jwks.json": "{}"})
    );
    let expiry = ["mtls", "expiry", "-k"];
    cluster.succeeds(&expiry, "Issuer certificate expires in 719 hours.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_restarts_the_control_plane_on_request() {
    let cluster = Cluster::installed().await;
    for path in [SENTRY, PLACEMENT, SCHEDULER] {
        let template = json!({"metadata": {"labels": {"app": "x"}, "annotations": null}});
        cluster
            .api
            .put(path, json!({"spec": {"template": template}}));
    }
    let said = cluster.succeeds(
        &[RENEW.as_slice(), &["--restart"]].concat(),
        "Restarting dapr-sentry",
    );
    assert!(said.contains("dapr-operator is not installed"), "{said}");
    assert!(cluster.marked(SENTRY) && cluster.marked(PLACEMENT));
    assert!(!cluster.marked(SCHEDULER));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_forbidden_is_said_with_the_remedy() {
    let cluster = Cluster::new().await;
    let export = ["mtls", "export", "-k"];
    let none = "no namespace has the Configuration daprsystem";
    cluster.fails(&export, none);
    cluster.api.put(SYSTEM, json!({}));
    cluster.succeeds(&["mtls", "-k"], "Mutual TLS is disabled");
    let missing = "Secret dapr-trust-bundle is not in namespace dapr-system";
    cluster.fails(&export, missing);
    cluster.api.put(SECRET, json!({"data": null}));
    cluster.fails(
        &export,
        "holds no certificates yet; Sentry makes them at its start",
    );
    cluster.fails(
        &RENEW,
        "the Secret has the new certificates, but they are not published",
    );
    cluster.api.put(SECRET, json!({"data": {"ca.crt": "eA=="}}));
    cluster.fails(&RENEW, "must hold ca.crt, issuer.crt, issuer.key");
    let forbids = Manners {
        forbids: true,
        ..Manners::default()
    };
    cluster.api.behave(forbids);
    cluster.fails(&export, "you may not list Configurations in all namespaces");

    let mut elsewhere = cluster.command(&export);
    let output = elsewhere.env("KUBECONFIG", "/nowhere").output();
    let output = output.expect("starts");
    let expected = "no cluster is known: /nowhere does not exist; name a kubeconfig by KUBECONFIG";
    assert!(text(&output).contains(expected), "{}", text(&output));
}
