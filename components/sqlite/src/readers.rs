//! Connections that read beside the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use component::{Error, Result};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::connection::Opener;
use crate::error::describe;

/// Idle connections are kept open; new ones are opened up to the limit.
pub(crate) struct Readers {
    opener: Opener,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
    closed: AtomicBool,
    timeout: Duration,
}

impl Readers {
    pub(crate) fn new(opener: Opener, timeout: Duration) -> Arc<Self> {
        let limit = std::thread::available_parallelism().map_or(4, |n| n.get().clamp(2, 8));
        Arc::new(Self {
            opener,
            permits: Semaphore::new(limit),
            idle: Mutex::new(Vec::with_capacity(limit)),
            closed: AtomicBool::new(false),
            timeout,
        })
    }

    /// Runs a closure with a connection, on a thread that may block.
    pub(crate) async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let path = &self.opener.target.path;
        let answer = async {
            let closed = || Error::unavailable(format!("sqlite database \"{path}\" is closed"));
            let _permit = self.permits.acquire().await.map_err(|_| closed())?;
            let readers = self.clone();
            let answer = tokio::task::spawn_blocking(move || {
                let conn = readers.take()?;
                let answer = f(&conn);
                readers.put_back(conn);
                answer
            });
            answer
                .await
                .map_err(|_| closed())?
                .map_err(|e| describe(&e, path))
        };
        tokio::time::timeout(self.timeout, answer)
            .await
            .unwrap_or_else(|_| {
                Err(Error::unavailable(format!(
                    "sqlite database \"{path}\" did not answer within {:?}",
                    self.timeout
                )))
            })
    }

    fn take(&self) -> rusqlite::Result<Connection> {
        let idle = self.idle.lock().pop();
        idle.map_or_else(|| self.opener.reader(), Ok)
    }

    fn put_back(&self, conn: Connection) {
        let mut idle = self.idle.lock();
        // A connection left open would keep the write-ahead log from being removed.
        if !self.closed.load(Ordering::Acquire) {
            idle.push(conn);
        }
    }

    pub(crate) fn close(&self) {
        self.permits.close();
        let idle = {
            let mut idle = self.idle.lock();
            self.closed.store(true, Ordering::Release);
            std::mem::take(&mut *idle)
        };
        drop(idle);
    }
}
