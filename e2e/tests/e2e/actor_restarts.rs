//! Hosts of actors that come and go under load: no call fails, and no actor is in two
//! places or has two turns at once.

use anyhow::ensure;
use e2e::{ActorHost, Load, Plane, Turns};
use testkit::{DEADLINE, eventually};

const HOSTS: [&str; 3] = ["a", "b", "c"];
const ACTORS: usize = 300;
const LAPS: usize = 2;

/// Restarts three hosts one after the other, twice, under so many calls a second.
async fn roll(rate: u32) {
    let (plane, turns) = (Plane::start().await, Turns::default());
    let mut hosts = Vec::new();
    for name in HOSTS {
        hosts.push(ActorHost::start(&plane, &turns, name).await);
    }
    let caller = plane.sidecar("caller").start().ready().await;
    let load = Load::start(&caller.http(), ACTORS, rate);
    for name in HOSTS {
        called_again(&turns, name, 0).await;
    }
    for turn in 0..HOSTS.len() * LAPS {
        let (host, name) = (&mut hosts[turn % HOSTS.len()], HOSTS[turn % HOSTS.len()]);
        let code = host.sidecar.stop(DEADLINE).await.unwrap();
        assert_eq!(code, 0, "{}", host.sidecar.output());
        let calls = turns.calls_in(name);
        host.sidecar.start_again().await;
        called_again(&turns, name, calls).await;
    }
    let outcome = load.stop().await;
    eprintln!(
        "{} calls succeeded at {:.0}/s, the longest took {:?}",
        outcome.succeeded, outcome.rate, outcome.longest
    );
    let failed = outcome.failed.len();
    assert!(
        failed == 0,
        "{failed} calls failed: {:#?}",
        &outcome.failed[..failed.min(9)]
    );
    let faults = turns.faults();
    assert!(
        faults.is_empty(),
        "{} faults: {:#?}",
        faults.len(),
        &faults[..faults.len().min(9)]
    );
}

/// Waits until a host is called once more than `calls` times.
async fn called_again(turns: &Turns, name: &str, calls: usize) {
    eventually(DEADLINE, async || {
        ensure!(turns.calls_in(name) > calls, "nobody calls {name}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_fails_no_call_and_lets_no_turns_overlap() {
    roll(100).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs programs that are built with --release"]
async fn a_rolling_restart_under_a_thousand_calls_a_second_does_neither() {
    roll(1000).await;
}
