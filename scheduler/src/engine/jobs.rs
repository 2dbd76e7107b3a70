//! The jobs that this process fires, in as little memory as does it.

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use super::state::State;

/// One version of a job: a job that is written anew has another serial number,
/// so that what is still under way for the former version goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobRef {
    index: u32,
    serial: u32,
}

/// What is kept of a job. Everything else is read when it fires.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: Box<str>,
    pub(super) revision: u64,
    /// The time of the next trigger, in microseconds since the epoch.
    pub(super) due: i64,
    serial: u32,
    pub(super) state: State,
}

/// All jobs, by key, by reference, and by the time of those that wait.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    all: Slab<Job>,
    /// Indexes into `all`, by key: keys are kept once.
    keys: HashTable<u32>,
    hasher: DefaultHashBuilder,
    waiting: BTreeSet<(i64, JobRef)>,
    serial: u32,
}

impl Jobs {
    pub(super) fn get(&self, job: JobRef) -> Option<&Job> {
        let found = self.all.get(job.index as usize);
        found.filter(|found| found.serial == job.serial)
    }

    pub(super) fn get_mut(&mut self, job: JobRef) -> Option<&mut Job> {
        let found = self.all.get_mut(job.index as usize);
        found.filter(|found| found.serial == job.serial)
    }

    pub(super) fn find(&self, key: &str) -> Option<JobRef> {
        let hash = self.hasher.hash_one(key);
        let found = self
            .keys
            .find(hash, |at| &*self.all[*at as usize].key == key);
        found.map(|index| JobRef {
            index: *index,
            serial: self.all[*index as usize].serial,
        })
    }

    /// Adds a job that is not there; it waits for nothing yet.
    pub(super) fn add(&mut self, key: &str, revision: u64) -> JobRef {
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let index = self.all.insert(Job {
            key: key.into(),
            revision,
            due: 0,
            serial,
            state: State::Idle,
        });
        // Memory ends long before.
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let hash = self.hasher.hash_one(key);
        let (all, hasher) = (&self.all, &self.hasher);
        self.keys
            .insert_unique(hash, index, |at| hasher.hash_one(&*all[*at as usize].key));
        JobRef { index, serial }
    }

    /// Takes a job away, and answers what it was about to do.
    pub(super) fn remove(&mut self, job: JobRef) -> Option<State> {
        let found = self.get(job)?;
        let (due, hash) = (found.due, self.hasher.hash_one(&*found.key));
        self.waiting.remove(&(due, job));
        if let Ok(entry) = self.keys.find_entry(hash, |at| *at == job.index) {
            entry.remove();
        }
        Some(self.all.remove(job.index as usize).state)
    }

    /// Lets a job wait for its time.
    pub(super) fn wait(&mut self, job: JobRef, due: i64) {
        if let Some(found) = self.get_mut(job) {
            (found.due, found.state) = (due, State::Waiting);
            self.waiting.insert((due, job));
        }
    }

    /// The time of the job that waits least long.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// A job whose time has come; it no longer waits.
    pub(super) fn pop_due(&mut self, now: i64) -> Option<JobRef> {
        let (due, job) = *self.waiting.first()?;
        if due > now {
            return None;
        }
        self.waiting.pop_first();
        Some(job)
    }

    /// Forgets all jobs; serial numbers go on.
    pub(super) fn clear(&mut self) {
        let serial = self.serial;
        *self = Self::default();
        self.serial = serial;
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.all.iter().map(|(_, job)| job)
    }
}
