use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn fire(id: u8, name: u8) -> Arc<Fire> {
    Arc::new(Fire {
        actor: Actor::new("cat", id.to_string()),
        name: name.to_string(),
        data: None,
        due_time: String::new(),
        period: String::new(),
        callback: String::new(),
        is_timer: true,
        skip_lock: false,
    })
}

fn plan(due: i64, period: &str, now: i64) -> Plan {
    Plan::new(&format!("{}s", due - now), period, "", at(now)).unwrap()
}

fn names(ticks: &[Tick]) -> Vec<&str> {
    ticks.iter().map(|tick| tick.fire.name.as_str()).collect()
}

#[test]
fn timers_of_an_actor_fire_one_after_the_other_in_due_order() {
    let mut book = Book::default();
    book.create(fire(1, 1), plan(1, "2s", 0));
    book.create(fire(1, 2), plan(2, "", 0));
    book.create(fire(2, 3), plan(2, "", 0));
    assert_eq!(book.next(), Some(at(1)));
    let first = book.due(at(10));
    assert_eq!(names(&first), ["1", "3"]);
    // Timer 1 is behind: it was due again at 3, after timer 2.
    let mut tick = book.done(&first[0], at(10)).tick.unwrap();
    let mut order = vec![tick.fire.name.clone()];
    while let Some(next) = book.done(&tick, at(10)).tick {
        tick = next;
        order.push(tick.fire.name.clone());
    }
    assert_eq!(order, ["2", "1", "1", "1", "1"]);
    assert_eq!(book.next(), Some(at(11)));
    assert_eq!(book.done(&first[1], at(10)).end, Some(End::Completed));
    assert_eq!(book.count("cat"), 1);
}

#[test]
fn a_parked_timer_that_is_deleted_or_replaced_does_not_fire() {
    let mut book = Book::default();
    for name in 1..=3 {
        book.create(fire(1, name), plan(i64::from(name), "", 0));
    }
    let slow = book.due(at(5)).remove(0);
    assert!(book.delete(&slow.fire.actor, "2"));
    book.create(fire(1, 3), plan(9, "", 5));
    assert!(book.done(&slow, at(6)).tick.is_none());
    assert_eq!(names(&book.due(at(9))), ["3"]);
}

#[test]
fn a_timer_that_was_replaced_while_it_fired_goes_on_as_the_new_one() {
    let mut book = Book::default();
    book.create(fire(1, 1), plan(0, "1s", 0));
    let tick = book.due(at(0)).remove(0);
    book.create(fire(1, 1), plan(7, "", 0));
    let done = book.done(&tick, at(1));
    assert!(done.end.is_none() && done.tick.is_none());
    assert_eq!(book.next(), Some(at(7)));
    let tick = book.due(at(7)).remove(0);
    assert!(book.delete(&tick.fire.actor, "1"));
    assert!(!book.delete(&tick.fire.actor, "1"));
    assert!(book.done(&tick, at(7)).end.is_none());
    assert!(book.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8, u8, i64, &'static str),
    Delete(u8, u8),
    Done(prop::sample::Index),
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let period = prop_oneof![Just(""), Just("1s"), Just("R2/PT3S")];
    let step = prop_oneof![
        3 => (0..3u8, 0..3u8, 0..6i64, period).prop_map(|(a, n, d, p)| Step::Create(a, n, d, p)),
        1 => (0..3u8, 0..3u8).prop_map(|(a, n)| Step::Delete(a, n)),
        3 => any::<prop::sample::Index>().prop_map(Step::Done),
        2 => (0..5i64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..100)
}

proptest! {
    #[test]
    fn no_actor_has_two_ticks_and_no_timer_is_lost(steps in steps()) {
        let mut book = Book::default();
        let mut now = 0;
        let mut firing: BTreeMap<Actor, Tick> = BTreeMap::new();
        let mut timers: BTreeSet<(Actor, String)> = BTreeSet::new();
        for step in steps {
            let mut ticks = Vec::new();
            match step {
                Step::Create(id, name, delay, period) => {
                    let fire = fire(id, name);
                    timers.insert((fire.actor.clone(), fire.name.clone()));
                    book.create(fire, plan(now + delay, period, now));
                }
                Step::Delete(id, name) => {
                    let Fire { actor, name, .. } = &*fire(id, name);
                    let known = timers.remove(&(actor.clone(), name.clone()));
                    prop_assert_eq!(book.delete(actor, name), known);
                }
                Step::Done(index) if !firing.is_empty() => {
                    let actors: Vec<Actor> = firing.keys().cloned().collect();
                    let tick = firing.remove(index.get(&actors)).unwrap();
                    let done = book.done(&tick, at(now));
                    if done.end.is_some() {
                        timers.remove(&(tick.fire.actor.clone(), tick.fire.name.clone()));
                    }
                    ticks.extend(done.tick);
                }
                Step::Done(_) => {}
                Step::Pass(seconds) => {
                    now += seconds;
                    ticks = book.due(at(now));
                }
            }
            for tick in ticks {
                prop_assert!(timers.contains(&(tick.fire.actor.clone(), tick.fire.name.clone())));
                let other = firing.insert(tick.fire.actor.clone(), tick);
                prop_assert!(other.is_none(), "one tick of an actor at once");
            }
            prop_assert_eq!(book.total(), timers.len());
            prop_assert_eq!(book.count("cat"), timers.len());
        }
        // Whoever is left fires, as long as somebody ends the ticks.
        for (actor, name) in timers {
            let far = at(now) + SignedDuration::from_hours(1);
            for tick in book.due(far) {
                firing.insert(tick.fire.actor.clone(), tick);
            }
            prop_assert!(firing.contains_key(&actor), "{actor} has {name}");
            book.delete(&actor, &name);
        }
        for tick in firing.into_values() {
            let mut next = Some(tick);
            while let Some(tick) = next {
                next = book.done(&tick, at(now)).tick;
            }
        }
        prop_assert!(book.is_empty());
    }
}
