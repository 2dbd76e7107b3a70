//! The program itself: started, asked, restarted, and given other files.

#![allow(clippy::unwrap_used)] // clippy sees only #[test] functions as tests, not their helpers

mod authority;
mod client;
mod kubernetes;
mod sentry;

use std::time::Duration;

use anyhow::{Context, ensure};
use proto::dapr::sentry::v1::sign_certificate_request::TokenValidator;
use serde_json::{Value, json};
use testkit::{DEADLINE, Http, Process, eventually, free_port};
use tonic::Code;

use authority::{Authority, NAMES, USERS};
use client::{Client, request, verifies};
use sentry::Sentry;

const YEAR: i64 = 365;

#[tokio::test]
async fn it_makes_an_authority_signs_and_keeps_it_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut sentry = Sentry::start(folder.path(), &[]).await;
    let files = sentry.files();
    let answer = sentry.sign("cart").await.unwrap();
    assert_eq!(answer.trust_chain_certificates, [files[0].clone()]);
    verifies(&answer.workload_certificate, &files[0]).unwrap();
    assert!(answer.jwt.is_none());
    let figures = sentry.figures().await;
    for line in [
        "dapr_sentry_cert_sign_request_received_total 1",
        "dapr_sentry_cert_sign_success_total 1",
        "dapr_sentry_issuercert_changed_total 1",
    ] {
        assert!(figures.contains(line), "{figures}");
    }
    assert_eq!(sentry.process.stop(DEADLINE).await.unwrap(), 0);
    let last = sentry.process.output();
    let last = last.lines().last().unwrap();
    assert!(last.contains("Sentry shut down gracefully"), "{last}");

    let sentry = Sentry::start(folder.path(), &[]).await;
    assert_eq!(sentry.files(), files);
    let again = sentry.sign("cart").await.unwrap();
    verifies(&again.workload_certificate, &files[0]).unwrap();
    assert!(sentry.figures().await.contains("changed_total 0"));
}

#[tokio::test]
async fn its_own_certificate_names_it_at_each_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let sentry = Sentry::start(folder.path(), &[]).await;
    let client = Client::new(sentry.port, &sentry.files()[0]);
    // Whoever reads an answer has read the tickets as well, if there are any.
    client.ask(request("cart")).await.unwrap();
    let uri = client.server_uri().await.unwrap();
    assert_eq!(uri, "spiffe://localhost/ns/default/dapr-sentry");
}

#[tokio::test]
async fn refusals_reach_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let sentry = Sentry::start(folder.path(), &[]).await;
    let status = sentry.sign("a.b").await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(
        status.message(),
        "invalid request: parameter app-id cannot contain dots"
    );
    let mut huge = client::request("cart");
    huge.token = "x".repeat(1 << 20);
    let status = sentry.ask(huge).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
}

#[tokio::test]
async fn other_files_are_taken_over_and_broken_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let sentry = Sentry::start(folder.path(), &[]).await;
    let before = sentry.files();
    // An issuer that is just being written.
    std::fs::write(folder.path().join("issuer.crt"), &before[1][..90]).unwrap();
    let text = "those before stay: failed to read the issuer certificate";
    sentry.process.wait_line(text, DEADLINE).await;
    let answer = sentry.sign("cart").await.unwrap();
    verifies(&answer.workload_certificate, &before[0]).unwrap();

    let new = Authority::new(USERS, YEAR, &rcgen::PKCS_ECDSA_P384_SHA384);
    new.write(folder.path());
    eventually(DEADLINE, async || {
        let anchors = new.root.as_bytes();
        let answer = sentry.sign_trusting("cart", anchors).await?;
        verifies(&answer.workload_certificate, anchors)
    })
    .await;
    let lines = sentry
        .process
        .lines_with("Issuer credentials changed; reloading");
    assert_eq!(lines.len(), 1);
    assert_eq!(sentry.process.lines_with("Running gRPC server").len(), 2);
    assert!(sentry.figures().await.contains("changed_total 2"));
}

#[tokio::test]
async fn its_own_authority_is_renewed_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let old = Authority::new(NAMES, 20, &rcgen::PKCS_ED25519);
    old.write(folder.path());
    let sentry = Sentry::start(folder.path(), &[]).await;
    let anchors = eventually(DEADLINE, async || {
        let anchors = sentry.files()[0].clone();
        ensure!(client::count(&anchors) == 2, "there is one root only");
        Ok(anchors)
    })
    .await;
    // The new leaf is good for those who know both roots, and for those who
    // know only the old one; Sentry itself is, too.
    eventually(DEADLINE, async || {
        let answer = sentry.sign_trusting("cart", old.root.as_bytes()).await?;
        ensure!(answer.trust_chain_certificates[0] == anchors, "old anchors");
        verifies(&answer.workload_certificate, &anchors)?;
        verifies(&answer.workload_certificate, old.root.as_bytes())
    })
    .await;
    drop(sentry);
    // A restart keeps the new authority and does not renew again.
    let sentry = Sentry::start(folder.path(), &[]).await;
    assert_eq!(sentry.files()[0], anchors);
    sentry
        .sign_trusting("cart", old.root.as_bytes())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_users_authority_that_ends_soon_is_only_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    Authority::new(USERS, 20, &rcgen::PKCS_ED25519).write(folder.path());
    let sentry = Sentry::start(folder.path(), &[]).await;
    let before = sentry.files();
    let text = "provided root or issuer certificate ends in";
    sentry.process.wait_line(text, DEADLINE).await;
    assert_eq!(sentry.files(), before);
}

#[tokio::test]
async fn tokens_are_signed_and_their_keys_published() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let flags = [
        "--jwt-enabled",
        "--oidc-enabled",
        "--oidc-server-tls-enabled=false",
        "--oidc-server-listen-port",
        &port.to_string(),
    ];
    let sentry = Sentry::start(folder.path(), &flags).await;
    let mut request = client::request("cart");
    request.jwt_audiences = vec!["one".into()];
    let answer = sentry.ask(request).await.unwrap();
    let mut audiences: Vec<_> = answer.per_audience_jwts.into_keys().collect();
    audiences.sort_unstable();
    // That of the trust domain is always there.
    assert_eq!(audiences, ["one", "public"]);
    assert!(answer.jwt.is_some());
    let get = async |path: &str| {
        let reply = Http::port(port).get(path).await.unwrap();
        assert_eq!(reply.status, 200);
        serde_json::from_slice::<Value>(&reply.body).unwrap()
    };
    let document = get("/.well-known/openid-configuration").await;
    assert_eq!(
        document["id_token_signing_alg_values_supported"],
        json!(["RS256"])
    );
    let keys = get("/jwks.json").await;
    assert_eq!(keys["keys"][0]["alg"], "RS256");
    let stored = std::fs::read(folder.path().join("jwks.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&stored).unwrap(), keys);
}

#[tokio::test]
async fn only_the_configured_validator_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(
        &config,
        "spec:\n  mtls:\n    workloadCertTTL: 1h\n    tokenValidators:\n    - name: jwks\n      \
         options:\n        source: '{\"keys\":[]}'\n",
    )
    .unwrap();
    let flags = ["--config", config.to_str().unwrap()];
    let sentry = Sentry::start(folder.path(), &flags).await;
    for (validator, code, text) in [
        (
            TokenValidator::Unknown,
            Code::InvalidArgument,
            "a validator name must be specified in this environment",
        ),
        (
            TokenValidator::Insecure,
            Code::InvalidArgument,
            "the requested validator is not enabled",
        ),
        (
            TokenValidator::Jwks,
            Code::PermissionDenied,
            "the request does not contain a token",
        ),
    ] {
        let mut request = client::request("cart");
        request.token_validator = validator.into();
        let status = sentry.ask(request).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, text));
    }
}

#[tokio::test]
async fn what_cannot_work_ends_the_process_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut one = Authority::new(USERS, YEAR, &rcgen::PKCS_ED25519);
    one.key = Authority::new(USERS, YEAR, &rcgen::PKCS_ED25519).key;
    one.write(folder.path());
    let credentials = folder.path().to_str().unwrap();
    for (flags, text) in [
        (
            &["--issuer-credentials", credentials][..],
            "issuer key does not match issuer certificate",
        ),
        (&["--mode", "x"], "Invalid options: invalid mode: x"),
        (
            &["--issuer-credentials", "/nowhere/at/all"],
            "/nowhere/at/all",
        ),
    ] {
        let mut process = Process::builder(env!("CARGO_BIN_EXE_sentry"))
            .args([
                "--port",
                "0",
                "--healthz-port",
                "0",
                "--enable-metrics=false",
            ])
            .args(flags)
            .start()
            .unwrap();
        assert_eq!(process.exit_code(DEADLINE).await.unwrap(), 1);
        let output = process.output();
        let last = output.lines().last().context("no line").unwrap();
        assert!(
            last.contains("level=fatal") && last.contains(text),
            "{last}"
        );
    }
}

#[tokio::test]
async fn garbage_on_the_port_disturbs_nobody() {
    use tokio::io::AsyncWriteExt;
    let folder = tempfile::tempdir().unwrap();
    let sentry = Sentry::start(folder.path(), &[]).await;
    let mut kept = Vec::new();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4000], b""] {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", sentry.port))
            .await
            .unwrap();
        // It may have been closed by the other side already.
        let _ = stream.write_all(bytes).await;
        kept.push(stream);
    }
    let signed = tokio::time::timeout(Duration::from_secs(10), sentry.sign("cart")).await;
    signed.unwrap().unwrap();
}
