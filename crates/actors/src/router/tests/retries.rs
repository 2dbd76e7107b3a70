//! Which failures are tried again, and how the last one reads.

use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::placement::testing::{order, update};

const NOW: Duration = Duration::ZERO;

fn call(method: &str) -> Invoke {
    Invoke::new(Actor::new("cat", "1"), method)
}

fn fire(name: &str, skip_lock: bool) -> Fire {
    Fire {
        actor: Actor::new("cat", "1"),
        name: name.to_owned(),
        data: None,
        due_time: String::new(),
        period: String::new(),
        callback: String::new(),
        is_timer: false,
        skip_lock,
    }
}

/// A sidecar that knows tables: type `cat` with these hosts.
async fn told(world: &Arc<World>, name: &str, hosts: &[&str], policies: Policies) -> Arc<Sidecar> {
    let sidecar = world.join_with(name, NOW, NOW, policies);
    tell(&sidecar, 1, hosts).await;
    sidecar
}

async fn tell(sidecar: &Sidecar, version: u64, hosts: &[&str]) {
    let update = update(version, &[("cat", hosts)]);
    sidecar.puppet.obey(update).await;
    sidecar.puppet.obey(order("unlock", version)).await;
}

/// What became of it, as a text, and how long it took.
async fn timed<T: std::fmt::Debug>(
    work: impl Future<Output = Result<T, Error>>,
) -> (String, Duration) {
    let start = Instant::now();
    let shown = match work.await {
        Ok(result) => format!("{result:?}"),
        Err(error) => error.to_string(),
    };
    (shown, start.elapsed())
}

const LOST: &str = "rpc error: code = Unavailable desc = connection lost";
const REFUSED: &str = "error from actor service: (500) no";
const REFUSED_THERE: &str = "rpc error: code = Internal desc = error invoke actor method: error from actor service: (500) no";

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_five_times_more_and_then_told() {
    let lost = format!("failed to invoke target gone:1 after 5 retries. Error: {LOST}");
    let nobody = "did not find address for actor 'cat/1'";
    let world = &Arc::new(World::default());
    for (name, hosts, method, expected, seconds) in [
        ("a:1", &["gone:1"][..], "do", &*lost, 5),
        ("b:1", &[], "do", nobody, 5),
        ("c:1", &["c:1"], "fail", REFUSED, 0),
        ("d:1", &["c:1"], "fail", REFUSED_THERE, 0),
    ] {
        let it = told(world, name, hosts, Policies::default()).await;
        let (shown, took) = timed(it.router.invoke(&call(method))).await;
        assert_eq!((&*shown, took.as_secs()), (expected, seconds), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn reminders_are_tried_again_when_a_peer_answers() {
    let world = &Arc::new(World::default());
    let here = told(world, "here:1", &["here:1"], Policies::default()).await;
    let there = told(world, "there:1", &["here:1"], Policies::default()).await;
    let late = told(world, "late:1", &["gone:1"], Policies::default()).await;
    let retried = format!("failed to invoke target here:1 after 5 retries. Error: {REFUSED_THERE}");
    for (it, name, skip_lock, expected, seconds) in [
        (&here, "ring", false, "Done", 0),
        (&there, "ring", true, "Done", 0),
        (&here, "cancel", false, "Canceled", 0),
        (&there, "cancel", false, "Canceled", 0),
        (&here, "fail", false, REFUSED, 0),
        (&there, "fail", false, &retried, 5),
        (&there, "fail", true, REFUSED_THERE, 0),
        (&late, "ring", false, LOST, 0),
    ] {
        let (shown, took) = timed(it.router.fire(&fire(name, skip_lock))).await;
        assert_eq!((&*shown, took.as_secs()), (expected, seconds), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_the_type_replaces_the_built_in_retries() {
    let retry = json!({"policy": "constant", "duration": "100ms", "maxRetries": 2});
    let rules = serde_json::from_value(json!({
        "metadata": {"name": "rules"},
        "spec": {
            "policies": {"retries": {"twice": retry}},
            "targets": {"actors": {"cat": {"retry": "twice"}}},
        },
    }));
    let fault = &mut |fault| panic!("{fault}");
    let policies = Policies::compile(&[rules.unwrap()], None, fault);
    let world = &Arc::new(World::default());
    for (name, host, method, expected) in [
        ("a:1", "gone:1", "do", LOST),
        // What the app says is the policy's business as well.
        ("b:1", "b:1", "fail", REFUSED),
    ] {
        let it = told(world, name, &[host], policies.clone()).await;
        let (shown, took) = timed(it.router.invoke(&call(method))).await;
        assert_eq!((&*shown, took.as_millis()), (expected, 200), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn newer_tables_are_followed_at_once() {
    let world = &Arc::new(World::default());
    let caller = told(world, "a:1", &["old:1"], Policies::default()).await;
    told(world, "old:1", &["new:1"], Policies::default()).await;
    told(world, "new:1", &["new:1"], Policies::default()).await;
    let later = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        tell(&caller, 2, &["new:1"]).await;
    };
    let (start, call) = (Instant::now(), call("do"));
    let (reply, ()) = tokio::join!(caller.router.invoke(&call), later);
    assert_eq!(reply.unwrap().body, "new:1");
    assert_eq!(start.elapsed(), Duration::from_millis(10));
    assert_eq!(world.moved.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_type_that_was_just_withdrawn_has_moved_for_others() {
    let world = &Arc::new(World::default());
    let it = told(world, "a:1", &["a:1"], Policies::default()).await;
    it.host.withdraw(&["cat".into()].into()).await;
    let error = it.router.receive(&call("do")).await.unwrap_err();
    assert!(matches!(error, Error::Moved), "{error}");
}
