//! OTLP over gRPC, against tonic's server.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

use super::*;

#[derive(Clone, Default)]
struct Collector {
    seen: Arc<Mutex<Vec<(MetadataMap, ExportRequest)>>>,
    /// What to answer before every call succeeds.
    answers: Arc<Mutex<VecDeque<Result<ExportResponse, Status>>>>,
    tasks: Tasks,
}

impl Collector {
    async fn start(answers: Vec<Result<ExportResponse, Status>>) -> (Self, u16) {
        let collector = Self::default();
        collector.answers.lock().extend(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server::builder().add_service(collector.clone());
        let server = server.serve_with_incoming(TcpListenerStream::new(listener));
        collector.tasks.spawn("collector", server);
        (collector, port)
    }
}

impl NamedService for Collector {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<http::Request<Body>> for Collector {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let collector = self.clone();
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        assert_eq!(request.uri().path(), path);
        Box::pin(async move {
            Ok(Grpc::new(ProstCodec::default())
                .unary(collector, request)
                .await)
        })
    }
}

impl UnaryService<ExportRequest> for Collector {
    type Response = ExportResponse;
    type Future = Ready<Result<Response<ExportResponse>, Status>>;

    fn call(&mut self, request: Request<ExportRequest>) -> Self::Future {
        let (metadata, _, message) = request.into_parts();
        self.seen.lock().push((metadata, message));
        let answer = self.answers.lock().pop_front();
        ready(
            answer
                .unwrap_or_else(|| Ok(ExportResponse::default()))
                .map(Response::new),
        )
    }
}

#[tokio::test]
async fn it_makes_one_unary_call_with_its_headers() {
    let (collector, port) = Collector::start(vec![]).await;
    let sidecar = Sidecar::otlp(port, "grpc");
    sidecar.trace();
    sidecar.stop().await;
    let seen = collector.seen.lock();
    let [(metadata, message)] = &seen[..] else {
        panic!("not one call")
    };
    assert_eq!(metadata.get("api-key").unwrap(), "s3cret");
    check_otlp(&message.encode_to_vec());
    assert_eq!(sidecar.counts("otlp"), (2, 0));
}

#[tokio::test]
async fn spans_that_the_collector_does_not_want_are_counted() {
    let partial_success = Some(PartialSuccess { rejected_spans: 1 });
    let (_, port) = Collector::start(vec![Ok(ExportResponse { partial_success })]).await;
    let sidecar = Sidecar::otlp(port, "grpc");
    sidecar.trace();
    sidecar.stop().await;
    assert_eq!(sidecar.counts("otlp"), (1, 1));
}

#[tokio::test]
async fn its_statuses_decide_whether_to_try_again() {
    for (code, retried) in [
        (Code::Cancelled, true),
        (Code::DeadlineExceeded, true),
        (Code::Aborted, true),
        (Code::OutOfRange, true),
        (Code::Unavailable, true),
        (Code::DataLoss, true),
        (Code::InvalidArgument, false),
        (Code::PermissionDenied, false),
        (Code::ResourceExhausted, false),
        (Code::Unauthenticated, false),
        (Code::Unimplemented, false),
        (Code::Internal, false),
    ] {
        let (_collector, port) = Collector::start(vec![Err(Status::new(code, "s3cret"))]).await;
        let mut exporter = exporter(port, "grpc");
        let failure = exporter.export(&[]).await.err().unwrap();
        assert_eq!(failure.retry.is_some(), retried, "{code:?}");
        assert_eq!(
            failure.reason,
            format!("it answers gRPC status {}", code as i32)
        );
        assert_eq!(exporter.export(&[]).await.ok(), Some(0));
    }
}

#[tokio::test]
async fn answers_that_are_not_grpc_are_failures() {
    let app = App::start(|_| testkit::Response::ok("hello"))
        .await
        .unwrap();
    let failure = exporter(app.port(), "grpc")
        .export(&[])
        .await
        .err()
        .unwrap();
    assert_eq!(failure.reason, "it answers without a gRPC status");
    assert!(failure.retry.is_none());
    let app = App::start(|_| testkit::Response::status(503))
        .await
        .unwrap();
    let failure = exporter(app.port(), "grpc")
        .export(&[])
        .await
        .err()
        .unwrap();
    assert!(
        failure.reason.starts_with("it answers 503"),
        "{}",
        failure.reason
    );
    assert!(failure.retry.is_some());
}

#[tokio::test]
async fn a_collector_that_comes_later_or_restarts_gets_its_spans() {
    let port = testkit::free_port();
    let mut exporter = exporter(port, "grpc");
    let failure = exporter.export(&[]).await.err().unwrap();
    assert!(failure.retry.is_some());
    for _ in 0..2 {
        let app = testkit::eventually(DEADLINE, async || {
            App::start_on(port, |_| {
                testkit::Response::ok("").header("grpc-status", "0")
            })
            .await
        })
        .await;
        testkit::eventually(DEADLINE, async || {
            exporter
                .export(&[])
                .await
                .map_err(|f| anyhow::anyhow!(f.reason))
        })
        .await;
        drop(app);
    }
}

#[tokio::test]
async fn a_connection_that_leads_nowhere_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let otel = json!({
        "endpointAddress": address, "protocol": "grpc", "isSecure": false, "timeout": "200ms",
    });
    let tracing = serde_json::from_value(json!({"otel": otel})).unwrap();
    let settings = Settings::read(&tracing, |_| None, "shop").unwrap().unwrap();
    let tasks = Tasks::new();
    let mut exporter = open(settings, &tasks).remove(0);
    let failure = exporter.export(&[]).await.err().unwrap();
    assert_eq!(failure.reason, "no answer within 200ms");
    // It is kept open, as a network that swallows packets would.
    let _silent = listener.accept().await.unwrap();
    let server = Server::builder().add_service(Collector::default());
    tasks.spawn(
        "collector",
        server.serve_with_incoming(TcpListenerStream::new(listener)),
    );
    testkit::eventually(DEADLINE, async || {
        exporter
            .export(&[])
            .await
            .map_err(|f| anyhow::anyhow!(f.reason))
    })
    .await;
}
