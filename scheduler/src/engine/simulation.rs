//! Random histories of the engine under a clock of their own. A history follows
//! from its seed, which a failure prints.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use proto::dapr::common::v1::job_failure_policy::Policy;
use proto::dapr::common::v1::{JobFailurePolicy, JobFailurePolicyConstant, JobFailurePolicyDrop};
use proto::dapr::scheduler::v1::Job;
use service::metrics::Registry;

use super::model::{Shelf, about, put};
use super::*;
use crate::engine::state::next_tick;

const STEPS: usize = 4_000;
const HISTORIES: u32 = 256;

/// Numbers by lot, always the same ones for a seed (SplitMix64).
struct Lot(u64);

impl Lot {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % most as u64).unwrap()
    }
}

/// A trigger that an app has.
struct At {
    stream: StreamId,
    id: u64,
    key: Key,
    revision: u64,
}

/// What apps made of a version of a job.
#[derive(Clone, Copy, Default)]
struct Done {
    count: u32,
    attempts: u32,
}

struct World {
    lot: Lot,
    now: Timestamp,
    /// The latest time that was seen: what was due once may fire after the clock
    /// was set back.
    latest: Timestamp,
    /// Whether the clock is ever set.
    clock_is_set: bool,
    shelf: Shelf,
    engine: Engine,
    news: VecDeque<Change>,
    reads: Vec<(JobRef, Key)>,
    writes: Vec<(JobRef, Command)>,
    streams: Vec<StreamId>,
    next_stream: StreamId,
    open: Vec<At>,
    done: BTreeMap<u64, Done>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            lot: Lot(seed),
            now: Timestamp::from_second(1_000_000_000).unwrap(),
            latest: Timestamp::from_second(1_000_000_000).unwrap(),
            clock_is_set: seed.is_multiple_of(2),
            shelf: Shelf::default(),
            engine: Engine::new(Metrics::new(&Registry::new(&[]))),
            news: VecDeque::from([Change::Reset, Change::Synced]),
            reads: Vec::new(),
            writes: Vec::new(),
            streams: Vec::new(),
            next_stream: 1,
            open: Vec::new(),
            done: BTreeMap::new(),
        }
    }

    fn on(&mut self, event: Event) {
        self.latest = self.latest.max(self.now);
        for effect in self.engine.on(event, self.now) {
            match effect {
                Effect::Load(job, key) => self.reads.push((job, key)),
                Effect::Write(job, command) => self.writes.push((job, command)),
                Effect::Close(id) => panic!("stream {id} sent only what it had"),
                Effect::Deliver(stream, message) => self.delivered(stream, &message),
            }
        }
    }

    fn delivered(&mut self, stream: StreamId, message: &WatchJobsResponse) {
        let prefix = crate::records::target::prefix(message.metadata.as_ref().unwrap());
        let key: Key = format!("{}{}", prefix.unwrap(), message.name).into();
        let revision =
            u64::from_be_bytes(message.data.as_ref().unwrap().value[..].try_into().unwrap());
        assert!(self.streams.contains(&stream), "{key} went to nobody");
        let twice = self
            .open
            .iter()
            .any(|at| at.key == key && at.revision == revision);
        assert!(!twice, "{key} has two open triggers");
        if let Some(record) = self.shelf.get(&key)
            && record.revision == revision
        {
            let tick = next_tick(&record).unwrap();
            assert!(
                tick.is_some_and(|tick| tick <= self.latest),
                "{key} fired early"
            );
        }
        let id = message.id;
        self.open.push(At {
            stream,
            id,
            key,
            revision,
        });
    }

    fn step(&mut self) {
        match self.lot.below(100) {
            0..12 => self.schedule(),
            12..14 => {
                let key = self.any_key();
                self.apply(Command::Delete { key });
            }
            14..40 => self.answer(),
            40..55 => self.write(),
            55..70 => self.read(),
            70..85 => self.hear(),
            85..94 => {
                let millis = self.lot.below(1500) as u64;
                self.pass(Duration::from_millis(millis));
            }
            94..96 => self.join(),
            96 => self.leave(),
            97 => self.refuse(),
            98 if self.clock_is_set => {
                // The clock is set, either way.
                let back = Duration::from_secs(self.lot.below(20) as u64);
                self.now = match self.lot.below(2) {
                    0 => self.now - back,
                    _ => self.now + back,
                };
                self.on(Event::Tick);
            }
            _ if self.lot.below(20) == 0 => self.crash(),
            _ => self.room(),
        }
    }

    fn any_target(&mut self) -> Target {
        let name = ["one", "two"][self.lot.below(2)].to_owned();
        let namespace = "ns".to_owned();
        match self.lot.below(2) {
            0 => Target::App {
                namespace,
                app_id: name,
            },
            _ => Target::Actor {
                namespace,
                kind: name,
            },
        }
    }

    fn any_key(&mut self) -> Key {
        let target = self.any_target();
        let prefix = crate::records::target::prefix(&about(&target, None)).unwrap();
        format!("{prefix}{}", self.lot.below(8)).into()
    }

    fn schedule(&mut self) {
        let target = self.any_target();
        let name = [None, Some("a"), Some("b")][self.lot.below(3)];
        let every = format!("@every {}ms", 200 + self.lot.below(3000));
        let due_time = format!("{}ms", self.lot.below(4000));
        let kind = self.lot.below(4);
        let policy = match self.lot.below(3) {
            0 => Some(Policy::Drop(JobFailurePolicyDrop {})),
            1 => Some(Policy::Constant(JobFailurePolicyConstant {
                interval: Some(prost_types::Duration {
                    seconds: 0,
                    nanos: 500_000_000,
                }),
                max_retries: Some(2),
            })),
            _ => None,
        };
        let job = Job {
            schedule: (kind > 0).then_some(every),
            due_time: (kind < 2).then_some(due_time),
            repeats: (kind > 0).then_some(1 + self.lot.below(4) as u32),
            ttl: (kind == 3).then(|| "5s".to_owned()),
            // Tells which version of the job was delivered.
            data: super::model::payload("01234567"),
            failure_policy: policy.map(|policy| JobFailurePolicy {
                policy: Some(policy),
            }),
        };
        let name = (&about(&target, name), self.lot.below(8).to_string());
        let command = put(&name.1, name.0, job, self.now);
        self.apply(command);
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let (outcome, change) = self.shelf.apply(command);
        if let Some(mut change) = change {
            if let Change::Put(record) = &mut change {
                let (key, revision) = (record.key.clone(), record.revision);
                let version = revision.to_be_bytes().to_vec();
                for job in [
                    &mut *record.job,
                    &mut self.shelf.jobs.get_mut(&key).unwrap().1,
                ] {
                    let job = job.job.as_mut().unwrap();
                    job.payload.as_mut().unwrap().value = version.clone();
                }
                self.done.insert(revision, Done::default());
            }
            self.news.push_back(change);
        }
        outcome
    }

    fn answer(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = self.lot.below(self.open.len());
        let at = self.open.swap_remove(at);
        let success = self.lot.below(3) > 0;
        if let Some(record) = self.shelf.get(&at.key)
            && record.revision == at.revision
        {
            self.count(&record, success);
        }
        self.on(Event::Result {
            stream: at.stream,
            trigger: at.id,
            success,
        });
    }

    fn count(&mut self, record: &Record, success: bool) {
        use crate::records::api::failure_policy::Policy as Stored;
        let done = self.done.get_mut(&record.revision).unwrap();
        let policy = record.job.job.as_ref().unwrap().failure_policy.unwrap();
        let retries = match policy.policy.unwrap() {
            Stored::Drop(_) => 0,
            Stored::Constant(constant) => constant.max_retries.unwrap(),
        };
        if success || done.attempts == retries {
            (done.count, done.attempts) = (done.count + 1, 0);
        } else {
            done.attempts += 1;
        }
        let repeats = record.job.job.as_ref().unwrap().repeats;
        let most = repeats.unwrap_or(1);
        assert!(
            done.count <= most,
            "{} ticked more than {most} times",
            record.key
        );
    }

    fn write(&mut self) {
        if self.writes.is_empty() {
            return;
        }
        let at = self.lot.below(self.writes.len());
        let (job, command) = self.writes.swap_remove(at);
        if let Command::PutCounter {
            key,
            revision,
            counter,
        } = &command
            && self
                .shelf
                .get(key)
                .is_some_and(|record| record.revision == *revision)
        {
            let done = self.done[revision];
            assert_eq!(
                (counter.count, counter.attempts),
                (done.count, done.attempts),
                "{key}"
            );
        }
        let outcome = self.apply(command);
        self.on(Event::Written(job, outcome));
    }

    fn read(&mut self) {
        if self.reads.is_empty() {
            return;
        }
        let at = self.lot.below(self.reads.len());
        let (job, key) = self.reads.swap_remove(at);
        if self.lot.below(20) == 0 {
            return self.on(Event::Unread(job));
        }
        let record = self.shelf.get(&key).map(Box::new);
        self.on(Event::Loaded(job, record));
    }

    fn hear(&mut self) {
        if let Some(change) = self.news.pop_front() {
            self.on(Event::Change(change));
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.on(Event::Tick);
    }

    fn join(&mut self) {
        if self.streams.len() > 5 {
            return;
        }
        let id = self.next_stream;
        self.next_stream += 1;
        let targets = vec![self.any_target(), self.any_target()];
        let most = 1 + self.lot.below(2) as u32;
        let limit = |name: Option<&str>| Limit {
            target: targets[0].clone(),
            name: name.map(str::to_owned),
            most,
        };
        let limits = match self.lot.below(4) {
            0 => vec![limit(None)],
            1 => vec![limit(Some("a"))],
            2 => vec![limit(None), limit(Some("b"))],
            _ => Vec::new(),
        };
        self.streams.push(id);
        let mut unique = targets.clone();
        unique.dedup();
        self.on(Event::Joined(
            id,
            Watch {
                targets: unique,
                limits,
            },
        ));
    }

    fn leave(&mut self) {
        if !self.streams.is_empty() {
            let at = self.lot.below(self.streams.len());
            let id = self.streams.swap_remove(at);
            self.open.retain(|at| at.stream != id);
            self.on(Event::Left(id));
        }
    }

    /// A stream's receiver stops reading: the last trigger does not go out.
    fn refuse(&mut self) {
        if let Some(at) = self.open.pop() {
            self.on(Event::Full(at.stream, at.id));
        }
    }

    fn room(&mut self) {
        for id in self.streams.clone() {
            self.on(Event::Room(id));
        }
    }

    /// The process ends and another begins with what is stored.
    fn crash(&mut self) {
        self.engine = Engine::new(Metrics::new(&Registry::new(&[])));
        self.reads.clear();
        self.writes.clear();
        self.streams.clear();
        self.open.clear();
        self.news = self.shelf.image().into();
        for key in self.shelf.jobs.keys() {
            let record = self.shelf.get(key).unwrap();
            let count = record.count().copied().unwrap_or_default();
            let done = Done {
                count: count.count,
                attempts: count.attempts,
            };
            self.done.insert(record.revision, done);
        }
    }

    /// Everything goes well from now on: every job runs its course.
    fn settle(&mut self) {
        while !self.streams.is_empty() {
            self.leave();
        }
        let targets = ["one", "two"].map(|name| {
            let (namespace, name) = ("ns".to_owned(), name.to_owned());
            let app = Target::App {
                namespace: namespace.clone(),
                app_id: name.clone(),
            };
            [
                app,
                Target::Actor {
                    namespace,
                    kind: name,
                },
            ]
        });
        self.streams.push(self.next_stream);
        let targets = targets.into_iter().flatten().collect();
        let watch = Watch {
            targets,
            limits: Vec::new(),
        };
        self.on(Event::Joined(self.next_stream, watch));
        for _ in 0..1000 {
            while !self.news.is_empty() {
                self.hear();
            }
            while !self.reads.is_empty() {
                self.read();
            }
            while !self.open.is_empty() {
                self.answer();
            }
            while !self.writes.is_empty() {
                self.write();
            }
            self.pass(Duration::from_secs(1));
        }
        let left: Vec<_> = self.shelf.jobs.keys().collect();
        assert!(left.is_empty(), "{left:?} never ran their course");
        assert_eq!(self.engine.jobs.iter().count(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: HISTORIES, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn no_job_is_lost_or_fired_twice_or_early_whatever_happens(seed: u64) {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.settle();
    }
}
