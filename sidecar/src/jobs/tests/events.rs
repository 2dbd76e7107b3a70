use axum::Router;
use axum::body::Body;
use serde_json::json;
use service::Tasks;
use testkit::{App as UserApp, Response};

use super::super::value;
use super::*;
use crate::scheduler::{JobTrigger, Jobs as _, Outcome};

fn due(name: &str, data: Option<prost_types::Any>) -> JobTrigger {
    JobTrigger {
        name: name.into(),
        data,
    }
}

#[tokio::test]
async fn an_http_app_is_called_with_the_data() {
    let user = UserApp::start(|req| {
        let status = req.path.rsplit('-').next().and_then(|s| s.parse().ok());
        Response::status(status.unwrap_or(200))
    });
    let user = user.await.unwrap();
    let app = app(Some(user.port()), "http");
    let events = events(&app);
    assert_eq!(events.job(due("early", None)).await, Outcome::Failed);
    app.accept();
    let json = json!({"b": 1, "a": [true, 1.5, "<"]});
    let json: value::Json = serde_json::from_value(json).unwrap();
    let json = json.into_any().unwrap();
    let raw = prost_types::Any {
        type_url: "x/y".into(),
        value: b" \n raw \t".to_vec(),
    };
    for (name, data, path, body, outcome) in [
        (
            "a",
            Some(json),
            "/job/a",
            &br#"{"a":[true,1.5,"<"],"b":1}"#[..],
            Outcome::Success,
        ),
        ("/lead", Some(raw), "/job/lead", b"raw", Outcome::Success),
        ("a b?c", None, "/job/a%20b%3Fc", b"", Outcome::Success),
        ("x-204", None, "/job/x-204", b"", Outcome::Success),
        ("x-404", None, "/job/x-404", b"", Outcome::Success),
        ("x-302", None, "/job/x-302", b"", Outcome::Failed),
        ("x-500", None, "/job/x-500", b"", Outcome::Failed),
    ] {
        assert_eq!(events.job(due(name, data)).await, outcome, "{name}");
        let seen = user.requests().pop().unwrap();
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", path));
        assert_eq!(&seen.body[..], body, "{name}");
        assert_eq!(seen.header("content-type"), "application/json");
        assert_eq!(seen.header("dapr-api-token"), "secret");
    }
    drop(user);
    assert_eq!(events.job(due("late", None)).await, Outcome::Failed);
}

type Seen = Arc<parking_lot::Mutex<Vec<(rt::JobEventRequest, tonic::metadata::MetadataMap)>>>;

/// A gRPC app that has this method only, and fails jobs with the code they name.
async fn grpc_app(path: &str, seen: &Seen, tasks: &Tasks) -> u16 {
    let seen = seen.clone();
    let answer = move |req: tonic::Request<rt::JobEventRequest>| {
        let (metadata, _, event) = req.into_parts();
        let code = event
            .name
            .parse()
            .map_or(tonic::Code::Ok, tonic::Code::from_i32);
        seen.lock().push((event, metadata));
        async move {
            match code {
                tonic::Code::Ok => Ok(tonic::Response::new(rt::JobEventResponse {})),
                code => Err(tonic::Status::new(code, "no")),
            }
        }
    };
    let method = axum::routing::post(move |req: axum::extract::Request| {
        let service = tower::service_fn(answer.clone());
        async move {
            let codec = tonic_prost::ProstCodec::default();
            let mut server = tonic::server::Grpc::new(codec);
            server.unary(service, req).await.map(Body::new)
        }
    });
    let unknown = async || tonic::Status::unimplemented("what?").into_http::<Body>();
    let router = Router::new().route(path, method).fallback(unknown);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (end, connections) = (tasks.token(), tasks.clone());
    tasks.spawn("app", async move {
        while let Some(Ok((stream, _))) = end.run_until_cancelled(listener.accept()).await {
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            let end = end.clone();
            connections.spawn("connection", async move {
                let executor = hyper_util::rt::TokioExecutor::new();
                let server = hyper_util::server::conn::auto::Builder::new(executor);
                let stream = hyper_util::rt::TokioIo::new(stream);
                end.run_until_cancelled(server.serve_connection(stream, service))
                    .await;
            });
        }
    });
    port
}

#[tokio::test]
async fn a_grpc_app_is_called_by_the_method_that_it_has() {
    let tasks = Tasks::new();
    for path in [
        "/dapr.proto.runtime.v1.AppCallback/OnJobEvent",
        "/dapr.proto.runtime.v1.AppCallbackAlpha/OnJobEventAlpha1",
    ] {
        let seen = Seen::default();
        let app = app(Some(grpc_app(path, &seen, &tasks).await), "grpc");
        app.accept();
        let events = events(&app);
        let data = prost_types::Any {
            type_url: "x/y".into(),
            value: b" raw ".to_vec(),
        };
        for (name, outcome) in [
            ("a", Outcome::Success),
            ("5", Outcome::Success),
            ("2", Outcome::Failed),
            ("14", Outcome::Failed),
        ] {
            assert_eq!(
                events.job(due(name, Some(data.clone()))).await,
                outcome,
                "{path} {name}"
            );
            let (event, metadata) = seen.lock().pop().unwrap();
            assert_eq!(
                (event.name.as_str(), event.data.as_ref()),
                (name, Some(&data))
            );
            assert_eq!(
                (event.method, event.content_type.as_str()),
                (format!("job/{name}"), "x/y")
            );
            assert_eq!(metadata.get("dapr-api-token").unwrap(), "secret");
        }
    }
    tasks.token().cancel();
}

#[tokio::test]
async fn a_job_has_a_trace_and_is_counted() {
    let user =
        UserApp::start(|req| Response::status(if req.path == "/job/bad" { 500 } else { 200 }));
    let user = user.await.unwrap();
    let app = app(Some(user.port()), "http");
    app.accept();
    let (registry, tasks) = (service::metrics::Registry::new(&[]), Tasks::new());
    let spec = serde_json::from_value(json!({"samplingRate": "1"})).unwrap();
    let settings = telemetry::Settings::read(&spec, |_| None, "app")
        .unwrap()
        .unwrap();
    let events = Events {
        tracer: Some(telemetry::Tracer::start_exporters(
            settings, &registry, &tasks,
        )),
        metrics: Some(JobMetrics::new(&registry, ("app", "default"), &[1e9])),
        ..events(&app)
    };
    for name in ["good", "good", "bad"] {
        events.job(due(name, None)).await;
    }
    let of_last = user.requests().pop().unwrap();
    let context = telemetry::TraceContext::parse(of_last.header("traceparent"));
    assert!(context.is_some_and(|context| context.is_sampled()));
    let page = registry.render();
    let labels = r#"app_id="app",namespace="default",operation="job_trigger_op""#;
    for line in [
        format!("dapr_component_job_success_count{{{labels}}} 2"),
        format!("dapr_component_job_failure_count{{{labels}}} 1"),
        format!(r#"dapr_component_job_latencies_count{{{labels},success="true"}} 2"#),
        format!(r#"dapr_component_job_latencies_count{{{labels},success="false"}} 1"#),
    ] {
        assert!(page.contains(&line), "{line}\n{page}");
    }
}

#[tokio::test]
async fn without_an_app_every_job_fails() {
    let events = events(&app(None, "http"));
    assert_eq!(events.job(due("a", None)).await, Outcome::Failed);
}
