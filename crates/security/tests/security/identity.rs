//! The first identity, and why there is none.

use std::time::Duration;

use base64::Engine;
use proto::dapr::sentry::v1::sign_certificate_request::TokenValidator;
use security::{AnchorSource, Clock, Error, Mode, Options, PeerRule, Security, Service};
use service::Tasks;
use service::metrics::Registry;
use tonic::Status;

use crate::authority::Authority;
use crate::fake_sentry::{FakeSentry, SENTRY, State};
use crate::handshake::meet;

/// Starts while the clock runs fast, so that pauses between tries take no time.
async fn start(options: Options) -> Result<Security, Error> {
    let clock = options.clock.clone();
    tokio::select! {
        started = Box::pin(async { Security::start(options, &Tasks::new()).await }) => started,
        () = hurry(clock) => unreachable!("it hurries for ever"),
    }
}

async fn hurry(clock: Clock) {
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn the_first_identity_is_asked_for_as_documented() {
    let sentry = FakeSentry::start().await;
    let registry = Registry::new(&[]);
    let options = Options {
        metrics: Some(registry.clone()),
        jwt_audiences: vec!["aud".into()],
        ..sentry.options("cart")
    };
    let security = start(options).await.unwrap();
    let identity = security.identity().unwrap();
    let svid = identity.current();
    assert_eq!(svid.id().to_string(), "spiffe://public/ns/default/cart");
    let request = sentry.state().requests.pop().unwrap();
    assert_eq!(request.id, "cart");
    assert_eq!(request.namespace, "default");
    assert_eq!(request.trust_domain, "");
    assert_eq!(request.token, "");
    assert_eq!(request.token_validator, TokenValidator::Unknown as i32);
    assert_eq!(request.jwt_audiences, ["aud"]);
    let csr = String::from_utf8(request.certificate_signing_request.to_vec()).unwrap();
    assert!(csr.starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"));

    let text = registry.render();
    assert!(
        text.contains("dapr_runtime_mtls_init_total{app_id=\"cart\"} 1"),
        "{text}"
    );
    assert!(text.contains("dapr_runtime_mtls_workload_cert_expiry_timestamp{app_id=\"cart\"} "));
    let config = identity.client_config(PeerRule::Any);
    meet(identity, PeerRule::Any, config).await.unwrap();
}

#[tokio::test]
async fn a_service_of_the_control_plane_asks_for_its_trust_domain() {
    let sentry = FakeSentry::start().await;
    let security = start(sentry.options("dapr-placement")).await.unwrap();
    let id = security.identity().unwrap().current().id().to_string();
    assert_eq!(id, "spiffe://localhost/ns/default/dapr-placement");
    assert_eq!(sentry.state().requests[0].trust_domain, "localhost");
}

#[tokio::test]
async fn another_identity_may_be_asked_for() {
    let sentry = FakeSentry::start().await;
    let options = Options {
        local_identity: Some("other".into()),
        ..sentry.options("cart")
    };
    let security = start(options).await.unwrap();
    assert_eq!(security.identity().unwrap().current().id().app_id, "other");
}

#[tokio::test]
async fn the_token_is_sent_and_shown_nowhere() {
    let sentry = FakeSentry::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "hunter2").unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .encode(r#"{"exp":4000000000,"aud":["localhost"]}"#);
    let jwt = format!("e30.{claims}.hunter3");
    sentry.state().jwt = Some(jwt.clone());
    let options = Options {
        token_file: Some(path),
        ..sentry.options("cart")
    };
    let options_text = format!("{options:?}");
    let security = start(options).await.unwrap();
    let request = sentry.state().requests[0].clone();
    assert_eq!(request.token, "hunter2");
    assert_eq!(request.token_validator, TokenValidator::Jwks as i32);
    let identity = security.identity().unwrap();
    let current = identity.current();
    assert_eq!(current.jwt().unwrap().token(), jwt);
    for text in [
        options_text,
        format!("{security:?} {identity:?} {current:?} {request:?}"),
        format!("{:?}", identity.client_config(PeerRule::Any)),
        format!("{:?}", identity.server_config(PeerRule::Any)),
    ] {
        assert!(!text.contains("hunter"), "{text}");
        assert!(!text.contains("PRIVATE"), "{text}");
    }
}

/// The start fails with this text, which the metrics count under this reason.
async fn check(change: impl FnOnce(&mut State), expected: &str, reason: &str) {
    let sentry = FakeSentry::start().await;
    let registry = Registry::new(&[]);
    let options = Options {
        metrics: Some(registry.clone()),
        ..sentry.options("cart")
    };
    change(&mut sentry.state());
    let error = start(options).await.unwrap_err().to_string();
    let begin = format!("failed to retrieve the initial identity: {expected}");
    assert!(error.starts_with(&begin), "{error}");
    let text = registry.render();
    for name in ["init_fail_total", "workload_cert_rotated_fail_total"] {
        let line = format!("dapr_runtime_mtls_{name}{{app_id=\"cart\",reason=\"{reason}\"}} 1");
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(!text.contains("mtls_init_total"));
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_sentry() {
    let refusal = Status::permission_denied("token review failed");
    let expected = "error from sentry SignCertificate: rpc error: code = PermissionDenied desc = token review failed";
    check(|s| s.refuse = Some(refusal), expected, "sign").await;
}

#[tokio::test]
async fn a_sentry_that_is_away_is_tried_five_times() {
    let expected = "error establishing connection to sentry: TLS handshake failed";
    check(|s| s.away = true, expected, "sentry_conn").await;
    let sentry = FakeSentry::start().await;
    sentry.state().refuse = Some(Status::unavailable("busy"));
    assert!(start(sentry.options("cart")).await.is_err());
    assert_eq!(sentry.state().requests.len(), 5);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_refused() {
    let unusable = "error from sentry SignCertificate: the answer is not usable:";
    let other = format!(
        "{unusable} the certificate is of spiffe://public/ns/default/shop, not of app cart"
    );
    let id = Some("spiffe://public/ns/default/shop".to_owned());
    check(|s| s.other_id = id, &other, "sign").await;
    let key = format!("{unusable} the key does not belong to the certificate");
    check(|s| s.other_key = true, &key, "sign").await;
    check(|s| s.no_end = true, unusable, "invalid_ts").await;
    check(|s| s.jwt = Some("junk".into()), unusable, "jwt_parse").await;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"exp":1}"#);
    let jwt = format!("e30.{claims}.sig");
    check(|s| s.jwt = Some(jwt), unusable, "jwt_aud").await;
}

#[tokio::test]
async fn only_sentry_itself_is_asked() {
    for id in [
        "spiffe://localhost/ns/default/dapr-placement",
        "spiffe://public/ns/default/dapr-sentry",
        "spiffe://localhost/ns/other/dapr-sentry",
    ] {
        let impostor = FakeSentry::start_as(id).await;
        let error = start(impostor.options("cart")).await.unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("error establishing connection to sentry"),
            "{error}"
        );
        assert!(
            error.contains(&format!("is of {id}, not of {SENTRY}")),
            "{error}"
        );
        assert!(impostor.state().requests.is_empty(), "the token stays here");
    }
    let sentry = FakeSentry::start().await;
    let options = Options {
        anchors: Some(AnchorSource::Pem(Authority::new().pem())),
        ..sentry.options("cart")
    };
    assert!(start(options).await.is_err());
    assert!(sentry.state().requests.is_empty());
}

#[tokio::test]
async fn settings_that_are_missing_are_named() {
    let sentry = FakeSentry::start().await;
    let check = async |change: fn(&mut Options), expected: &str| {
        let mut options = sentry.options("cart");
        change(&mut options);
        let error = start(options).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check(
        |o| o.control_plane.trust_domain.clear(),
        "control plane trust domain is required",
    )
    .await;
    check(
        |o| o.control_plane.trust_domain = "A b".into(),
        "invalid control plane trust domain: ",
    )
    .await;
    check(|o| o.anchors = None, "trust anchors are required").await;
    check(
        |o| o.anchors = Some(AnchorSource::Pem("x".into())),
        "invalid trust anchors: ",
    )
    .await;
    check(|o| o.sentry_address.clear(), "sentry address is required").await;
    let missing = |o: &mut Options| o.token_file = Some("/nowhere/token".into());
    check(
        missing,
        "failed to retrieve the initial identity: error obtaining token: ",
    )
    .await;
}

#[tokio::test]
async fn without_mtls_nothing_happens_unless_on_kubernetes() {
    let sentry = FakeSentry::start().await;
    let tasks = Tasks::new();
    let options = Options {
        mtls: false,
        ..sentry.options("cart")
    };
    let security = Security::start(options.clone(), &tasks).await.unwrap();
    assert!(security.identity().is_none() && security.peer_acceptor().is_none());
    assert!(tasks.running().is_empty());
    assert!(sentry.state().requests.is_empty());

    let options = Options {
        mode: Mode::Kubernetes,
        allow_root: true,
        ..options
    };
    let security = Security::start(options, &tasks).await.unwrap();
    assert!(security.identity().is_some() && security.peer_acceptor().is_none());
    assert!(tasks.shutdown(Duration::from_secs(30)).await.is_empty());
}

#[tokio::test]
async fn connectors_reach_services_by_their_names() {
    let sentry = FakeSentry::start().await;
    let security = start(sentry.options("cart")).await.unwrap();
    let uri = format!("http://{}", sentry.address).parse().unwrap();
    let connector = security.control_plane_connector(Service::Sentry);
    connector.dial(&uri).await.unwrap();
    let connector = security.control_plane_connector(Service::Scheduler);
    assert!(connector.dial(&uri).await.is_err());
    let connector = security.peer_connector("default", "shop");
    assert!(connector.dial(&uri).await.is_err());
    let connector = Security::disabled().peer_connector("default", "shop");
    connector.dial(&uri).await.unwrap();
}
