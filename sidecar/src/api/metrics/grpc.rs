//! Metrics of gRPC calls, served and made.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use http::{HeaderMap, Request, Response};
use service::metrics::{Counter, Family, Histogram, Memo, Registry, SIZE_BUCKETS};
use tonic::Code;
use tower::Service;

use crate::api::count::counted;
use crate::api::log::grpc_code;

/// The families of one direction.
#[derive(Clone)]
pub(crate) struct GrpcMetrics {
    inner: Arc<Inner>,
}

struct Inner {
    app_id: String,
    completed: Family<Counter>,
    latency: Family<Histogram>,
    /// Bytes of requests and of answers.
    requests: Family<Histogram>,
    answers: Family<Histogram>,
    ends: Memo<End>,
}

/// What is recorded when a call ends.
struct End {
    completed: Arc<Counter>,
    latency: Arc<Histogram>,
    answer: Arc<Histogram>,
}

pub(crate) struct GrpcSeen {
    method: String,
    start: Instant,
}

impl GrpcSeen {
    fn new<B>(req: &Request<B>) -> Self {
        Self {
            method: req.uri().path().to_owned(),
            start: Instant::now(),
        }
    }
}

impl GrpcMetrics {
    /// Of the API server. `buckets` are milliseconds.
    pub(crate) fn server(registry: &Registry, app_id: &str, buckets: &[f64]) -> Self {
        let labels = ["app_id", "grpc_server_method", "grpc_server_status"];
        let sizes = ["received_bytes_per_rpc", "sent_bytes_per_rpc"];
        Self::new(
            registry,
            app_id,
            buckets,
            "server",
            labels,
            "server_latency",
            sizes,
        )
    }

    /// Of calls to the app and to other sidecars.
    pub(crate) fn client(registry: &Registry, app_id: &str, buckets: &[f64]) -> Self {
        let labels = ["app_id", "grpc_client_method", "grpc_client_status"];
        let sizes = ["sent_bytes_per_rpc", "received_bytes_per_rpc"];
        Self::new(
            registry,
            app_id,
            buckets,
            "client",
            labels,
            "roundtrip_latency",
            sizes,
        )
    }

    fn new(
        registry: &Registry,
        app_id: &str,
        buckets: &[f64],
        side: &str,
        labels: [&'static str; 3],
        latency: &str,
        [requests, answers]: [&str; 2],
    ) -> Self {
        let name = |rest: &str| format!("grpc.io/{side}/{rest}");
        let sizes =
            |rest: &str, help| registry.histogram(&name(rest), help, &labels[..2], SIZE_BUCKETS);
        let inner = Inner {
            app_id: app_id.into(),
            completed: registry.counter(
                &name("completed_rpcs"),
                "Number of calls by method and status.",
                &labels,
            ),
            latency: registry.histogram(
                &name(latency),
                "Time of a call, in milliseconds.",
                &labels,
                buckets,
            ),
            requests: sizes(requests, "Bytes of a call's request."),
            answers: sizes(answers, "Bytes of a call's answer."),
            ends: Memo::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A call begins. Its request is counted as the server reads it.
    pub(crate) fn request(&self, req: Request<Body>) -> (GrpcSeen, Request<Body>) {
        let seen = GrpcSeen::new(&req);
        let req = match self.count(&seen, req.body().size_hint().exact()) {
            None => req,
            Some(done) => req.map(|body| Body::new(counted(body, done))),
        };
        (seen, req)
    }

    /// Counts a request of known size at once; what to do with the size of another.
    fn count(
        &self,
        seen: &GrpcSeen,
        size: Option<u64>,
    ) -> Option<impl FnOnce(u64, Option<&HeaderMap>) + Unpin + Send + use<>> {
        let requests = self
            .inner
            .requests
            .with(&[&self.inner.app_id, &seen.method]);
        if let Some(size) = size {
            requests.observe(size as f64);
            return None;
        }
        Some(move |size: u64, _: Option<&HeaderMap>| requests.observe(size as f64))
    }

    /// The rest is recorded when the answer has been read.
    pub(crate) fn response(&self, seen: GrpcSeen, response: Response<Body>) -> Response<Body> {
        let metrics = self.inner.clone();
        let early = grpc_code(response.headers());
        let ended = response.body().is_end_stream();
        let done = move |size: u64, trailers: Option<&HeaderMap>| {
            // Without any status the call was given up.
            let code = trailers.and_then(grpc_code).or(early).unwrap_or(1);
            metrics.end(&seen, code, size);
        };
        if ended {
            done(0, None);
            return response;
        }
        response.map(|body| Body::new(counted(body, done)))
    }
}

impl Inner {
    fn end(&self, seen: &GrpcSeen, code: i64, size: u64) {
        let labels = [&*self.app_id, &seen.method, code_name(code)];
        let end = self.ends.get(&labels[1..], || End {
            completed: self.completed.with(&labels),
            latency: self.latency.with(&labels),
            answer: self.answers.with(&labels[..2]),
        });
        end.completed.inc();
        end.latency
            .observe(seen.start.elapsed().as_secs_f64() * 1000.0);
        end.answer.observe(size as f64);
    }
}

/// A client whose calls are measured.
#[derive(Clone)]
pub(crate) struct Measured<S> {
    service: S,
    metrics: Option<GrpcMetrics>,
}

impl<S> Measured<S> {
    pub(crate) fn new(service: S, metrics: Option<GrpcMetrics>) -> Self {
        Self { service, metrics }
    }
}

impl<S, In, Out> Service<Request<In>> for Measured<S>
where
    S: Service<Request<tonic::body::Body>, Response = Response<Out>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    In: HttpBody<Data = bytes::Bytes> + Send + 'static,
    In::Error: Into<axum::BoxError>,
    Out: HttpBody<Data = bytes::Bytes> + Send + 'static,
    Out::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, req: Request<In>) -> Self::Future {
        let Some(metrics) = self.metrics.clone() else {
            let sending = self.service.call(req.map(tonic::body::Body::new));
            return Box::pin(async move { Ok(sending.await?.map(Body::new)) });
        };
        let seen = GrpcSeen::new(&req);
        let req = match metrics.count(&seen, req.body().size_hint().exact()) {
            None => req.map(tonic::body::Body::new),
            Some(done) => req.map(|b| tonic::body::Body::new(counted(Body::new(b), done))),
        };
        let sending = self.service.call(req);
        Box::pin(async move {
            match sending.await {
                Ok(response) => Ok(metrics.response(seen, response.map(Body::new))),
                Err(e) => {
                    // Calls that got no answer at all: the other side is away.
                    metrics
                        .inner
                        .end(&seen, i64::from(i32::from(Code::Unavailable)), 0);
                    Err(e)
                }
            }
        })
    }
}

/// The name that metrics and texts use, which is Go's.
pub(crate) fn code_name(code: i64) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    usize::try_from(code)
        .ok()
        .and_then(|c| NAMES.get(c).copied())
        .unwrap_or("Unknown")
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_call_is_counted_with_its_status_and_its_bytes() {
        let registry = Registry::new(&[]);
        let metrics = GrpcMetrics::client(&registry, "a", &[1.0]);
        let req = Request::post("/s/m").body(Body::from("12345")).unwrap();
        let (seen, req) = metrics.request(req);
        req.into_body().collect().await.unwrap();
        let answer = Response::builder().header("grpc-status", "10");
        let answer = metrics.response(seen, answer.body(Body::from("123")).unwrap());
        answer.into_body().collect().await.unwrap();
        let page = registry.render();
        for line in [
            r#"dapr_grpc_io_client_completed_rpcs{app_id="a",grpc_client_method="/s/m",grpc_client_status="Aborted"} 1"#,
            r#"dapr_grpc_io_client_sent_bytes_per_rpc_sum{app_id="a",grpc_client_method="/s/m"} 5"#,
            r#"dapr_grpc_io_client_received_bytes_per_rpc_sum{app_id="a",grpc_client_method="/s/m"} 3"#,
            r#"dapr_grpc_io_client_roundtrip_latency_count{app_id="a",grpc_client_method="/s/m",grpc_client_status="Aborted"} 1"#,
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
