//! `dapr run --mtls` beside a plain `dapr run`: both have actors, reminders and jobs.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::ensure;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{App, DEADLINE, Http, Process, Response, binary, eventually, free_port};

const FREE: &str = "--port=placement=0,placement-health=0,placement-metrics=0,scheduler=0,\
                    scheduler-health=0,scheduler-metrics=0,scheduler-etcd=0";

/// A call that takes longer is made again.
const CALL: Duration = Duration::from_secs(5);

/// A `dapr run` and its sidecar, which ends with the value.
struct Run {
    process: Process,
    http: Http,
}

impl Drop for Run {
    fn drop(&mut self) {
        // It ends its sidecar, which it could not if it were killed.
        self.process.signal(Signal::TERM);
        let end = Instant::now() + DEADLINE;
        while self.process.is_running() && Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// A home for `dapr`; what goes on in the background there ends with the value.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn dapr(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary("dapr").unwrap());
        command.args(args).env("HOME", self.0.path());
        command.env_remove("DAPR_RUNTIME_PATH").output().unwrap()
    }

    fn succeeds(&self, args: &[&str]) -> String {
        let output = self.dapr(args);
        let text = [output.stdout.as_slice(), &output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "{args:?}: {text}");
        text
    }

    fn status(&self) -> Vec<Value> {
        let output = self.dapr(&["status", "-o", "json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// `dapr run`, ready.
    async fn run(&self, id: &str, flags: &[&str]) -> Run {
        let port = free_port();
        let dapr = Process::builder(binary("dapr").unwrap())
            .args(["run", "--app-id", id, "--dapr-http-port"])
            .arg(port.to_string())
            .args(["--dapr-listen-addresses", "127.0.0.1"])
            .args(flags)
            .inherit_env()
            .env("HOME", self.0.path())
            .env("DAPR_HOST_IP", "127.0.0.1");
        let run = Run {
            process: dapr.start().unwrap(),
            http: Http::port(port).within(CALL),
        };
        eventually(DEADLINE, async || {
            let reply = run.http.get("/v1.0/healthz").await?;
            let output = run.process.output();
            ensure!(reply.status == 204, "{}\n{output}", reply.text());
            Ok(())
        })
        .await;
        run
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.dapr(&["uninstall"]);
    }
}

fn ended(pid: &Value) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Its parent may be slow to take notice of it.
    state.is_empty() || state.contains(") Z ")
}

/// An app that hosts one type of actors.
async fn host(actors: &'static str) -> App {
    let app = App::start(move |request| match request.path.as_str() {
        "/dapr/config" => Response::json(&json!({"entities": [actors]})),
        _ => Response::ok("done"),
    });
    app.await.unwrap()
}

async fn reminds_and_runs(http: &Http, app: &App, actors: &str) {
    let now = json!({"dueTime": "0s"});
    let path = format!("/v1.0/actors/{actors}/1/reminders/ring");
    let reply = http.post_json(&path, &now).await.unwrap();
    reply.expect_status(204);
    let reply = http.post_json("/v1.0/jobs/report", &now).await.unwrap();
    reply.expect_status(204);
    let reminded = format!("/actors/{actors}/1/method/remind/ring");
    eventually(DEADLINE, async || {
        for path in [reminded.as_str(), "/job/report"] {
            ensure!(!app.seen(path).is_empty(), "{path} was not called");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn apps_with_mutual_tls_reach_actors_and_jobs_beside_apps_without() {
    let home = Home::new();
    home.succeeds(&["init", FREE]);
    let (plain, secured) = (host("Plain").await, host("Secured").await);
    let [plain_port, secured_port] = [&plain, &secured].map(|app| app.port().to_string());
    let flags = ["--app-port", &plain_port];
    let run = home.run("plain", &flags).await;
    reminds_and_runs(&run.http, &plain, "Plain").await;

    let flags = ["--mtls", "--app-port", &secured_port];
    let first = home.run("secured", &flags).await;
    reminds_and_runs(&first.http, &secured, "Secured").await;
    let started = first.process.output();
    assert!(
        started.contains("placement-mtls runs on port "),
        "{started}"
    );

    // Another run starts nothing, and calls the actors of the first.
    let before = home.status();
    let second = home.run("caller", &["--mtls"]).await;
    let http = &second.http;
    let path = "/v1.0/actors/Secured/1/method/add";
    http.post(path, "").await.unwrap().expect_status(200);
    assert!(!second.process.output().contains("placement-mtls"));
    let status = home.status();
    let of = |status: &[Value], key: &str| status.iter().map(|row| row[key].clone()).collect();
    let names: Vec<Value> = of(&status, "name");
    let expected = [
        "placement",
        "scheduler",
        "sentry-mtls",
        "placement-mtls",
        "scheduler-mtls",
    ];
    assert_eq!(names, expected);
    assert!(
        status.iter().all(|row| row["healthy"] == true),
        "{status:?}"
    );
    let pids: Vec<Value> = of(&status, "pid");
    assert_eq!(pids, of(&before, "pid"));

    // Each scheduler has the jobs of its own apps.
    let later = json!({"dueTime": "1h"});
    let reply = http.post_json("/v1.0/jobs/later", &later).await.unwrap();
    reply.expect_status(204);
    let jobs = home.succeeds(&["scheduler", "list", "--mtls"]);
    assert!(jobs.contains("app/caller/later"), "{jobs}");
    let jobs = home.succeeds(&["scheduler", "list"]);
    assert!(!jobs.contains("app/caller/later"), "{jobs}");

    home.succeeds(&["uninstall"]);
    assert!(pids.iter().all(ended), "{pids:?}");
    assert_eq!(
        home.status().len(),
        2,
        "what was for mutual TLS is forgotten"
    );
}

#[tokio::test]
async fn a_new_authority_has_new_services() {
    let home = Home::new();
    drop(home.run("first", &["--mtls"]).await);
    let before = home.status();
    std::fs::remove_dir_all(home.0.path().join(".dapr/certs")).unwrap();
    // It is ready once placement and scheduler believe it.
    let _second = home.run("second", &["--mtls"]).await;
    let after = home.status();
    for (old, new) in before.iter().zip(&after).skip(2) {
        assert_ne!(old["pid"], new["pid"], "{new}");
    }
}
