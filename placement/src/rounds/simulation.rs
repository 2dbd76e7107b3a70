//! Random lives of a namespace: streams come, go, change, answer late or never.
//! Whatever happens, in the end all that live hold the same, newest table.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::tests::{host_of, timing};
use super::*;

/// Two bytes are a step: what happens, and to whom.
type Step = (u8, u8);

const TIMEOUT: Duration = Duration::from_secs(8);
const MOST_STREAMS: usize = 8;
/// About a million steps in all.
const CASES: u32 = 2048;
const STEPS: usize = 1000;

/// A sidecar as the wire knows it.
#[derive(Debug, Default)]
struct Sidecar {
    /// Orders on their way to it.
    orders: VecDeque<Order>,
    /// The last that it saw.
    last: Option<Order>,
    /// The table it has.
    table: Option<Vec<Report>>,
    /// The tables of the updates among `orders`.
    tables: VecDeque<Vec<Report>>,
    /// Whether it will never answer again.
    dead: bool,
}

struct World {
    rounds: Rounds,
    now: Instant,
    next: StreamId,
    sidecars: BTreeMap<StreamId, Sidecar>,
    /// Events that have not reached the rounds yet.
    events: Vec<Event>,
    /// The table of each version.
    known: BTreeMap<u64, Vec<Report>>,
}

impl World {
    fn new(window: Duration) -> Self {
        let now = Instant::now();
        Self {
            rounds: Rounds::new(timing(TIMEOUT, window), now),
            now,
            next: 0,
            sidecars: BTreeMap::new(),
            events: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    fn step(&mut self, (what, whom): Step) {
        let chosen = self
            .sidecars
            .keys()
            .nth(usize::from(whom) % MOST_STREAMS)
            .copied();
        match (what % 32, chosen) {
            (0..4, _) if self.sidecars.len() < MOST_STREAMS => {
                let id = self.next;
                self.next += 1;
                self.sidecars.insert(id, Sidecar::default());
                self.events.push(Event::Joined(id, host_of(id, whom >> 4)));
            }
            (4, Some(id)) => {
                self.sidecars.remove(&id);
                self.events.push(Event::Left(id));
            }
            (5, Some(id)) => {
                if let Some(sidecar) = self.sidecars.get_mut(&id) {
                    sidecar.dead = true;
                }
            }
            (6..8, Some(id)) => {
                let kind = Kind::Report(host_of(id, whom >> 4));
                let version = None;
                self.events.push(Event::Said(id, Message { kind, version }));
            }
            (8, _) => self.now += TIMEOUT.mul_f64(f64::from(whom) / 256.0),
            (9..12, _) => self.now += Duration::from_millis(whom.into()),
            (_, Some(id)) => self.answer(id),
            (_, None) => {}
        }
        // Some events reach the rounds together.
        if what < 192 {
            self.flush();
        }
    }

    /// A sidecar reads its next order and answers it.
    fn answer(&mut self, id: StreamId) {
        let Some(sidecar) = self.sidecars.get_mut(&id).filter(|s| !s.dead) else {
            return;
        };
        let Some(order) = sidecar.orders.pop_front() else {
            return;
        };
        let (last, version) = (sidecar.last.replace(order), order.version);
        let follows = |phase| {
            last == Some(Order {
                operation: phase,
                version,
            })
        };
        match order.operation {
            Phase::Lock => assert!(
                last.is_none_or(|l| l.version < version),
                "{last:?} {order:?}"
            ),
            Phase::Update => {
                assert!(follows(Phase::Lock), "{last:?} {order:?}");
                sidecar.table = sidecar.tables.pop_front();
            }
            Phase::Unlock => assert!(follows(Phase::Update), "{last:?} {order:?}"),
            Phase::Report => panic!("that is no order"),
        }
        let kind = Kind::Ack(order.operation);
        let version = Some(version);
        self.events.push(Event::Said(id, Message { kind, version }));
    }

    fn flush(&mut self) {
        let effects = self.rounds.on(self.events.drain(..), self.now);
        let table: Vec<_> = self.rounds.hosts().cloned().collect();
        let version = self.rounds.version();
        let known = self.known.entry(version).or_insert_with(|| table.clone());
        assert_eq!(*known, table, "two tables of version {version}");
        for effect in effects {
            match effect {
                Effect::Send { to, order } => {
                    assert!(order.version <= version);
                    for id in to {
                        // Whoever left meanwhile reads nothing.
                        if let Some(sidecar) = self.sidecars.get_mut(&id) {
                            sidecar.orders.push_back(order);
                            if order.operation == Phase::Update {
                                sidecar.tables.push_back(table.clone());
                            }
                        }
                    }
                }
                Effect::Close { stream, silence } => {
                    assert_ne!(silence.state, silence.expected);
                    // It may have left among these very events.
                    let Some(sidecar) = self.sidecars.remove(&stream) else {
                        continue;
                    };
                    assert!(!sidecar.orders.is_empty(), "it had answered everything");
                    self.events.push(Event::Left(stream));
                }
            }
        }
        let next = self.rounds.next();
        assert!(
            next.is_none_or(|next| next <= self.now + TIMEOUT),
            "it hangs"
        );
        assert!(self.rounds.phase == Phase::Report || self.rounds.missing > 0);
        if self.rounds.is_empty() {
            // A namespace is dropped with its last stream.
            self.rounds = Rounds::new(self.rounds.timing, self.now);
            self.known.clear();
        }
    }

    /// Lets everybody who lives answer, and time pass, until nothing happens.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.flush();
            let busy = |s: &Sidecar| !s.dead && !s.orders.is_empty();
            let busy: Vec<_> = self
                .sidecars
                .iter()
                .filter(|(_, s)| busy(s))
                .map(|(id, _)| *id)
                .collect();
            if !busy.is_empty() {
                busy.into_iter().for_each(|id| self.answer(id));
            } else if let Some(next) = self.rounds.next() {
                self.now = self.now.max(next);
            } else if self.events.is_empty() {
                return;
            }
        }
        panic!("it never ends");
    }

    fn check(&self) {
        assert_eq!(self.rounds.phase, Phase::Report);
        let table: Vec<_> = self.rounds.hosts().cloned().collect();
        for (id, sidecar) in self.sidecars.iter().filter(|(_, s)| !s.dead) {
            assert_eq!(sidecar.table.as_ref(), Some(&table), "the table of {id}");
            let last = sidecar.last.map(|order| order.operation);
            assert_eq!(last, Some(Phase::Unlock), "{id} is still locked");
        }
        for host in &table {
            let id: StreamId = host.host().id.parse().unwrap();
            assert!(
                self.sidecars.contains_key(&id),
                "{id} is gone but in the table"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]
    #[test]
    fn in_the_end_all_that_live_hold_the_newest_table(
        steps in prop::collection::vec(any::<Step>(), 0..STEPS),
        window in prop::sample::select(&[0, 100]),
    ) {
        let mut world = World::new(Duration::from_millis(window));
        steps.into_iter().for_each(|step| world.step(step));
        world.settle();
        world.check();
    }
}
