use serde_json::{Value, json};

use super::*;
use crate::keys::{Algorithm, Jwk, JwkSet, SigningKey, sign_token};

const NOW: i64 = 1_900_000_000;
const SENTRY: &str = "spiffe://localhost/ns/default/dapr-sentry";

fn request() -> SignCertificateRequest {
    SignCertificateRequest {
        id: "cart".into(),
        namespace: "shop".into(),
        certificate_signing_request: "x".into(),
        ..SignCertificateRequest::default()
    }
}

#[test]
fn requests_are_refused_in_upstreams_words() {
    type Change = fn(&mut SignCertificateRequest);
    let refused: [(Change, &str); 10] = [
        (
            |r| r.id.clear(),
            "invalid request: parameter app-id cannot be empty",
        ),
        (
            |r| r.id = "a.b".into(),
            "invalid request: parameter app-id cannot contain dots",
        ),
        (
            |r| r.id = "a".repeat(65),
            "invalid request: app ID must be 64 characters or less",
        ),
        (
            |r| r.certificate_signing_request.clear(),
            "invalid request: CSR is required",
        ),
        (
            |r| r.namespace.clear(),
            "invalid request: namespace is required",
        ),
        (
            |r| r.trust_domain = "No Domain".into(),
            "trust domain characters are limited to lowercase letters, numbers, dots, dashes, \
             and underscores",
        ),
        (
            |r| r.trust_domain = "spiffe://".into(),
            "trust domain is missing",
        ),
        (
            |r| r.trust_domain = "http://td".into(),
            "scheme is missing or invalid",
        ),
        (
            |r| {
                r.trust_domain = "No Domain".into();
                r.id.clear();
            },
            "invalid request: parameter app-id cannot be empty",
        ),
        (
            |r| *r = SignCertificateRequest::default(),
            "invalid request: parameter app-id cannot be empty\nCSR is required\n\
             namespace is required",
        ),
    ];
    for (change, text) in refused {
        let mut request = request();
        change(&mut request);
        assert_eq!(request::check(&request).unwrap_err().to_string(), text);
    }
    let mut whole = request();
    whole.trust_domain = "spiffe://shop.example/cart".into();
    assert_eq!(request::check(&whole).as_deref(), Ok("shop.example"));
    let mut longest = request();
    longest.id = "a".repeat(64);
    assert_eq!(request::check(&longest).as_deref(), Ok("public"));
    longest.trust_domain = "cluster.local".into();
    assert_eq!(request::check(&longest).as_deref(), Ok("cluster.local"));
}

#[test]
fn an_identity_has_no_more_parts_than_it_should() {
    for (namespace, id, fine) in [
        ("shop", "cart", true),
        ("shop", "Cart_1-2", true),
        ("a/ns/b", "cart", false),
        ("shop", "cart/x", false),
        ("..", "cart", false),
        ("shop", "c%20", false),
        ("shop", "ä", false),
    ] {
        let id = SpiffeId::new("public", namespace, id);
        assert_eq!(request::is_well_formed(&id), fine, "{id}");
    }
}

#[test]
fn the_validator_is_the_one_asked_for() {
    use TokenValidator::{Insecure, Jwks, Kubernetes, Unknown};
    let open = Validators::standalone(Vec::new());
    let jwks = JwksValidator::with_keys(SENTRY, JwkSet::default());
    let closed = Validators::standalone(vec![Validator::Jwks(Arc::new(jwks))]);
    let name = |validators: &Validators, wanted| match validators.select(wanted) {
        Ok(validator) => validator.name().to_owned(),
        Err(e) => e.to_string(),
    };
    const UNNAMED: &str = "a validator name must be specified in this environment";
    const NOT_ENABLED: &str = "the requested validator is not enabled";
    for (validators, wanted, expected) in [
        (&open, Unknown, "insecure"),
        (&open, Insecure, "insecure"),
        (&open, Jwks, NOT_ENABLED),
        (&open, Kubernetes, NOT_ENABLED),
        (&closed, Unknown, UNNAMED),
        (&closed, Jwks, "jwks"),
        (&closed, Insecure, NOT_ENABLED),
    ] {
        assert_eq!(name(validators, wanted), expected);
    }
}

#[tokio::test]
async fn the_insecure_validator_believes_what_it_is_told() {
    let mut request = request();
    let id = Validator::Insecure.check(&request, NOW).await.unwrap();
    assert_eq!(id.to_string(), "spiffe://public/ns/shop/cart");
    request.trust_domain = "td".into();
    let id = Validator::Insecure.check(&request, NOW).await.unwrap();
    assert_eq!(id.to_string(), "spiffe://td/ns/shop/cart");
}

struct Signer {
    key: SigningKey,
    algorithm: Algorithm,
}

impl Signer {
    fn new() -> Self {
        Self {
            key: SigningKey::generate_ed25519().unwrap(),
            algorithm: Algorithm::parse("EdDSA").unwrap(),
        }
    }

    fn jwk(&self, kid: &str) -> Jwk {
        Jwk::of(self.key.public(), kid, self.algorithm)
    }

    fn sign(&self, kid: &str, claims: &Value) -> String {
        sign_token(&self.key, self.algorithm, kid, claims).unwrap()
    }
}

fn claims() -> Value {
    json!({ "sub": "spiffe://public/ns/shop/cart", "aud": ["other", SENTRY], "exp": NOW + 60 })
}

async fn outcome(set: JwkSet, token: &str) -> Result<String, String> {
    let validator = Validator::Jwks(Arc::new(JwksValidator::with_keys(SENTRY, set)));
    let mut request = request();
    request.token = token.to_owned();
    match validator.check(&request, NOW).await {
        Ok(id) => Ok(id.to_string()),
        Err(e) => Err(e.to_string()),
    }
}

#[tokio::test]
async fn a_token_gives_the_identity_of_its_subject_only() {
    let signer = Signer::new();
    let set = || JwkSet {
        keys: vec![signer.jwk("a")],
    };
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        signer.sign("a", &claims)
    };
    for fine in [
        signer.sign("a", &claims()),
        with("aud", json!(SENTRY)),
        // Clocks may differ by five minutes.
        with("exp", json!(NOW - 299)),
        with("nbf", json!(NOW + 300)),
        with("iat", json!(NOW + 300)),
        with("exp", Value::Null),
    ] {
        let id = outcome(set(), &fine).await;
        assert_eq!(id.as_deref(), Ok("spiffe://public/ns/shop/cart"));
    }
    let failed = |text: &str| format!("token validation failed: {text}");
    for (token, text) in [
        (
            String::new(),
            "the request does not contain a token".to_owned(),
        ),
        ("x".into(), failed("the token is no signed JWT")),
        (
            with("sub", json!("spiffe://public/ns/shop/other")),
            failed("the token's subject is not spiffe://public/ns/shop/cart"),
        ),
        (
            with("aud", json!(["other"])),
            failed(&format!("the token's audiences lack {SENTRY}")),
        ),
        (
            with("exp", json!(NOW - 301)),
            failed("the token has expired"),
        ),
        (
            with("nbf", json!(NOW + 301)),
            failed("the token is not valid yet"),
        ),
        (
            with("iat", json!(NOW + 301)),
            failed("the token is not valid yet"),
        ),
        (with("exp", json!("x")), failed("the claims are malformed")),
        (
            signer.sign("b", &claims()),
            failed("no key of the JWKS verifies the signature"),
        ),
        (
            Signer::new().sign("a", &claims()),
            failed("no key of the JWKS verifies the signature"),
        ),
    ] {
        assert_eq!(outcome(set(), &token).await, Err(text));
    }
}

#[tokio::test]
async fn keys_that_are_not_for_signatures_prove_nothing() {
    let signer = Signer::new();
    let token = signer.sign("a", &claims());
    let mut encrypting = signer.jwk("a");
    encrypting.usage = Some("enc".into());
    let mut other = signer.jwk("a");
    other.alg = Some("ES256".into());
    for key in [encrypting, other] {
        let error = outcome(JwkSet { keys: vec![key] }, &token).await;
        assert!(error.unwrap_err().contains("no key of the JWKS"));
    }
}

#[tokio::test]
async fn without_keys_the_validator_is_not_ready() {
    let validator = Validator::Jwks(Arc::new(JwksValidator::new(SENTRY.into())));
    let mut request = request();
    request.token = "x".into();
    let error = validator.check(&request, NOW).await.unwrap_err();
    assert_eq!(error.to_string(), "jwks validator not ready");
}

#[tokio::test]
async fn keys_are_fetched_again_when_their_file_changes() {
    use std::time::Duration;
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let options = [("source".to_owned(), json!(path.to_str().unwrap()))];
    let options = jwks::JwksOptions::parse(&options.into()).unwrap();
    let health = service::health::Health::new();
    let tasks = service::Tasks::new();
    let validator = Arc::new(JwksValidator::new(SENTRY.into()));
    validator.start(options, health.target("sentry-jwks-validator"), &tasks);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!health.is_ready());
    for _ in 0..2 {
        let signer = Signer::new();
        let keys = vec![signer.jwk("a")];
        std::fs::write(&path, serde_json::to_vec(&JwkSet { keys }).unwrap()).unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(health.is_ready());
        let mut request = request();
        request.token = signer.sign("a", &claims());
        let validator = Validator::Jwks(validator.clone());
        validator.check(&request, NOW).await.unwrap();
    }
    assert!(tasks.shutdown(Duration::from_secs(1)).await.is_empty());
}
