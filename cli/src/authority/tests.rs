//! What is made, and who accepts certificates that are made with it.

use std::{fs, os::unix::fs::PermissionsExt};

use rcgen::{CertificateParams, Issuer, SanType};
use security::{TrustBundle, verify_chain};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use super::*;

fn validity() -> Validity {
    Validity::days(Timestamp::now(), 30)
}

/// The chain of a sidecar that has a certificate of this authority.
fn leaf_of(authority: &Authority) -> Vec<Vec<u8>> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let id = "spiffe://public/ns/default/cart"
        .try_into()
        .expect("a name");
    params.subject_alt_names = vec![SanType::URI(id)];
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    let der = authority.issuer().der.as_slice().into();
    let issuer = Issuer::from_ca_cert_der(&der, &authority.key).expect("an issuer");
    let key = KeyPair::generate().expect("a key");
    let leaf = params.signed_by(&key, &issuer).expect("signed");
    let mut chain = vec![leaf.der().to_vec()];
    chain.extend(authority.chain.iter().map(|c| c.der.clone()));
    chain
}

/// Whether somebody who knows the anchors of `known` accepts a certificate of `authority`.
fn accepted(authority: &Authority, known: &Authority) -> bool {
    let bundle = TrustBundle::from_pem(known.anchors_pem().as_bytes()).expect("anchors");
    let chain: Vec<_> = leaf_of(authority).into_iter().map(Into::into).collect();
    verify_chain(&bundle, &chain, Timestamp::now()).is_ok()
}

#[test]
fn root_and_issuer_look_like_those_of_sentry() {
    let authority = make(LOCAL, None, validity(), None).expect("made");
    let check = |certificate: &Certificate, organization: &str, crl_sign: bool| {
        let (_, parsed) = X509Certificate::from_der(&certificate.der).expect("a certificate");
        assert_eq!(parsed.subject.to_string(), format!("O={organization}"));
        let raw = parsed.subject.iter_organization().next().expect("one");
        assert_eq!(raw.attr_value().tag().0, 19, "a PrintableString");
        assert_eq!(
            parsed.validity.time_to_expiration().map(|d| d.whole_days()),
            Some(29)
        );
        let mut seen = Vec::new();
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(it) => {
                    assert!(it.ca && it.path_len_constraint.is_none() && extension.critical);
                    seen.push("constraints");
                }
                ParsedExtension::KeyUsage(it) => {
                    assert!(it.digital_signature() && it.key_cert_sign() && extension.critical);
                    assert_eq!(it.crl_sign(), crl_sign);
                    seen.push("usage");
                }
                ParsedExtension::SubjectKeyIdentifier(id) => {
                    assert_eq!(id.0.len(), 20);
                    seen.push("key");
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, ["constraints", "key", "usage"]);
        assert!(parsed.raw_serial().len() >= 12, "{:?}", parsed.raw_serial());
    };
    check(&authority.anchors[0], "localhost", false);
    let id = "spiffe://localhost/ns/default/dapr-sentry";
    check(authority.issuer(), id, true);
    assert!(accepted(&authority, &authority));
}

#[test]
fn who_knows_an_earlier_root_accepts_what_came_after_it() {
    let first = make(LOCAL, None, validity(), None).expect("made");
    let stranger = make(LOCAL, None, validity(), None).expect("made");
    let mut authority = make(LOCAL, None, validity(), Some(&first)).expect("made");
    authority.keep_trusting(&first, Timestamp::now());
    for _ in 0..5 {
        let key = new_root_key().expect("a key");
        let mut next = make(LOCAL, Some(key), validity(), Some(&authority)).expect("made");
        next.keep_trusting(&authority, Timestamp::now());
        assert!(accepted(&next, &next));
        assert!(accepted(&authority, &next), "old certificates are good");
        let before = Authority {
            anchors: vec![authority.anchors[0].clone()],
            ..make(LOCAL, None, validity(), None).expect("made")
        };
        assert!(accepted(&next, &before), "new certificates are good");
        assert!(!accepted(&next, &stranger));
        assert!(next.chain.len() <= 6, "{}", next.chain.len());
        authority = next;
    }
    assert_eq!(authority.anchors.len(), 7);
}

#[test]
fn every_kind_of_key_may_be_the_roots() {
    for algorithm in [
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let text = pem::encode("PRIVATE KEY", key.serialized_der());
        let key = read_key(text.as_bytes()).expect("read back");
        let authority = make(LOCAL, Some(key), validity(), None).expect("made");
        assert!(accepted(&authority, &authority), "{algorithm:?}");
    }
}

#[tokio::test]
async fn what_is_made_is_kept_and_nobody_else_reads_it() {
    let parent = tempfile::tempdir().expect("folder");
    let store = Store::new(parent.path().join("a/certs"));
    assert!(store.load().expect("nothing there").is_none());
    let made = store.open().await.expect("made");
    let again = store.open().await.expect("there");
    assert!(made.anchors == again.anchors && made.chain == again.chain);
    let mode = |path: &std::path::Path| fs::metadata(path).expect("there").permissions().mode();
    assert_eq!(mode(store.folder()) & 0o777, 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(store.folder()).expect("a folder") {
        let entry = entry.expect("readable");
        assert_eq!(mode(&entry.path()) & 0o777, 0o600);
        names.push(entry.file_name().into_string().expect("UTF-8"));
    }
    names.sort();
    assert_eq!(names, FILES);
}

#[tokio::test(start_paused = true)]
async fn two_tools_do_not_write_at_the_same_time() {
    let parent = tempfile::tempdir().expect("folder");
    let store = Store::new(parent.path().to_owned());
    let held = store.lock().await.expect("free");
    let error = store.lock().await.err().expect("it was locked twice");
    assert!(error.to_string().contains("has locked"), "{error}");
    drop(held);
    store.lock().await.expect("free again");
}

#[tokio::test]
async fn certificates_that_have_ended_are_not_used() {
    let parent = tempfile::tempdir().expect("folder");
    let store = Store::new(parent.path().to_owned());
    let ended = Validity::days(Timestamp::from_second(1_700_000_000).expect("a time"), 1);
    let authority = make(LOCAL, None, ended, None).expect("made");
    store
        .save(&store.lock().await.expect("free"), &authority)
        .expect("saved");
    let error = store.open().await.err().expect("refused");
    assert!(
        error
            .to_string()
            .contains("run `dapr mtls renew-certificate`"),
        "{error}"
    );
    // What has ended is neither trusted nor the way to anything.
    let mut new = make(LOCAL, None, validity(), Some(&authority)).expect("made");
    new.keep_trusting(&authority, Timestamp::now());
    assert_eq!((new.anchors.len(), new.chain.len()), (1, 1));
}
