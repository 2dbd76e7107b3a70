//! A store in memory, for tests of the engine.

use std::collections::BTreeMap;

use jiff::Timestamp;
use prost_types::Any;
use proto::dapr::scheduler::v1::job_target_metadata::Type;
use proto::dapr::scheduler::v1::{
    Job, JobMetadata, JobTargetMetadata, TargetActorReminder, TargetJob,
};

use crate::records::target::{self, Target};
use crate::records::{self, stored};
use crate::store::{Change, Command, Key, Outcome, Record};

/// Does what the store's contract says.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) jobs: BTreeMap<Key, (u64, stored::Job)>,
    counters: BTreeMap<Key, stored::Counter>,
    revision: u64,
}

impl Shelf {
    pub(super) fn apply(&mut self, command: Command) -> (Outcome, Option<Change>) {
        let current = |key: &Key| self.jobs.get(key).map(|(revision, _)| *revision);
        match command {
            Command::Put { key, job, .. } => {
                self.revision += 1;
                self.jobs.insert(key.clone(), (self.revision, *job));
                (Outcome::Done, self.get(&key).map(Change::Put))
            }
            Command::Delete { key } => (Outcome::Done, self.delete(key)),
            Command::DeletePrefix { .. } => unreachable!("the engine never does"),
            Command::PutCounter {
                key,
                revision,
                counter,
            } => {
                if current(&key) != Some(revision) {
                    return (Outcome::Changed, None);
                }
                self.counters.insert(key, counter);
                (Outcome::Done, None)
            }
            Command::End { key, revision } => {
                if current(&key) != Some(revision) {
                    return (Outcome::Changed, None);
                }
                (Outcome::Done, self.delete(key))
            }
        }
    }

    fn delete(&mut self, key: Key) -> Option<Change> {
        self.counters.remove(&key);
        self.jobs.remove(&key)?;
        self.revision += 1;
        let revision = self.revision;
        Some(Change::Deleted { key, revision })
    }

    pub(super) fn get(&self, key: &Key) -> Option<Record> {
        let (revision, job) = self.jobs.get(key)?.clone();
        Some(Record {
            key: key.clone(),
            revision,
            job: Box::new(job),
            counter: self.counters.get(key).copied(),
        })
    }

    /// What a follower is told first.
    pub(super) fn image(&self) -> Vec<Change> {
        let all = self.jobs.keys().filter_map(|key| self.get(key));
        let all = all.map(Change::Put);
        let begin = std::iter::once(Change::Reset);
        begin.chain(all).chain([Change::Synced]).collect()
    }
}

/// The metadata of jobs of this target.
pub(super) fn about(target: &Target, concurrency_key: Option<&str>) -> JobMetadata {
    let (namespace, app_id, kind) = match target {
        Target::App { namespace, app_id } => (namespace, app_id.as_str(), Type::Job(TargetJob {})),
        Target::Actor { namespace, kind } => {
            let reminder = TargetActorReminder {
                id: "id".into(),
                r#type: kind.clone(),
            };
            (namespace, "app", Type::Actor(reminder))
        }
    };
    JobMetadata {
        app_id: app_id.into(),
        namespace: namespace.clone(),
        target: Some(JobTargetMetadata { r#type: Some(kind) }),
        concurrency_key: concurrency_key.map(str::to_owned),
    }
}

/// A command that schedules a job.
pub(super) fn put(name: &str, metadata: &JobMetadata, job: Job, now: Timestamp) -> Command {
    let key = format!("{}{name}", target::prefix(metadata).unwrap());
    Command::Put {
        key: key.into(),
        job: Box::new(records::accept(job, metadata, now).unwrap()),
        overwrite: true,
    }
}

pub(super) fn payload(text: &str) -> Option<Any> {
    Some(Any {
        type_url: "text".into(),
        value: text.into(),
    })
}
