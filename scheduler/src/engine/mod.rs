//! What fires when, and who gets it: a state machine without clock, store or
//! network. [`run`] feeds it and does what it says.
//!
//! A job waits for its time, is read from the store, passes its gates and goes
//! to a stream; its result is counted in the store, and only then it waits for
//! its next time. So there is at most one open trigger of a job, and none is
//! counted that was not finished.

mod gate;
mod gates;
mod jobs;
mod outbox;
mod run;
mod state;
mod streams;

#[cfg(test)]
mod model;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::sync::Arc;

use jiff::Timestamp;
use proto::dapr::scheduler::v1::WatchJobsResponse;

use crate::metrics::Metrics;
use crate::records::target::Target;
use crate::store::{Change, Command, Key, Outcome, Record};
use gates::{Admission, Gates, Passes, Share};
use jobs::Jobs;
use state::{After, State, Trigger, Unusable, due_at};
use streams::{Sent, Streams};

pub(crate) use gates::Limit;
pub(crate) use jobs::JobRef;
pub(crate) use outbox::outbox;
pub(crate) use run::{Cron, Handle};
pub(crate) use streams::{StreamId, Watch};

const SCOPE: &str = "dapr.scheduler.server.cron";
/// The most jobs that are being read at once: a backlog waits in the store.
const MOST_LOADING: usize = 256;
/// The same for jobs that a stream comes for: it may not take them all.
const MOST_UNSTAGING: usize = 128;
/// When a job that could not be read is tried again, in microseconds.
const READ_AGAIN: i64 = 1_000_000;

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The store told something.
    Change(Change),
    /// A job was read, or is gone.
    Loaded(JobRef, Option<Box<Record>>),
    /// A job could not be read.
    Unread(JobRef),
    /// What a job wanted stored is stored, or came too late.
    Written(JobRef, Outcome),
    Joined(StreamId, Watch),
    Left(StreamId),
    /// A stream did not take a trigger, since its receiver does not keep up.
    Full(StreamId, u64),
    /// It keeps up again.
    Room(StreamId),
    Result {
        stream: StreamId,
        trigger: u64,
        success: bool,
    },
    /// This scheduler's index among all, and their number.
    Share(usize, usize),
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Read a job, and tell [`Event::Loaded`] or [`Event::Unread`].
    Load(JobRef, Key),
    /// Send a trigger, or tell [`Event::Full`] or [`Event::Left`].
    Deliver(StreamId, Box<WatchJobsResponse>),
    /// Do this in the store however long it takes, and tell [`Event::Written`].
    Write(JobRef, Command),
    /// End a stream that sent a result of a trigger that it does not have.
    Close(StreamId),
}

pub(crate) struct Engine {
    jobs: Jobs,
    streams: Streams,
    gates: Gates,
    /// Jobs whose time has come and that no stream took.
    staged: HashMap<Arc<Target>, BTreeSet<JobRef>>,
    /// Targets whose staged jobs a stream may take now.
    unstaging: Vec<Arc<Target>>,
    loading: usize,
    effects: Vec<Effect>,
    metrics: Metrics,
}

impl Engine {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            jobs: Jobs::default(),
            streams: Streams::default(),
            gates: Gates::new(metrics.clone()),
            staged: HashMap::new(),
            unstaging: Vec::new(),
            loading: 0,
            effects: Vec::new(),
            metrics,
        }
    }

    /// What is to be done after this event.
    pub(crate) fn on(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        match event {
            Event::Change(change) => self.change(change),
            Event::Loaded(job, record) => {
                self.loading -= 1;
                self.loaded(job, record, now);
            }
            Event::Unread(job) => {
                self.loading -= 1;
                self.unread(job, due_at(now).saturating_add(READ_AGAIN));
            }
            Event::Written(job, outcome) => self.written(job, outcome),
            Event::Joined(id, watch) => self.joined(id, watch),
            Event::Left(id) => self.left(id),
            Event::Full(id, trigger) => self.full(id, trigger),
            Event::Room(id) => {
                self.streams.set_full(id, false);
                for target in self.streams.targets(id) {
                    self.unstage(&target);
                }
            }
            Event::Result {
                stream,
                trigger,
                success,
            } => self.result(stream, trigger, success, now),
            Event::Share(index, total) => self.share(index, total),
            Event::Tick => {}
        }
        self.fire(now);
        mem::take(&mut self.effects)
    }

    /// When [`Event::Tick`] is due next.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        let due = self.jobs.next_due()?;
        let room = self.loading < MOST_LOADING;
        room.then(|| Timestamp::from_microsecond(due).unwrap_or(Timestamp::MAX))
    }

    /// Reads the jobs whose time has come, then those that streams came for.
    fn fire(&mut self, now: Timestamp) {
        let now = now.as_microsecond();
        while self.loading < MOST_LOADING
            && let Some(job) = self.jobs.pop_due(now)
        {
            self.load(job, None);
        }
        while self.loading < MOST_UNSTAGING
            && let Some(target) = self.unstaging.last().cloned()
        {
            let ready = self.streams.is_ready(&target);
            let staged = self.staged.get_mut(&target).filter(|_| ready);
            match staged.and_then(BTreeSet::pop_first) {
                Some(job) => self.load(job, None),
                None => {
                    self.unstaging.pop();
                    self.staged.retain(|_, staged| !staged.is_empty());
                }
            }
        }
    }

    fn load(&mut self, job: JobRef, trigger: Option<Box<Trigger>>) {
        let Some(found) = self.jobs.get_mut(job) else {
            return;
        };
        found.state = State::Loading(trigger);
        self.loading += 1;
        self.effects.push(Effect::Load(job, (*found.key).into()));
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Reset => {
                self.jobs.clear();
                self.staged.clear();
                self.unstaging.clear();
                self.gates.reset();
            }
            Change::Put(record) => self.put(&record),
            Change::Deleted { key, revision } => {
                if let Some(job) = self.jobs.find(&key)
                    && self
                        .jobs
                        .get(job)
                        .is_some_and(|job| job.revision <= revision)
                {
                    self.forget(job);
                }
            }
            Change::Synced => {}
        }
    }

    /// A version of a job, unless it is known or older than what is known.
    fn put(&mut self, record: &Record) {
        if let Some(job) = self.jobs.find(&record.key) {
            if self
                .jobs
                .get(job)
                .is_some_and(|job| job.revision >= record.revision)
            {
                return;
            }
            self.forget(job);
        }
        match state::next_tick(record) {
            Ok(tick) => {
                let job = self.jobs.add(&record.key, record.revision);
                match tick {
                    Some(tick) => self.jobs.wait(job, due_at(tick)),
                    None => self.write_end(job),
                }
            }
            Err(e) => unusable(&record.key, &e),
        }
    }

    /// Takes a job away with all that it holds.
    fn forget(&mut self, job: JobRef) {
        match self.jobs.remove(job) {
            Some(State::Staged(target)) => self.unstaged(&target, job),
            Some(State::Held(trigger)) => {
                let Trigger {
                    target, name, turn, ..
                } = &*trigger;
                self.gates.forget(target, name, *turn);
            }
            Some(State::Open(trigger) | State::Loading(Some(trigger))) => self.release(&trigger),
            _ => {}
        }
    }

    fn unread(&mut self, job: JobRef, again: i64) {
        let Some(found) = self.jobs.get_mut(job) else {
            return;
        };
        if let State::Loading(Some(trigger)) = mem::replace(&mut found.state, State::Idle) {
            self.release(&trigger);
        }
        self.jobs.wait(job, again);
    }

    fn loaded(&mut self, job: JobRef, record: Option<Box<Record>>, now: Timestamp) {
        let Some(found) = self.jobs.get_mut(job) else {
            return;
        };
        let record = match record {
            Some(record) if record.revision == found.revision => record,
            // The reading was faster than the news of the change.
            Some(record) if record.revision > found.revision => return self.put(&record),
            Some(_) => return self.unread(job, due_at(now).saturating_add(READ_AGAIN)),
            None => return self.forget(job),
        };
        match mem::replace(&mut found.state, State::Idle) {
            State::Loading(Some(trigger)) => self.deliver(job, trigger, *record, now),
            _ => self.open(job, *record, now),
        }
    }

    /// Makes a trigger of a job whose time has come.
    fn open(&mut self, job: JobRef, record: Record, now: Timestamp) {
        let mut trigger = match Trigger::new(&record) {
            Ok(Some(trigger)) => trigger,
            Ok(None) => return self.write_end(job),
            Err(e) => return self.give_up(job, &e),
        };
        let due = due_at(trigger.tick());
        if due > now.as_microsecond() {
            // The clock went back, or the job has got further than was known.
            return self.jobs.wait(job, due);
        }
        if !self.streams.is_ready(&trigger.target) {
            return self.stage(job, &trigger.target);
        }
        let admission = self.gates.admit(job, &trigger.target, &trigger.name);
        let trigger = match admission {
            Admission::Passed(passes) => {
                trigger.passes = passes;
                return self.deliver(job, Box::new(trigger), record, now);
            }
            Admission::Waits(turn) => {
                trigger.turn = turn;
                Box::new(trigger)
            }
            Admission::Full => return self.finish(job, &trigger, false),
        };
        if let Some(found) = self.jobs.get_mut(job) {
            found.state = State::Held(trigger);
        }
    }

    fn deliver(&mut self, job: JobRef, trigger: Box<Trigger>, record: Record, now: Timestamp) {
        let mut message = match state::message(record) {
            Ok(message) => Box::new(message),
            Err(e) => {
                self.release(&trigger);
                return self.give_up(job, &e);
            }
        };
        let sent = Sent { job, at: now };
        let Some((stream, id)) = self.streams.send(&trigger.target, sent) else {
            self.stage(job, &trigger.target);
            return self.release(&trigger);
        };
        message.id = id;
        let figures = self.metrics.triggers(trigger.target.is_actor());
        figures.triggered.inc();
        self.effects.push(Effect::Deliver(stream, message));
        if let Some(found) = self.jobs.get_mut(job) {
            found.state = State::Open(trigger);
        }
    }

    fn result(&mut self, stream: StreamId, trigger: u64, success: bool, now: Timestamp) {
        if !self.streams.contains(stream) {
            return;
        }
        let Some(sent) = self.streams.take(stream, trigger) else {
            self.effects.push(Effect::Close(stream));
            return self.left(stream);
        };
        // Nothing is known of a version of a job that was replaced meanwhile.
        if let Some(trigger) = self.take_open(sent.job) {
            let figures = self.metrics.triggers(trigger.target.is_actor());
            let took = now.duration_since(sent.at);
            figures.latency.observe(took.as_secs_f64() * 1000.0);
            if !success {
                figures.failed.inc();
            }
            self.finish(sent.job, &trigger, success);
            self.release(&trigger);
        }
    }

    fn take_open(&mut self, job: JobRef) -> Option<Box<Trigger>> {
        let found = self.jobs.get_mut(job)?;
        match mem::replace(&mut found.state, State::Idle) {
            State::Open(trigger) => Some(trigger),
            other => {
                found.state = other;
                None
            }
        }
    }

    /// Has the store count what came of a tick.
    fn finish(&mut self, job: JobRef, trigger: &Trigger, success: bool) {
        let Some(found) = self.jobs.get_mut(job) else {
            return;
        };
        let (counter, after) = trigger.finish(success, found.due);
        if after == After::End {
            return self.write_end(job);
        }
        found.state = State::Writing(after);
        let command = Command::PutCounter {
            key: (*found.key).into(),
            revision: found.revision,
            counter,
        };
        self.effects.push(Effect::Write(job, command));
    }

    fn write_end(&mut self, job: JobRef) {
        if let Some(found) = self.jobs.get_mut(job) {
            found.state = State::Writing(After::End);
            let command = Command::End {
                key: (*found.key).into(),
                revision: found.revision,
            };
            self.effects.push(Effect::Write(job, command));
        }
    }

    fn written(&mut self, job: JobRef, outcome: Outcome) {
        // A job that was changed meanwhile comes as a change.
        if let (Some(found), Outcome::Done) = (self.jobs.get(job), outcome)
            && let State::Writing(after) = found.state
        {
            match after {
                After::Wait(due) => self.jobs.wait(job, due),
                After::End => self.forget(job),
            }
        }
    }

    fn joined(&mut self, id: StreamId, watch: Watch) {
        let (targets, limits) = (watch.targets.clone(), watch.limits.clone());
        self.metrics.connected.inc();
        self.streams.join(id, watch);
        self.gates.join(&limits);
        limits.iter().for_each(|limit| self.grant(&limit.target));
        targets.iter().for_each(|target| self.unstage(target));
    }

    fn left(&mut self, id: StreamId) {
        let Some((watch, sent)) = self.streams.leave(id) else {
            return;
        };
        self.metrics.connected.add(-1.0);
        for sent in sent {
            self.take_back(sent.job);
        }
        for job in self.gates.leave(&watch.limits) {
            self.take_back(job);
        }
        watch
            .limits
            .iter()
            .for_each(|limit| self.grant(&limit.target));
        watch.targets.iter().for_each(|target| self.unstage(target));
    }

    fn full(&mut self, id: StreamId, trigger: u64) {
        self.streams.set_full(id, true);
        if let Some(sent) = self.streams.take(id, trigger)
            && let Some(target) = self.take_back(sent.job)
        {
            // Another stream may have room.
            self.unstage(&target);
        }
    }

    /// A trigger that is at an app or at a gate becomes undelivered.
    fn take_back(&mut self, job: JobRef) -> Option<Arc<Target>> {
        let found = self.jobs.get_mut(job)?;
        match mem::replace(&mut found.state, State::Idle) {
            State::Open(trigger) | State::Held(trigger) => {
                self.stage(job, &trigger.target);
                self.release(&trigger);
                Some(trigger.target)
            }
            other => {
                found.state = other;
                None
            }
        }
    }

    fn stage(&mut self, job: JobRef, target: &Arc<Target>) {
        self.metrics.triggers(target.is_actor()).undelivered.inc();
        if let Some(found) = self.jobs.get_mut(job) {
            found.state = State::Staged(target.clone());
            self.staged.entry(target.clone()).or_default().insert(job);
        }
    }

    fn unstaged(&mut self, target: &Arc<Target>, job: JobRef) {
        if let Some(staged) = self.staged.get_mut(target) {
            staged.remove(&job);
            if staged.is_empty() {
                self.staged.remove(target);
            }
        }
    }

    /// Staged jobs of a target may go to a stream.
    fn unstage(&mut self, target: &Target) {
        if let Some((target, _)) = self.staged.get_key_value(target)
            && !self.unstaging.contains(target)
        {
            self.unstaging.push(target.clone());
        }
    }

    fn share(&mut self, index: usize, total: usize) {
        let number = |n| u32::try_from(n).unwrap_or(u32::MAX);
        self.gates.set_share(Share {
            index: number(index),
            total: number(total).max(1),
        });
        for target in self.gates.targets() {
            self.grant(&target);
        }
    }

    /// A trigger is over: others may pass its gates.
    fn release(&mut self, trigger: &Trigger) {
        let Trigger {
            target,
            name,
            passes,
            ..
        } = trigger;
        self.gates.release(target, name, *passes);
        self.grant(target);
    }

    fn grant(&mut self, target: &Target) {
        while let Some((job, passes)) = self.gates.grant(target) {
            self.granted(job, passes);
        }
    }

    /// Its data is not kept while it waits at a gate.
    fn granted(&mut self, job: JobRef, passes: Passes) {
        if let Some(found) = self.jobs.get_mut(job)
            && let State::Held(mut trigger) = mem::replace(&mut found.state, State::Idle)
        {
            trigger.passes = passes;
            self.load(job, Some(trigger));
        }
    }

    /// A job that cannot be served stays stored, for whoever can mend it.
    fn give_up(&mut self, job: JobRef, why: &Unusable) {
        if let Some(found) = self.jobs.get(job) {
            unusable(&found.key, why);
        }
        self.forget(job);
    }
}

fn unusable(key: &str, why: &Unusable) {
    match why {
        Unusable::Name => tracing::error!(target: SCOPE, "Job name is malformed: {key}"),
        Unusable::Metadata(e) => {
            tracing::error!(target: SCOPE, "Error unmarshalling metadata: {e}");
        }
        e => tracing::error!(target: SCOPE, "Job {key} cannot be served: {e}"),
    }
}
