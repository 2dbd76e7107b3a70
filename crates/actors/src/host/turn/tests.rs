use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const DEPTH: u32 = 3;

fn chain(name: u8) -> HeaderValue {
    HeaderValue::from(u16::from(name))
}

/// Drives the turns and keeps its own list of who is where.
#[derive(Default)]
struct Model {
    turns: Turns<u32>,
    next: u32,
    calls: BTreeMap<u32, Call>,
    /// Order in which entries were made, and that in which they got the turn.
    entered: Vec<u32>,
}

struct Call {
    place: Place,
    chain: Option<u8>,
    /// The first call of its entry.
    entry: u32,
    running: bool,
}

impl Model {
    fn enter(&mut self, name: Option<u8>) -> Result<u32, Refusal> {
        let id = self.next;
        self.next += 1;
        let mut waits = false;
        let bell = || {
            waits = true;
            id
        };
        let place = match name {
            None => self.turns.enter(bell),
            Some(name) => self.turns.reenter(chain(name), DEPTH, bell),
        }?;
        let joined = self
            .calls
            .values()
            .find(|c| name.is_some() && c.chain == name);
        let entry = joined.map_or(id, |c| c.entry);
        if entry == id {
            self.entered.push(id);
        }
        let call = Call {
            place,
            chain: name,
            entry,
            running: !waits,
        };
        self.calls.insert(id, call);
        Ok(id)
    }

    fn leave(&mut self, id: u32) {
        let call = self.calls.remove(&id).unwrap();
        for bell in self.turns.leave(call.place) {
            let call = self.calls.get_mut(&bell).expect("a bell of a living call");
            assert!(!call.running, "a bell is rung once");
            call.running = true;
        }
    }

    fn close(&mut self) {
        let mut failed = self.turns.close();
        failed.sort_unstable();
        let waiting: Vec<u32> = (self.calls.iter())
            .filter_map(|(id, c)| (!c.running).then_some(*id))
            .collect();
        assert_eq!(
            failed, waiting,
            "closing fails all who wait and nobody else"
        );
        for id in failed {
            self.leave(id);
        }
    }

    /// What holds after every step.
    fn check(&self) {
        let living: std::collections::BTreeSet<u32> =
            self.calls.values().map(|c| c.entry).collect();
        let first = self.entered.iter().find(|entry| living.contains(entry));
        for call in self.calls.values() {
            assert_eq!(
                call.running,
                Some(&call.entry) == first,
                "the first living entry has the turn, whole and alone"
            );
        }
        assert_eq!(self.turns.is_busy(), !self.calls.is_empty());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Enter(Option<u8>),
    Leave(prop::sample::Index),
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::option::of(0..4u8).prop_map(Step::Enter),
        3 => any::<prop::sample::Index>().prop_map(Step::Leave),
        1 => Just(Step::Close),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #[test]
    fn the_first_living_chain_has_the_turn_alone_whatever_happens(steps in steps()) {
        let mut model = Model::default();
        let mut closed = false;
        for step in steps {
            match step {
                Step::Enter(name) => {
                    let same = model.calls.values().filter(|c| name.is_some() && c.chain == name).count();
                    let expected = match (closed, same as u32 >= DEPTH) {
                        (true, _) => Err(Refusal::Closed),
                        (false, true) => Err(Refusal::StackDepth),
                        (false, false) => Ok(model.next),
                    };
                    prop_assert_eq!(model.enter(name), expected);
                }
                Step::Leave(_) if model.calls.is_empty() => {}
                // Of a call that runs its end, of another its cancellation.
                Step::Leave(index) => {
                    let ids: Vec<u32> = model.calls.keys().copied().collect();
                    model.leave(*index.get(&ids));
                }
                Step::Close => {
                    model.close();
                    closed = true;
                }
            }
            model.check();
        }
        let ids: Vec<u32> = model.calls.keys().copied().collect();
        for id in ids {
            model.leave(id);
            model.check();
        }
        prop_assert!(!model.turns.is_busy());
    }
}

#[test]
fn a_waiter_that_gives_up_leaves_the_running_turn_alone() {
    let mut model = Model::default();
    let [running, second, third] = [0, 1, 2].map(|_| model.enter(None).unwrap());
    model.leave(third);
    model.check();
    assert!(model.calls[&running].running && !model.calls[&second].running);
}

#[test]
fn a_call_refused_for_its_depth_does_not_stall_the_actor() {
    let mut model = Model::default();
    let nested = [0; 3].map(|_| model.enter(Some(1)).unwrap());
    assert_eq!(model.enter(Some(1)), Err(Refusal::StackDepth));
    let next = model.enter(None).unwrap();
    for id in nested {
        assert!(!model.calls[&next].running);
        model.leave(id);
    }
    assert!(model.calls[&next].running);
}

#[test]
fn calls_beside_the_turns_neither_wait_nor_are_waited_for() {
    let mut turns = Turns::<()>::default();
    let turn = turns.enter(|| panic!("nobody is before it")).unwrap();
    let beside = turns.beside().unwrap();
    assert!(turns.leave(turn).is_empty() && turns.is_busy());
    let turn = turns.enter(|| panic!("nobody is before it")).unwrap();
    turns.leave(beside);
    turns.leave(turn);
    assert!(!turns.is_busy());
    turns.close();
    assert_eq!(turns.beside(), Err(Refusal::Closed));
}

#[test]
fn a_type_with_no_depth_at_all_refuses_every_chain() {
    let mut turns = Turns::<()>::default();
    assert_eq!(turns.reenter(chain(1), 0, || ()), Err(Refusal::StackDepth));
    assert!(!turns.is_busy());
}
