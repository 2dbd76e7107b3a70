//! Reminders that an older version left in the state store: taken over once.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::ensure;
use e2e::{Plane, Sidecar};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{App, DEADLINE, Http, Response, eventually};

const FEATURE: &str = "\
    apiVersion: dapr.io/v1alpha1\n\
    kind: Configuration\n\
    metadata:\n  name: import\n\
    spec:\n  features:\n  - name: ImportActorReminders\n    enabled: true\n";

/// A SQLite database with rows as upstream lays them out.
struct Store {
    folder: TempDir,
}

impl Store {
    fn with(rows: &[(&str, Value)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.yaml"), FEATURE).unwrap();
        let store = Self { folder };
        let db = rusqlite::Connection::open(store.path()).unwrap();
        db.execute_batch(
            "CREATE TABLE metadata (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL);
             INSERT INTO metadata VALUES ('migrations', '1');
             CREATE TABLE state (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL,
               is_binary BOOLEAN NOT NULL, etag TEXT NOT NULL, expiration_time TIMESTAMP DEFAULT NULL,
               update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);",
        )
        .unwrap();
        for (key, value) in rows {
            let insert = "INSERT INTO state (key, value, is_binary, etag) VALUES (?1, ?2, 0, 'e')";
            db.execute(insert, [*key, &value.to_string()]).unwrap();
        }
        store
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("actors.db")
    }

    /// The rows whose keys begin so.
    fn rows(&self, prefix: &str) -> Vec<(String, Value)> {
        let db = rusqlite::Connection::open(self.path()).unwrap();
        let select =
            "SELECT key, value FROM state WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key";
        let mut select = db.prepare(select).unwrap();
        let rows = select.query_map([prefix], |row| {
            let value: String = row.get(1)?;
            Ok((row.get(0)?, serde_json::from_str(&value).unwrap()))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("config.yaml")
    }
}

/// An app that hosts carts.
async fn app() -> App {
    let app = App::start(|req| match req.path.as_str() {
        "/dapr/config" => Response::json(&json!({"entities": ["Cart"]})),
        _ => Response::status(200),
    });
    app.await.unwrap()
}

async fn sidecar(plane: &Plane, app: &App, store: &Store, config: Option<&Path>) -> Sidecar {
    let path = store.path();
    let metadata = [
        ("connectionString", path.to_str().unwrap()),
        ("actorStateStore", "true"),
    ];
    let sidecar = plane.sidecar("shop").app_port(app.port());
    let sidecar = sidecar.component("statestore", "state.sqlite", &metadata);
    let sidecar = match config {
        Some(config) => sidecar.args(["--config".as_ref(), config.as_os_str()]),
        None => sidecar,
    };
    sidecar.start().ready().await
}

/// Waits for as many calls of a reminder of cart 7.
async fn wait_fired(app: &App, name: &str, times: usize) {
    eventually(DEADLINE, async || {
        let seen = app
            .seen(&format!("/actors/Cart/7/method/remind/{name}"))
            .len();
        ensure!(seen >= times, "{name} fired {seen} times");
        Ok(())
    })
    .await;
}

/// The reminder as the scheduler has it.
async fn reminder(sidecar: &Sidecar, name: &str) -> Option<Value> {
    let path = format!("/v1.0/actors/Cart/7/reminders/{name}");
    let reply = sidecar.http().get(&path).await.unwrap();
    (reply.status == 200).then(|| reply.json())
}

fn kept(name: &str, more: &Value) -> Value {
    let mut reminder = json!({
        "actorID": "7", "actorType": "Cart", "name": name, "data": {"for": name},
        "registeredTime": "2024-05-01T10:00:00Z", "dueTime": "1h",
    });
    let more = more.as_object().unwrap().clone();
    reminder.as_object_mut().unwrap().extend(more);
    reminder
}

#[tokio::test]
async fn reminders_of_an_older_version_fire_once_and_not_again_after_a_restart() {
    let store = Store::with(&[
        (
            "actors||Cart",
            json!([
                kept("once", &json!({"period": ""})),
                kept("over", &json!({"period": "R3/PT1H"})),
                kept("daily", &json!({"period": "P1D"})),
                kept(
                    "later",
                    &json!({"period": "R3/PT1H", "registeredTime": "2099-01-01T00:00:00Z"})
                ),
            ]),
        ),
        (
            "Cart||7||over",
            json!({"lastFiredTime": "2024-05-01T12:00:00Z", "repetitionLeft": 0}),
        ),
    ]);
    let (plane, app) = (Plane::start().await, app().await);
    let config = store.config();
    let first = sidecar(&plane, &app, &store, Some(&config)).await;
    first
        .wait_line("Imported reminders of actor type Cart", DEADLINE)
        .await;
    let output = first.output();
    assert!(
        output.contains("2 are jobs now, 0 were jobs already, 1 were over, 1 are left"),
        "{output}"
    );
    assert!(
        output.contains("Cart||7||daily: the period P1D has years, months or days"),
        "{output}"
    );
    wait_fired(&app, "once", 1).await;
    let fired = app.seen("/actors/Cart/7/method/remind/once");
    let body: Value = serde_json::from_slice(&fired[0].body).unwrap();
    assert_eq!(body["data"], json!({"for": "once"}));
    eventually(DEADLINE, async || {
        ensure!(
            reminder(&first, "once").await.is_none(),
            "the job is still there"
        );
        Ok(())
    })
    .await;
    drop(first);
    let before = store.rows("actors||Cart");
    assert_eq!(before.len(), 2, "{before:?}");
    assert_eq!(before[1].0, "actors||Cart||imported");
    let counts = json!({"imported": 2, "present": 0, "over": 1, "left": 1});
    assert_eq!(before[1].1["reminders"], counts);

    // A reminder that is made now fires after whatever a second import would bring back.
    let second = sidecar(&plane, &app, &store, Some(&config)).await;
    let made = json!({"dueTime": "6s"});
    let path = "/v1.0/actors/Cart/7/reminders/made";
    let reply = second.http().post_json(path, &made).await.unwrap();
    reply.expect_status(204);
    wait_fired(&app, "made", 1).await;
    assert_eq!(app.seen("/actors/Cart/7/method/remind/once").len(), 1);
    assert_eq!(store.rows("actors||Cart"), before);
    let later = reminder(&second, "later").await.unwrap();
    assert_eq!(later["dueTime"], "2099-01-01T00:00:00Z");
    assert_eq!(later["period"], "@every 1h0m0s");
}

#[tokio::test]
async fn sidecars_that_start_together_import_each_reminder_once() {
    let part = |n: usize| {
        let names = (0..200).map(|i| format!("r{n}-{i}"));
        let all = names.map(|name| kept(&name, &json!({"period": "1000000h"})));
        Value::from_iter(all)
    };
    let store = Store::with(&[
        (
            "actors||Cart||metadata",
            json!({"id": "x", "actorRemindersMetadata": {"partitionCount": 2}}),
        ),
        ("actors||Cart||x||reminders||1", part(1)),
        ("actors||Cart||x||reminders||2", part(2)),
    ]);
    let (plane, app) = (Plane::start().await, app().await);
    let config = store.config();
    let start = || sidecar(&plane, &app, &store, Some(&config));
    let (_one, _two) = tokio::join!(start(), start());
    let marker = eventually(DEADLINE, async || {
        let marker = store.rows("actors||Cart||imported").pop();
        marker.ok_or_else(|| anyhow::anyhow!("no marker"))
    })
    .await;
    let counts = &marker.1["reminders"];
    let counted = ["imported", "present"].map(|what| counts[what].as_u64().unwrap());
    assert_eq!(counted.iter().sum::<u64>(), 400, "{counts}");
    // The times that each has missed come as one.
    eventually(DEADLINE, async || {
        let fired = app.requests().into_iter().map(|req| req.path);
        let fired: BTreeSet<_> = fired.filter(|path| path.contains("/remind/")).collect();
        ensure!(fired.len() == 400, "{} have fired", fired.len());
        Ok(())
    })
    .await;
    let page = Http::port(plane.scheduler.metrics);
    let page = page.get("/").await.unwrap().text();
    let made = r#"dapr_scheduler_jobs_created_total{type="actor"} 400"#;
    assert!(page.contains(made), "{page}");
}

#[tokio::test]
async fn nothing_is_imported_unless_it_is_asked_for() {
    let kept = json!([kept("once", &json!({}))]);
    let store = Store::with(&[("actors||Cart", kept)]);
    let (plane, app) = (Plane::start().await, app().await);
    let sidecar = sidecar(&plane, &app, &store, None).await;
    let path = "/v1.0/actors/Cart/7/reminders/made";
    let reply = sidecar
        .http()
        .post_json(path, &json!({"dueTime": "6s"}))
        .await;
    reply.unwrap().expect_status(204);
    wait_fired(&app, "made", 1).await;
    assert_eq!(app.seen("/actors/Cart/7/method/remind/once").len(), 0);
    assert_eq!(store.rows("actors||Cart").len(), 1);
}
