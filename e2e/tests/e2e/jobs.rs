//! Jobs over a real scheduler: once, again, after failures, and through crashes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::ensure;
use e2e::{Plane, Sidecar, metric};
use serde_json::{Value, json};
use testkit::{App, DEADLINE, Http, Response, eventually};

async fn app() -> App {
    App::start(|_| Response::status(200)).await.unwrap()
}

async fn schedule(http: &Http, name: &str, job: &Value) {
    let reply = http.post_json(&format!("/v1.0/jobs/{name}"), job).await;
    reply.unwrap().expect_status(204);
}

/// Waits for as many runs of a job, and for it to be gone where there are no more.
async fn wait_runs(app: &App, name: &str, runs: usize) {
    eventually(DEADLINE, async || {
        let seen = app.seen(&format!("/job/{name}")).len();
        ensure!(seen >= runs, "{seen} runs of {name}");
        Ok(())
    })
    .await;
}

async fn wait_gone(http: &Http, name: &str) {
    eventually(DEADLINE, async || {
        let reply = http.get(&format!("/v1.0/jobs/{name}")).await?;
        ensure!(reply.status == 500, "{name} is there: {}", reply.text());
        reply.expect_error(500, "DAPR_SCHEDULER_GET_JOB");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_job_runs_once_when_it_is_due() {
    let (plane, app) = (Plane::start().await, app().await);
    let sidecar = plane.sidecar("once").app_port(app.port()).start();
    let sidecar = sidecar.ready().await;
    let http = sidecar.http();
    schedule(&http, "report", &json!({"dueTime": "0s", "data": {"a": 1}})).await;
    wait_runs(&app, "report", 1).await;
    wait_gone(&http, "report").await;
    let runs = app.seen("/job/report");
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].method, "POST");
    let body: Value = serde_json::from_slice(&runs[0].body).unwrap();
    assert_eq!(body, json!({"a": 1}));
    let metadata = http.get("/v1.0/metadata").await.unwrap().json();
    let address = format!("127.0.0.1:{}", plane.scheduler.port);
    assert_eq!(
        metadata["scheduler"],
        json!({"connected_addresses": [address]})
    );
    let done = "dapr_component_job_success_count";
    let labels = [r#"operation="job_trigger_op""#];
    assert_eq!(metric(&sidecar, done, &labels).await.unwrap(), 1.0);
}

#[tokio::test]
async fn a_schedule_runs_as_often_as_it_says() {
    let (plane, app) = (Plane::start().await, app().await);
    let sidecar = plane.sidecar("often").app_port(app.port()).start();
    let sidecar = sidecar.ready().await;
    let http = sidecar.http();
    schedule(
        &http,
        "tick",
        &json!({"schedule": "@every 100ms", "repeats": 3}),
    )
    .await;
    wait_gone(&http, "tick").await;
    assert_eq!(app.seen("/job/tick").len(), 3);
}

#[tokio::test]
async fn a_job_that_fails_is_repeated_as_its_policy_says() {
    let plane = Plane::start().await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let app = App::start(move |req| match req.path.as_str() {
        "/job/recovers" if counted.fetch_add(1, Ordering::SeqCst) < 2 => Response::status(500),
        "/job/recovers" | "/job/done" => Response::status(200),
        _ => Response::status(503),
    });
    let app = app.await.unwrap();
    let sidecar = plane.sidecar("policies").app_port(app.port()).start();
    let sidecar = sidecar.ready().await;
    let http = sidecar.http();
    let constant = |retries| json!({"constant": {"interval": "0.050s", "maxRetries": retries}});
    for (name, policy, runs) in [
        ("recovers", constant(9), 3),
        ("fails", constant(2), 3),
        ("dropped", json!({"drop": {}}), 1),
    ] {
        schedule(
            &http,
            name,
            &json!({"dueTime": "0s", "failurePolicy": policy}),
        )
        .await;
        wait_gone(&http, name).await;
        assert_eq!(app.seen(&format!("/job/{name}")).len(), runs, "{name}");
    }
}

#[tokio::test]
async fn a_job_survives_the_crash_of_its_scheduler() {
    let (mut plane, app) = (Plane::start().await, app().await);
    let sidecar = plane.sidecar("survivor").app_port(app.port()).start();
    let sidecar = sidecar.ready().await;
    let http = sidecar.http();
    schedule(&http, "later", &json!({"dueTime": "3s", "data": "kept"})).await;
    schedule(&http, "ticking", &json!({"schedule": "@every 200ms"})).await;
    wait_runs(&app, "ticking", 2).await;
    plane.scheduler.kill().await;
    // A call waits for the scheduler to come back.
    tokio::join!(
        async { schedule(&http, "meanwhile", &json!({"dueTime": "0s"})).await },
        plane.scheduler.start_again()
    );
    let before = app.seen("/job/ticking").len();
    wait_runs(&app, "ticking", before + 3).await;
    wait_runs(&app, "meanwhile", 1).await;
    wait_runs(&app, "later", 1).await;
    assert_eq!(&app.seen("/job/later")[0].body[..], br#""kept""#);
}

#[tokio::test]
async fn a_job_waits_for_the_sidecar_of_its_app() {
    let (plane, app) = (Plane::start().await, app().await);
    let start = || plane.sidecar("away").app_port(app.port()).start().ready();
    let mut sidecar = start().await;
    let other = plane.sidecar("other").app_port(app.port()).start();
    let _other = other.ready().await;
    schedule(&sidecar.http(), "due", &json!({"dueTime": "500ms"})).await;
    sidecar.kill().await.unwrap();
    let page = Http::port(plane.scheduler.metrics);
    eventually(DEADLINE, async || {
        let text = page.get("/").await?.text();
        let line = r#"dapr_scheduler_jobs_undelivered_total{type="job"} 1"#;
        ensure!(text.contains(line), "the job is not due yet:\n{text}");
        Ok(())
    })
    .await;
    assert_eq!(app.seen("/job/due").len(), 0, "it is no other app's job");
    let sidecar = start().await;
    wait_runs(&app, "due", 1).await;
    wait_gone(&sidecar.http(), "due").await;
    assert_eq!(app.seen("/job/due").len(), 1);
}

#[tokio::test]
async fn jobs_wait_while_the_app_is_unhealthy() {
    let plane = Plane::start().await;
    let healthy = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let answers = healthy.clone();
    let app = App::start(move |req| match req.path.as_str() {
        "/healthz" if !answers.load(Ordering::SeqCst) => Response::status(500),
        _ => Response::status(200),
    });
    let app = app.await.unwrap();
    let sidecar = plane.sidecar("moody").app_port(app.port()).args([
        "--enable-app-health-check",
        "--app-health-probe-interval=1",
        "--app-health-threshold=1",
    ]);
    let sidecar = sidecar.start().ready().await;
    let http = sidecar.http();
    schedule(&http, "first", &json!({"dueTime": "0s"})).await;
    wait_runs(&app, "first", 1).await;
    healthy.store(false, Ordering::SeqCst);
    sidecar
        .wait_line("App entered un-healthy status", DEADLINE)
        .await;
    sidecar
        .wait_line("Scheduler stream disconnected", DEADLINE)
        .await;
    schedule(
        &http,
        "second",
        &json!({"dueTime": "0s", "failurePolicy": {"drop": {}}}),
    )
    .await;
    healthy.store(true, Ordering::SeqCst);
    wait_runs(&app, "second", 1).await;
    wait_gone(&http, "second").await;
}

#[tokio::test]
async fn without_a_scheduler_jobs_say_so() {
    let sidecar = Sidecar::builder("alone").start().ready().await;
    let http = sidecar.http();
    let job = json!({"dueTime": "1s"});
    let reply = http.post_json("/v1.0/jobs/a", &job).await.unwrap();
    let message = reply.expect_error(500, "DAPR_SCHEDULER_SCHEDULE_JOB");
    assert_eq!(
        message,
        "failed to schedule job due to: scheduler clients are disabled"
    );
    let metadata = http.get("/v1.0/metadata").await.unwrap().json();
    assert_eq!(metadata.get("scheduler"), None);
}
