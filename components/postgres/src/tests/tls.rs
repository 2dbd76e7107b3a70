//! Every `sslmode` against a server that offers TLS.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use testkit::postgres::{Certificate, start_tls};

use super::*;

fn pem(label: &str, der: &[u8]) -> String {
    let lines: Vec<_> = der
        .chunks(48)
        .map(|line| BASE64_STANDARD.encode(line))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn modes_check_what_they_say() {
    if !installed() {
        return testkit::skip("PostgreSQL is not installed; apt-get install postgresql");
    }
    let (ours, other) = (authority(), authority());
    let key = KeyPair::generate().unwrap();
    // Good for the name, not for the address.
    let leaf = CertificateParams::new(vec!["localhost".into()])
        .unwrap()
        .signed_by(&key, &ours)
        .unwrap();
    let server = start_tls(Certificate {
        chain: &pem("CERTIFICATE", leaf.der()),
        key: &pem("PRIVATE KEY", key.serialized_der()),
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, der: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, pem("CERTIFICATE", der)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ours, other) = (file("ours.pem", ours.der()), file("other.pem", other.der()));

    let by_name = ("hostaddr", "127.0.0.1");
    for (mode, root, host, opens) in [
        ("disable", "", "127.0.0.1", Ok("f")),
        ("prefer", "", "127.0.0.1", Ok("t")),
        ("require", "", "127.0.0.1", Ok("t")),
        ("require", ours.as_str(), "127.0.0.1", Ok("t")),
        ("require", other.as_str(), "127.0.0.1", Err("certificate")),
        ("verify-ca", ours.as_str(), "127.0.0.1", Ok("t")),
        ("verify-ca", other.as_str(), "localhost", Err("certificate")),
        ("verify-ca", "", "localhost", Err("certificate")),
        ("verify-full", ours.as_str(), "localhost", Ok("t")),
        (
            "verify-full",
            ours.as_str(),
            "127.0.0.1",
            Err("certificate"),
        ),
        (
            "verify-full",
            other.as_str(),
            "localhost",
            Err("certificate"),
        ),
    ] {
        let url = format!("{}?sslmode={mode}", server.url);
        let case = format!("{mode} {root} {host}");
        let store = open::<PostgresV2>(&[
            ("url", &url),
            ("host", host),
            by_name,
            ("sslRootCert", root),
        ])
        .await;
        match (store, opens) {
            (Ok(store), Ok(encrypted)) => {
                let lease = store.0.connections.lease().await.unwrap();
                let sql = "SELECT ssl::text AS ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
                let rows = lease.once(sql, &[]).await.unwrap();
                assert_eq!(&rows[0].get::<_, String>("ssl")[..1], encrypted, "{case}");
            }
            (Err(error), Err(part)) => assert!(error.message.contains(part), "{case}: {error}"),
            (store, _) => panic!("{case}: {:?}", store.err()),
        }
    }
}
