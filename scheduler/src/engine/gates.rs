//! Limits to how many triggers of an actor type, or of a type and a name, are at
//! apps at once.
//!
//! A trigger passes the gate of its type and the gate of its type and name,
//! where they exist; one that cannot pass both waits.

use std::collections::{BTreeMap, HashMap};

use proto::dapr::scheduler::v1::ConcurrencyLimit;
use proto::dapr::scheduler::v1::concurrency_limit;

use super::gate::Gate;
use super::jobs::JobRef;
use crate::metrics::Metrics;
use crate::records::target::Target;

/// The most triggers that wait at one gate; what comes then counts as failed.
const MOST_PENDING: usize = 100_000;

/// A limit that a stream announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// An actor type of a namespace.
    pub(crate) target: Target,
    pub(crate) name: Option<String>,
    pub(crate) most: u32,
}

impl Limit {
    /// What a stream says; limits of zero and below, and of nothing, are none.
    pub(crate) fn of(namespace: &str, limit: &ConcurrencyLimit) -> Option<Self> {
        let most = u32::try_from(limit.max_concurrent).ok();
        let concurrency_limit::Target::Actor(actor) = limit.target.as_ref()?;
        Some(Self {
            target: Target::Actor {
                namespace: namespace.to_owned(),
                kind: actor.r#type.clone(),
            },
            name: limit.name.clone().filter(|name| !name.is_empty()),
            most: most.filter(|most| *most > 0)?,
        })
    }
}

/// The gates that a trigger went through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passes {
    of_type: Option<u64>,
    of_name: Option<u64>,
}

/// What happens at the gates.
#[derive(Debug)]
pub(super) enum Admission {
    Passed(Passes),
    /// It waits, and has this number.
    Waits(u64),
    /// Too many wait already.
    Full,
}

/// This scheduler's index among all, and their number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) index: u32,
    pub(super) total: u32,
}

impl Share {
    /// This scheduler's part of a limit.
    pub(super) fn of(self, most: u32) -> u32 {
        let rest = u32::from(self.index < most % self.total);
        (most / self.total + rest).max(1)
    }
}

#[derive(Debug)]
pub(super) struct Gates {
    groups: HashMap<Target, Group>,
    share: Share,
    /// Tells gates apart that come after one another, and is who waited longer.
    turn: u64,
    metrics: Metrics,
}

/// The gates of an actor type.
#[derive(Debug, Default)]
struct Group {
    gate: Option<Gate>,
    /// By name; the empty name has those that have none.
    lanes: BTreeMap<String, Lane>,
}

/// The triggers of one name: who waits for one does not hold up the others.
#[derive(Debug, Default)]
struct Lane {
    gate: Option<Gate>,
    waiting: BTreeMap<u64, JobRef>,
}

impl Gates {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            groups: HashMap::new(),
            share: Share { index: 0, total: 1 },
            turn: 0,
            metrics,
        }
    }

    pub(super) fn set_share(&mut self, share: Share) {
        self.share = share;
    }

    /// A stream announces limits; the last to do so wins.
    pub(super) fn join(&mut self, limits: &[Limit]) {
        for limit in limits {
            self.turn += 1;
            let group = self.groups.entry(limit.target.clone()).or_default();
            let gate = group.gate_mut(limit.name.as_deref());
            let gate = gate.get_or_insert_with(|| Gate::new(self.turn, &self.metrics, limit));
            gate.streams += 1;
            gate.most = limit.most;
        }
    }

    /// A stream's limits go; answers who waited at gates that went with them.
    pub(super) fn leave(&mut self, limits: &[Limit]) -> Vec<JobRef> {
        let mut waited = Vec::new();
        for limit in limits {
            let Some(group) = self.groups.get_mut(&limit.target) else {
                continue;
            };
            let gate = group.gate_mut(limit.name.as_deref());
            if let Some(gone) = gate.take_if(|gate| gate.leave()) {
                gone.clear();
                waited.extend(match &limit.name {
                    None => group.take_waiting(),
                    Some(_) if group.gate.is_some() => Vec::new(),
                    Some(name) => group.take_lane(name),
                });
            }
            let used = |lane: &Lane| lane.gate.is_some() || !lane.waiting.is_empty();
            group.lanes.retain(|_, lane| used(lane));
            if group.gate.is_none() && group.lanes.is_empty() {
                self.groups.remove(&limit.target);
            }
        }
        waited
    }

    /// Lets a trigger through, or to the end of the queue.
    pub(super) fn admit(&mut self, job: JobRef, target: &Target, name: &str) -> Admission {
        let share = self.share;
        let Some(group) = self.groups.get_mut(target) else {
            return Admission::Passed(Passes::default());
        };
        if group.is_open(name, share) {
            return Admission::Passed(group.pass(name));
        }
        if group.pending(name) >= MOST_PENDING {
            return Admission::Full;
        }
        self.turn += 1;
        let lane = group.lanes.entry(name.to_owned()).or_default();
        lane.waiting.insert(self.turn, job);
        group.first_gate(name).inspect(|gate| gate.throttled());
        Admission::Waits(self.turn)
    }

    /// A trigger no longer waits.
    pub(super) fn forget(&mut self, target: &Target, name: &str, turn: u64) {
        if let Some(group) = self.groups.get_mut(target) {
            group.take(name, turn);
        }
    }

    /// A trigger is over: its places are free.
    pub(super) fn release(&mut self, target: &Target, name: &str, passes: Passes) {
        if let Some(group) = self.groups.get_mut(target) {
            group.release(name, passes);
        }
    }

    /// Who waited longest of those that may pass now, and passes.
    pub(super) fn grant(&mut self, target: &Target) -> Option<(JobRef, Passes)> {
        let share = self.share;
        let group = self.groups.get_mut(target)?;
        let first = |(name, lane): (&String, &Lane)| {
            let (turn, _) = lane.waiting.first_key_value()?;
            Some((*turn, name.clone()))
        };
        let open = group
            .lanes
            .iter()
            .filter(|(name, _)| group.is_open(name, share));
        let (turn, name) = open.filter_map(first).min()?;
        let job = group.take(&name, turn)?;
        Some((job, group.pass(&name)))
    }

    /// The actor types that have gates.
    pub(super) fn targets(&self) -> Vec<Target> {
        self.groups.keys().cloned().collect()
    }

    /// All triggers are forgotten.
    pub(super) fn reset(&mut self) {
        for group in self.groups.values_mut() {
            group.take_waiting();
            let lanes = group
                .lanes
                .values_mut()
                .filter_map(|lane| lane.gate.as_mut());
            for gate in lanes.chain(group.gate.as_mut()) {
                self.turn += 1;
                gate.reset(self.turn);
            }
        }
    }
}

impl Group {
    fn gate_mut(&mut self, name: Option<&str>) -> &mut Option<Gate> {
        match name {
            None => &mut self.gate,
            Some(name) => &mut self.lanes.entry(name.to_owned()).or_default().gate,
        }
    }

    fn named(&self, name: &str) -> Option<&Gate> {
        self.lanes.get(name)?.gate.as_ref()
    }

    /// The gate at which triggers of this name wait.
    fn first_gate(&self, name: &str) -> Option<&Gate> {
        self.gate.as_ref().or_else(|| self.named(name))
    }

    fn is_open(&self, name: &str, share: Share) -> bool {
        let mut gates = self.gate.iter().chain(self.named(name));
        gates.all(|gate| gate.is_open(share))
    }

    fn pending(&self, name: &str) -> usize {
        match self.gate {
            Some(_) => self.lanes.values().map(|lane| lane.waiting.len()).sum(),
            None => self.lanes.get(name).map_or(0, |lane| lane.waiting.len()),
        }
    }

    fn pass(&mut self, name: &str) -> Passes {
        let of_name = self.lanes.get_mut(name).and_then(|lane| lane.gate.as_mut());
        Passes {
            of_type: self.gate.as_mut().map(Gate::enter),
            of_name: of_name.map(Gate::enter),
        }
    }

    fn release(&mut self, name: &str, passes: Passes) {
        let of_name = self.lanes.get_mut(name).and_then(|lane| lane.gate.as_mut());
        for (gate, pass) in [
            (self.gate.as_mut(), passes.of_type),
            (of_name, passes.of_name),
        ] {
            if let (Some(gate), Some(pass)) = (gate, pass) {
                gate.exit(pass);
            }
        }
    }

    fn take(&mut self, name: &str, turn: u64) -> Option<JobRef> {
        let lane = self.lanes.get_mut(name)?;
        let job = lane.waiting.remove(&turn)?;
        if lane.waiting.is_empty() && lane.gate.is_none() {
            self.lanes.remove(name);
        }
        self.first_gate(name).inspect(|gate| gate.waited());
        Some(job)
    }

    fn take_lane(&mut self, name: &str) -> Vec<JobRef> {
        let lane = self.lanes.remove(name);
        lane.map_or_else(Vec::new, |lane| lane.waiting.into_values().collect())
    }

    fn take_waiting(&mut self) -> Vec<JobRef> {
        let lanes = self.lanes.values_mut();
        let waiting = lanes.flat_map(|lane| std::mem::take(&mut lane.waiting).into_values());
        waiting.collect()
    }
}
