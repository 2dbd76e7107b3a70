use ::http::{Method, Request};
use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use service::Tasks;
use service::health::Health;
use testkit::{App as UserApp, Response};
use tower::ServiceExt;

use super::*;
use crate::api::access::Access;
use crate::api::pipeline::Pipeline;
use crate::app::App;
use crate::flags::AppConfig;
use crate::scheduler::testing::{Fake, client};
use crate::scheduler::{JobTrigger, Jobs as _, Outcome, Triggers};

struct Block {
    fake: Fake,
    jobs: Jobs,
    router: Router,
    tasks: Tasks,
}

impl std::ops::Drop for Block {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

async fn block() -> Block {
    let fake = Fake::start().await;
    let (client, tasks) = (client(&[&fake.address]), Tasks::new());
    let triggers = Triggers {
        jobs: Arc::new(events(&app(None, "http"))),
        reminders: None,
    };
    let ready = Health::new().target("hosts");
    client.start(triggers, &app(None, "http"), ready, &tasks);
    let jobs = Jobs::new(client, "app", "default");
    let router = http::routes(&jobs).router(&Access::default(), None);
    Block {
        fake,
        jobs,
        router,
        tasks,
    }
}

fn app(port: Option<u16>, protocol: &str) -> App {
    let config = AppConfig {
        port,
        protocol: protocol.into(),
        address: "127.0.0.1".into(),
        max_concurrency: None,
        token: "secret".into(),
        ask_config: false,
        health: None,
    };
    App::new(&config, 4096, Pipeline::default(), None, None).unwrap()
}

fn events(app: &App) -> Events {
    Events {
        app: app.clone(),
        tracer: None,
        metrics: None,
    }
}

/// Sends `VERB path body`; the answer's status and body.
async fn send(router: &Router, line: &str) -> (u16, String) {
    let mut parts = line.splitn(3, ' ');
    let method = Method::from_bytes(parts.next().unwrap().as_bytes()).unwrap();
    let req = Request::builder().method(method).uri(parts.next().unwrap());
    let body = Body::from(parts.next().unwrap_or_default().to_owned());
    let answer = router
        .clone()
        .oneshot(req.body(body).unwrap())
        .await
        .unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.into()).unwrap())
}

#[tokio::test]
async fn a_job_is_shown_as_it_was_given() {
    let it = block().await;
    let any = |value| json!({"@type": "type.googleapis.com/google.protobuf.Value", "value": value});
    for (name, given, shown) in [
        (
            "all",
            json!({
                "schedule": "@daily", "repeats": 2, "dueTime": "1h", "ttl": "2h", "data": {"a": [1, null]},
                "failurePolicy": {"constant": {"interval": "1.500s", "maxRetries": 3}}, "unknown": {},
            }),
            json!({
                "name": "all", "schedule": "@daily", "repeats": 2, "dueTime": "1h", "ttl": "2h",
                "data": any(json!({"a": [1, null]})),
                "failurePolicy": {"constant": {"interval": "1.500s", "maxRetries": 3}},
            }),
        ),
        (
            "original-names",
            json!({"due_time": "1s", "repeats": "4", "failure_policy": {"constant": {"max_retries": "1"}}}),
            json!({
                "name": "original-names", "dueTime": "1s", "repeats": 4,
                "failurePolicy": {"constant": {"maxRetries": 1}},
            }),
        ),
        (
            "drop",
            json!({"dueTime": "1s", "failurePolicy": {"drop": {}}, "data": null, "ttl": null}),
            json!({"name": "drop", "dueTime": "1s", "failurePolicy": {"drop": {}}, "data": any(Value::Null)}),
        ),
        (
            "empty policy",
            json!({"dueTime": "1s", "failurePolicy": {"constant": {}}, "data": "text"}),
            json!({"name": "empty policy", "dueTime": "1s", "failurePolicy": {"constant": {}}, "data": any(json!("text"))}),
        ),
    ] {
        let path = format!("/v1.0-alpha1/jobs/{}", name.replace(' ', "%20"));
        let created = send(&it.router, &format!("POST {path} {given}")).await;
        assert_eq!(created, (204, String::new()), "{name}");
        let (status, body) =
            send(&it.router, &format!("GET {}", path.replace("-alpha1", ""))).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), shown);
    }
}

#[tokio::test]
async fn requests_are_checked_in_order() {
    let it = block().await;
    it.fake
        .fail_next(tonic::Status::unknown("job failed validation: x"));
    for (line, status, part) in [
        (
            r#"POST /v1.0/jobs/a {"schedule":"x"}"#,
            500,
            "failed to schedule job due to: rpc error: code = Unknown desc = job failed validation: x",
        ),
        (r#"POST /v1.0/jobs/a {"dueTime":"1s"}"#, 204, ""),
        (
            r#"POST /v1.0/jobs/a {"dueTime":"1s"}"#,
            409,
            "job already exists: 'a'",
        ),
        (
            r#"POST /v1.0/jobs/a {"dueTime":"2s","overwrite":true}"#,
            204,
            "",
        ),
        (
            r#"POST /v1.0/jobs/%20 {"name":"b"}"#,
            400,
            "Set the job name in the url only",
        ),
        (r#"POST /v1.0/jobs/%20 {}"#, 400, "Name is empty"),
        (r#"POST /v1.0/jobs/b {}"#, 400, "Schedule is empty"),
        (r#"POST /v1.0/jobs/b"#, 400, "Schedule is empty"),
        (
            r#"POST /v1.0/jobs/b {"repeats":-1}"#,
            400,
            "failed deserializing HTTP body",
        ),
        (
            r#"POST /v1.0/jobs/b {"failurePolicy":{"constant":{"interval":"soon"}}}"#,
            400,
            "'soon' is no duration",
        ),
        (
            r#"POST /v1.0/jobs/b not json"#,
            400,
            "ERR_MALFORMED_REQUEST",
        ),
        (
            r#"GET /v1.0/jobs/b"#,
            500,
            "failed to get job due to: rpc error: code = NotFound desc = job not found: b",
        ),
        (
            r#"DELETE /v1.0/jobs/%20"#,
            400,
            "DAPR_SCHEDULER_JOB_NAME_EMPTY",
        ),
        (r#"DELETE /v1.0/jobs/a"#, 204, ""),
        (r#"DELETE /v1.0/jobs/a"#, 204, ""),
        (r#"GET /v1.0/jobs/a"#, 500, "DAPR_SCHEDULER_GET_JOB"),
    ] {
        let (found, body) = send(&it.router, line).await;
        assert_eq!(found, status, "{line}: {body}");
        assert!(body.contains(part), "{line}: {body}");
    }
}

#[tokio::test]
async fn jobs_are_listed_and_deleted_by_prefix_over_grpc() {
    let it = block().await;
    let none = grpc::schedule(&it.jobs, rt::ScheduleJobRequest::default()).await;
    assert_eq!(none.unwrap_err().message(), "Job is empty");
    for name in ["a1", "a2", "b"] {
        let job = rt::Job {
            name: name.into(),
            due_time: Some("1s".into()),
            ..Default::default()
        };
        let req = rt::ScheduleJobRequest {
            job: Some(job),
            overwrite: false,
        };
        grpc::schedule(&it.jobs, req.clone()).await.unwrap();
        let taken = grpc::schedule(&it.jobs, req).await.unwrap_err();
        assert_eq!(taken.code(), tonic::Code::AlreadyExists);
    }
    let names = async || {
        let listed = grpc::list(&it.jobs).await.unwrap();
        listed.into_iter().map(|job| job.name).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["a1", "a2", "b"]);
    let () = grpc::delete_by_prefix(&it.jobs, Some("a".into()))
        .await
        .unwrap();
    assert_eq!(names().await, ["b"]);
    let () = grpc::delete_by_prefix(&it.jobs, None).await.unwrap();
    assert_eq!(names().await, Vec::<String>::new());
}

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
            &br#"{"a":[true,1.5,"\u003c"],"b":1}"#[..],
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
async fn without_an_app_every_job_fails() {
    let events = events(&app(None, "http"));
    assert_eq!(events.job(due("a", None)).await, Outcome::Failed);
}
