use proptest::prelude::*;
use service::metrics::Registry;

use super::*;
use crate::authority::{Profile, TokenOptions};
use crate::bundle::{Bundles, JwtBundle, JwtOptions, Owner, X509Bundle, validity};
use crate::keys::Algorithm;
use crate::x509::pem;

fn service(jwt: bool, leaf_ttl: i64) -> Service {
    let owner = Owner {
        trust_domain: "localhost".into(),
        id: "spiffe://localhost/ns/default/dapr-sentry".into(),
    };
    let options = JwtOptions {
        algorithm: Algorithm::parse("RS256").unwrap(),
        key_id: None,
    };
    let bundles = Bundles {
        x509: X509Bundle::generate(&owner, validity(900, clock::now())).unwrap(),
        jwt: jwt.then(|| JwtBundle::generate(&options).unwrap()),
        new: true,
    };
    let profile = Profile {
        namespace: "default".into(),
        cluster_domain: "localhost".into(),
        leaf_ttl,
        clock_skew: 900,
    };
    let tokens = TokenOptions {
        issuer: None,
        ttl: 3600,
    };
    Service {
        authority: Arc::new(Authority::new(bundles, profile, tokens)),
        validators: Validators::standalone(Vec::new()),
        metrics: Metrics::new(&Registry::new(&[])),
        turns: Arc::new(Semaphore::new(1)),
        tasks: Tasks::new(),
    }
}

fn request() -> SignCertificateRequest {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let csr = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .unwrap();
    SignCertificateRequest {
        id: "cart".into(),
        namespace: "shop".into(),
        certificate_signing_request: pem::encode("CERTIFICATE REQUEST", csr.der()).into(),
        ..SignCertificateRequest::default()
    }
}

#[tokio::test]
async fn a_certificate_comes_with_its_chain_and_the_anchors() {
    let service = service(false, 3600);
    let before = clock::now();
    let answer = service.sign_certificate(Request::new(request())).await;
    let answer = answer.unwrap().into_inner();
    assert_eq!(
        pem::certificates(&answer.workload_certificate)
            .unwrap()
            .len(),
        2
    );
    assert_eq!(answer.trust_chain_certificates.len(), 1);
    let end = answer.valid_until.unwrap();
    assert!((0..60).contains(&(end.seconds - before - 3600)) && end.nanos == 0);
    assert!(answer.jwt.is_none() && answer.per_audience_jwts.is_empty());
    assert_eq!(service.metrics.received.get(), 1);
    assert_eq!(service.metrics.signed.get(), 1);
}

#[tokio::test]
async fn every_audience_gets_a_token_and_all_share_one() {
    let service = service(true, 3600);
    let mut request = request();
    request.jwt_audiences = vec!["a".into(), "b".into()];
    let answer = service.sign(request).await.unwrap();
    let names: Vec<_> = answer.per_audience_jwts.keys().collect();
    assert_eq!(names, ["a", "b", "public"]);
    assert_eq!(answer.jwt.unwrap().split('.').count(), 3);
}

#[tokio::test]
async fn refusals_have_upstreams_codes_and_texts() {
    type Change = fn(&mut SignCertificateRequest);
    let refused: [(Change, Code, &str); 9] = [
        (
            |r| r.token_validator = 2,
            Code::InvalidArgument,
            "the requested validator is not enabled",
        ),
        (
            |r| r.token_validator = 99,
            Code::InvalidArgument,
            "the requested validator is not enabled",
        ),
        (
            |r| r.id.clear(),
            Code::PermissionDenied,
            "invalid request: parameter app-id cannot be empty",
        ),
        (
            |r| r.certificate_signing_request = "x".into(),
            Code::InvalidArgument,
            "invalid certificate signing request",
        ),
        (
            |r| r.certificate_signing_request = pem::encode("CERTIFICATE", b"x").into(),
            Code::InvalidArgument,
            "failed to parse certificate signing request: it is no PKCS #10 request",
        ),
        (
            |r| r.certificate_signing_request = vec![b'x'; 100_000].into(),
            Code::InvalidArgument,
            "failed to parse certificate signing request: it is too long",
        ),
        (
            |r| r.jwt_audiences = vec!["a".into(); 65],
            Code::InvalidArgument,
            "at most 64 JWT audiences of 1024 bytes can be asked for",
        ),
        (
            |r| r.jwt_audiences = vec!["a".repeat(1025)],
            Code::InvalidArgument,
            "at most 64 JWT audiences of 1024 bytes can be asked for",
        ),
        (
            |r| r.namespace = "a/ns/b".into(),
            Code::Internal,
            "failed to sign certificate",
        ),
    ];
    let service = service(false, 3600);
    for (change, code, text) in refused {
        let mut request = request();
        change(&mut request);
        let status = service.sign(request).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, text));
    }
    assert_eq!(service.metrics.failed.get(), 1);
    assert_eq!(service.metrics.signed.get(), 0);
}

#[tokio::test]
async fn an_endless_life_is_an_error_and_no_panic() {
    let service = service(false, i64::MAX);
    let status = service.sign(request()).await.unwrap_err();
    assert_eq!(status.message(), "failed to sign certificate");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_gets_no_turn_is_told_so() {
    let service = service(true, 3600);
    let taken = service.turns.clone().acquire_owned().await.unwrap();
    let status = service.sign(request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    drop(taken);
    assert!(service.sign(request()).await.is_ok());
}

proptest! {
    #[test]
    fn no_request_makes_it_panic(
        id in "\\PC{0,70}",
        namespace in "[a-z./ä]{0,20}",
        trust_domain in "[a-z.:/ä]{0,20}",
        csr in prop::collection::vec(any::<u8>(), 0..300),
        validator in -1i32..5,
    ) {
        let request = SignCertificateRequest {
            id,
            namespace,
            trust_domain,
            certificate_signing_request: csr.into(),
            token_validator: validator,
            ..SignCertificateRequest::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(service(false, 3600).sign(request));
        prop_assert!(answer.is_err());
    }
}
