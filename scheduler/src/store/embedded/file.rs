//! The files: opened with care, never truncated, opened again after a fault.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use redb::{Builder, Database, DatabaseError, StorageError};

use super::log::Log;
use super::tables;
use crate::store::Error;

const NAME: &str = "jobs.redb";
/// What begins every file of ours.
const MAGIC: &[u8] = b"redb";
/// How much of the file is kept in memory; the kernel keeps more.
const CACHE: usize = 8 << 20;
/// A file of this size is compacted at the start when half of it is not in use.
const WORTH_COMPACTING: u64 = 100 << 20;
const SCOPE: &str = "dapr.scheduler.server.etcd";

type Open = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// The file of the jobs.
pub(super) struct File {
    path: PathBuf,
    open: Open,
    /// None after a fault, until it can be opened again.
    database: Mutex<Option<Arc<Database>>>,
    log: Mutex<Log>,
}

impl File {
    /// Opens the file in this folder, or makes both.
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        let path = folder.join(NAME);
        let named = |reason: String| format!("cannot open the store {}: {reason}", path.display());
        fs::create_dir_all(folder).map_err(|e| named(service::net::reason(&e)))?;
        check_magic(&path).map_err(&named)?;
        let at = path.clone();
        let open = move || Builder::new().set_cache_size(CACHE).create(&at);
        Self::with(path.clone(), Box::new(open)).map_err(named)
    }

    /// A file that `open` opens, now and after faults; its log is beside `path`.
    pub(super) fn with(path: PathBuf, open: Open) -> Result<Self, String> {
        let mut database = open().map_err(|e| remedy(&e))?;
        tables::prepare(&database)?;
        let unlogged = |e: &io::Error| format!("its log has a fault: {}", service::net::reason(e));
        let log = Log::open(&path.with_extension("log")).map_err(|e| unlogged(&e))?;
        let bytes = log.read().map_err(|e| unlogged(&e))?;
        tables::replay(&database, &bytes).map_err(|e| e.to_string())?;
        drop(bytes);
        let length = fs::metadata(&path).map_or(0, |file| file.len());
        compact(&mut database, length).map_err(|e| format!("it cannot be compacted: {e}"))?;
        let database = Mutex::new(Some(Arc::new(database)));
        Ok(Self {
            path,
            open,
            database,
            log: Mutex::new(log),
        })
    }

    /// The log, of which only the writer has need.
    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock()
    }

    /// The database; after a fault it is opened again, which succeeds once all
    /// who read from the former one are done and the fault is over.
    pub(super) fn database(&self) -> Result<Arc<Database>, Error> {
        let mut database = self.database.lock();
        if let Some(database) = &*database {
            return Ok(database.clone());
        }
        let opened = (self.open)().map_err(|e| self.told(&e.into()))?;
        let log = self.log().read();
        let log = log.map_err(|e| self.told(&redb::Error::Io(e)))?;
        tables::replay(&opened, &log).map_err(|e| self.told(&e))?;
        let opened = Arc::new(opened);
        tracing::info!(
            target: SCOPE,
            "Opened the store {} again", self.path.display()
        );
        *database = Some(opened.clone());
        Ok(opened)
    }

    /// What a caller is told. A database that had an input or output error
    /// answers nothing any more, so that it is given up and opened again.
    pub(super) fn fault(&self, error: &redb::Error) -> Error {
        if matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo) {
            // Whoever still uses it keeps it open a little longer.
            self.database.lock().take();
        }
        self.told(error)
    }

    pub(super) fn told(&self, error: &redb::Error) -> Error {
        use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = self.path.display();
        match error {
            redb::Error::Io(e)
                if matches!(e.kind(), StorageFull | QuotaExceeded | FileTooLarge) =>
            {
                let reason = service::net::reason(e);
                Error::Full(format!(
                    "no space is left for the store {path}; free some: {reason}"
                ))
            }
            redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseAlreadyOpen => {
                Error::Unavailable(format!("the store {path} had a fault: {error}"))
            }
            _ => Error::Failed(format!("the store {path} failed: {error}")),
        }
    }

    /// The file's size in bytes.
    pub(super) fn size(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }
}

/// A file that does not begin as ours do belongs to somebody else.
fn check_magic(path: &Path) -> Result<(), String> {
    let mut file = match OpenOptions::new().read(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(service::net::reason(&e)),
    };
    let mut head = [0; MAGIC.len()];
    match file.read(&mut head).map_err(|e| service::net::reason(&e))? {
        // A start that ended before the first write.
        0 => Ok(()),
        _ if head == MAGIC => Ok(()),
        _ => Err("it is no store of jobs; move it away or set --etcd-data-dir".into()),
    }
}

/// What is wrong with a file that cannot be opened, and what helps.
fn remedy(error: &DatabaseError) -> String {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            "another process uses it; end that one or set --etcd-data-dir".into()
        }
        DatabaseError::UpgradeRequired(_) => {
            format!("{error}; use the release that wrote it to export its jobs")
        }
        DatabaseError::Storage(StorageError::Io(e)) if e.kind() != ErrorKind::InvalidData => {
            service::net::reason(e)
        }
        _ => format!("{error}; restore it from a backup, or move it away to begin without jobs"),
    }
}

/// Gives space back to the file system when that is worth the wait; `length` is
/// the file's size in bytes.
fn compact(database: &mut Database, length: u64) -> Result<(), redb::Error> {
    if length < WORTH_COMPACTING {
        return Ok(());
    }
    let writing = database.begin_write()?;
    let stats = writing.stats()?;
    writing.abort()?;
    let used = stats.allocated_pages() * stats.page_size() as u64;
    if length < used.saturating_mul(2) {
        return Ok(());
    }
    tracing::info!(
        target: SCOPE,
        "Defragmenting Etcd (dbSize: {}M, dbSizeInUse: {}M)", length >> 20, used >> 20
    );
    let began = Instant::now();
    database.compact()?;
    let took = service::duration::format(began.elapsed());
    tracing::info!(target: SCOPE, "Defragmentation completed in {took}");
    Ok(())
}
