//! Several schedulers on one etcd with a virtual clock: cut off, late, crashing and
//! coming back in any order.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::machine::{Effect, Event, LEASE, Layout, MARGIN, Me, Ring, Write};
use super::members::Member;

const SCHEDULERS: usize = 4;

/// What etcd keeps, and everything that ever happened to it.
#[derive(Default)]
struct Etcd {
    revision: i64,
    keys: BTreeMap<String, Member>,
    /// When each lease ends.
    leases: BTreeMap<i64, Instant>,
    log: Vec<Event>,
}

impl Etcd {
    fn put(&mut self, id: &str, mut member: Member) -> i64 {
        self.revision += 1;
        let before = self.keys.get(id);
        member.created = before.map_or(self.revision, |before| before.created);
        member.modified = self.revision;
        self.keys.insert(id.to_owned(), member.clone());
        self.log.push(Event::Put(id.to_owned(), member));
        self.revision
    }

    fn end(&mut self, lease: i64) {
        self.leases.remove(&lease);
        let ids: Vec<_> = self.keys.iter().filter(|(_, m)| m.lease == lease).collect();
        let ids: Vec<_> = ids.into_iter().map(|(id, _)| id.clone()).collect();
        self.revision += i64::from(!ids.is_empty());
        for id in ids {
            self.keys.remove(&id);
            self.log.push(Event::Gone(id, self.revision));
        }
    }

    fn holds(&self, id: &str, write: &Write) -> bool {
        self.leases.contains_key(&write.lease)
            && self.keys.get(id).map_or(0, |m| m.modified) == write.modified
    }
}

/// A process and what it is about to do.
struct Scheduler {
    me: Me,
    ring: Ring,
    /// How much of the log it was told; none of it before it listed the keys.
    told: Option<usize>,
    calls: VecDeque<Effect>,
    cut_off: bool,
    firing: Option<Layout>,
    /// When the engine that was told to stop has stopped at the latest.
    stops: Option<Instant>,
    wake: Option<Instant>,
}

struct World {
    now: Instant,
    etcd: Etcd,
    schedulers: Vec<Option<Scheduler>>,
    started: u64,
}

impl World {
    fn new() -> Self {
        Self {
            now: Instant::now(),
            etcd: Etcd::default(),
            schedulers: (0..SCHEDULERS).map(|_| None).collect(),
            started: 0,
        }
    }

    fn start(&mut self, place: usize) {
        if self.schedulers[place].is_some() {
            return;
        }
        self.started += 1;
        let me = Me {
            id: format!("scheduler-{place}"),
            uid: self.started,
            address: format!("host-{place}:50006"),
        };
        self.schedulers[place] = Some(Scheduler {
            ring: Ring::new(me.clone(), self.now),
            me,
            told: None,
            calls: VecDeque::new(),
            cut_off: false,
            firing: None,
            stops: None,
            wake: None,
        });
    }

    fn tell(&mut self, place: usize, event: Event) {
        let now = self.now;
        let Some(scheduler) = &mut self.schedulers[place] else {
            return;
        };
        for effect in scheduler.ring.on(event, now) {
            match effect {
                Effect::Start(layout) => {
                    assert!(scheduler.firing.is_none(), "it was running already");
                    scheduler.firing = Some(layout);
                }
                // It takes a while, but less than the margin.
                Effect::Stop => scheduler.stops = Some(now + MARGIN / 2),
                Effect::WakeAt(at) => {
                    assert!(at > now, "it would never sleep");
                    scheduler.wake = Some(at);
                }
                Effect::Closed => {
                    self.schedulers[place] = None;
                    return;
                }
                call => scheduler.calls.push_back(call),
            }
        }
        self.check();
    }

    /// Nobody fires what another may fire.
    fn check(&self) {
        let firing = self.schedulers.iter().flatten();
        let layouts: Vec<_> = firing.filter_map(|s| s.firing.as_ref()).collect();
        for (place, one) in layouts.iter().enumerate() {
            for other in &layouts[place + 1..] {
                let all = one.total * other.total;
                let both = (0..all).find(|id| one.owns(*id) && other.owns(*id));
                assert_eq!(both, None, "fired twice: {one:?} {other:?}");
            }
        }
    }

    /// The next event of the watch.
    fn watch(&mut self, place: usize) {
        let Some(scheduler) = &mut self.schedulers[place] else {
            return;
        };
        if scheduler.cut_off {
            return;
        }
        let event = match &mut scheduler.told {
            told @ None => {
                *told = Some(self.etcd.log.len());
                let keys = self.etcd.keys.clone().into_iter().collect();
                Event::Listed(keys, self.etcd.revision)
            }
            Some(told) if *told < self.etcd.log.len() => {
                *told += 1;
                self.etcd.log[*told - 1].clone()
            }
            Some(_) => return,
        };
        self.tell(place, event);
    }

    fn is_behind(&self, place: usize) -> bool {
        let scheduler = self.schedulers[place].as_ref();
        scheduler.is_some_and(|s| s.told != Some(self.etcd.log.len()))
    }

    /// The watch was lost: everything is read again.
    fn forget(&mut self, place: usize) {
        if let Some(scheduler) = &mut self.schedulers[place] {
            scheduler.told = None;
        }
    }

    /// The oldest call reaches etcd, whose answer may be lost on the way back.
    fn call(&mut self, place: usize, answered: bool) {
        let Some(scheduler) = &mut self.schedulers[place] else {
            return;
        };
        let Some(call) = scheduler.calls.pop_front() else {
            return;
        };
        let (reached, me) = (!scheduler.cut_off, scheduler.me.clone());
        let failed = match call {
            Effect::Renew(_) => Event::NotRenewed,
            Effect::Revoke(_) => Event::Revoked,
            _ => Event::Failed,
        };
        let event = match reached {
            true => self.serve(&me, &call),
            false => failed.clone(),
        };
        self.tell(place, if answered { event } else { failed });
    }

    fn serve(&mut self, me: &Me, call: &Effect) -> Event {
        match call {
            Effect::Grant => {
                self.started += 1;
                let id = self.started.cast_signed();
                self.etcd.leases.insert(id, self.now + LEASE);
                Event::Granted(id, self.now)
            }
            Effect::Renew(lease) => match self.etcd.leases.get_mut(lease) {
                Some(ends) => {
                    *ends = self.now + LEASE;
                    Event::Renewed(self.now)
                }
                None => Event::LeaseGone,
            },
            Effect::Write(write) if self.etcd.holds(&me.id, write) => {
                let member = Member {
                    uid: me.uid,
                    address: me.address.clone(),
                    total: write.total,
                    lease: write.lease,
                    created: 0,
                    modified: 0,
                };
                Event::Written(self.etcd.put(&me.id, member))
            }
            Effect::Revoke(lease) => {
                self.etcd.end(*lease);
                Event::Revoked
            }
            _ => Event::Failed,
        }
    }

    /// Time passes, and what is due happens on time.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let processes = self.schedulers.iter().flatten();
            let timers = processes.flat_map(|s| [s.wake, s.stops]).flatten();
            let next = timers.chain(self.etcd.leases.values().copied()).min();
            self.now = next.map_or(end, |at| at.clamp(self.now, end));
            let now = self.now;
            let over: Vec<_> = self
                .etcd
                .leases
                .iter()
                .filter(|(_, at)| **at <= now)
                .collect();
            for lease in over.into_iter().map(|(id, _)| *id).collect::<Vec<_>>() {
                self.etcd.end(lease);
            }
            for place in 0..SCHEDULERS {
                let Some(scheduler) = &mut self.schedulers[place] else {
                    continue;
                };
                if scheduler.stops.is_some_and(|at| at <= now) {
                    self.stopped(place);
                } else if scheduler.wake.is_some_and(|at| at <= now) {
                    scheduler.wake = None;
                    self.tell(place, Event::Wake);
                }
            }
            if next.is_none_or(|at| at > end) {
                return;
            }
        }
    }

    fn stopped(&mut self, place: usize) {
        if let Some(scheduler) = &mut self.schedulers[place]
            && scheduler.stops.take().is_some()
        {
            scheduler.firing = None;
            self.tell(place, Event::Stopped);
        }
    }

    /// Everybody hears and is heard, until nothing can change any more.
    fn settle(&mut self) {
        for scheduler in self.schedulers.iter_mut().flatten() {
            scheduler.cut_off = false;
        }
        for _ in 0..150 {
            for place in 0..SCHEDULERS {
                while self.schedulers[place]
                    .as_ref()
                    .is_some_and(|s| !s.calls.is_empty())
                {
                    self.call(place, true);
                }
                while self.is_behind(place) {
                    self.watch(place);
                }
                self.stopped(place);
            }
            self.pass(Duration::from_millis(500));
        }
    }

    fn layouts(&self) -> Vec<Option<(u64, u64)>> {
        let alive = self.schedulers.iter().flatten();
        alive
            .map(|s| s.firing.as_ref().map(|l| (l.index, l.total)))
            .collect()
    }

    /// All that live share all jobs.
    fn check_settled(&self) {
        let alive = self.schedulers.iter().flatten().count() as u64;
        let shared: Vec<_> = (0..alive).map(|index| Some((index, alive))).collect();
        assert_eq!(self.layouts(), shared);
    }
}

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
