//! The official SDKs, as published: their users' programs print the same line,
//! host actors and take jobs.

mod hosting;
mod install;

use std::path::PathBuf;

use e2e::Sidecar;
use serde_json::{Value, json};
use testkit::{App, DEADLINE, Process, ProcessBuilder, Response};

use hosting::Can::{IdleTimeout, Reentrancy};
use hosting::{Way, check_actors, check_jobs};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sdk {
    Python,
    Go,
    JavaScript,
    Rust,
}

impl Sdk {
    /// How to start its program; without it the calling test is reported as skipped.
    async fn command(self) -> Option<&'static Vec<PathBuf>> {
        match self.install().await {
            Ok(command) => Some(command),
            Err(reason) => {
                testkit::skip(format!("{self:?} SDK: {reason}"));
                None
            }
        }
    }

    /// Runs the program on one subject and compares the line it prints.
    async fn check(self, subject: &str, expected: &Value) {
        let Some(command) = self.command().await else {
            return;
        };
        let app = App::start(|request| match request.path.as_str() {
            "/greet" => Response::ok(format!("hello {}", String::from_utf8_lossy(&request.body))),
            _ => Response::status(404),
        })
        .await
        .unwrap();
        // Names are looked up by multicast, so they are unique per run.
        let callee = format!("callee-{}", app.port());
        let _callee = if subject == "invoke" {
            Some(
                Sidecar::builder(&callee)
                    .app_port(app.port())
                    .start()
                    .ready()
                    .await,
            )
        } else {
            None
        };
        let builder = Sidecar::builder("sdk-app").file(
            "secrets.json",
            r#"{"db-password": "pw-1", "root": {"token": "t-1"}}"#,
        );
        let secrets = builder.folder().join("secrets.json");
        let sidecar = builder
            .component("statestore", "state.in-memory", &[])
            .component(
                "vault",
                "secretstores.local.file",
                &[("secretsFile", secrets.to_str().unwrap())],
            )
            .start()
            .ready()
            .await;
        let mut user = user(command, subject, &sidecar)
            .env("CALLEE", &callee)
            .start()
            .unwrap();
        let code = user.exit_code(2 * DEADLINE).await.unwrap();
        assert_eq!(code, 0, "{}\n{}", user.output(), sidecar.output());
        assert_eq!(printed(&user), *expected, "{}", user.output());
    }
}

/// The program of a user on one subject.
fn user(command: &[PathBuf], subject: &str, sidecar: &Sidecar) -> ProcessBuilder {
    Process::builder(&command[0])
        .args(&command[1..])
        .arg(subject)
        .env("DAPR_HTTP_PORT", sidecar.http.to_string())
        .env("DAPR_GRPC_PORT", sidecar.grpc.to_string())
}

/// The line that a program printed last.
fn printed(user: &Process) -> Value {
    let output = user.output();
    let last = output.lines().last().unwrap_or_default();
    serde_json::from_str(last).expect(&output)
}

fn state() -> Value {
    json!({
        "first": "one",
        "stale": "ABORTED",
        "fresh": "two",
        "bulk": {"a": "1", "b": "2", "none": null},
        "after": ["3", null],
        "deleted": null,
    })
}

fn secrets() -> Value {
    json!({"one": {"db-password": "pw-1"}, "names": ["db-password", "root:token"]})
}

fn metadata() -> Value {
    json!({"id": "sdk-app", "owner": "team a", "components": ["statestore", "vault"]})
}

fn invocation() -> Value {
    json!({"reply": "hello world"})
}

macro_rules! users {
    ($($module:ident: $sdk:ident;)*) => {$(
        mod $module {
            use super::*;

            #[tokio::test]
            async fn state_is_saved_read_in_bulk_in_transactions_and_with_etags() {
                Sdk::$sdk.check("state", &state()).await;
            }

            #[tokio::test]
            async fn secrets_are_read_one_and_all() {
                Sdk::$sdk.check("secrets", &secrets()).await;
            }

            #[tokio::test]
            async fn metadata_is_read_and_extended() {
                Sdk::$sdk.check("metadata", &metadata()).await;
            }

            #[tokio::test]
            async fn another_sidecars_app_is_invoked() {
                Sdk::$sdk.check("invoke", &invocation()).await;
            }
        }
    )*};
}

users! {
    python: Python;
    go: Go;
    javascript: JavaScript;
    rust: Rust;
}

#[tokio::test]
async fn actors_of_a_python_app_are_called_over_http() {
    check_actors(Sdk::Python, Way::Http, &[IdleTimeout, Reentrancy]).await;
}

#[tokio::test]
async fn actors_of_a_python_app_are_called_over_its_stream() {
    check_actors(Sdk::Python, Way::Stream, &[IdleTimeout, Reentrancy]).await;
}

#[tokio::test]
async fn actors_of_a_go_app_are_called_over_http() {
    check_actors(Sdk::Go, Way::Http, &[]).await;
}

#[tokio::test]
async fn actors_of_a_go_app_without_a_port_are_called_over_its_stream() {
    check_actors(Sdk::Go, Way::Stream, &[IdleTimeout, Reentrancy]).await;
}

#[tokio::test]
async fn actors_of_a_javascript_app_are_called_over_http() {
    check_actors(Sdk::JavaScript, Way::Http, &[IdleTimeout]).await;
}

#[tokio::test]
async fn actors_of_a_rust_app_are_called_over_http() {
    check_actors(Sdk::Rust, Way::Http, &[]).await;
}

#[tokio::test]
async fn jobs_of_a_python_app_are_scheduled_read_deleted_and_run() {
    check_jobs(Sdk::Python).await;
}

#[tokio::test]
async fn jobs_of_a_go_app_are_scheduled_read_deleted_and_run() {
    check_jobs(Sdk::Go).await;
}

#[tokio::test]
async fn jobs_of_a_rust_app_are_scheduled_read_deleted_and_run() {
    check_jobs(Sdk::Rust).await;
}
