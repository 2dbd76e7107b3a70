use std::time::Duration;

use proto::dapr::placement::v1::Host;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(8);
const WINDOW: Duration = Duration::from_millis(200);
const BLINK: Duration = Duration::from_millis(1);

pub(super) fn timing(timeout: Duration, window: Duration) -> Timing {
    Timing { timeout, window }
}

/// What stream `id` reports that hosts the types whose bits are set.
pub(super) fn host_of(id: StreamId, types: u8) -> Report {
    let entities = (0..8).filter(|bit| types & (1 << bit) != 0);
    Report::new(Host {
        name: format!("10.0.0.{id}:1"),
        id: id.to_string(),
        namespace: "default".into(),
        entities: entities.map(|bit| format!("type{bit}")).collect(),
        ..Host::default()
    })
}

/// Rounds that are told one event after the other.
struct Script {
    rounds: Rounds,
    now: Instant,
}

impl Script {
    fn new(window: Duration) -> Self {
        let now = Instant::now();
        let rounds = Rounds::new(timing(TIMEOUT, window), now);
        Self { rounds, now }
    }

    fn on(&mut self, event: Event) -> String {
        self.all([event])
    }

    /// What follows, such as `lock 1 -> 0 1; close 2`.
    fn all(&mut self, events: impl IntoIterator<Item = Event>) -> String {
        let effects = self.rounds.on(events, self.now);
        let shown = effects.iter().map(|effect| match effect {
            Effect::Send { to, order } => {
                let to: Vec<_> = to.iter().map(u64::to_string).collect();
                let operation = order.operation.to_string().to_lowercase();
                format!("{operation} {} -> {}", order.version, to.join(" "))
            }
            Effect::Close { stream, silence } => {
                let Silence {
                    version,
                    state,
                    expected,
                } = silence;
                format!("close {stream} at {version} {state}, not {expected}")
            }
        });
        shown.collect::<Vec<_>>().join("; ")
    }

    fn join(&mut self, id: StreamId, types: u8) -> String {
        self.on(Event::Joined(id, host_of(id, types)))
    }

    fn leave(&mut self, id: StreamId) -> String {
        self.on(Event::Left(id))
    }

    fn report(&mut self, id: StreamId, types: u8) -> String {
        self.on(said(id, Kind::Report(host_of(id, types)), None))
    }

    fn ack(&mut self, id: StreamId, phase: Phase) -> String {
        let version = self.rounds.version();
        self.on(said(id, Kind::Ack(phase), Some(version)))
    }

    fn later(&mut self, by: Duration) -> String {
        self.now += by;
        self.all([])
    }

    /// Ends a round of these streams, which has begun.
    fn finish(&mut self, ids: &[StreamId]) -> String {
        let mut last = String::new();
        for phase in [Phase::Lock, Phase::Update, Phase::Unlock] {
            for id in ids {
                last = self.ack(*id, phase);
            }
        }
        last
    }

    fn ids(&self) -> Vec<&str> {
        self.rounds.hosts().map(|h| h.host().id.as_str()).collect()
    }
}

fn said(id: StreamId, kind: Kind, version: Option<u64>) -> Event {
    Event::Said(id, Message { kind, version })
}

#[test]
fn each_step_waits_for_everybody() {
    let mut s = Script::new(Duration::ZERO);
    assert_eq!(s.join(0, 1), "lock 1 -> 0");
    s.finish(&[0]);
    assert_eq!(s.join(1, 1), "lock 2 -> 0 1");
    assert_eq!(s.ack(0, Phase::Lock), "");
    assert_eq!(s.ack(0, Phase::Lock), "");
    assert_eq!(s.ack(1, Phase::Lock), "update 2 -> 0 1");
    assert_eq!(s.ack(1, Phase::Update), "");
    assert_eq!(s.ack(0, Phase::Update), "unlock 2 -> 0 1");
    assert_eq!(s.ack(0, Phase::Unlock), "");
    assert_eq!(s.ack(1, Phase::Unlock), "");
    assert_eq!(s.rounds.next(), None);
}

#[test]
fn acknowledgements_of_other_versions_and_steps_do_not_count() {
    let mut s = Script::new(Duration::ZERO);
    s.join(0, 1);
    assert_eq!(s.ack(0, Phase::Unlock), "");
    assert_eq!(s.ack(0, Phase::Update), "");
    assert_eq!(s.on(said(0, Kind::Ack(Phase::Lock), Some(0))), "");
    assert_eq!(s.on(said(7, Kind::Ack(Phase::Lock), Some(1))), "");
    assert_eq!(s.on(said(0, Kind::Report(host_of(0, 2)), Some(0))), "");
    assert_eq!(
        s.on(said(0, Kind::Ack(Phase::Lock), Some(1))),
        "update 1 -> 0"
    );
}

#[test]
fn only_changed_types_ids_and_namespaces_are_changes() {
    let mut s = Script::new(Duration::ZERO);
    s.join(0, 3);
    s.finish(&[0]);
    assert_eq!(s.report(0, 3), "");
    let mut moved = host_of(0, 3).host().clone();
    moved.name = "10.9.9.9:1".into();
    moved.entities.reverse();
    assert_eq!(s.on(said(0, Kind::Report(Report::new(moved)), None)), "");
    assert_eq!(s.report(0, 1), "lock 2 -> 0");
    s.finish(&[0]);
    assert_eq!(s.report(0, 0), "lock 3 -> 0");
    s.finish(&[0]);
    assert_eq!(s.ids(), [""; 0]);
    assert_eq!(s.report(0, 0), "");
}

#[test]
fn a_changed_report_restarts_the_round_at_once() {
    let mut s = Script::new(Duration::ZERO);
    s.join(0, 1);
    s.finish(&[0]);
    s.join(1, 1);
    s.ack(0, Phase::Lock);
    s.ack(1, Phase::Lock);
    assert_eq!(s.report(0, 2), "lock 3 -> 0 1");
    assert_eq!(s.on(said(1, Kind::Ack(Phase::Update), Some(2))), "");
    assert_eq!(s.finish(&[0, 1]), "");
    assert_eq!(s.rounds.next(), None);
}

#[test]
fn changes_that_come_together_make_one_round() {
    let mut s = Script::new(Duration::ZERO);
    let joins = [0, 1, 2].map(|id| Event::Joined(id, host_of(id, 1)));
    assert_eq!(s.all(joins), "lock 1 -> 0 1 2");
    let changes = [0, 1, 2].map(|id| said(id, Kind::Report(host_of(id, 2)), None));
    assert_eq!(s.all(changes), "lock 2 -> 0 1 2");
}

#[test]
fn a_stream_without_types_gets_the_table_alone_and_is_not_waited_for() {
    let mut s = Script::new(Duration::ZERO);
    assert_eq!(s.join(0, 0), "lock 0 -> 0; update 0 -> 0; unlock 0 -> 0");
    assert_eq!(s.rounds.next(), None);
    assert_eq!(s.join(1, 1), "lock 1 -> 0 1");
    s.finish(&[0, 1]);
    assert_eq!(s.join(2, 0), "lock 1 -> 2; update 1 -> 2; unlock 1 -> 2");
    assert_eq!(s.ack(2, Phase::Lock), "");
}

#[test]
fn who_leaves_in_the_middle_is_not_waited_for() {
    // One with types, and one without.
    for types in [1, 0] {
        for phase in [Phase::Lock, Phase::Update, Phase::Unlock] {
            let mut s = Script::new(Duration::ZERO);
            s.join(0, 1);
            s.finish(&[0]);
            s.join(1, types);
            if types == 0 {
                s.report(0, 2);
            }
            for before in [Phase::Lock, Phase::Update] {
                if before as u8 >= phase as u8 {
                    break;
                }
                s.ack(0, before);
                s.ack(1, before);
            }
            s.ack(0, phase);
            let next = match (phase, types) {
                (Phase::Lock, _) => "update 2 -> 0",
                (Phase::Update, _) => "unlock 2 -> 0",
                // The closing has its own round.
                (_, 1) => "lock 3 -> 0",
                _ => "",
            };
            assert_eq!(s.leave(1), next, "{types} {phase}");
        }
    }
}

#[test]
fn after_a_round_those_that_closed_come_before_those_that_came() {
    let mut s = Script::new(Duration::ZERO);
    s.all([0, 1].map(|id| Event::Joined(id, host_of(id, 1))));
    s.finish(&[0, 1]);
    s.report(0, 2);
    for event in [
        Event::Left(1),
        Event::Joined(2, host_of(2, 1)),
        Event::Joined(3, host_of(3, 0)),
    ] {
        assert_eq!(s.on(event), "");
    }
    assert_eq!(s.ids(), ["0", "1"]);
    assert_eq!(s.finish(&[0]), "lock 3 -> 0");
    assert_eq!(s.ids(), ["0"]);
    assert_eq!(s.finish(&[0]), "lock 4 -> 0 2 3");
    assert_eq!(s.ids(), ["0", "2"]);
}

#[test]
fn a_waiting_stream_is_taken_as_it_is_by_then() {
    let mut s = Script::new(Duration::ZERO);
    s.join(0, 1);
    s.join(1, 1);
    s.join(2, 1);
    assert_eq!(s.report(1, 4), "");
    assert_eq!(s.leave(2), "");
    assert_eq!(s.finish(&[0]), "lock 2 -> 0 1");
    let types = |host: &Report| host.host().entities.clone();
    assert_eq!(types(s.rounds.hosts().last().unwrap()), ["type2"]);
}

#[test]
fn a_round_without_streams_ends_by_itself() {
    let mut s = Script::new(Duration::ZERO);
    s.join(0, 1);
    s.join(1, 1);
    assert_eq!(s.leave(0), "lock 3 -> 1");
    s.finish(&[1]);
    assert_eq!(s.leave(1), "");
    assert!(s.rounds.is_empty());
}

#[test]
fn silent_streams_are_closed_and_the_rest_begins_anew() {
    let mut s = Script::new(Duration::ZERO);
    s.all([0, 1, 2].map(|id| Event::Joined(id, host_of(id, 1))));
    s.ack(0, Phase::Lock);
    s.ack(1, Phase::Lock);
    s.leave(1);
    s.join(3, 1);
    assert_eq!(s.later(TIMEOUT - BLINK), "");
    assert_eq!(s.rounds.next(), Some(s.now + BLINK));
    assert_eq!(
        s.later(BLINK),
        "close 2 at 1 REPORT, not LOCK; lock 2 -> 0 3"
    );
    assert_eq!(s.ids(), ["0", "3"]);
    assert_eq!(s.leave(2), "");
    s.ack(0, Phase::Lock);
    s.ack(3, Phase::Lock);
    s.ack(3, Phase::Update);
    // The time is that of the whole round.
    assert_eq!(
        s.later(TIMEOUT),
        "close 0 at 2 LOCK, not UPDATE; lock 3 -> 3"
    );
}

#[test]
fn who_is_silent_is_closed_also_when_reports_keep_changing() {
    let mut s = Script::new(Duration::ZERO);
    s.all([0, 1].map(|id| Event::Joined(id, host_of(id, 1))));
    s.join(2, 1);
    let mut closed = Duration::ZERO;
    for change in 0.. {
        assert!(closed < TIMEOUT * 2, "it is never closed");
        s.ack(0, Phase::Lock);
        closed += TIMEOUT / 8;
        let effects = s.later(TIMEOUT / 8) + &s.report(0, 2 + change % 2);
        if effects.contains("close 1") {
            assert!(effects.contains("-> 0 2"), "{effects}");
            break;
        }
    }
    assert_eq!(closed, TIMEOUT);
}

#[test]
fn reports_that_keep_changing_keep_nobody_out() {
    let mut s = Script::new(Duration::ZERO);
    s.all([0, 1].map(|id| Event::Joined(id, host_of(id, 1))));
    s.join(2, 1);
    for change in 0..8 {
        s.ack(0, Phase::Lock);
        s.report(1, 2 + change % 2);
        s.ack(1, Phase::Lock);
        s.later(TIMEOUT / 8);
    }
    assert!(s.report(1, 4).ends_with("-> 0 1 2"));
}

#[test]
fn changes_within_the_window_make_one_round() {
    let mut s = Script::new(WINDOW);
    assert_eq!(s.join(0, 1), "lock 1 -> 0");
    s.finish(&[0]);
    assert_eq!(s.join(1, 1), "");
    assert_eq!(s.join(2, 0), "");
    assert_eq!(s.leave(0), "");
    assert_eq!(s.rounds.next(), Some(s.now + WINDOW));
    assert_eq!(s.later(WINDOW - BLINK), "");
    assert_eq!(s.later(BLINK), "lock 2 -> 1 2");
    assert_eq!(s.ids(), ["1"]);
    s.finish(&[1, 2]);
    // A change of a known stream does not wait, and takes along who waits.
    assert_eq!(s.join(3, 1), "");
    assert_eq!(s.report(1, 2), "lock 3 -> 1 2 3");
    s.finish(&[1, 2, 3]);
    // Once the window is over the first event counts at once again.
    assert_eq!(s.later(WINDOW * 2), "");
    assert_eq!(s.leave(3), "lock 4 -> 1 2");
}

#[test]
fn an_unknown_operation_counts_for_what_is_expected() {
    let mut s = Script::new(Duration::ZERO);
    let beat = |types| said(0, Kind::Unknown(host_of(0, types)), None);
    s.join(0, 1);
    assert_eq!(s.on(beat(1)), "update 1 -> 0");
    assert_eq!(s.on(beat(1)), "unlock 1 -> 0");
    assert_eq!(s.on(beat(1)), "");
    assert_eq!(s.on(beat(1)), "");
    assert_eq!(s.on(beat(2)), "lock 2 -> 0");
}
