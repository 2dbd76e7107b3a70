use ::http::{Method, Request};
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use service::Tasks;
use service::health::Health;

use super::*;
use crate::api::access::Access;
use crate::api::router::Router;
use crate::scheduler::Triggers;
use crate::scheduler::testing::{Fake, client};

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

/// Sends `VERB path body`; the answer's status and body.
async fn send(router: &Router, line: &str) -> (u16, String) {
    let mut parts = line.splitn(3, ' ');
    let method = Method::from_bytes(parts.next().unwrap().as_bytes()).unwrap();
    let req = Request::builder().method(method).uri(parts.next().unwrap());
    let body = Body::from(parts.next().unwrap_or_default().to_owned());
    let answer = router.call(req.body(body).unwrap()).await;
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
        (r#"POST /v1.0/jobs/b ["b"]"#, 400, "the body is a list"),
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
