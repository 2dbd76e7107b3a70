//! What fires when, and who gets it: a state machine without clock, store or
//! network. [`run`] feeds it and does what it says.
//!
//! A job waits for its time, is read from the store, passes its gates and goes
//! to a stream; its result is counted in the store, and only then it waits for
//! its next time. So there is at most one open trigger of a job, and none is
//! counted that was not finished.

mod course;
mod delivery;
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
use gates::Gates;
use jobs::Jobs;
use state::{State, Trigger, due_at};
use streams::Streams;

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
    /// Nothing new is to be fired, for the process ends.
    Ending,
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
    /// Writes that were asked for and not told to be done.
    writing: usize,
    /// Nothing new is fired until the jobs come anew.
    ending: bool,
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
            writing: 0,
            ending: false,
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
            Event::Written(job, outcome) => {
                self.writing -= 1;
                self.written(job, outcome);
            }
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
            Event::Ending => self.ending = true,
            Event::Tick => {}
        }
        self.fire(now);
        mem::take(&mut self.effects)
    }

    /// When [`Event::Tick`] is due next.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        if self.ending {
            return None;
        }
        let due = self.jobs.next_due()?;
        let room = self.loading < MOST_LOADING;
        room.then(|| Timestamp::from_microsecond(due).unwrap_or(Timestamp::MAX))
    }

    /// Whether all that was fired is counted, and so nothing is open.
    pub(crate) fn is_quiet(&self) -> bool {
        self.writing == 0 && self.streams.open() == 0
    }

    /// Reads the jobs whose time has come, then those that streams came for.
    fn fire(&mut self, now: Timestamp) {
        if self.ending {
            return;
        }
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
}
