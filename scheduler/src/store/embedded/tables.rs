//! The tables, and what each command does to them.

use prost::Message;
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableTable, StorageError, Table, TableDefinition,
    TableError, WriteTransaction,
};

use crate::records::stored;
use crate::store::{Change, Command, Key, Outcome, PAGE, Record};

/// A job under its key, with its revision.
const JOBS: TableDefinition<&str, (u64, &[u8])> = TableDefinition::new("jobs");
const COUNTERS: TableDefinition<&str, &[u8]> = TableDefinition::new("counters");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

const FORMAT: &str = "format";
/// Raised when the tables change, so that an older release does not misread them.
const CURRENT: u64 = 1;
const REVISION: &str = "revision";

/// Makes the tables of a new file, and refuses those of a release to come.
pub(super) fn prepare(database: &Database) -> Result<(), String> {
    let format = made(database).map_err(|e| e.to_string())?;
    if format == CURRENT {
        return Ok(());
    }
    Err(format!(
        "its format is {format} and this release knows {CURRENT}; use the release that wrote it"
    ))
}

fn made(database: &Database) -> Result<u64, redb::Error> {
    let writing = database.begin_write()?;
    let format = {
        let mut meta = writing.open_table(META)?;
        let found = meta.get(FORMAT)?.map(|guard| guard.value());
        if found.is_none() {
            meta.insert(FORMAT, CURRENT)?;
        }
        found.unwrap_or(CURRENT)
    };
    if format == CURRENT {
        writing.open_table(JOBS)?;
        writing.open_table(COUNTERS)?;
        writing.commit()?;
    } else {
        writing.abort()?;
    }
    Ok(format)
}

/// The tables inside of one commit, and what changed in it.
pub(super) struct Batch<'t> {
    jobs: Table<'t, &'static str, (u64, &'static [u8])>,
    counters: Table<'t, &'static str, &'static [u8]>,
    meta: Table<'t, &'static str, u64>,
    revision: u64,
    changes: Vec<Change>,
}

impl<'t> Batch<'t> {
    pub(super) fn new(writing: &'t WriteTransaction) -> Result<Self, TableError> {
        let meta = writing.open_table(META)?;
        let revision = meta.get(REVISION)?.map_or(0, |guard| guard.value());
        Ok(Self {
            jobs: writing.open_table(JOBS)?,
            counters: writing.open_table(COUNTERS)?,
            meta,
            revision,
            changes: Vec::new(),
        })
    }

    /// What happened to jobs, in order.
    pub(super) fn finish(mut self) -> Result<Vec<Change>, StorageError> {
        self.meta.insert(REVISION, self.revision)?;
        Ok(self.changes)
    }

    pub(super) fn apply(&mut self, command: Command) -> Result<Outcome, StorageError> {
        match command {
            Command::Put {
                key,
                job,
                overwrite,
            } => self.put(key, *job, overwrite),
            Command::Delete { key } => {
                self.delete(key)?;
                Ok(Outcome::Done)
            }
            Command::DeletePrefix { prefix } => self.delete_prefix(&prefix),
            Command::PutCounter {
                key,
                revision,
                counter,
            } => {
                if self.revision_of(&key)? != Some(revision) {
                    return Ok(Outcome::Changed);
                }
                self.counters.insert(&*key, &*counter.encode_to_vec())?;
                Ok(Outcome::Done)
            }
            Command::End { key, revision } => {
                if self.revision_of(&key)? != Some(revision) {
                    return Ok(Outcome::Changed);
                }
                self.delete(key)?;
                Ok(Outcome::Done)
            }
        }
    }

    fn put(
        &mut self,
        key: Key,
        job: stored::Job,
        overwrite: bool,
    ) -> Result<Outcome, StorageError> {
        if !overwrite && self.jobs.get(&*key)?.is_some() {
            return Ok(Outcome::Exists);
        }
        self.revision += 1;
        let revision = self.revision;
        let value = job.encode_to_vec();
        self.jobs.insert(&*key, (revision, &*value))?;
        let counter = self.counters.get(&*key)?;
        let counter = counter.map(|guard| decode(guard.value())).transpose()?;
        self.changes.push(Change::Put(Box::new(Record {
            key,
            revision,
            job,
            counter,
        })));
        Ok(Outcome::Done)
    }

    fn delete(&mut self, key: Key) -> Result<(), StorageError> {
        self.counters.remove(&*key)?;
        if self.jobs.remove(&*key)?.is_none() {
            return Ok(());
        }
        self.revision += 1;
        let revision = self.revision;
        self.changes.push(Change::Deleted { key, revision });
        Ok(())
    }

    fn delete_prefix(&mut self, prefix: &str) -> Result<Outcome, StorageError> {
        loop {
            let page = first_keys(&self.jobs, prefix)?;
            if page.is_empty() {
                break;
            }
            for key in page {
                self.delete(key)?;
            }
        }
        // Counters without a job: what a job left that was removed elsewhere.
        loop {
            let page = first_keys(&self.counters, prefix)?;
            if page.is_empty() {
                return Ok(Outcome::Done);
            }
            for key in page {
                self.counters.remove(&*key)?;
            }
        }
    }

    fn revision_of(&self, key: &str) -> Result<Option<u64>, StorageError> {
        Ok(self.jobs.get(key)?.map(|guard| guard.value().0))
    }
}

fn first_keys<V: redb::Value + 'static>(
    table: &impl ReadableTable<&'static str, V>,
    prefix: &str,
) -> Result<Vec<Key>, StorageError> {
    let mut keys = Vec::new();
    for entry in table.range(prefix..)?.take(PAGE) {
        let (key, _) = entry?;
        if !key.value().starts_with(prefix) {
            break;
        }
        keys.push(key.value().into());
    }
    Ok(keys)
}

/// The tables as they were at one moment.
pub(super) struct Snapshot {
    jobs: ReadOnlyTable<&'static str, (u64, &'static [u8])>,
    counters: ReadOnlyTable<&'static str, &'static [u8]>,
    meta: ReadOnlyTable<&'static str, u64>,
}

impl Snapshot {
    pub(super) fn new(reading: &ReadTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            jobs: reading.open_table(JOBS)?,
            counters: reading.open_table(COUNTERS)?,
            meta: reading.open_table(META)?,
        })
    }

    pub(super) fn revision(&self) -> Result<u64, StorageError> {
        Ok(self.meta.get(REVISION)?.map_or(0, |guard| guard.value()))
    }

    pub(super) fn get(&self, key: Key) -> Result<Option<Record>, StorageError> {
        let Some(job) = self.jobs.get(&*key)? else {
            return Ok(None);
        };
        self.record(key, job.value()).map(Some)
    }

    /// At most [`PAGE`] records below `prefix` whose key is at least `from`.
    pub(super) fn page(&self, prefix: &str, from: &str) -> Result<Vec<Record>, StorageError> {
        let mut page = Vec::new();
        for entry in self.jobs.range(from.max(prefix)..)?.take(PAGE) {
            let (key, job) = entry?;
            if !key.value().starts_with(prefix) {
                break;
            }
            page.push(self.record(key.value().into(), job.value())?);
        }
        Ok(page)
    }

    fn record(&self, key: Key, (revision, job): (u64, &[u8])) -> Result<Record, StorageError> {
        let counter = self.counters.get(&*key)?;
        Ok(Record {
            revision,
            job: decode(job)?,
            counter: counter.map(|guard| decode(guard.value())).transpose()?,
            key,
        })
    }
}

fn decode<M: Message + Default>(value: &[u8]) -> Result<M, StorageError> {
    M::decode(value).map_err(|e| StorageError::Corrupted(e.to_string()))
}
