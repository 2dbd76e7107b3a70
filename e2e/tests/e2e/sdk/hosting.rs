//! Apps that host actors and take jobs, as the official SDKs have it.

use std::path::PathBuf;

use anyhow::ensure;
use e2e::{Plane, Sidecar, metric};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{DEADLINE, Process, eventually, free_port};

use super::{Sdk, printed, user};

/// How a sidecar reaches the actors of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Over HTTP, one request per call.
    Http,
    /// Over the stream that the app opens.
    Stream,
}

/// What an SDK's host of actors can be told; where it can, its program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Can {
    /// Actors are forgotten when they were idle for two seconds.
    IdleTimeout,
    /// Actors may call themselves.
    Reentrancy,
}

/// An app that hosts actors, and its sidecar.
struct Host {
    sidecar: Sidecar,
    app: Process,
}

/// What a host is started with, again and again.
struct Hosts {
    sdk: Sdk,
    command: &'static [PathBuf],
    way: Way,
    port: u16,
    store: TempDir,
}

impl Hosts {
    async fn start(&self, plane: &Plane) -> Host {
        let database = self.store.path().join("actors.db");
        let (subject, protocol) = match self.way {
            Way::Http => ("host", "http"),
            Way::Stream => ("host-stream", "grpc"),
        };
        let metadata = [
            ("connectionString", database.to_str().unwrap()),
            ("actorStateStore", "true"),
        ];
        let builder = plane.sidecar(&format!("host-{}", self.port));
        let mut builder = builder
            .component("statestore", "state.sqlite", &metadata)
            .args(["--app-protocol", protocol]);
        // The stream needs no port, but Python's host listens all the same.
        if self.way == Way::Http || self.sdk == Sdk::Python {
            builder = builder.app_port(self.port);
        }
        let sidecar = builder.start().outbound_ready().await;
        let app = user(self.command, subject, &sidecar)
            .env("APP_PORT", self.port.to_string())
            .start()
            .unwrap();
        let sidecar = sidecar.ready().await;
        eventually(DEADLINE, async || {
            let metadata = sidecar.http().get("/v1.0/metadata").await?.json();
            let types = &metadata["actorRuntime"]["activeActors"];
            ensure!(
                types[0]["type"] == "Counter",
                "{types} is hosted\n{}",
                app.output()
            );
            Ok(())
        })
        .await;
        Host { sidecar, app }
    }
}

impl Host {
    async fn kill(mut self) {
        self.sidecar.kill().await.unwrap();
        self.app.kill().await.unwrap();
    }

    /// Runs the client on one subject and compares the line it prints.
    async fn check(&self, command: &[PathBuf], subject: &str, caller: &Sidecar, expected: Value) {
        let mut client = user(command, subject, caller).start().unwrap();
        let code = client.exit_code(2 * DEADLINE).await.unwrap();
        let logs = || format!("{}\n{}", self.app.output(), self.sidecar.output());
        assert_eq!(code, 0, "{subject}: {}\n{}", client.output(), logs());
        assert_eq!(printed(&client), expected, "{subject}\n{}", logs());
    }
}

/// Calls an actor through the SDK's proxy, from another sidecar, before and after
/// a crash of everything but placement and scheduler.
pub(super) async fn check_actors(sdk: Sdk, way: Way, can: &[Can]) {
    let Some(command) = sdk.command().await else {
        return;
    };
    let hosts = Hosts {
        sdk,
        command,
        way,
        port: free_port(),
        store: tempfile::tempdir().unwrap(),
    };
    let plane = Plane::start().await;
    let host = hosts.start(&plane).await;
    let caller = plane.sidecar("caller").start().ready().await;
    let expected = json!({
        "totals": [5, 7],
        "failed": true,
        "timer": "from the timer",
        "reminder": "from the reminder",
    });
    host.check(command, "actors", &caller, expected).await;
    host.kill().await;

    let host = hosts.start(&plane).await;
    let expected = json!({"total": 7, "reminded": true});
    host.check(command, "actors-later", &caller, expected).await;
    let reminder = "/v1.0/actors/Counter/7/reminders/wake";
    let reminder = host.sidecar.http().get(reminder).await.unwrap();
    reminder.expect_error(404, "ERR_ACTOR_REMINDER_NOT_FOUND");

    let mut total = 7;
    if can.contains(&Can::Reentrancy) {
        total += 3;
        let expected = json!({"total": total});
        let subject = "actors-reentrant";
        host.check(command, subject, &caller, expected).await;
    }
    if can.contains(&Can::IdleTimeout) {
        eventually(DEADLINE, async || {
            let metadata = host.sidecar.http().get("/v1.0/metadata").await?.json();
            let types = &metadata["actorRuntime"]["activeActors"];
            // A count of 0 is left out.
            ensure!(*types == json!([{"type": "Counter"}]), "{types} is active");
            // It counts only when the app has taken the news well.
            let name = "dapr_runtime_actor_deactivated_total";
            let gone = metric(&host.sidecar, name, &[r#"actor_type="Counter""#]).await?;
            ensure!(gone >= 1.0, "the app was not told");
            Ok(())
        })
        .await;
    }
    let expected = json!({"total": total + 1});
    host.check(command, "actors-idle", &caller, expected).await;
}

/// Schedules, reads, deletes and takes jobs in one program.
pub(super) async fn check_jobs(sdk: Sdk) {
    let Some(command) = sdk.command().await else {
        return;
    };
    let (plane, port) = (Plane::start().await, free_port());
    let sidecar = plane
        .sidecar(&format!("jobs-{port}"))
        .app_port(port)
        .args(["--app-protocol", "grpc"])
        .start()
        .outbound_ready()
        .await;
    let mut app = user(command, "jobs", &sidecar)
        .env("APP_PORT", port.to_string())
        .start()
        .unwrap();
    let code = app.exit_code(2 * DEADLINE).await.unwrap();
    assert_eq!(code, 0, "{}\n{}", app.output(), sidecar.output());
    let expected = json!({
        // The first run fails and is repeated.
        "runs": ["to ops", "to ops", "to ops"],
        "again": "ALREADY_EXISTS",
        "found": {"name": "later", "dueTime": "1h", "data": "never", "retries": 5},
        "gone": true,
    });
    assert_eq!(printed(&app), expected, "{}", sidecar.output());
}
