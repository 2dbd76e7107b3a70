//! The sidecar as a process: start, health, tokens, sockets, stop.

use std::time::Duration;

use anyhow::ensure;
use e2e::Sidecar;
use rustix::process::Signal;
use testkit::{App, DEADLINE, Http, Process, Response, binary, eventually, free_port};

fn daprd(args: &[&str]) -> Process {
    let program = binary("daprd").unwrap();
    Process::builder(program).args(args).start().unwrap()
}

#[tokio::test]
async fn health_is_204_and_a_wrong_app_id_is_named() {
    let sidecar = Sidecar::builder("order-service").start().ready().await;
    let http = sidecar.http();
    for path in [
        "/v1.0/healthz",
        "/v1.0/healthz/outbound",
        "/v1.0/healthz?appid=order-service",
    ] {
        let reply = http.get(path).await.unwrap().expect_status(204);
        assert_eq!(reply.body.len(), 0, "{path}");
    }
    let reply = http.get("/v1.0/healthz?appid=other").await.unwrap();
    let message = reply.expect_error(500, "ERR_HEALTH_APPID_NOT_MATCH");
    assert_eq!(message, "dapr app-id does not match");
}

#[tokio::test]
async fn the_line_that_launchers_wait_for_is_written() {
    let sidecar = Sidecar::builder("lines").start();
    let line = sidecar
        .wait_line("dapr initialized. Status: Running. Init Elapsed ", DEADLINE)
        .await;
    for part in [
        "level=info",
        "app_id=lines",
        "scope=dapr.runtime",
        "type=log",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

#[tokio::test]
async fn json_log_lines_are_all_json() {
    let sidecar = Sidecar::builder("jsonlog").args(["--log-as-json"]).start();
    sidecar.wait_line("dapr initialized.", DEADLINE).await;
    for line in sidecar.output().lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        for field in ["time", "level", "msg", "scope", "instance", "type", "ver"] {
            assert!(record[field].is_string(), "{field} is missing in {line}");
        }
    }
}

#[tokio::test]
async fn sigterm_ends_it_with_code_0() {
    let mut sidecar = Sidecar::builder("ending").start().ready().await;
    assert_eq!(sidecar.stop(DEADLINE).await.unwrap(), 0);
}

#[tokio::test]
async fn an_idle_client_connection_does_not_hold_up_the_stop() {
    let mut sidecar = Sidecar::builder("idleconn").start().ready().await;
    let _idle = tokio::net::TcpStream::connect(("127.0.0.1", sidecar.http))
        .await
        .unwrap();
    assert_eq!(sidecar.stop(Duration::from_secs(15)).await.unwrap(), 0);
}

#[tokio::test]
async fn the_shutdown_call_ends_it_with_code_0() {
    let mut sidecar = Sidecar::builder("shutdown").start().ready().await;
    let reply = sidecar.http().post("/v1.0/shutdown", "").await.unwrap();
    reply.expect_status(204);
    assert_eq!(sidecar.exit_code(DEADLINE).await.unwrap(), 0);
}

#[tokio::test]
async fn health_waits_for_the_app_while_the_api_already_works() {
    let port = free_port();
    let sidecar = Sidecar::builder("waiting")
        .component("statestore", "state.in-memory", &[])
        .app_port(port)
        .start()
        .outbound_ready()
        .await;
    let http = sidecar.http();
    let reply = http.get("/v1.0/healthz").await.unwrap();
    let message = reply.expect_error(500, "ERR_HEALTH_NOT_READY");
    assert!(message.starts_with("dapr is not ready: ["), "{message}");
    let saved = http
        .post("/v1.0/state/statestore", r#"[{"key":"a","value":1}]"#)
        .await
        .unwrap();
    saved.expect_status(204);

    let app = App::start_on(port, |_| Response::status(404))
        .await
        .unwrap();
    let _sidecar = sidecar.ready().await;
    eventually(DEADLINE, async || {
        ensure!(!app.seen("/dapr/config").is_empty(), "no GET /dapr/config");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_api_token_guards_everything_but_health() {
    let sidecar = Sidecar::builder("tokens")
        .env("DAPR_API_TOKEN", "t0ken")
        .start()
        .ready()
        .await;
    let http = sidecar.http();
    for client in [http.clone(), http.clone().header("dapr-api-token", "wrong")] {
        let reply = client.get("/v1.0/metadata").await.unwrap();
        let reply = reply.expect_status(401);
        assert_eq!(reply.text().trim(), "invalid api token");
        assert!(reply.header("content-type").starts_with("text/plain"));
    }
    let client = http.clone().header("dapr-api-token", "t0ken");
    client
        .get("/v1.0/metadata")
        .await
        .unwrap()
        .expect_status(200);
    http.get("/v1.0/healthz").await.unwrap().expect_status(204);
    http.get("/v1.0/healthz/outbound")
        .await
        .unwrap()
        .expect_status(204);
    assert!(!sidecar.output().contains("t0ken"), "the token is logged");
}

#[tokio::test]
async fn unix_sockets_replace_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let mut sidecar = Sidecar::builder("unix")
        .unix(folder.path())
        .start()
        .ready()
        .await;
    let reply = sidecar.http().get("/v1.0/metadata").await.unwrap();
    assert_eq!(reply.json()["id"], "unix");
    assert!(folder.path().join("dapr-unix-grpc.socket").exists());
    for port in [sidecar.http, sidecar.grpc] {
        let connection = std::net::TcpStream::connect(("127.0.0.1", port));
        assert!(connection.is_err(), "port {port} is open too");
    }
    assert_eq!(sidecar.stop(DEADLINE).await.unwrap(), 0);
}

#[tokio::test]
async fn a_socket_file_that_a_crash_left_does_not_stop_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Sidecar::builder("again")
            .unix(folder.path())
            .start()
            .ready()
    };
    start().await.kill().await.unwrap();
    assert!(folder.path().join("dapr-again-http.socket").exists());
    assert_eq!(start().await.stop(DEADLINE).await.unwrap(), 0);
}

#[tokio::test]
async fn a_busy_port_is_a_fatal_error() {
    let first = Sidecar::builder("first").start().ready().await;
    let port = first.http.to_string();
    // A later flag of the same name wins.
    let mut second = Sidecar::builder("second")
        .args(["--dapr-http-port", &port])
        .start();
    assert_eq!(second.exit_code(DEADLINE).await.unwrap(), 1);
    let line = second.lines_with("level=fatal").remove(0);
    assert!(line.contains("could not listen on any endpoint"), "{line}");
}

#[tokio::test]
async fn sigint_ends_it_like_sigterm() {
    let mut sidecar = Sidecar::builder("interrupted").start().ready().await;
    sidecar.signal(Signal::INT);
    assert_eq!(sidecar.exit_code(DEADLINE).await.unwrap(), 0);
}

#[tokio::test]
async fn sigusr1_switches_debug_lines_on_and_off() {
    let mut sidecar = Sidecar::builder("verbose").start().ready().await;
    for level in ["debug", "info"] {
        sidecar.signal(Signal::USR1);
        let line = format!("Log level set to: {level}");
        eventually(DEADLINE, async || {
            ensure!(sidecar.lines_with(&line).len() > usize::from(level == "info"));
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn flag_errors_tell_the_reason_and_exit_codes_differ_by_kind() {
    async fn check(args: &[&str], code: i32, part: &str) {
        let mut process = daprd(args);
        let got = process.exit_code(DEADLINE).await.unwrap();
        let output = process.output();
        assert_eq!(got, code, "{args:?}: {output}");
        assert!(output.contains(part), "{args:?}: {output}");
    }
    check(&["--no-such-flag"], 2, "unknown flag: --no-such-flag").await;
    check(&[], 1, "parameter app-id cannot be empty").await;
    check(
        &["--app-id", "a.b"],
        1,
        "parameter app-id cannot contain dots",
    )
    .await;
    check(
        &["--app-id", "a", "--app-port", "x"],
        1,
        "error parsing app-port: ",
    )
    .await;
    check(
        &["--app-id", "a", "--app-port", "3500"],
        1,
        "conflicts with 'app-port'",
    )
    .await;
    check(
        &["--app-id", "a", "--app-protocol", "smoke"],
        1,
        "invalid value for 'app-protocol': smoke",
    )
    .await;
    check(
        &["--app-id", "a", "--log-level", "loud"],
        1,
        "invalid value for --log-level: loud",
    )
    .await;
    check(
        &["--app-id", "a", "--resources-path", "/no/such/folder"],
        1,
        "/no/such/folder",
    )
    .await;
    check(&["--version"], 0, ".").await;
}

#[tokio::test]
async fn one_dash_before_a_long_flag_is_accepted() {
    let mut process = daprd(&["-version"]);
    assert_eq!(process.exit_code(DEADLINE).await.unwrap(), 0);
}

#[tokio::test]
async fn the_wait_flag_returns_when_a_sidecar_is_up() {
    let sidecar = Sidecar::builder("awaited").start().ready().await;
    let port = sidecar.http.to_string();
    let mut waiting = daprd(&["--wait", "--dapr-http-port", &port]);
    assert_eq!(waiting.exit_code(DEADLINE).await.unwrap(), 0);
}

#[tokio::test]
async fn metrics_are_served_in_prometheus_text() {
    let sidecar = Sidecar::builder("metrics").start().ready().await;
    let reply = Http::port(sidecar.metrics).get("/").await.unwrap();
    let text = reply.expect_status(200).text();
    assert!(text.lines().any(|line| line.starts_with("dapr_")), "{text}");
}
