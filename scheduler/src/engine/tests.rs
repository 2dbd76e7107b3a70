use std::time::Duration;

use proto::dapr::scheduler::v1::Job;
use service::metrics::Registry;

use super::gates::Share;
use super::model::{Shelf, about, payload, put};
use super::*;

/// An engine whose store answers at once.
struct Bench {
    engine: Engine,
    shelf: Shelf,
    now: Timestamp,
    sent: Vec<(StreamId, WatchJobsResponse)>,
    closed: Vec<StreamId>,
}

impl Bench {
    fn new() -> Self {
        Self {
            engine: Engine::new(Metrics::new(&Registry::new(&[]))),
            shelf: Shelf::default(),
            now: Timestamp::from_second(1_000_000_000).unwrap(),
            sent: Vec::new(),
            closed: Vec::new(),
        }
    }

    fn on(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.engine.on(event, self.now) {
                match effect {
                    Effect::Load(job, key) => {
                        events.push(Event::Loaded(job, self.shelf.get(&key).map(Box::new)));
                    }
                    Effect::Write(job, command) => {
                        let (outcome, change) = self.shelf.apply(command);
                        events.push(Event::Written(job, outcome));
                        events.extend(change.map(Event::Change));
                    }
                    Effect::Close(id) => self.closed.push(id),
                    Effect::Deliver(id, message) => self.sent.push((id, *message)),
                }
            }
        }
    }

    fn schedule(&mut self, target: &Target, name: &str, gate: Option<&str>, job: Job) {
        let command = put(name, &about(target, gate), job, self.now);
        if let (_, Some(change)) = self.shelf.apply(command) {
            self.on(Event::Change(change));
        }
    }

    fn join(&mut self, id: StreamId, target: &Target, limits: &[(Option<&str>, u32)]) {
        let limit = |(name, most): &(Option<&str>, u32)| Limit {
            target: target.clone(),
            name: name.map(str::to_owned),
            most: *most,
        };
        let watch = Watch {
            targets: vec![target.clone()],
            limits: limits.iter().map(limit).collect(),
        };
        self.on(Event::Joined(id, watch));
    }

    fn result(&mut self, stream: StreamId, trigger: u64, success: bool) {
        self.on(Event::Result {
            stream,
            trigger,
            success,
        });
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.on(Event::Tick);
    }

    /// What was delivered since the last time: stream, number and name.
    fn delivered(&mut self) -> Vec<(StreamId, u64, String)> {
        let sent = std::mem::take(&mut self.sent);
        sent.into_iter().map(|(id, m)| (id, m.id, m.name)).collect()
    }
}

fn app() -> Target {
    Target::App {
        namespace: "ns".into(),
        app_id: "app".into(),
    }
}

fn actor() -> Target {
    Target::Actor {
        namespace: "ns".into(),
        kind: "kind".into(),
    }
}

fn due_in(time: &str) -> Job {
    Job {
        due_time: Some(time.into()),
        data: payload("data"),
        ..Job::default()
    }
}

fn sent(list: &[(StreamId, u64, &str)]) -> Vec<(StreamId, u64, String)> {
    let sent = list
        .iter()
        .map(|(s, id, name)| (*s, *id, (*name).to_owned()));
    sent.collect()
}

#[test]
fn a_job_waits_for_its_time_and_takes_its_data_along() {
    let mut bench = Bench::new();
    bench.join(1, &app(), &[]);
    bench.schedule(&app(), "once", None, due_in("2s"));
    bench.pass(1999);
    assert!(bench.sent.is_empty());
    bench.pass(1);
    let (_, message) = &bench.sent[0];
    assert_eq!(message.data, payload("data"));
    assert_eq!(message.metadata, Some(about(&app(), None)));
    assert_eq!(bench.delivered(), sent(&[(1, 1, "once")]));
    bench.result(1, 1, true);
    assert!(bench.shelf.jobs.is_empty(), "it has run its course");
}

#[test]
fn missed_ticks_come_one_after_the_other() {
    let mut bench = Bench::new();
    let job = Job {
        schedule: Some("@every 1s".into()),
        repeats: Some(3),
        ..Job::default()
    };
    bench.schedule(&app(), "often", None, job);
    bench.pass(60_000);
    bench.join(1, &app(), &[]);
    for trigger in 1..=3 {
        assert_eq!(bench.delivered(), sent(&[(1, trigger, "often")]));
        bench.result(1, trigger, true);
    }
    bench.pass(60_000);
    assert!(bench.delivered().is_empty() && bench.shelf.jobs.is_empty());
}

#[test]
fn a_failure_is_tried_again_three_times_a_second_apart() {
    let mut bench = Bench::new();
    bench.join(1, &app(), &[]);
    bench.schedule(&app(), "bad", None, due_in("0s"));
    for trigger in 1..=4 {
        assert_eq!(bench.delivered(), sent(&[(1, trigger, "bad")]));
        bench.result(1, trigger, false);
        bench.pass(999);
        assert!(bench.delivered().is_empty());
        bench.pass(1);
    }
    assert!(bench.delivered().is_empty());
    assert!(bench.shelf.jobs.is_empty(), "the tick was given up");
}

#[test]
fn streams_of_a_target_take_turns_and_what_one_leaves_goes_to_another() {
    let mut bench = Bench::new();
    bench.join(1, &app(), &[]);
    bench.join(2, &app(), &[]);
    for name in ["a", "b", "c"] {
        bench.schedule(&app(), name, None, due_in("0s"));
    }
    assert_eq!(
        bench.delivered(),
        sent(&[(1, 1, "a"), (2, 1, "b"), (1, 2, "c")])
    );
    bench.on(Event::Left(1));
    let mut moved: Vec<_> = bench
        .delivered()
        .into_iter()
        .map(|(id, _, name)| (id, name))
        .collect();
    moved.sort();
    assert_eq!(moved, [(2, "a".to_owned()), (2, "c".to_owned())]);
}

#[test]
fn a_result_of_an_unknown_trigger_ends_its_stream() {
    let mut bench = Bench::new();
    bench.join(1, &app(), &[]);
    bench.result(1, 7, true);
    assert_eq!(bench.closed, [1]);
    bench.schedule(&app(), "a", None, due_in("0s"));
    assert!(bench.delivered().is_empty());
}

#[test]
fn a_job_that_is_overwritten_while_its_trigger_is_open_begins_anew() {
    let mut bench = Bench::new();
    bench.join(1, &app(), &[]);
    bench.schedule(&app(), "a", None, due_in("0s"));
    bench.schedule(&app(), "a", None, due_in("1s"));
    assert_eq!(bench.delivered(), sent(&[(1, 1, "a")]));
    bench.result(1, 1, true);
    assert!(bench.closed.is_empty(), "the former version is no fault");
    assert_eq!(bench.shelf.jobs.len(), 1);
    bench.pass(1000);
    assert_eq!(bench.delivered(), sent(&[(1, 2, "a")]));
}

#[test]
fn a_stream_that_does_not_keep_up_holds_nobody_up() {
    let mut bench = Bench::new();
    bench.join(1, &app(), &[]);
    bench.schedule(&app(), "a", None, due_in("0s"));
    assert_eq!(bench.delivered(), sent(&[(1, 1, "a")]));
    bench.on(Event::Full(1, 1));
    bench.schedule(&app(), "b", None, due_in("0s"));
    assert!(bench.delivered().is_empty());
    bench.join(2, &app(), &[]);
    let names: Vec<_> = bench.delivered().into_iter().map(|(id, ..)| id).collect();
    assert_eq!(names, [2, 2]);
    bench.on(Event::Room(1));
    bench.schedule(&app(), "c", None, due_in("0s"));
    bench.schedule(&app(), "d", None, due_in("0s"));
    let mut turns: Vec<_> = bench.delivered().into_iter().map(|(id, ..)| id).collect();
    turns.sort_unstable();
    assert_eq!(turns, [1, 2]);
}

#[test]
fn gates_let_as_many_through_as_both_limits_say() {
    let mut bench = Bench::new();
    bench.join(1, &actor(), &[(None, 3), (Some("x"), 1)]);
    for (name, gate) in [("a", "x"), ("b", "x"), ("c", "y"), ("d", "y"), ("e", "y")] {
        bench.schedule(&actor(), name, Some(gate), due_in("0s"));
    }
    // b waits for x, e for the type.
    assert_eq!(
        bench.delivered(),
        sent(&[(1, 1, "a"), (1, 2, "c"), (1, 3, "d")])
    );
    bench.result(1, 2, true);
    assert_eq!(bench.delivered(), sent(&[(1, 4, "e")]));
    bench.result(1, 1, true);
    assert_eq!(bench.delivered(), sent(&[(1, 5, "b")]));
    for trigger in [3, 4, 5] {
        bench.result(1, trigger, true);
    }
    assert!(bench.delivered().is_empty() && bench.shelf.jobs.is_empty());
}

#[test]
fn a_gate_without_streams_is_gone_and_lets_go_who_waited() {
    let mut bench = Bench::new();
    bench.join(1, &actor(), &[(None, 1)]);
    bench.join(2, &actor(), &[]);
    bench.schedule(&actor(), "a", None, due_in("0s"));
    bench.schedule(&actor(), "b", None, due_in("0s"));
    assert_eq!(bench.delivered().len(), 1);
    bench.on(Event::Left(1));
    let on_two = bench.delivered();
    assert!(on_two.iter().all(|(id, ..)| *id == 2), "{on_two:?}");
    assert!(on_two.iter().any(|(_, _, name)| name == "b"), "{on_two:?}");
}

#[test]
fn schedulers_share_a_limit() {
    for (limit, index, total, expected) in
        [(10, 0, 1, 10), (10, 0, 3, 4), (10, 1, 3, 3), (2, 2, 3, 1)]
    {
        assert_eq!(Share { index, total }.of(limit), expected);
    }
    let mut bench = Bench::new();
    bench.on(Event::Share(0, 2));
    bench.join(1, &actor(), &[(None, 4)]);
    for n in 0..5 {
        bench.schedule(&actor(), &n.to_string(), None, due_in("0s"));
    }
    assert_eq!(bench.delivered().len(), 2);
    bench.on(Event::Share(0, 1));
    assert_eq!(bench.delivered().len(), 2);
}

#[test]
fn a_job_takes_little_memory() {
    assert!(size_of::<jobs::Job>() <= 56);
}

#[test]
fn when_the_share_ends_nothing_new_fires_and_what_is_open_is_counted() {
    let mut bench = Bench::new();
    bench.join(1, &app(), &[]);
    bench.schedule(&app(), "open", None, due_in("1s"));
    bench.pass(1000);
    assert_eq!(bench.delivered(), sent(&[(1, 1, "open")]));
    bench.schedule(&app(), "next", None, due_in("1s"));
    let token = tokio_util::sync::CancellationToken::new();
    let open = Arc::new(token.drop_guard());
    bench.on(Event::Change(Change::Ending(open)));
    bench.pass(1000);
    assert_eq!(bench.delivered(), []);
    assert_eq!(bench.engine.wake_at(), None);
    assert!(!bench.engine.is_quiet());
    bench.result(1, 1, true);
    assert!(bench.engine.is_quiet());
    assert_eq!(
        bench.shelf.get(&"app||ns||app||open".into()),
        None,
        "it is over"
    );
    // The share begins anew, perhaps with the same job.
    let next = bench.shelf.get(&"app||ns||app||next".into()).unwrap();
    bench.on(Event::Change(Change::Reset));
    bench.on(Event::Change(Change::Put(next)));
    assert_eq!(bench.delivered(), sent(&[(1, 2, "next")]));
}

#[test]
fn a_job_that_is_being_read_when_the_share_ends_does_not_fire() {
    let mut bench = Bench::new();
    bench.join(1, &app(), &[]);
    bench.schedule(&app(), "read", None, due_in("1s"));
    bench.now += Duration::from_secs(1);
    let effects = bench.engine.on(Event::Tick, bench.now);
    let [Effect::Load(job, key)] = &effects[..] else {
        panic!("{effects:?}");
    };
    bench.engine.on(Event::Ending, bench.now);
    let record = bench.shelf.get(key).map(Box::new);
    bench.on(Event::Loaded(*job, record));
    assert_eq!(bench.delivered(), []);
    assert!(bench.engine.is_quiet());
}
