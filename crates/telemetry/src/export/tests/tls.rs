//! Collectors behind TLS.

use std::convert::Infallible;

use http_body_util::Empty;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Answers every request with success, whoever asks; the certificate is for
/// `localhost` and signed by itself.
async fn collector(tasks: &Tasks) -> (CertificateDer<'static>, u16) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn("collector", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let service = service_fn(|request: http::Request<_>| async move {
                let _: hyper::body::Incoming = request.into_body();
                let answer = http::Response::builder().header("grpc-status", "0");
                Ok::<_, Infallible>(answer.body(Empty::<bytes::Bytes>::new()).unwrap())
            });
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    });
    (certificate, port)
}

fn secure(port: u16, protocol: &str, tasks: &Tasks) -> Exporter {
    let otel = json!({"endpointAddress": format!("localhost:{port}"), "protocol": protocol});
    let tracing = serde_json::from_value(json!({"otel": otel})).unwrap();
    let settings = Settings::read(&tracing, |_| None, "shop").unwrap().unwrap();
    open(settings, tasks).remove(0)
}

#[tokio::test]
async fn both_protocols_trust_a_collector_that_the_roots_vouch_for() {
    for protocol in ["http", "grpc"] {
        let tasks = Tasks::new();
        let (certificate, port) = collector(&tasks).await;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let mut exporter = secure(port, protocol, &tasks);
        let (Way::OtlpHttp(client) | Way::OtlpGrpc(client)) = &mut exporter.way else {
            panic!("not OTLP")
        };
        client.trust(roots);
        let sent = exporter.export(&[]).await.map_err(|f| f.reason);
        assert_eq!(sent, Ok(0), "{protocol}");
    }
}

#[tokio::test]
async fn a_collector_that_the_system_does_not_know_gets_nothing() {
    for protocol in ["http", "grpc"] {
        let tasks = Tasks::new();
        let (_, port) = collector(&tasks).await;
        let failure = secure(port, protocol, &tasks)
            .export(&[])
            .await
            .err()
            .unwrap();
        assert!(
            failure.reason.contains("UnknownIssuer"),
            "{}",
            failure.reason
        );
        assert!(failure.retry.is_some());
    }
}
