//! What schedulers live in: an etcd, a clock that a test moves, and calls that get lost.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::etcd::ring::machine::{Effect, Event, LEASE, Layout, MARGIN, Me, Ring, Write};
use crate::etcd::ring::members::Member;

pub(super) const SCHEDULERS: usize = 4;

/// What etcd keeps, and everything that ever happened to it.
#[derive(Default)]
pub(super) struct Etcd {
    pub(super) revision: i64,
    pub(super) keys: BTreeMap<String, Member>,
    /// When each lease ends.
    pub(super) leases: BTreeMap<i64, Instant>,
    pub(super) log: Vec<Event>,
}

impl Etcd {
    pub(super) fn put(&mut self, id: &str, mut member: Member) -> i64 {
        self.revision += 1;
        let before = self.keys.get(id);
        member.created = before.map_or(self.revision, |before| before.created);
        member.modified = self.revision;
        self.keys.insert(id.to_owned(), member.clone());
        self.log.push(Event::Put(id.to_owned(), member));
        self.revision
    }

    pub(super) fn end(&mut self, lease: i64) {
        self.leases.remove(&lease);
        let ids: Vec<_> = self.keys.iter().filter(|(_, m)| m.lease == lease).collect();
        let ids: Vec<_> = ids.into_iter().map(|(id, _)| id.clone()).collect();
        self.revision += i64::from(!ids.is_empty());
        for id in ids {
            self.keys.remove(&id);
            self.log.push(Event::Gone(id, self.revision));
        }
    }

    pub(super) fn holds(&self, id: &str, write: &Write) -> bool {
        self.leases.contains_key(&write.lease)
            && self.keys.get(id).map_or(0, |m| m.modified) == write.modified
    }
}

/// A process and what it is about to do.
pub(super) struct Scheduler {
    pub(super) me: Me,
    pub(super) ring: Ring,
    /// How much of the log it was told; none of it before it listed the keys.
    pub(super) told: Option<usize>,
    pub(super) calls: VecDeque<Effect>,
    pub(super) cut_off: bool,
    pub(super) firing: Option<Layout>,
    /// When the engine that was told to stop has stopped at the latest.
    pub(super) stops: Option<Instant>,
    pub(super) wake: Option<Instant>,
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) etcd: Etcd,
    pub(super) schedulers: Vec<Option<Scheduler>>,
    pub(super) started: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            now: Instant::now(),
            etcd: Etcd::default(),
            schedulers: (0..SCHEDULERS).map(|_| None).collect(),
            started: 0,
        }
    }

    pub(super) fn start(&mut self, place: usize) {
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

    pub(super) fn tell(&mut self, place: usize, event: Event) {
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
    pub(super) fn check(&self) {
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
    pub(super) fn watch(&mut self, place: usize) {
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

    pub(super) fn is_behind(&self, place: usize) -> bool {
        let scheduler = self.schedulers[place].as_ref();
        scheduler.is_some_and(|s| s.told != Some(self.etcd.log.len()))
    }

    /// The watch was lost: everything is read again.
    pub(super) fn forget(&mut self, place: usize) {
        if let Some(scheduler) = &mut self.schedulers[place] {
            scheduler.told = None;
        }
    }

    /// The oldest call reaches etcd, whose answer may be lost on the way back.
    pub(super) fn call(&mut self, place: usize, answered: bool) {
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

    pub(super) fn serve(&mut self, me: &Me, call: &Effect) -> Event {
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
    pub(super) fn pass(&mut self, time: Duration) {
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

    pub(super) fn stopped(&mut self, place: usize) {
        if let Some(scheduler) = &mut self.schedulers[place]
            && scheduler.stops.take().is_some()
        {
            scheduler.firing = None;
            self.tell(place, Event::Stopped);
        }
    }

    /// Everybody hears and is heard, until nothing can change any more.
    pub(super) fn settle(&mut self) {
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

    pub(super) fn layouts(&self) -> Vec<Option<(u64, u64)>> {
        let alive = self.schedulers.iter().flatten();
        alive
            .map(|s| s.firing.as_ref().map(|l| (l.index, l.total)))
            .collect()
    }

    /// All that live share all jobs.
    pub(super) fn check_settled(&self) {
        let alive = self.schedulers.iter().flatten().count() as u64;
        let shared: Vec<_> = (0..alive).map(|index| Some((index, alive))).collect();
        assert_eq!(self.layouts(), shared);
    }
}
