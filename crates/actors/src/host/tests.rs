mod stage;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use self::stage::{Fake, IDLE, stage, stage_under};
use super::*;

#[tokio::test(start_paused = true)]
async fn an_actor_takes_one_call_after_the_other_and_others_go_on() {
    let stage = stage(Fake::gated(), None);
    let calls = ["hold a", "hold b", "hold c"].map(|method| stage.call("1", method));
    stage.settle().await;
    stage.call("2", "other").await.unwrap().unwrap();
    assert_eq!(stage.counts.of("pending cat"), 2);
    stage.app.open(3);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(
        stage.app.log(),
        [
            "begin hold a",
            "begin other",
            "end other",
            "end hold a",
            "begin hold b",
            "end hold b",
            "begin hold c",
            "end hold c",
        ]
    );
    assert_eq!(stage.counts.of("pending cat"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_gives_the_turn_to_the_next() {
    let stage = stage(Fake::gated(), None);
    let calls = ["hold a", "b", "c"].map(|method| stage.call("1", method));
    stage.settle().await;
    let [running, waiting, last] = calls;
    waiting.abort();
    stage.settle().await;
    assert_eq!(stage.app.log(), ["begin hold a"]);
    running.abort();
    last.await.unwrap().unwrap();
    assert_eq!(stage.app.log(), ["begin hold a", "begin c", "end c"]);
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_calls_reenters_up_to_its_depth() {
    let stage = stage(Fake::gated(), Some(2));
    let first = stage.call_in("1", "hold", Some("one"));
    stage.settle().await;
    let other = stage.call_in("1", "other", Some("two"));
    let nested = stage.call_in("1", "hold nested", Some("one"));
    stage.settle().await;
    let deep = stage.call_in("1", "deep", Some("one")).await.unwrap();
    assert!(matches!(deep, Err(Error::StackDepth)), "{deep:?}");
    assert_eq!(stage.app.log(), ["begin hold", "begin hold nested"]);
    stage.app.open(2);
    for call in [first, nested, other] {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_chain_gets_a_name_only_where_calls_may_reenter() {
    for (reentrancy, named) in [(None, false), (Some(32), true)] {
        let stage = stage(Fake::default(), reentrancy);
        let reply = stage.call("1", "get").await.unwrap().unwrap();
        let chain = reply.headers.get(REENTRANCY_HEADER);
        assert_eq!(chain.is_some_and(|v| v.len() == 36), named);
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_without_turns_is_let_go_after_its_idle_timeout() {
    let stage = stage(Fake::default(), None);
    let actor = Actor::new("cat", "1");
    stage.call("1", "get").await.unwrap().unwrap();
    tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
    stage.call("1", "get").await.unwrap().unwrap();
    tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
    assert!(stage.host.active(&actor));
    assert_eq!(stage.host.active_counts(), [("cat".into(), 1)].into());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!stage.host.active(&actor));
    assert_eq!(stage.host.active_counts(), [("cat".into(), 0)].into());
    assert_eq!(stage.app.log().last().unwrap(), "gone cat||1");
    assert_eq!(stage.counts.of("deactivated cat true"), 1);
    assert_eq!(stage.counts.of("halted cat"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_turn_longer_than_the_idle_timeout_is_not_cut() {
    let stage = stage(Fake::gated(), None);
    let call = stage.call("1", "hold");
    tokio::time::sleep(IDLE * 5 / 2).await;
    assert!(!call.is_finished());
    stage.app.open(2);
    call.await.unwrap().unwrap();
    assert!(stage.host.active(&Actor::new("cat", "1")));
    tokio::time::sleep(IDLE).await;
    assert_eq!(stage.app.log(), ["begin hold", "end hold", "gone cat||1"]);
}

#[tokio::test(start_paused = true)]
async fn letting_go_ends_the_running_fails_the_waiting_and_tells_the_app() {
    let stage = stage(Fake::gated(), None);
    let running = stage.call("1", "hold");
    let waiting = stage.call("1", "get");
    stage.call("2", "get").await.unwrap().unwrap();
    let halt = stage.let_go("1");
    stage.settle().await;
    stage.app.open(1);
    halt.await.unwrap();
    let running = running.await.unwrap();
    assert!(matches!(running, Err(Error::Interrupted)), "{running:?}");
    let waiting = waiting.await.unwrap().unwrap_err();
    assert_eq!(waiting.to_string(), "actor is closed, cannot handle get");
    assert!(waiting.is_gone());
    assert!(stage.host.active(&Actor::new("cat", "2")));
    assert_eq!(stage.app.log().last().unwrap(), "gone cat||1");
    assert_eq!(stage.host.state.idle.lock().len(), 1);
    stage.call("1", "again").await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_on_with_a_new_instance_while_the_app_hears_of_the_old_one() {
    let stage = stage(Fake::gated(), None);
    stage.call("1", "get").await.unwrap().unwrap();
    let halt = stage.let_go("1");
    stage.settle().await;
    assert!(!stage.host.active(&Actor::new("cat", "1")));
    stage.call("1", "again").await.unwrap().unwrap();
    assert!(!halt.is_finished());
    halt.abort();
    stage.app.open(1);
    stage.settle().await;
    assert_eq!(stage.app.log().last().unwrap(), "gone cat||1");
}

#[tokio::test(start_paused = true)]
async fn a_type_that_is_withdrawn_has_no_actors_and_no_address() {
    let stage = stage(Fake::refusing(), None);
    stage.call("1", "get").await.unwrap().unwrap();
    stage.host.withdraw(&BTreeSet::from(["cat".into()])).await;
    let refused = stage.call("1", "get").await.unwrap().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "did not find address for actor 'cat/1'"
    );
    assert!(!stage.host.hosts("cat") && stage.host.hosted().types.is_empty());
    assert_eq!(stage.counts.of("deactivated cat false"), 1);
    stage.host.close().await;
    let refused = stage.call("1", "get").await.unwrap();
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn reminders_and_timers_take_turns_unless_they_skip_the_lock() {
    let stage = stage(Fake::gated(), None);
    let call = stage.call("1", "hold");
    stage.settle().await;
    let timer = stage.fire(true, false);
    let reminder = stage.fire(false, false);
    assert_eq!(stage.fire(false, true).await.unwrap().unwrap(), Fired::Done);
    assert_eq!(stage.app.log(), ["begin hold", "reminder wake"]);
    stage.app.open(1);
    call.await.unwrap().unwrap();
    assert_eq!(timer.await.unwrap().unwrap(), Fired::Canceled);
    assert_eq!(reminder.await.unwrap().unwrap(), Fired::Done);
    assert_eq!(
        stage.app.log()[2..],
        ["end hold", "timer wake", "reminder wake"]
    );
    assert_eq!(stage.counts.of("reminder cat true"), 2);
    assert_eq!(stage.counts.of("timer cat true"), 1);
}

#[tokio::test]
async fn the_signal_to_cancel_a_reminder_makes_a_plain_call_fail() {
    let stage = stage(Fake::default(), None);
    let result = stage.call("1", "cancel").await.unwrap();
    assert!(matches!(result, Err(Error::ReminderCanceled)), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_idle_actors_go_so_many_at_once() {
    const ACTORS: usize = 100_000;
    let stage = stage(Fake::gated(), None);
    for id in 0..ACTORS {
        let mut call = Invoke::new(Actor::new("cat", id.to_string()), "get");
        call.body = Bytes::from_static(b"x");
        stage.host.call(&call).await.unwrap();
    }
    tokio::time::sleep(IDLE).await;
    stage.settle().await;
    let told = stage.app.running.load(Ordering::SeqCst);
    assert!((1..=200).contains(&told), "{told}");
    stage.app.open(ACTORS);
    while stage.counts.of("deactivated cat true") < ACTORS as i64 {
        tokio::task::yield_now().await;
    }
    assert!(stage.app.most.load(Ordering::SeqCst) <= 200);
    assert_eq!(stage.host.active_counts()["cat"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_takes_longer_than_the_policies_allow_ends() {
    let resource = serde_json::json!({
        "metadata": {"name": "rules"},
        "spec": {
            "policies": {"timeouts": {"short": "5s"}},
            "targets": {"actors": {"cat": {"timeout": "short"}}},
        },
    });
    let resource = serde_json::from_value(resource).unwrap();
    let policies = Policies::compile(&[resource], None, &mut |fault| panic!("{fault}"));
    let stage = stage_under(policies, Fake::gated(), None);
    let calls = [stage.call("1", "hold"), stage.call("1", "hold")];
    for call in calls {
        let refused = call.await.unwrap().unwrap_err();
        assert_eq!(refused.to_string(), "context deadline exceeded");
    }
    stage.call("1", "get").await.unwrap().unwrap();
}

/// Prints what a call costs beside the app, and what an idle actor occupies.
#[tokio::test]
#[ignore = "measures, and decides nothing"]
async fn cost_of_calls_and_of_idle_actors() {
    const ACTORS: usize = 100_000;
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        4096 * statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
    };
    for reentrancy in [None, Some(32)] {
        let stage = stage(Fake::quiet(), reentrancy);
        let before = resident();
        let mut calls = Vec::with_capacity(ACTORS);
        for id in 0..ACTORS {
            calls.push(Invoke::new(
                Actor::new("cat", format!("actor-{id:06}")),
                "get",
            ));
        }
        let known = resident() - before;
        for round in ["first", "second"] {
            let start = std::time::Instant::now();
            for call in &calls {
                stage.host.call(call).await.unwrap();
            }
            let each = start.elapsed() / ACTORS as u32;
            println!("reentrancy {reentrancy:?}: {each:?} for the {round} call of an actor");
        }
        let each = (resident() - before - known) / ACTORS;
        println!("reentrancy {reentrancy:?}: {each} bytes for an idle actor");
    }
}
