//! Several schedulers on one etcd with a virtual clock: cut off, late, crashing and
//! coming back in any order.

mod world;

use std::time::Duration;

use proptest::prelude::*;

use super::machine::{Event, LEASE, MARGIN};
use super::members::Member;
use world::{SCHEDULERS, World};

#[derive(Clone, Debug)]
enum Step {
    Start(usize),
    Crash(usize),
    Close(usize),
    Watch(usize),
    Forget(usize),
    Call(usize, bool),
    Stopped(usize),
    CutOff(usize, bool),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let place = || 0..SCHEDULERS;
    prop_oneof![
        2 => place().prop_map(Step::Start),
        1 => place().prop_map(Step::Crash),
        1 => place().prop_map(Step::Close),
        14 => place().prop_map(Step::Watch),
        1 => place().prop_map(Step::Forget),
        12 => (place(), prop::bool::weighted(0.9)).prop_map(|(p, a)| Step::Call(p, a)),
        4 => place().prop_map(Step::Stopped),
        2 => (place(), any::<bool>()).prop_map(|(p, cut)| Step::CutOff(p, cut)),
        4 => (1..9_000u64).prop_map(Step::Pass),
    ]
}

fn run(world: &mut World, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Start(place) => world.start(place),
            Step::Crash(place) => world.schedulers[place] = None,
            Step::Close(place) => world.tell(place, Event::Close),
            Step::Watch(place) => world.watch(place),
            Step::Forget(place) => world.forget(place),
            Step::Call(place, answered) => world.call(place, answered),
            Step::Stopped(place) => world.stopped(place),
            Step::CutOff(place, cut) => {
                if let Some(scheduler) = &mut world.schedulers[place] {
                    scheduler.cut_off = cut;
                }
            }
            Step::Pass(millis) => world.pass(Duration::from_millis(millis)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_job_has_two_owners_and_each_has_one_in_the_end(
        steps in prop::collection::vec(step(), 1..400)
    ) {
        let mut world = World::new();
        run(&mut world, steps);
        world.settle();
        world.check_settled();
    }
}

#[test]
fn a_scheduler_alone_fires_everything() {
    let mut world = World::new();
    world.start(2);
    world.settle();
    assert_eq!(world.layouts(), [Some((0, 1))]);
}

#[test]
fn who_comes_and_goes_changes_what_the_others_fire() {
    let mut world = World::new();
    for place in [0, 2, 1] {
        world.start(place);
        world.settle();
        world.check_settled();
    }
    world.tell(0, Event::Close);
    world.settle();
    assert_eq!(world.layouts(), [Some((0, 2)), Some((1, 2))]);
}

#[test]
fn a_crashed_scheduler_is_replaced_when_its_lease_has_ended() {
    let mut world = World::new();
    world.start(0);
    world.start(1);
    world.settle();
    world.schedulers[1] = None;
    world.start(1);
    world.pass(Duration::from_secs(1));
    world.watch(1);
    let again = world.schedulers[1].as_ref().unwrap();
    assert_eq!(
        again.firing, None,
        "the key of the crashed one is still there"
    );
    world.settle();
    world.check_settled();
}

#[test]
fn whoever_hears_nothing_stops_before_its_lease_ends() {
    let mut world = World::new();
    world.start(0);
    world.settle();
    world.schedulers[0].as_mut().unwrap().cut_off = true;
    for _ in 0..(LEASE - MARGIN / 2).as_secs() {
        world.pass(Duration::from_secs(1));
        world.call(0, true);
    }
    assert_eq!(world.layouts(), [None]);
    assert_eq!(world.etcd.keys.len(), 1, "its key is still there");
    world.settle();
    world.check_settled();
}

/// A scheduler of another kind writes its key only when the number changes.
#[test]
fn a_member_that_leaves_its_key_as_it_is_counts_after_the_length_of_a_lease() {
    let mut world = World::new();
    let key = |total| Member {
        uid: 99,
        address: "other:50006".into(),
        total,
        lease: 1_000,
        created: 0,
        modified: 0,
    };
    let far = world.now + LEASE * 1_000;
    world.etcd.leases.insert(1_000, far);
    world.etcd.put("other", key(3));
    world.start(0);
    world.start(1);
    world.settle();
    world.etcd.put("other", key(3));
    world.settle();
    assert_eq!(world.layouts(), [Some((1, 3)), Some((2, 3))]);
    // One goes and another comes, so that the number is the same for "other".
    world.schedulers[0] = None;
    world.start(2);
    world.settle();
    assert_eq!(world.layouts(), [Some((1, 3)), Some((2, 3))]);
}

#[test]
fn a_key_that_another_process_has_is_never_written() {
    let mut world = World::new();
    let far = world.now + LEASE * 1_000;
    world.etcd.leases.insert(1_000, far);
    let foreign = Member {
        uid: 99,
        address: "elsewhere:50006".into(),
        total: 1,
        lease: 1_000,
        created: 0,
        modified: 0,
    };
    world.etcd.put("scheduler-0", foreign);
    world.start(0);
    world.settle();
    assert_eq!(world.layouts(), [None]);
    assert_eq!(world.etcd.keys["scheduler-0"].uid, 99);
    world.etcd.end(1_000);
    world.settle();
    world.check_settled();
}

#[test]
fn a_scheduler_whose_key_somebody_removed_stops_and_comes_again() {
    let mut world = World::new();
    world.start(0);
    world.settle();
    world.etcd.revision += 1;
    world.etcd.keys.clear();
    let gone = Event::Gone("scheduler-0".into(), world.etcd.revision);
    world.etcd.log.push(gone);
    world.watch(0);
    let scheduler = world.schedulers[0].as_ref().unwrap();
    assert!(scheduler.stops.is_some(), "it goes on without its key");
    world.settle();
    world.check_settled();
}
