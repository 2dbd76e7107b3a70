//! The rounds of one namespace: who is told what, and whose answers are missing.
//!
//! A round carries a new table to every stream in three steps, `lock`, `update`
//! and `unlock`; each begins when all have acknowledged the one before. Nothing
//! here waits, sends or reads a clock.

mod events;
mod report;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use events::{Effect, Event, Kind, Message, Order, Phase, Silence, StreamId};
pub(crate) use report::Report;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// The longest time from the lock to the last acknowledged unlock.
    pub(crate) timeout: Duration,
    /// How long changes are gathered after a round; zero is not at all.
    pub(crate) window: Duration,
}

/// A stream that takes part in rounds.
#[derive(Debug)]
struct Member {
    /// The last step of this version that it acknowledged.
    acked: Phase,
    /// The lock since which it has not caught up.
    since: Instant,
}

impl Member {
    /// Whether its acknowledgement of this phase is missing.
    fn owes(&self, phase: Phase) -> bool {
        phase != Phase::Report && self.acked != phase
    }
}

/// One namespace; its versions begin at 0 with its first stream.
#[derive(Debug)]
pub(crate) struct Rounds {
    timing: Timing,
    version: u64,
    phase: Phase,
    members: BTreeMap<StreamId, Member>,
    /// The members that have not acknowledged the phase.
    missing: usize,
    /// The table of this version. Who closed stays until a round takes it out.
    hosts: BTreeMap<StreamId, Report>,
    /// Streams that came while no round could begin.
    waiting: BTreeMap<StreamId, Report>,
    /// Streams that are gone but in the table.
    closed: Vec<StreamId>,
    /// The first lock since the namespace was idle.
    begun: Instant,
    /// When to look for silent members.
    look: Instant,
    /// Until when changes are gathered.
    window: Option<Instant>,
}

impl Rounds {
    pub(crate) fn new(timing: Timing, now: Instant) -> Self {
        Self {
            timing,
            version: 0,
            phase: Phase::Report,
            members: BTreeMap::new(),
            missing: 0,
            hosts: BTreeMap::new(),
            waiting: BTreeMap::new(),
            closed: Vec::new(),
            begun: now,
            look: now,
            window: None,
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The hosts of this version, the newest stream last.
    pub(crate) fn hosts(&self) -> impl ExactSizeIterator<Item = &Report> {
        self.hosts.values()
    }

    /// Whether no stream is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.waiting.is_empty()
    }

    /// When to call [`Rounds::on`] at the latest.
    pub(crate) fn next(&self) -> Option<Instant> {
        match self.phase {
            Phase::Report if self.waiting.is_empty() && self.closed.is_empty() => None,
            Phase::Report => self.window,
            _ => Some(self.look),
        }
    }

    /// What follows from events that came together; changes of the table among
    /// them make one round.
    pub(crate) fn on(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        now: Instant,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut changed = false;
        for event in events {
            changed |= self.take(event);
        }
        // What came in time counts, even if it is looked at late.
        changed |= self.expire(now, &mut effects);
        if changed {
            // Whoever waits is not kept waiting by reports that keep changing.
            if self.phase == Phase::Report || now >= self.begun + self.timing.timeout {
                self.bury();
                self.admit(now);
            }
            self.begin(now, &mut effects);
        }
        self.advance(now, &mut effects);
        effects
    }

    /// Closes members that have been silent for too long; whether there were any.
    fn expire(&mut self, now: Instant, effects: &mut Vec<Effect>) -> bool {
        if self.phase == Phase::Report || now < self.look {
            return false;
        }
        let (phase, timeout) = (self.phase, self.timing.timeout);
        let owing = self.members.iter().filter(|(_, m)| m.owes(phase));
        let overdue = owing.clone().filter(|(_, m)| now >= m.since + timeout);
        let overdue: Vec<_> = overdue.map(|(id, m)| (*id, m.acked)).collect();
        if overdue.is_empty() {
            let first = owing.map(|(_, m)| m.since).min().unwrap_or(now);
            self.look = first + timeout;
            return false;
        }
        for (stream, state) in overdue {
            self.members.remove(&stream);
            self.hosts.remove(&stream);
            let silence = Silence {
                version: self.version,
                state,
                expected: phase,
            };
            effects.push(Effect::Close { stream, silence });
        }
        self.bury();
        self.admit(now);
        true
    }

    /// Takes note of an event; whether it changed the table.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Joined(id, report) => {
                self.waiting.insert(id, report);
                false
            }
            Event::Said(id, message) => self.hear(id, message),
            Event::Left(id) => {
                self.waiting.remove(&id);
                let Some(member) = self.members.remove(&id) else {
                    return false;
                };
                if member.owes(self.phase) {
                    self.missing -= 1;
                }
                if self.hosts.contains_key(&id) {
                    self.closed.push(id);
                }
                false
            }
        }
    }

    fn hear(&mut self, id: StreamId, message: Message) -> bool {
        if let Some(waiting) = self.waiting.get_mut(&id) {
            if let Kind::Report(report) | Kind::Unknown(report) = message.kind {
                *waiting = report;
            }
            return false;
        }
        let Some(member) = self.members.get_mut(&id) else {
            return false;
        };
        if message.version.is_some_and(|v| v < self.version) {
            return false;
        }
        let acked = match message.kind {
            Kind::Report(report) => return self.store(id, report),
            Kind::Unknown(report) if self.phase == Phase::Report => return self.store(id, report),
            Kind::Unknown(_) => self.phase,
            Kind::Ack(phase) => phase,
        };
        if acked == self.phase && member.owes(acked) {
            member.acked = acked;
            self.missing -= 1;
        }
        false
    }

    /// Puts what a stream reports into the table; whether that changed it.
    fn store(&mut self, id: StreamId, report: Report) -> bool {
        if report.is_empty() {
            return self.hosts.remove(&id).is_some();
        }
        if self.hosts.get(&id).is_some_and(|known| known.same(&report)) {
            return false;
        }
        self.hosts.insert(id, report);
        true
    }

    /// Goes on as far as nobody's answer is missing.
    fn advance(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let mut after_round = false;
        loop {
            match self.phase {
                Phase::Report if self.window.is_some_and(|end| now < end) => return,
                Phase::Report => {
                    if !self.settle(now, after_round, effects) {
                        return;
                    }
                }
                _ if self.missing > 0 => return,
                Phase::Lock => self.order(Phase::Update, effects),
                Phase::Update => self.order(Phase::Unlock, effects),
                Phase::Unlock => {
                    self.phase = Phase::Report;
                    after_round = true;
                    let window = self.timing.window;
                    self.window = (!window.is_zero()).then(|| now + window);
                }
            }
        }
    }

    /// Begins the round of what has been waiting; whether there is one.
    ///
    /// After a round those that closed get a round before those that came;
    /// otherwise both share one.
    fn settle(&mut self, now: Instant, after_round: bool, effects: &mut Vec<Effect>) -> bool {
        self.window = None;
        let buried = self.bury();
        if buried && after_round {
            self.begin(now, effects);
            return true;
        }
        let (came, changed) = self.admit(now);
        if buried || changed {
            self.begin(now, effects);
            return true;
        }
        // Nothing changed for the others: each gets the table by itself, and is
        // not waited for.
        if !came.is_empty() {
            for operation in [Phase::Lock, Phase::Update, Phase::Unlock] {
                let (to, version) = (came.clone(), self.version);
                let order = Order { operation, version };
                effects.push(Effect::Send { to, order });
            }
        }
        false
    }

    /// Takes streams that closed out of the table; whether there were any.
    fn bury(&mut self) -> bool {
        let closed = std::mem::take(&mut self.closed);
        for id in &closed {
            self.hosts.remove(id);
        }
        !closed.is_empty()
    }

    /// Makes members of those that wait: who they are, and whether that changed
    /// the table.
    fn admit(&mut self, now: Instant) -> (Vec<StreamId>, bool) {
        let (mut came, mut changed) = (Vec::new(), false);
        for (id, report) in std::mem::take(&mut self.waiting) {
            let member = Member {
                // Idle for them, whatever the others are doing.
                acked: Phase::Report,
                since: now,
            };
            self.members.insert(id, member);
            changed |= self.store(id, report);
            came.push(id);
        }
        (came, changed)
    }

    /// Begins the round of a new version, also in the middle of another.
    fn begin(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Report {
            self.begun = now;
        }
        let mut first = now;
        for member in self.members.values_mut() {
            // Who has answered nothing of the round before owes it for as long already.
            if self.phase == Phase::Report || member.acked != Phase::Report {
                member.since = now;
            }
            first = first.min(member.since);
            member.acked = Phase::Report;
        }
        self.look = first + self.timing.timeout;
        self.window = None;
        self.version += 1;
        self.order(Phase::Lock, effects);
    }

    fn order(&mut self, operation: Phase, effects: &mut Vec<Effect>) {
        self.phase = operation;
        self.missing = self.members.len();
        if self.missing > 0 {
            let version = self.version;
            effects.push(Effect::Send {
                to: self.members.keys().copied().collect(),
                order: Order { operation, version },
            });
        }
    }
}
