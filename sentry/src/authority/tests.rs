use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::*;
use crate::bundle::{JwtBundle, JwtOptions, Owner, validity};
use crate::keys::{Algorithm, SigningKey, Untrusted};

const NOW: i64 = 1_900_000_000;

fn authority(jwt: Option<JwtBundle>, issuer: Option<&str>) -> Authority {
    let owner = Owner {
        trust_domain: "cluster.local".into(),
        id: "spiffe://cluster.local/ns/dapr-system/dapr-sentry".into(),
    };
    let bundles = Bundles {
        x509: X509Bundle::generate(&owner, validity(900, NOW)).unwrap(),
        jwt,
        new: true,
    };
    let profile = Profile {
        namespace: "dapr-system".into(),
        cluster_domain: "my.cluster".into(),
        leaf_ttl: 3600,
        clock_skew: 900,
    };
    let tokens = TokenOptions {
        issuer: issuer.map(str::to_owned),
        ttl: 7200,
    };
    Authority::new(bundles, profile, tokens)
}

#[test]
fn services_that_are_called_by_name_have_names() {
    let authority = authority(None, None);
    let key = SigningKey::generate_ed25519().unwrap();
    let scheduler =
        |n| format!("dapr-scheduler-server-{n}.dapr-scheduler-server.dapr-system.svc.my.cluster");
    for (namespace, id, expected) in [
        (
            "dapr-system",
            "dapr-injector",
            vec!["dapr-sidecar-injector.dapr-system.svc".to_owned()],
        ),
        (
            "dapr-system",
            "dapr-operator",
            vec!["dapr-webhook.dapr-system.svc".to_owned()],
        ),
        (
            "dapr-system",
            "dapr-scheduler",
            (0..3).map(scheduler).collect(),
        ),
        ("dapr-system", "dapr-placement", vec![]),
        ("default", "dapr-operator", vec![]),
    ] {
        let id = SpiffeId::new("cluster.local", namespace, id);
        let leaf = authority.sign(key.public(), &id, NOW).unwrap();
        assert_eq!(leaf.not_after, NOW + 3600);
        let (_, parsed) = X509Certificate::from_der(&leaf.der).unwrap();
        assert_eq!(parsed.validity.not_before.timestamp(), NOW - 900);
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        let (mut dns, mut uris) = (Vec::new(), Vec::new());
        for name in &names.value.general_names {
            match name {
                GeneralName::DNSName(name) => dns.push((*name).to_owned()),
                GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                other => panic!("{other}"),
            }
        }
        assert_eq!(dns, expected);
        assert_eq!(uris, [id.to_string()]);
    }
}

#[test]
fn an_answer_carries_the_issuer_and_never_the_root() {
    let authority = authority(None, None);
    let key = SigningKey::generate_ed25519().unwrap();
    let id = SpiffeId::new("public", "default", "cart");
    let leaf = authority.sign(key.public(), &id, NOW).unwrap();
    let chain = pem::certificates(&authority.chain_of(&leaf)).unwrap();
    assert_eq!(chain, authority.tls_chain(&leaf));
    assert_eq!(chain.len(), 2);
    let anchors = pem::certificates(&authority.anchors()).unwrap();
    assert!(!chain.contains(&anchors[0]));
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn tokens_say_what_upstreams_say() {
    let options = JwtOptions {
        algorithm: Algorithm::parse("PS384").unwrap(),
        key_id: Some("mine".into()),
    };
    let id = SpiffeId::new("public", "default", "cart");
    let jwt = JwtBundle::generate(&options).unwrap();
    let authority = authority(Some(jwt), Some("https://issuer"));
    let tokens = authority.tokens().unwrap();
    let token = tokens.sign(&id, &["public", "b"], NOW).unwrap();
    let head = token.split('.').next().unwrap();
    let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    assert_eq!(head, json!({ "alg": "PS384", "kid": "mine", "typ": "JWT" }));
    let mut claims = claims(&token);
    let jti = claims["jti"].take();
    assert_eq!(jti.as_str().unwrap().len(), 32);
    assert_eq!(
        claims,
        json!({
            "sub": "spiffe://public/ns/default/cart",
            "aud": ["public", "b"],
            "iat": NOW,
            "nbf": NOW - 900,
            "exp": NOW + 7200,
            "iss": "https://issuer",
            "jti": null,
            "use": "sig",
        })
    );
    let key = tokens.bundle().set.keys[0].public_key().unwrap();
    assert!(Untrusted::parse(&token).unwrap().verify(&key).is_some());
}

#[test]
fn without_an_issuer_the_claim_is_left_out() {
    let options = JwtOptions {
        algorithm: Algorithm::parse("RS256").unwrap(),
        key_id: None,
    };
    let authority = authority(Some(JwtBundle::generate(&options).unwrap()), None);
    let id = SpiffeId::new("public", "default", "cart");
    let token = authority.tokens().unwrap().sign(&id, &["a"], NOW).unwrap();
    assert!(claims(&token).get("iss").is_none());
}
