//! The tables, and what each command does to them.

use prost::Message;
use redb::{
    Database, Durability, ReadOnlyTable, ReadTransaction, ReadableTable, StorageError, Table,
    TableDefinition, TableError, WriteTransaction,
};

use super::frame::{Draft, Entry, Title, entries, frames, goes_on};
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
/// Drawn by lot when the file is made.
const STORE: &str = "store";
/// The number of the last commit.
const NUMBER: &str = "number";

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
    let mut writing = database.begin_write()?;
    // After a crash the file need not be walked.
    writing.set_quick_repair(true);
    let format = {
        let mut meta = writing.open_table(META)?;
        let found = meta.get(FORMAT)?.map(|guard| guard.value());
        if found.is_none() {
            meta.insert(FORMAT, CURRENT)?;
        }
        if meta.get(STORE)?.is_none() {
            meta.insert(STORE, rand::random::<u64>())?;
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

/// Does what the log says and the tables do not have yet.
pub(super) fn replay(database: &Database, log: &[u8]) -> Result<(), redb::Error> {
    let mut writing = database.begin_write()?;
    {
        let mut tables = Batch::new(&writing)?;
        let (store, done) = (tables.title.store, tables.title.number);
        let missing = frames(log, store).skip_while(|(title, _)| title.number <= done);
        for (title, body) in missing {
            if title.number != tables.title.number + 1 {
                return Err(StorageError::Corrupted(
                    "the log jobs.log goes on from a later state of it; \
                     they have to be restored together"
                        .into(),
                )
                .into());
            }
            tables.replay(body)?;
            tables.title = title;
        }
        if goes_on(log, store, tables.title.number) {
            let damaged = "the log jobs.log is damaged before its end; restore it and \
                           the tables from a backup";
            return Err(StorageError::Corrupted(damaged.into()).into());
        }
        tables.write_title()?;
    }
    // It stays in the log until the next commit that is written here.
    writing.set_durability(Durability::None)?;
    writing.commit()?;
    Ok(())
}

/// What happened to jobs, and the frame for the log.
pub(super) type Changed = Option<(Vec<Change>, Vec<u8>)>;

/// The tables inside of one commit, and what changed in it.
pub(super) struct Batch<'t> {
    jobs: Table<'t, &'static str, (u64, &'static [u8])>,
    counters: Table<'t, &'static str, &'static [u8]>,
    meta: Table<'t, &'static str, u64>,
    title: Title,
    changes: Vec<Change>,
    draft: Draft,
}

impl<'t> Batch<'t> {
    pub(super) fn new(writing: &'t WriteTransaction) -> Result<Self, TableError> {
        let meta = writing.open_table(META)?;
        let number = |name| meta.get(name).map(|found| found.map_or(0, |g| g.value()));
        let title = Title {
            store: number(STORE)?,
            number: number(NUMBER)?,
            revision: number(REVISION)?,
        };
        Ok(Self {
            jobs: writing.open_table(JOBS)?,
            counters: writing.open_table(COUNTERS)?,
            meta,
            title,
            changes: Vec::new(),
            draft: Draft::new(),
        })
    }

    /// What happened to jobs, in order, and the frame for the log; none when
    /// nothing was changed.
    pub(super) fn finish(mut self) -> Result<Changed, StorageError> {
        if self.draft.is_empty() {
            return Ok(None);
        }
        self.title.number += 1;
        self.write_title()?;
        Ok(Some((self.changes, self.draft.finish(self.title))))
    }

    fn write_title(&mut self) -> Result<(), StorageError> {
        self.meta.insert(NUMBER, self.title.number)?;
        self.meta.insert(REVISION, self.title.revision)?;
        Ok(())
    }

    fn replay(&mut self, body: &[u8]) -> Result<(), StorageError> {
        for entry in entries(body) {
            match entry? {
                Entry::Job {
                    key,
                    revision,
                    value,
                } => {
                    self.jobs.insert(key, (revision, value))?;
                }
                Entry::Counter { key, value } => {
                    self.counters.insert(key, value)?;
                }
                Entry::Gone { key } => {
                    self.jobs.remove(key)?;
                    self.counters.remove(key)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, command: Command) -> Result<Outcome, StorageError> {
        match command {
            Command::Put {
                key,
                job,
                overwrite,
            } => self.put(key, job, overwrite),
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
                let value = counter.encode_to_vec();
                self.counters.insert(&*key, &*value)?;
                self.draft.add(Entry::Counter {
                    key: &key,
                    value: &value,
                });
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
        job: Box<stored::Job>,
        overwrite: bool,
    ) -> Result<Outcome, StorageError> {
        if !overwrite && self.jobs.get(&*key)?.is_some() {
            return Ok(Outcome::Exists);
        }
        let revision = self.next_revision();
        let value = job.encode_to_vec();
        let replaced = self.jobs.insert(&*key, (revision, &*value))?.is_some();
        self.draft.add(Entry::Job {
            key: &key,
            revision,
            value: &value,
        });
        // A counter goes with its job: a new job has none.
        let counter = match replaced {
            true => self.counters.get(&*key)?,
            false => None,
        };
        let counter = counter.map(|guard| decode(guard.value())).transpose()?;
        self.changes.push(Change::Put(Record {
            key,
            revision,
            job,
            counter,
        }));
        Ok(Outcome::Done)
    }

    fn delete(&mut self, key: Key) -> Result<(), StorageError> {
        let counted = self.counters.remove(&*key)?.is_some();
        let existed = self.jobs.remove(&*key)?.is_some();
        if counted || existed {
            self.draft.add(Entry::Gone { key: &key });
        }
        if existed {
            let revision = self.next_revision();
            self.changes.push(Change::Deleted { key, revision });
        }
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
                self.delete(key)?;
            }
        }
    }

    fn next_revision(&mut self) -> u64 {
        self.title.revision += 1;
        self.title.revision
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
            job: Box::new(decode(job)?),
            counter: counter.map(|guard| decode(guard.value())).transpose()?,
            key,
        })
    }
}

fn decode<M: Message + Default>(value: &[u8]) -> Result<M, StorageError> {
    M::decode(value).map_err(|e| StorageError::Corrupted(e.to_string()))
}
