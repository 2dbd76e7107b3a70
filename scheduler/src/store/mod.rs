//! Where jobs and their counters are kept: the contract, and the store of one node.
//!
//! A key is a job's whole name, such as `app||default||cart||nightly`; that job
//! and its counter lie under the same key. Every write of a job gives it a new
//! revision, which is never zero and only grows.

mod embedded;

use std::sync::Arc;

use futures_util::stream::BoxStream;
use tokio_util::sync::DropGuard;
use tonic::async_trait;

use crate::records::stored;

pub use embedded::Embedded;

/// A job's whole name.
pub type Key = Arc<str>;

/// The most records of one page of [`Store::list`].
pub const PAGE: usize = 1000;

/// Keeps jobs and counters. Calls wait until the store can serve them; callers
/// bound how long that may take.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Does one command as a whole or not at all; when it answers, the change
    /// survives a crash.
    async fn apply(&self, command: Command) -> Result<Outcome, Error>;

    /// Reads jobs and their counters, in the order of `keys`.
    async fn read(&self, keys: Vec<Key>) -> Result<Vec<Option<Record>>, Error>;

    /// Everything whose key begins with `prefix`, in the order of keys, in
    /// pages of at most [`PAGE`] records of one moment.
    fn list(&self, prefix: String) -> BoxStream<'static, Result<Vec<Record>, Error>>;

    /// The jobs that this process has to fire, and how they change.
    ///
    /// It begins with [`Change::Reset`], then come all jobs and what changes
    /// meanwhile, then [`Change::Synced`], then only changes. Whatever has no
    /// higher revision than what was told of the same key before is to be passed
    /// over. A store that lost sight of its jobs, or whose share of them changed,
    /// begins again in this way; before its share changes it tells [`Change::Ending`]. There is one follower: a new one ends the former.
    fn follow(&self) -> BoxStream<'static, Change>;
}

/// A change that is asked for.
#[derive(Clone, Debug)]
pub enum Command {
    /// Writes a job. Without `overwrite` it must not exist: [`Outcome::Exists`].
    Put {
        key: Key,
        job: Box<stored::Job>,
        overwrite: bool,
    },
    /// Removes a job and its counter, if they exist.
    Delete { key: Key },
    /// Removes every job and counter whose key begins with `prefix`.
    DeletePrefix { prefix: String },
    /// Writes the counter of a job that still has this revision, else
    /// [`Outcome::Changed`].
    PutCounter {
        key: Key,
        revision: u64,
        counter: stored::Counter,
    },
    /// Removes a job that has run its course, and its counter, if it still has
    /// this revision, else [`Outcome::Changed`]. The counter of another version
    /// stays: that may be counting already.
    End { key: Key, revision: u64 },
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The job exists, and it was not to be overwritten.
    Exists,
    /// The job is gone or has another revision.
    Changed,
}

/// A job as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub key: Key,
    /// The revision of the job, not of its counter.
    pub revision: u64,
    /// As a caller made it: it changes threads without being copied or freed there.
    pub job: Box<stored::Job>,
    /// The counter under the job's key, also one that belongs to an earlier
    /// version of the job; see [`Record::count`].
    pub counter: Option<stored::Counter>,
}

impl Record {
    /// The counter, if it counts for this version of the job.
    pub fn count(&self) -> Option<&stored::Counter> {
        let counter = self.counter.as_ref();
        counter.filter(|counter| counter.job_partition_id == self.job.partition_id)
    }
}

/// What happened to the jobs of this process.
#[derive(Clone, Debug)]
pub enum Change {
    /// Nothing new is to be fired: [`Change::Reset`] follows, when what was fired is
    /// counted and this is dropped, or a little later in any case.
    Ending(Arc<DropGuard>),
    /// Nothing that was told before holds any longer.
    Reset,
    /// A job was written, or is there.
    Put(Record),
    /// A job was removed; it may be there again with a higher revision than that
    /// of its removal.
    Deleted { key: Key, revision: u64 },
    /// All jobs have been told.
    Synced,
}

/// Why a store did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It may work later; nothing was changed, or it is not known whether.
    #[error("{0}")]
    Unavailable(String),
    /// There is no room for it.
    #[error("{0}")]
    Full(String),
    /// What is stored cannot be read, or the store refuses.
    #[error("{0}")]
    Failed(String),
}
