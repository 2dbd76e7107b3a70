use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::super::claims::{Claim, Claims, Owner};
use super::super::testing::{order, tables, update};
use super::*;
use crate::call::Actor;

type Types<'a> = &'a [(&'a str, &'a [&'a str])];

const LIMIT: Duration = Duration::from_secs(30);

fn machine() -> Dissemination {
    Dissemination::new(Own::new("a:1"), LIMIT)
}

/// Effects in short: `ack lock 1`, `switch [types]`, `release 1 [types]`, `close`.
fn show(effects: &[Effect]) -> Vec<String> {
    let names = |types: &BTreeSet<Arc<str>>| {
        let names: Vec<&str> = types.iter().map(AsRef::as_ref).collect();
        format!("[{}]", names.join(" "))
    };
    let show = |effect: &Effect| match effect {
        Effect::Ack { operation, version } => {
            format!("ack {} {version}", operation.as_str_name().to_lowercase())
        }
        Effect::Switch { blocked, .. } => format!("switch {}", names(blocked)),
        Effect::Release { version, changed } => format!("release {version} {}", names(changed)),
        Effect::Close(closing) => format!("close: {closing}"),
    };
    effects.iter().map(show).collect()
}

#[track_caller]
fn check(machine: &mut Dissemination, event: Event, expected: &[&str]) {
    let effects = machine.on(event, Instant::now());
    assert_eq!(show(&effects), expected);
}

#[tokio::test(start_paused = true)]
async fn a_round_is_acknowledged_step_by_step() {
    let it = &mut machine();
    let cat: Types = &[("cat", &["b:1"])];
    check(it, Event::Opened, &[]);
    check(it, Event::Order(order("lock", 7)), &["ack lock 7"]);
    check(it, Event::Order(update(7, cat)), &["switch [cat]"]);
    check(it, Event::Settled, &["ack update 7"]);
    let unlock = ["release 7 [cat]", "ack unlock 7"];
    check(it, Event::Order(order("unlock", 7)), &unlock);
}

#[tokio::test(start_paused = true)]
async fn skipped_unlocks_release_what_both_rounds_changed() {
    let it = &mut machine();
    check(it, Event::Opened, &[]);
    check(it, Event::Order(order("lock", 1)), &["ack lock 1"]);
    let cat: Types = &[("cat", &["b:1"])];
    check(it, Event::Order(update(1, cat)), &["switch [cat]"]);
    check(it, Event::Settled, &["ack update 1"]);
    check(it, Event::Order(order("lock", 2)), &["ack lock 2"]);
    let dog: Types = &[("cat", &["b:1"]), ("dog", &["b:1"])];
    check(it, Event::Order(update(2, dog)), &["switch [cat dog]"]);
    check(it, Event::Settled, &["ack update 2"]);
    let unlock = ["release 2 [cat dog]", "ack unlock 2"];
    check(it, Event::Order(order("unlock", 2)), &unlock);
}

#[tokio::test(start_paused = true)]
async fn orders_wait_while_actors_are_drained() {
    let it = &mut machine();
    check(it, Event::Opened, &[]);
    check(it, Event::Order(order("lock", 1)), &["ack lock 1"]);
    let cat: Types = &[("cat", &["b:1"])];
    check(it, Event::Order(update(1, cat)), &["switch [cat]"]);
    check(it, Event::Order(order("lock", 2)), &[]);
    check(it, Event::Order(update(2, &[])), &[]);
    let both = ["ack update 1", "ack lock 2", "switch [cat]"];
    check(it, Event::Settled, &both);
    check(it, Event::Settled, &["ack update 2"]);
}

#[tokio::test(start_paused = true)]
async fn orders_out_of_order_are_ignored_or_end_the_stream() {
    let none: Types = &[];
    let stale = "close: the tables of version 4 are older than the lock of version 5";
    let mut garbled = update(0, none);
    #[allow(deprecated)]
    garbled
        .tables
        .iter_mut()
        .for_each(|it| it.version = "x".into());
    let garbage = "close: the version of the tables is no number";
    for (last, expected) in [
        (order("unlock", 5), &[][..]),
        (update(4, none), &[stale]),
        (order("report", 5), &["close: unknown operation \"report\""]),
        (order("", 5), &["close: unknown operation \"\""]),
        (garbled, &[garbage]),
    ] {
        let it = &mut machine();
        check(it, Event::Opened, &[]);
        check(it, Event::Order(order("lock", 5)), &["ack lock 5"]);
        check(it, Event::Order(last), expected);
        if !expected.is_empty() {
            check(it, Event::Order(order("lock", 6)), &[]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unlock_of_an_older_round_is_ignored() {
    let it = &mut machine();
    check(it, Event::Opened, &[]);
    check(it, Event::Order(order("lock", 5)), &["ack lock 5"]);
    check(it, Event::Order(update(5, &[])), &["switch []"]);
    check(it, Event::Settled, &["ack update 5"]);
    check(it, Event::Order(order("unlock", 4)), &[]);
    let unlock = ["release 5 []", "ack unlock 5"];
    check(it, Event::Order(order("unlock", 5)), &unlock);
    check(it, Event::Order(order("unlock", 5)), &[]);
}

#[tokio::test(start_paused = true)]
async fn versions_of_older_servers_are_in_the_tables() {
    let it = &mut machine();
    check(it, Event::Opened, &[]);
    check(it, Event::Order(order("lock", 0)), &["ack lock 0"]);
    let mut tables = update(0, &[("cat", &["b:1"])]);
    #[allow(deprecated)]
    tables
        .tables
        .iter_mut()
        .for_each(|it| it.version = "3".into());
    check(it, Event::Order(tables), &["switch [cat]"]);
    check(it, Event::Settled, &["ack update 0"]);
}

#[tokio::test(start_paused = true)]
async fn only_the_time_from_lock_to_update_is_limited() {
    let it = &mut machine();
    check(it, Event::Opened, &[]);
    assert_eq!(it.deadline(), None);
    check(it, Event::Order(order("lock", 1)), &["ack lock 1"]);
    tokio::time::advance(LIMIT / 2).await;
    check(it, Event::Due, &[]);
    check(it, Event::Order(order("lock", 2)), &["ack lock 2"]);
    assert_eq!(it.deadline(), Some(Instant::now() + LIMIT));
    tokio::time::advance(LIMIT).await;
    let late = "close: no tables within the dissemination timeout for version 2";
    check(it, Event::Due, &[late]);
    check(it, Event::Opened, &[]);
    check(it, Event::Order(order("lock", 1)), &["ack lock 1"]);
    check(it, Event::Order(update(1, &[])), &["switch []"]);
    assert_eq!(it.deadline(), None);
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_stream_blocked_is_not_blocked_in_the_next() {
    let it = &mut machine();
    let types: Types = &[("cat", &["b:1"]), ("dog", &["a:1", "b:1"])];
    check(it, Event::Opened, &[]);
    check(it, Event::Order(update(9, types)), &["switch [cat dog]"]);
    check(it, Event::Lost, &[]);
    check(it, Event::Settled, &[]);
    check(it, Event::Opened, &[]);
    // Actors of the own types may still live elsewhere, until all sidecars have the tables.
    check(it, Event::Order(update(1, types)), &["switch [dog]"]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_orders_ends_the_stream() {
    let it = &mut machine();
    check(it, Event::Opened, &[]);
    check(it, Event::Order(update(1, &[])), &["switch []"]);
    for version in 0..MOST_WAITING {
        check(it, Event::Order(order("lock", version as u64)), &[]);
    }
    let flood = "close: more than 64 orders wait";
    check(it, Event::Order(order("lock", 99)), &[flood]);
}

/// What may happen next.
#[derive(Clone, Debug)]
enum Step {
    Open,
    Lose,
    Settle,
    Wait(u64),
    Lock(u64),
    Update(u64, Vec<(usize, u8)>),
    Unlock(u64),
    Garbage,
    Lookup(usize),
    Leave(usize),
}

const KINDS: [&str; 4] = ["cat", "dog", "emu", "fox"];
const HOSTS: [&str; 3] = ["a:1", "b:1", "c:1"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let version = 0_u64..4;
    let types = proptest::collection::vec((0..KINDS.len(), 0_u8..8), 0..4);
    let step = prop_oneof![
        2 => Just(Step::Open),
        1 => Just(Step::Lose),
        4 => Just(Step::Settle),
        1 => (0_u64..40).prop_map(Step::Wait),
        4 => version.clone().prop_map(Step::Lock),
        4 => (version.clone(), types).prop_map(|(version, types)| Step::Update(version, types)),
        4 => version.prop_map(Step::Unlock),
        1 => Just(Step::Garbage),
        8 => (0..KINDS.len()).prop_map(Step::Lookup),
        2 => (0_usize..8).prop_map(Step::Leave),
    ];
    proptest::collection::vec(step, 0..60)
}

fn update_of(version: u64, types: &[(usize, u8)]) -> PlacementOrder {
    let mut tables = tables(&[]);
    for (kind, hosts) in types {
        let hosts: Vec<&str> = (0..HOSTS.len())
            .filter(|bit| hosts & (1 << bit) != 0)
            .map(|bit| HOSTS[bit])
            .collect();
        let one = super::super::testing::tables(&[(KINDS[*kind], &hosts)]);
        tables.entries.extend(one.entries);
    }
    PlacementOrder {
        tables: Some(tables),
        ..order("update", version)
    }
}

/// The loop around the machine, with calls that hold claims.
struct Sidecar {
    machine: Dissemination,
    claims: Claims,
    now: Instant,
    open: bool,
    settling: bool,
    /// Calls under way, by what their claim is of.
    calls: Vec<(&'static str, Claim)>,
}

impl Sidecar {
    fn on(&mut self, event: Event) {
        for effect in self.machine.on(event, self.now) {
            match effect {
                Effect::Ack { operation, .. } => {
                    assert!(self.open, "nothing is sent without a stream");
                    let update = operation == HostOperation::Update;
                    assert!(!update || !self.settling, "acks come when all is done");
                }
                Effect::Switch { tables, blocked } => {
                    assert!(self.open && !self.settling);
                    self.settling = true;
                    self.claims.switch(&tables, &blocked);
                    for kind in KINDS {
                        let waits = self.lookup(kind).is_none();
                        assert_eq!(waits, blocked.contains(kind), "{kind}");
                    }
                    for (kind, claim) in &self.calls {
                        let local = tables.is_local(kind, "1") && !blocked.contains(*kind);
                        assert!(local || self.is_leaving(claim), "{kind} is not drained");
                    }
                }
                Effect::Release { .. } => {
                    assert!(self.open && !self.settling);
                    self.claims.release();
                    for kind in KINDS {
                        assert!(self.lookup(kind).is_some(), "{kind} stays blocked");
                    }
                }
                Effect::Close(_) => {
                    assert!(self.open);
                    self.lose();
                }
            }
        }
    }

    fn is_leaving(&self, claim: &Claim) -> bool {
        self.claims
            .leaving()
            .iter()
            .any(|it| claim.is_behind(&it.gate))
    }

    fn lookup(&self, kind: &'static str) -> Option<Option<Claim>> {
        let found = self.claims.lookup(&Actor::new(kind, "1")).now_or_never();
        found.map(Result::ok)
    }

    fn lose(&mut self) {
        self.open = false;
        self.settling = false;
        self.machine.on(Event::Lost, self.now);
        self.claims.lose();
        for (kind, claim) in &self.calls {
            assert!(self.is_leaving(claim), "{kind} is not drained");
        }
        // The drain ends before the next stream begins.
        self.calls.clear();
        assert!(self.claims.lose().is_empty());
        assert!(KINDS.iter().all(|kind| self.lookup(kind).is_none()));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open if !self.open => {
                self.open = true;
                self.on(Event::Opened);
            }
            Step::Lose if self.open => self.lose(),
            Step::Settle if self.settling => {
                self.settling = false;
                let leaving = self.claims.leaving();
                let stays = |claim: &Claim| !leaving.iter().any(|it| claim.is_behind(&it.gate));
                self.calls.retain(|(_, claim)| stays(claim));
                self.on(Event::Settled);
            }
            Step::Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.on(Event::Due);
            }
            Step::Lookup(kind) => {
                // Claims of others' actors hold nothing.
                if let Some(Some(claim)) = self.lookup(KINDS[kind])
                    && claim.owner == Owner::Local
                {
                    self.calls.push((KINDS[kind], claim));
                }
            }
            Step::Leave(call) if call < self.calls.len() => drop(self.calls.swap_remove(call)),
            Step::Lock(version) if self.open => self.on(Event::Order(order("lock", version))),
            Step::Unlock(version) if self.open => self.on(Event::Order(order("unlock", version))),
            Step::Update(version, types) if self.open => {
                self.on(Event::Order(update_of(version, &types)));
            }
            Step::Garbage if self.open => self.on(Event::Order(order("UNLOCK", 1))),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn in_any_order_of_messages_nothing_stays_blocked_and_every_claim_ends(steps in steps()) {
        let mut it = Sidecar {
            machine: machine(),
            claims: Claims::default(),
            now: Instant::now(),
            open: false,
            settling: false,
            calls: Vec::new(),
        };
        for step in steps {
            it.step(step);
        }
        it.step(Step::Lose);
        it.step(Step::Open);
        let all = (0..KINDS.len()).map(|kind| (kind, 3)).collect();
        for step in [Step::Lock(1), Step::Update(1, all), Step::Settle, Step::Unlock(1)] {
            it.step(step);
        }
        for kind in KINDS {
            prop_assert!(it.lookup(kind).flatten().is_some(), "{kind} is not found");
        }
    }
}
