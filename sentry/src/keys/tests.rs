use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::x509::pem;

fn rcgen_key(algorithm: &'static rcgen::SignatureAlgorithm) -> SigningKey {
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let text = pem::encode("PRIVATE KEY", key.serialized_der());
    SigningKey::from_pem(text.as_bytes()).unwrap()
}

fn all() -> [SigningKey; 5] {
    [
        SigningKey::generate_ed25519().unwrap(),
        rcgen_key(&rcgen::PKCS_ECDSA_P256_SHA256),
        rcgen_key(&rcgen::PKCS_ECDSA_P384_SHA384),
        rcgen_key(&rcgen::PKCS_ECDSA_P521_SHA512),
        SigningKey::generate_rsa().unwrap(),
    ]
}

const ALGORITHMS: [&str; 10] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
];

#[test]
fn keys_are_written_and_read_back() {
    for key in all() {
        let text = key.to_pem();
        assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{key:?}");
        let again = SigningKey::from_pem(text.as_bytes()).unwrap();
        assert_eq!(again.public(), key.public());
    }
}

#[test]
fn sec1_and_pkcs1_keys_are_read() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let der: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
    let text = pem::encode("EC PRIVATE KEY", der.as_ref());
    let key = SigningKey::from_pem(text.as_bytes()).unwrap();
    assert_eq!(key.public().kind, Kind::Ec(public::Curve::P384));
    assert!(key.to_pem().contains("EC PRIVATE KEY"));

    // PKCS#8 of an RSA key wraps PKCS#1: version, algorithm, octets.
    let whole = SigningKey::generate_rsa().unwrap();
    let der = whole.der();
    let inner = &der.secret_der()[26..];
    let text = pem::encode("RSA PRIVATE KEY", inner);
    let key = SigningKey::from_pem(text.as_bytes()).unwrap();
    assert_eq!(key.public(), whole.public());
}

#[test]
fn nothing_of_a_private_key_is_shown() {
    let key = SigningKey::generate_ed25519().unwrap();
    assert_eq!(format!("{key:?}"), "SigningKey(Ed25519)");
}

#[test]
fn what_is_no_key_is_refused_without_being_shown() {
    let certificate = pem::encode("CERTIFICATE", b"secret");
    let broken = pem::encode("PRIVATE KEY", b"secret");
    for text in ["", "secret", &certificate, &broken] {
        let error = SigningKey::from_pem(text.as_bytes()).unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn every_key_signs_tokens_with_its_own_algorithms_only() {
    for key in all() {
        let mut fitting = 0;
        for name in ALGORITHMS {
            let algorithm = Algorithm::parse(name).unwrap();
            assert_eq!(algorithm.name(), name);
            let token = sign_token(&key, algorithm, "k", &json!({ "sub": "x" }));
            if !algorithm.fits(key.public().kind) {
                assert!(token.is_err() || name.starts_with("ES") || name == "EdDSA");
                continue;
            }
            fitting += 1;
            let token = token.unwrap();
            let untrusted = Untrusted::parse(&token).unwrap();
            assert_eq!(untrusted.kid.as_deref(), Some("k"));
            let claims: Value =
                serde_json::from_slice(untrusted.verify(key.public()).unwrap()).unwrap();
            assert_eq!(claims, json!({ "sub": "x" }));
            for other in all() {
                assert!(untrusted.verify(other.public()).is_none());
            }
        }
        let expected = if key.public().kind == Kind::Rsa { 6 } else { 1 };
        assert_eq!(fitting, expected, "{key:?}");
    }
    assert_eq!(Algorithm::parse("none"), None);
    assert_eq!(Algorithm::parse("HS256"), None);
}

#[test]
fn keys_pass_through_a_set_unchanged() {
    for key in all() {
        let algorithm = ALGORITHMS
            .into_iter()
            .filter_map(Algorithm::parse)
            .find(|a| a.fits(key.public().kind))
            .unwrap();
        let entry = Jwk::of(key.public(), "id", algorithm);
        let json = serde_json::to_vec(&JwkSet { keys: vec![entry] }).unwrap();
        let set = JwkSet::parse(&json).unwrap();
        assert_eq!(set.keys[0].public_key().as_ref(), Some(key.public()));
        let value: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["keys"][0]["use"], "sig");
        assert_eq!(value["keys"][0]["kid"], "id");
    }
}

#[test]
fn the_thumbprint_is_that_of_the_standard() {
    // The example of RFC 7638, section 3.1.
    let entry = json!({ "keys": [{
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6t\
              Soc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-\
              65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qN\
              Lyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awa\
              pJzKnqDKgw",
        "e": "AQAB"
    }] });
    let set = JwkSet::parse(entry.to_string().as_bytes()).unwrap();
    let key = set.keys[0].public_key().unwrap();
    assert_eq!(
        thumbprint(&key),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs="
            .replace('-', "+")
            .replace('_', "/")
    );
}

#[test]
fn a_set_has_bounds() {
    let many = json!({ "keys": vec![json!({ "kty": "OKP" }); 300] }).to_string();
    for text in ["", "[]", "{}", &many, &" ".repeat(MAX_JWKS + 1)] {
        assert!(JwkSet::parse(text.as_bytes()).is_err());
    }
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

#[test]
fn a_header_that_cannot_be_followed_is_refused() {
    for (header, text) in [
        (
            r#"{"alg":"none"}"#,
            "the token's algorithm \"none\" is not supported",
        ),
        (
            r#"{"alg":"HS256"}"#,
            "the token's algorithm \"HS256\" is not supported",
        ),
        (
            r#"{"alg":"EdDSA","crit":["x"]}"#,
            "the token has extensions that must be understood",
        ),
        ("x", "the token is no signed JWT"),
    ] {
        let token = format!("{}.{}.{}", base64(header), base64("{}"), base64("s"));
        let error = Untrusted::parse(&token).err().unwrap();
        assert_eq!(error, text);
    }
    assert!(Untrusted::parse(&"a".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn garbage_is_no_token_and_no_set(text in "(\\PC|[.=-]|ey[A-Za-z0-9]{0,9}){0,60}") {
        prop_assert!(Untrusted::parse(&text).is_err());
        let _ = JwkSet::parse(text.as_bytes());
        prop_assert!(SigningKey::from_pem(text.as_bytes()).is_err());
    }
}

#[test]
fn a_damaged_token_is_never_taken() {
    let key = SigningKey::generate_ed25519().unwrap();
    let algorithm = Algorithm::parse("EdDSA").unwrap();
    let token = sign_token(&key, algorithm, "k", &json!({ "sub": "x" })).unwrap();
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let damaged = String::from_utf8(bytes).unwrap();
        if let Ok(untrusted) = Untrusted::parse(&damaged) {
            assert!(untrusted.verify(key.public()).is_none(), "{at}");
        }
    }
}
