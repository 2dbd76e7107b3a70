//! The course of a job: from what the store tells of it to its end.

use std::mem;

use jiff::Timestamp;

use super::gates::Admission;
use super::state::{self, After, State, Trigger, Unusable, due_at};
use super::{Effect, Engine, JobRef, READ_AGAIN, SCOPE};
use crate::store::{Change, Command, Outcome, Record};

impl Engine {
    pub(super) fn change(&mut self, change: Change) {
        match change {
            Change::Ending(_) => self.ending = true,
            Change::Reset => {
                self.ending = false;
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
    pub(super) fn put(&mut self, record: &Record) {
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
    pub(super) fn forget(&mut self, job: JobRef) {
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

    pub(super) fn unread(&mut self, job: JobRef, again: i64) {
        let Some(found) = self.jobs.get_mut(job) else {
            return;
        };
        if let State::Loading(Some(trigger)) = mem::replace(&mut found.state, State::Idle) {
            self.release(&trigger);
        }
        self.jobs.wait(job, again);
    }

    pub(super) fn loaded(&mut self, job: JobRef, record: Option<Box<Record>>, now: Timestamp) {
        if self.ending {
            return self.unread(job, due_at(now));
        }
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
    pub(super) fn open(&mut self, job: JobRef, record: Record, now: Timestamp) {
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

    /// Has the store count what came of a tick.
    pub(super) fn finish(&mut self, job: JobRef, trigger: &Trigger, success: bool) {
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
        self.write(job, command);
    }

    fn write(&mut self, job: JobRef, command: Command) {
        self.writing += 1;
        self.effects.push(Effect::Write(job, command));
    }

    pub(super) fn write_end(&mut self, job: JobRef) {
        if let Some(found) = self.jobs.get_mut(job) {
            found.state = State::Writing(After::End);
            let command = Command::End {
                key: (*found.key).into(),
                revision: found.revision,
            };
            self.write(job, command);
        }
    }

    pub(super) fn written(&mut self, job: JobRef, outcome: Outcome) {
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

    /// A job that cannot be served stays stored, for whoever can mend it.
    pub(super) fn give_up(&mut self, job: JobRef, why: &Unusable) {
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
