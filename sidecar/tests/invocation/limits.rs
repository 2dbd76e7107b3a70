//! Health, concurrency, body caps and the end of a sidecar.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use axum::Router;
use axum::extract::Request;
use http::StatusCode;
use rustix::process::Signal;
use testkit::{DEADLINE, eventually, free_port};
use tokio::sync::Notify;

use crate::support::{Mesh, echo, serve};

const CALL: &str = "/v1.0/invoke/app/method/x";

#[tokio::test]
async fn an_unhealthy_app_is_not_called_until_it_recovers() {
    let healthy = Arc::new(AtomicBool::new(true));
    let state = healthy.clone();
    let router = Router::new().fallback(move || {
        let ok = state.load(Ordering::Relaxed);
        async move {
            if ok {
                StatusCode::OK
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    });
    let (mesh, app) = (Mesh::new(), serve(router, false).await);
    let args = "--enable-app-health-check --app-health-probe-interval 1 --app-health-threshold 1";
    let args: Vec<&str> = args.split(' ').collect();
    let callee = mesh.callee("app", &app, &args).await;
    let caller = mesh.caller().await;
    for up in [true, false, true] {
        healthy.store(up, Ordering::Relaxed);
        for http in [callee.http(), caller.http()] {
            eventually(DEADLINE, async || {
                let reply = http.get(CALL).await?;
                let refused = reply.text().contains("app is not in a healthy state");
                ensure!(
                    (up && reply.status == 200) || (!up && reply.status == 500 && refused),
                    "{} {}",
                    reply.status,
                    reply.text()
                );
                Ok(())
            })
            .await;
        }
    }
}

#[tokio::test]
async fn no_more_calls_than_allowed_reach_the_app_at_once() {
    let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let seen = counts.clone();
    let router = Router::new().fallback(move || {
        let seen = seen.clone();
        async move {
            let now = seen.0.fetch_add(1, Ordering::SeqCst) + 1;
            seen.1.fetch_max(now, Ordering::SeqCst);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            seen.0.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let (mesh, app) = (Mesh::new(), serve(router, false).await);
    let callee = mesh
        .callee("app", &app, &["--app-max-concurrency", "2"])
        .await;
    let http = callee.http();
    let calls = (0..20).map(|_| http.get(CALL));
    for reply in futures_util::future::join_all(calls).await {
        reply.unwrap().expect_status(200);
    }
    assert!(counts.1.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn a_body_over_the_cap_is_an_error_of_the_invocation() {
    let (mesh, app) = (Mesh::new(), serve(echo(), false).await);
    let cap = ["--max-body-size", "1Ki"];
    let callee = mesh.callee("app", &app, &cap).await;
    let caller = mesh.builder("caller").args(cap).start().ready().await;
    for http in [callee.http(), caller.http()] {
        http.post(CALL, vec![b'x'; 1024])
            .await
            .unwrap()
            .expect_status(200);
        let reply = http.post(CALL, vec![b'x'; 1025]).await.unwrap();
        let message = reply.expect_error(500, "ERR_DIRECT_INVOKE");
        assert_eq!(message, "failed to invoke, id: app, err: stream too large");
    }
}

#[tokio::test]
async fn a_call_in_flight_is_finished_before_the_end() {
    let (started, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (on_start, until) = (started.clone(), release.clone());
    let router = Router::new().fallback(move |req: Request| {
        let (on_start, until) = (on_start.clone(), until.clone());
        async move {
            if req.uri().path() == "/slow" {
                on_start.notify_one();
                until.notified().await;
            }
        }
    });
    let (mesh, app) = (Mesh::new(), serve(router, false).await);
    let mut callee = mesh.callee("app", &app, &[]).await;
    let http = callee.http();
    let call = http.get("/v1.0/invoke/app/method/slow");
    let end = async {
        started.notified().await;
        callee.signal(Signal::TERM);
        eventually(DEADLINE, async || {
            let refused = http.get("/v1.0/healthz").await.is_err();
            ensure!(refused, "it still accepts");
            Ok(())
        })
        .await;
        release.notify_one();
    };
    let (reply, ()) = tokio::join!(call, end);
    reply.unwrap().expect_status(200);
    assert_eq!(callee.exit_code(Duration::from_secs(10)).await.unwrap(), 0);
}

#[tokio::test]
async fn the_public_port_has_health_and_metadata_only_and_asks_for_no_token() {
    let (mesh, port) = (Mesh::new(), free_port());
    let sidecar = mesh
        .builder("app")
        .env("DAPR_API_TOKEN", "t0ken")
        .args(["--dapr-public-port", &port.to_string()])
        .args([
            "--dapr-public-listen-address",
            "127.0.0.1",
            "--enable-profiling",
        ])
        .start()
        .ready()
        .await;
    let http = testkit::Http::port(port);
    for (path, status) in [
        ("/v1.0/healthz", 204),
        ("/v1.0/healthz/outbound", 204),
        ("/v1.0/metadata", 200),
        ("/v1.0/secrets/s/k", 404),
        ("/v1.0/invoke/app/method/x", 404),
    ] {
        http.get(path).await.unwrap().expect_status(status);
    }
    assert_eq!(sidecar.lines_with("serves no profiles").len(), 1);
}

#[tokio::test]
async fn a_blocked_shutdown_keeps_serving_until_the_app_is_unhealthy() {
    let healthy = Arc::new(AtomicBool::new(true));
    let state = healthy.clone();
    let router = Router::new().fallback(move || {
        let ok = state.load(Ordering::Relaxed);
        async move {
            if ok {
                StatusCode::OK
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    });
    let (mesh, app) = (Mesh::new(), serve(router, false).await);
    let args = "--enable-app-health-check --app-health-probe-interval 1 --app-health-threshold 1 --dapr-block-shutdown-duration 1h";
    let args: Vec<&str> = args.split(' ').collect();
    let mut callee = mesh.callee("app", &app, &args).await;
    let http = callee.http();
    eventually(DEADLINE, async || {
        ensure!(http.get(CALL).await?.status == 200, "not healthy yet");
        Ok(())
    })
    .await;
    callee.signal(Signal::TERM);
    callee
        .wait_line("Blocking graceful shutdown", DEADLINE)
        .await;
    http.get(CALL).await.unwrap().expect_status(200);
    healthy.store(false, Ordering::Relaxed);
    assert_eq!(callee.exit_code(DEADLINE).await.unwrap(), 0);
}

#[tokio::test]
async fn a_call_right_after_readiness_waits_for_the_introduction_of_the_app() {
    let router = Router::new().fallback(|req: Request| async move {
        if req.uri().path() == "/dapr/config" {
            // It never says what it wants.
            std::future::pending::<()>().await;
        }
    });
    let (mesh, app) = (Mesh::new(), serve(router, false).await);
    let callee = mesh.callee("app", &app, &[]).await;
    callee.http().get(CALL).await.unwrap().expect_status(200);
}
