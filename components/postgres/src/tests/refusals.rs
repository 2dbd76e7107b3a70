//! What cannot work is refused, names the remedy, and shows no secret.

use component::ErrorKind;
use testkit::postgres::PASSWORD;

use super::*;

async fn check(properties: &[(&str, &str)], kind: ErrorKind, part: &str) {
    let error = open::<PostgresV2>(properties).await.err().unwrap();
    assert!(
        error.kind == kind && error.message.contains(part),
        "{error:?}"
    );
    for secret in ["s3cret", PASSWORD] {
        assert!(!format!("{error:?}").contains(secret), "{error:?}");
    }
}

#[tokio::test]
async fn settings() {
    let config = ErrorKind::InvalidConfig;
    check(&[], config, "missing connection string").await;
    check(
        &[("host", "h"), ("timeout", "500ms")],
        config,
        "must be greater than 1s",
    )
    .await;
    check(
        &[("host", "h"), ("tablePrefix", "a;b")],
        config,
        "is not valid",
    )
    .await;
    check(
        &[("host", "h"), ("useAWSIAM", "true")],
        config,
        "useAWSIAM is not supported in this build",
    )
    .await;
    check(
        &[("host", "h"), ("useAzureAD", "true")],
        config,
        "useAzureAD is not supported in this build",
    )
    .await;
    check(
        &[("url", "host=h sslmode=verify-ca sslrootcert=/none")],
        config,
        "/none",
    )
    .await;
    check(
        &[("url", "host=h sslcert=/none")],
        config,
        "sslcert and sslkey belong together",
    )
    .await;
    check(
        &[("url", "postgres://u:s3cret@h:x/d")],
        config,
        "not a valid URL",
    )
    .await;
}

#[tokio::test]
async fn servers() {
    let port = testkit::free_port();
    let nobody = format!("host=127.0.0.1 port={port} user=u password=s3cret");
    check(
        &[("url", &nobody)],
        ErrorKind::Unavailable,
        &format!("127.0.0.1:{port}"),
    )
    .await;
    let Some(server) = server() else { return };
    let url = ("url", server.url.as_str());
    check(
        &[url, ("password", "s3cret")],
        ErrorKind::Unauthorized,
        "password authentication failed",
    )
    .await;
    check(
        &[url, ("database", "nowhere")],
        ErrorKind::InvalidConfig,
        "database \"nowhere\" does not exist",
    )
    .await;
    let required = format!("{}?sslmode=require", server.url);
    check(
        &[("url", &required)],
        ErrorKind::Unavailable,
        "does not support TLS",
    )
    .await;
}
