use serde_json::json;
use tonic::Status;

use super::*;
use crate::scheduler::testing::Fake;
use crate::scheduler::tests::{Running, running};
use crate::state::tests::open;

/// A store with rows, and a scheduler.
struct World {
    state: State,
    fake: Fake,
    client: Running,
}

impl World {
    async fn with(rows: &[(&str, &str)]) -> Self {
        let state = open(&[("actorStateStore", "true")], None).await;
        let set = |(key, json): &(&str, &str)| {
            let json = Value::Json(json.to_string().into());
            Operation::Set(SetRequest::new(*key, json))
        };
        let rows = rows.iter().map(set).collect();
        let store = state.of_actors().unwrap();
        store.transact_raw(rows, Metadata::new()).await.unwrap();
        let fake = Fake::start().await;
        let client = running(&[&fake.address], 0);
        Self {
            state,
            fake,
            client,
        }
    }

    /// The import of a sidecar that has just started.
    fn import(&self) -> Import {
        Import::new(self.state.clone(), self.client.client.clone())
    }

    async fn row(&self, key: &str) -> Option<serde_json::Value> {
        let store = self.state.of_actors().unwrap();
        let kind = "Cart";
        let rows = Rows {
            store: &store,
            kind,
        };
        let item = rows.get(key, None).await.unwrap()?;
        Some(serde_json::from_slice(&item.data).unwrap())
    }

    /// The names of the jobs, and the counts in the marker.
    async fn outcome(&self) -> (Vec<String>, serde_json::Value) {
        let target = Target::Actor {
            kind: "Cart",
            id: "7",
        };
        let jobs = self.client.client.list(target).await.unwrap();
        let marker = self.row("actors||Cart||imported").await.unwrap_or_default();
        (
            jobs.into_iter().map(|job| job.name).collect(),
            marker["reminders"].clone(),
        )
    }
}

fn kind() -> Arc<str> {
    Arc::from("Cart")
}

fn document(reminders: &[(&str, &str)]) -> String {
    let reminders = reminders.iter().map(|(name, period)| {
        json!({"actorID": "7", "actorType": "Cart", "name": name, "period": period,
               "registeredTime": "2099-01-01T00:00:00Z", "dueTime": "1h"})
    });
    serde_json::Value::from_iter(reminders).to_string()
}

fn counts(imported: usize, present: usize, over: usize, left: usize) -> serde_json::Value {
    json!({"imported": imported, "present": present, "over": over, "left": left})
}

#[tokio::test]
async fn reminders_are_imported_once() {
    let all = document(&[("a", ""), ("b", "1m"), ("c", "P1D"), ("d", "")]);
    let fired = r#"{"lastFiredTime":"2099-01-01T00:00:00Z","repetitionLeft":-1}"#;
    let world = World::with(&[("actors||Cart", &all), ("Cart||7||d", fired)]).await;
    world.import().import(&kind()).await.unwrap();
    let expected = (vec!["a".to_owned(), "b".to_owned()], counts(2, 0, 1, 1));
    assert_eq!(world.outcome().await, expected);
    assert!(world.row("actors||Cart").await.is_some());
    assert!(world.row("Cart||7||d").await.is_some());
    // They fire, and the sidecar starts again.
    let client = &world.client.client;
    let target = Target::Actor {
        kind: "Cart",
        id: "7",
    };
    client.delete("a".into(), target).await.unwrap();
    world.import().import(&kind()).await.unwrap();
    let expected = (vec!["b".to_owned()], counts(2, 0, 1, 1));
    assert_eq!(world.outcome().await, expected);
}

#[tokio::test]
async fn partitions_are_read_one_after_the_other() {
    let metadata = r#"{"id":"x","actorRemindersMetadata":{"partitionCount":4}}"#;
    let (one, four) = (document(&[("a", "")]), document(&[("b", ""), ("c", "")]));
    let world = World::with(&[
        (
            "actors||Cart",
            &document(&[("before they were parted", "")]),
        ),
        ("actors||Cart||metadata", metadata),
        ("actors||Cart||x||reminders||1", &one),
        ("actors||Cart||x||reminders||2", "{}"),
        ("actors||Cart||x||reminders||4", &four),
    ])
    .await;
    world.import().import(&kind()).await.unwrap();
    let names = ["a", "b", "c"].map(str::to_owned).to_vec();
    assert_eq!(world.outcome().await, (names, counts(3, 0, 0, 2)));
}

#[tokio::test]
async fn where_no_partitions_are_counted_there_is_one_document() {
    let metadata = r#"{"id":"x","actorRemindersMetadata":{"partitionCount":0}}"#;
    let all = document(&[("a", "")]);
    let world = World::with(&[("actors||Cart", &all), ("actors||Cart||metadata", metadata)]).await;
    world.import().import(&kind()).await.unwrap();
    assert_eq!(world.outcome().await.1, counts(1, 0, 0, 0));
}

#[tokio::test]
async fn where_nothing_was_kept_or_can_be_found_nothing_is_written() {
    let too_many = r#"{"id":"x","actorRemindersMetadata":{"partitionCount":10001}}"#;
    for rows in [
        vec![],
        vec![("actors||Cart||metadata", "[]")],
        vec![("actors||Cart||metadata", too_many)],
    ] {
        let world = World::with(&rows).await;
        world.import().import(&kind()).await.unwrap();
        assert_eq!(world.outcome().await, (vec![], serde_json::Value::Null));
    }
}

#[tokio::test]
async fn what_fails_is_tried_again_and_what_succeeded_is_not() {
    let metadata = r#"{"id":"x","actorRemindersMetadata":{"partitionCount":2}}"#;
    let one = document(&[("a", "")]);
    let two = document(&[("daily", "P1D"), ("b", "")]);
    let world = World::with(&[
        ("actors||Cart||metadata", metadata),
        ("actors||Cart||x||reminders||1", &one),
        ("actors||Cart||x||reminders||2", &two),
    ])
    .await;
    let mut import = world.import();
    world.fake.fail_next(Status::already_exists("a"));
    world.fake.fail_next(Status::unavailable("not yet"));
    let failed = import.import(&kind()).await.unwrap_err();
    assert!(failed.to_string().contains("not yet"), "{failed}");
    assert_eq!(world.outcome().await, (vec![], serde_json::Value::Null));
    import.import(&kind()).await.unwrap();
    let names = vec!["b".to_owned()];
    assert_eq!(world.outcome().await, (names, counts(1, 1, 0, 1)));
}

#[tokio::test]
async fn what_the_scheduler_refuses_is_left() {
    let all = document(&[("a", "")]);
    let world = World::with(&[("actors||Cart", &all)]).await;
    world.fake.fail_next(Status::unknown("job name is invalid"));
    world.import().import(&kind()).await.unwrap();
    assert_eq!(world.outcome().await, (vec![], counts(0, 0, 0, 1)));
}

#[tokio::test]
async fn two_sidecars_do_not_make_a_reminder_twice() {
    let names: Vec<String> = (0..100).map(|n| format!("{n:03}")).collect();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let all = document(&all);
    let world = World::with(&[("actors||Cart", &all)]).await;
    let (mut one, mut two) = (world.import(), world.import());
    let kind = kind();
    let (first, second) = tokio::join!(one.import(&kind), two.import(&kind));
    first.unwrap();
    second.unwrap();
    let (made, counts) = world.outcome().await;
    assert_eq!(made, names);
    let counted = ["imported", "present"].map(|what| counts[what].as_u64().unwrap());
    assert_eq!(counted.iter().sum::<u64>(), 100, "{counts}");
}

#[tokio::test]
async fn types_are_imported_as_they_come_to_be_hosted() {
    let all = document(&[("a", "")]);
    let reserved = format!("{RESERVED_PREFIX}default.app.workflow");
    let world = World::with(&[
        ("actors||Cart", &all),
        (&format!("actors||{reserved}"), &all),
    ])
    .await;
    let (hosted, types) = watch::channel(BTreeSet::new());
    tokio::join!(world.import().run(types), async {
        hosted.send_replace([kind(), reserved.as_str().into()].into());
        testkit::eventually(testkit::DEADLINE, async || {
            let marker = world.row("actors||Cart||imported").await;
            anyhow::ensure!(marker.is_some(), "it is not imported");
            Ok(())
        })
        .await;
        drop(hosted);
    });
    let marker = format!("actors||{reserved}||imported");
    assert_eq!(world.row(&marker).await, None);
}
