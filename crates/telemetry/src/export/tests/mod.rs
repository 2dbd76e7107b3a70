//! Every exporter against a small collector that reads what arrives by itself.

mod grpc;
mod tls;
mod wire;

use std::sync::atomic::{AtomicUsize, Ordering};

use prost::Message;
use serde_json::{Value, json};
use service::metrics::Registry;
use testkit::{App, DEADLINE, Response};

use super::otlp::{ExportRequest, ExportResponse, PartialSuccess};
use super::*;
use wire::{Field, all, attributes, fields, one, text};

use crate::{Kind, Settings, TraceContext, TraceState, Tracer};

/// A sidecar as far as tracing goes.
struct Sidecar {
    tracer: Tracer,
    tasks: Tasks,
    registry: Registry,
}

impl Sidecar {
    fn start(tracing: Value) -> Self {
        let tracing = serde_json::from_value(tracing).unwrap();
        let env =
            |name: &str| (name == "OTEL_RESOURCE_ATTRIBUTES").then(|| "zone=north".to_owned());
        let settings = Settings::read(&tracing, env, "shop").unwrap().unwrap();
        let (tasks, registry) = (Tasks::new(), Registry::new(&[]));
        let tracer = Tracer::start_exporters(settings, &registry, &tasks);
        Self {
            tracer,
            tasks,
            registry,
        }
    }

    fn otlp(port: u16, protocol: &str) -> Self {
        Self::start(json!({"samplingRate": "1", "otel": {
            "endpointAddress": format!("127.0.0.1:{port}"), "protocol": protocol, "isSecure": false,
            "headers": ["api-key=s3cret"], "timeout": "5s",
        }}))
    }

    fn zipkin(port: u16) -> Self {
        let url = format!("http://127.0.0.1:{port}/api/v2/spans");
        Self::start(json!({"samplingRate": "1", "zipkin": {"endpointAddress": url}}))
    }

    /// One span with everything, and one with as little as possible.
    fn trace(&self) {
        let mut parent = TraceContext::parse(PARENT).unwrap();
        parent.state = TraceState::parse(["vendor=1"]);
        let mut span = self
            .tracer
            .start(Some(&parent), Kind::Client, || "CallLocal/b/m".into());
        span.set("net.peer.name", "b");
        span.set("dapr.protocol", "http");
        span.status(Some("Code(500): Internal Server Error"));
        span.end();
        drop(self.tracer.start(None, Kind::Internal, || "bare".into()));
    }

    /// Ends the process; what is queued goes out before.
    async fn stop(&self) {
        assert_eq!(self.tasks.shutdown(DEADLINE).await, [] as [&str; 0]);
    }

    /// Exported and lost in export, as the metrics say.
    fn counts(&self, exporter: &str) -> (u64, u64) {
        let (mut exported, mut failed) = (0, 0);
        for line in self.registry.render().lines() {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            if series == format!("dapr_tracing_spans_exported_total{{exporter=\"{exporter}\"}}") {
                exported = value.parse().unwrap();
            }
            if series.contains(&format!("exporter=\"{exporter}\",reason=\"export_failed\"")) {
                failed = value.parse().unwrap();
            }
        }
        (exported, failed)
    }
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID: &str = "b7ad6b7169203331";

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// Checks the message of [`Sidecar::trace`] by the numbers of the specification.
#[track_caller]
fn check_otlp(message: &[u8]) {
    let spans = one(message, 1);
    assert_eq!(
        attributes(&one(&spans, 1), 1),
        [pair("service.name", "shop"), pair("zone", "north")]
    );
    let scope = one(&spans, 2);
    assert_eq!(text(&one(&scope, 1), 1), "dapr-diagnostics");
    let [full, bare] = &all(&scope, 2)[..] else {
        panic!("not two spans")
    };
    let only = |span: &[u8], number: u64| {
        let mut found = fields(span).into_iter().filter(|(n, _)| *n == number);
        let (_, field) = found.next().unwrap_or_else(|| panic!("no field {number}"));
        field
    };
    assert_eq!(hex::encode(one(full, 1)), TRACE_ID);
    assert_eq!(one(full, 2).len(), 8);
    assert_eq!(text(full, 3), "vendor=1");
    assert_eq!(hex::encode(one(full, 4)), PARENT_ID);
    assert_eq!(text(full, 5), "CallLocal/b/m");
    assert_eq!(only(full, 6), Field::Varint(3));
    let (Field::Fixed64(start), Field::Fixed64(end)) = (only(full, 7), only(full, 8)) else {
        panic!("times");
    };
    assert!(
        start > 1_700_000_000_000_000_000 && end > start,
        "{start} {end}"
    );
    assert_eq!(
        attributes(full, 9),
        [pair("net.peer.name", "b"), pair("dapr.protocol", "http")]
    );
    let status = one(full, 15);
    assert_eq!(text(&status, 2), "Code(500): Internal Server Error");
    assert_eq!(only(&status, 3), Field::Varint(2));
    assert_eq!(only(full, 16), Field::Fixed32(1));

    assert_eq!(
        (text(bare, 5).as_str(), only(bare, 6)),
        ("bare", Field::Varint(1))
    );
    assert_ne!(hex::encode(one(bare, 1)), TRACE_ID);
    let numbers: Vec<_> = fields(bare).iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 2, 5, 6, 7, 8, 16]);

    let decoded = ExportRequest::decode(message).unwrap();
    assert_eq!(decoded.encode_to_vec(), message);
    let spans = &decoded.resource_spans[0].scope_spans[0].spans;
    assert_eq!(
        (spans[0].name.as_str(), spans[1].name.as_str()),
        ("CallLocal/b/m", "bare")
    );
}

fn partial(rejected_spans: i64) -> Vec<u8> {
    let partial_success = Some(PartialSuccess { rejected_spans });
    ExportResponse { partial_success }.encode_to_vec()
}

#[tokio::test]
async fn otlp_over_http_posts_protobuf_with_its_headers() {
    let app = App::start(|_| Response::ok("")).await.unwrap();
    let sidecar = Sidecar::otlp(app.port(), "http");
    sidecar.trace();
    sidecar.stop().await;
    let [request] = &app.requests()[..] else {
        panic!("not one request")
    };
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/v1/traces")
    );
    assert_eq!(request.header("content-type"), "application/x-protobuf");
    assert_eq!(request.header("api-key"), "s3cret");
    check_otlp(&request.body);
    assert_eq!(sidecar.counts("otlp"), (2, 0));
}

#[tokio::test]
async fn spans_that_the_collector_does_not_want_are_counted() {
    // 08 01 is field 1 as a number: one rejected span, written by hand.
    assert_eq!(partial(1), [10, 2, 8, 1]);
    let app = App::start(|_| Response::ok(partial(1))).await.unwrap();
    let sidecar = Sidecar::otlp(app.port(), "http");
    sidecar.trace();
    sidecar.stop().await;
    assert_eq!(sidecar.counts("otlp"), (1, 1));
}

#[tokio::test]
async fn zipkin_gets_a_list_of_json_spans() {
    let app = App::start(|_| Response::status(202)).await.unwrap();
    let sidecar = Sidecar::zipkin(app.port());
    sidecar.trace();
    sidecar.stop().await;
    let [request] = &app.requests()[..] else {
        panic!("not one request")
    };
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/api/v2/spans")
    );
    assert_eq!(request.header("content-type"), "application/json");
    let mut spans: Value = serde_json::from_slice(&request.body).unwrap();
    for span in spans.as_array_mut().unwrap() {
        let span = span.as_object_mut().unwrap();
        assert!(span.remove("timestamp").unwrap().as_u64().unwrap() > 1_700_000_000_000_000);
        assert!(span.remove("duration").unwrap().as_u64().unwrap() > 0);
        assert_eq!(span.remove("id").unwrap().as_str().unwrap().len(), 16);
    }
    let trace = spans[1].as_object_mut().unwrap().remove("traceId").unwrap();
    assert_eq!(trace.as_str().unwrap().len(), 32);
    assert_eq!(
        spans,
        json!([
            {
                "traceId": TRACE_ID, "parentId": PARENT_ID, "name": "CallLocal/b/m", "kind": "CLIENT",
                "localEndpoint": {"serviceName": "shop"}, "remoteEndpoint": {"serviceName": "b"},
                "tags": {
                    "net.peer.name": "b", "dapr.protocol": "http", "zone": "north",
                    "otel.scope.name": "dapr-diagnostics", "otel.status_code": "ERROR",
                    "error": "Code(500): Internal Server Error",
                },
            },
            {
                "name": "bare", "localEndpoint": {"serviceName": "shop"},
                "tags": {"zone": "north", "otel.scope.name": "dapr-diagnostics"},
            },
        ])
    );
    assert_eq!(sidecar.counts("zipkin"), (2, 0));
}

#[tokio::test]
async fn all_exporters_work_side_by_side_and_one_that_is_down_stops_none() {
    let app = App::start(|_| Response::ok("")).await.unwrap();
    let zipkin = format!("http://127.0.0.1:{}/api/v2/spans", testkit::free_port());
    let sidecar = Sidecar::start(json!({
        "samplingRate": "1", "stdout": true, "zipkin": {"endpointAddress": zipkin},
        "otel": {"endpointAddress": format!("127.0.0.1:{}", app.port()), "protocol": "http", "isSecure": false},
    }));
    sidecar.trace();
    sidecar.stop().await;
    check_otlp(&app.requests()[0].body);
    assert_eq!(sidecar.counts("otlp"), (2, 0));
    assert_eq!(sidecar.counts("stdout"), (2, 0));
    assert_eq!(sidecar.counts("zipkin"), (0, 2));
}

#[tokio::test]
async fn statuses_of_http_decide_whether_to_try_again() {
    for (status, retry) in [
        (429, Some(Some(7))),
        (502, Some(Some(7))),
        (503, Some(Some(7))),
        (504, Some(Some(7))),
        (302, None),
        (400, None),
        (401, None),
        (404, None),
        (500, None),
    ] {
        let calls = AtomicUsize::new(0);
        let app = App::start(move |_| match calls.fetch_add(1, Ordering::Relaxed) {
            0 => Response::status(status).header("retry-after", "7"),
            _ => Response::status(200),
        });
        let app = app.await.unwrap();
        let mut exporter = exporter(app.port(), "http");
        let failure = exporter.export(&[]).await.err().unwrap();
        assert_eq!(
            failure.retry,
            retry.map(|r| r.map(Duration::from_secs)),
            "{status}"
        );
        assert!(failure.reason.starts_with(&format!("it answers {status}")));
        assert_eq!(exporter.export(&[]).await.ok(), Some(0));
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_never_comes_is_a_failure() {
    let app = App::start(|_| Response::ok(vec![0; 100_000]))
        .await
        .unwrap();
    let sidecar = Sidecar::otlp(app.port(), "http");
    sidecar.trace();
    sidecar.stop().await;
    assert_eq!(sidecar.counts("otlp"), (0, 2));

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sidecar = Sidecar::start(json!({"samplingRate": "1", "otel": {
        "endpointAddress": silent.local_addr().unwrap().to_string(), "protocol": "http",
        "isSecure": false, "timeout": "100ms",
    }}));
    sidecar.trace();
    sidecar.stop().await;
    assert_eq!(sidecar.counts("otlp"), (0, 2));
}

#[test]
fn the_log_line_is_upstreams() {
    let record = Record {
        trace_id: [1; 16],
        span_id: [2; 8],
        parent_id: None,
        flags: 1,
        state: None,
        name: "/v1.0/state/s".into(),
        kind: Kind::Client,
        start: 1_767_366_245_000_000_000,
        end: 1_767_366_245_001_500_000,
        attributes: Vec::new(),
        left_out: 0,
        error: None,
    };
    assert_eq!(
        stdout::line(&record),
        "[/v1.0/state/s] Trace: 01010101010101010101010101010101 Span: 0000000000000000/0202020202020202 \
         Time: [2026-01-02 15:04:05 +0000 UTC ->  2026-01-02 15:04:05.0015 +0000 UTC] Annotations: []"
    );
}

#[tokio::test]
async fn a_line_about_an_exporter_shows_no_secret() {
    let settings = json!({
        "stdout": true, "zipkin": {"endpointAddress": "http://me:s3cret@127.0.0.1:1/p?key=s3cret"},
        "otel": {"endpointAddress": "host", "protocol": "grpc", "headers": ["k=s3cret"]},
    });
    let settings = serde_json::from_value(settings).unwrap();
    let settings = Settings::read(&settings, |_| None, "shop")
        .unwrap()
        .unwrap();
    let mut exporters = open(settings, &Tasks::new());
    let names: Vec<_> = exporters.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "stdout",
            "Zipkin at 127.0.0.1:1",
            "the OTLP collector at host"
        ]
    );
    let failure = exporters[1].export(&[]).await.err().unwrap();
    assert!(failure.reason.contains("refused"), "{}", failure.reason);
    assert!(!failure.reason.contains("s3cret"), "{}", failure.reason);
}

fn exporter(port: u16, protocol: &str) -> Exporter {
    let tracing = json!({"otel": {
        "endpointAddress": format!("127.0.0.1:{port}"), "protocol": protocol, "isSecure": false,
    }});
    let tracing = serde_json::from_value(tracing).unwrap();
    let settings = Settings::read(&tracing, |_| None, "shop").unwrap().unwrap();
    open(settings, &Tasks::new()).remove(0)
}
