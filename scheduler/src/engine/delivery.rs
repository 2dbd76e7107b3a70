//! Triggers on their way to streams and back, and where they wait for one.

use std::mem;
use std::sync::Arc;

use jiff::Timestamp;

use super::gates::{Passes, Share};
use super::state::{self, State, Trigger};
use super::streams::Sent;
use super::{Effect, Engine, JobRef, StreamId, Watch};
use crate::records::target::Target;
use crate::store::Record;

impl Engine {
    pub(super) fn deliver(
        &mut self,
        job: JobRef,
        trigger: Box<Trigger>,
        record: Record,
        now: Timestamp,
    ) {
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

    pub(super) fn result(&mut self, stream: StreamId, trigger: u64, success: bool, now: Timestamp) {
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

    pub(super) fn take_open(&mut self, job: JobRef) -> Option<Box<Trigger>> {
        let found = self.jobs.get_mut(job)?;
        match mem::replace(&mut found.state, State::Idle) {
            State::Open(trigger) => Some(trigger),
            other => {
                found.state = other;
                None
            }
        }
    }

    pub(super) fn joined(&mut self, id: StreamId, watch: Watch) {
        let (targets, limits) = (watch.targets.clone(), watch.limits.clone());
        self.metrics.connected.inc();
        self.streams.join(id, watch);
        self.gates.join(&limits);
        limits.iter().for_each(|limit| self.grant(&limit.target));
        targets.iter().for_each(|target| self.unstage(target));
    }

    pub(super) fn left(&mut self, id: StreamId) {
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

    pub(super) fn full(&mut self, id: StreamId, trigger: u64) {
        self.streams.set_full(id, true);
        if let Some(sent) = self.streams.take(id, trigger)
            && let Some(target) = self.take_back(sent.job)
        {
            // Another stream may have room.
            self.unstage(&target);
        }
    }

    /// A trigger that is at an app or at a gate becomes undelivered.
    pub(super) fn take_back(&mut self, job: JobRef) -> Option<Arc<Target>> {
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

    pub(super) fn stage(&mut self, job: JobRef, target: &Arc<Target>) {
        self.metrics.triggers(target.is_actor()).undelivered.inc();
        if let Some(found) = self.jobs.get_mut(job) {
            found.state = State::Staged(target.clone());
            self.staged.entry(target.clone()).or_default().insert(job);
        }
    }

    pub(super) fn unstaged(&mut self, target: &Arc<Target>, job: JobRef) {
        if let Some(staged) = self.staged.get_mut(target) {
            staged.remove(&job);
            if staged.is_empty() {
                self.staged.remove(target);
            }
        }
    }

    /// Staged jobs of a target may go to a stream.
    pub(super) fn unstage(&mut self, target: &Target) {
        if let Some((target, _)) = self.staged.get_key_value(target)
            && !self.unstaging.contains(target)
        {
            self.unstaging.push(target.clone());
        }
    }

    pub(super) fn share(&mut self, index: usize, total: usize) {
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
    pub(super) fn release(&mut self, trigger: &Trigger) {
        let Trigger {
            target,
            name,
            passes,
            ..
        } = trigger;
        self.gates.release(target, name, *passes);
        self.grant(target);
    }

    pub(super) fn grant(&mut self, target: &Target) {
        while let Some((job, passes)) = self.gates.grant(target) {
            self.granted(job, passes);
        }
    }

    /// Its data is not kept while it waits at a gate.
    pub(super) fn granted(&mut self, job: JobRef, passes: Passes) {
        if let Some(found) = self.jobs.get_mut(job)
            && let State::Held(mut trigger) = mem::replace(&mut found.state, State::Idle)
        {
            trigger.passes = passes;
            self.load(job, Some(trigger));
        }
    }
}
