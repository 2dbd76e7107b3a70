//! The promise: a rebalance fails no call, and no actor lives twice.

use futures_util::future::join_all;
use proto::dapr::placement::v1::PlacementOrder;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{sleep, timeout};

use super::*;
use crate::placement::testing::{order, update};

/// Longer than any call may take.
const LONG: Duration = Duration::from_secs(120);

/// The hosts of a round, and who dies before it.
type Round<'a> = (&'a [&'a str], &'a [&'a str]);

fn millis(chance: &mut StdRng, most: u64) -> Duration {
    Duration::from_millis(chance.random_range(0..=most))
}

/// One order for everybody, who all take their time.
async fn step(world: &World, order: PlacementOrder, chance: &mut StdRng) {
    let obey = world.all().into_iter().map(|sidecar| {
        let (order, late) = (order.clone(), millis(chance, 40));
        async move {
            sleep(late).await;
            sidecar.puppet.obey(order).await;
        }
    });
    join_all(obey).await;
}

/// Calls actors from all sidecars until the test is over; how many were answered.
async fn keep_calling(world: Arc<World>, seed: u64, end: CancellationToken) -> usize {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut answered = 0;
    while !end.is_cancelled() {
        sleep(millis(&mut chance, 20)).await;
        // Sidecars whose names do not begin with x die, and their callers would with them.
        let mut from = world.all();
        from.retain(|it| it.name.starts_with('x'));
        let from = &from[chance.random_range(0..from.len())];
        let kind = KINDS[chance.random_range(0..KINDS.len())];
        let actor = Actor::new(kind, chance.random_range(0..30).to_string());
        let call = Invoke::new(actor, "do");
        let answer = timeout(LONG, from.router.invoke(&call)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{} hangs", call.actor));
        answer.unwrap_or_else(|e| panic!("{} from {}: {e}", call.actor, from.name));
        answered += 1;
    }
    answered
}

/// Twenty callers during some rounds; the sum of what happened under some seeds: answers
/// that an actor moved, and calls that were ended.
async fn check(drain: Duration, work: Duration, rounds: &[Round<'_>]) -> (usize, usize) {
    let (mut moved, mut abandoned) = (0, 0);
    for seed in 0..5 {
        let world = run(seed, drain, work, rounds).await;
        moved += world.moved.load(Ordering::Relaxed);
        abandoned += world.abandoned.load(Ordering::Relaxed);
    }
    (moved, abandoned)
}

async fn run(seed: u64, drain: Duration, work: Duration, rounds: &[Round<'_>]) -> Arc<World> {
    let world = Arc::new(World::default());
    let mut chance = StdRng::seed_from_u64(seed);
    let (end, tasks) = (CancellationToken::new(), Tasks::new());
    let mut callers = Vec::new();
    for (version, (hosts, dying)) in (1..).zip(rounds) {
        for name in *hosts {
            if !world.sidecars.lock().contains_key(*name) {
                world.join(name, drain, work);
            }
        }
        if callers.is_empty() {
            let call = |n| keep_calling(world.clone(), (seed << 8) + n, end.clone());
            callers = (0..20)
                .map(|seed| tasks.spawn("caller", call(seed)))
                .collect();
        }
        for name in *dying {
            world.kill(name);
            sleep(millis(&mut chance, 500)).await;
        }
        let types = KINDS.map(|kind| (kind, *hosts));
        step(&world, order("lock", version), &mut chance).await;
        step(&world, update(version, &types), &mut chance).await;
        step(&world, order("unlock", version), &mut chance).await;
        sleep(millis(&mut chance, 300)).await;
    }
    end.cancel();
    let mut answered = 0;
    for caller in callers {
        answered += caller.await.expect("no call fails");
    }
    assert!(answered > 200, "only {answered} calls");
    world
}

#[tokio::test(start_paused = true)]
async fn sidecars_that_come_and_go_fail_no_call_and_no_actor_lives_twice() {
    let (long, short) = (Duration::from_secs(2), Duration::from_millis(15));
    let rounds: [Round; 8] = [
        (&["x1:1"], &[]),
        (&["x1:1", "x2:1"], &[]),
        (&["x1:1", "x2:1", "x3:1", "x4:1"], &[]),
        (&["x3:1", "x4:1"], &[]),
        (&["x1:1", "x2:1", "x3:1"], &[]),
        (&["x4:1"], &[]),
        (&["x1:1", "x2:1", "x3:1", "x4:1", "x5:1"], &[]),
        (&["x2:1", "x5:1"], &[]),
    ];
    let (moved, abandoned) = check(long, short, &rounds).await;
    assert!(moved > 0, "no call met a move");
    assert_eq!(abandoned, 0);
}

#[tokio::test(start_paused = true)]
async fn calls_that_outlast_the_drain_are_made_again_by_the_new_owner() {
    let (short, long) = (Duration::from_millis(5), Duration::from_millis(60));
    let rounds: [Round; 5] = [
        (&["x1:1", "x2:1"], &[]),
        (&["x2:1", "x3:1"], &[]),
        (&["x1:1"], &[]),
        (&["x1:1", "x2:1", "x3:1"], &[]),
        (&["x3:1"], &[]),
    ];
    let (_, abandoned) = check(short, long, &rounds).await;
    assert!(abandoned > 0, "no call was ended");
}

#[tokio::test(start_paused = true)]
async fn calls_to_a_sidecar_that_died_go_on_when_the_tables_change() {
    let (long, short) = (Duration::from_secs(2), Duration::from_millis(15));
    let rounds: [Round; 4] = [
        (&["x1:1", "y1:1", "y2:1"], &[]),
        (&["x1:1", "y2:1"], &["y1:1"]),
        (&["x1:1", "y2:1", "y3:1"], &[]),
        (&["x1:1"], &["y2:1", "y3:1"]),
    ];
    check(long, short, &rounds).await;
}
