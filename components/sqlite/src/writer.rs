//! The thread that writes.
//!
//! Whatever waits when a commit ends goes into the next one, so under load many
//! writers share one transaction and one flush. Each keeps its own outcome: a
//! refused change is no change, and a refused transaction is rolled back to its
//! savepoint, so nobody undoes another's work.
//!
//! A write is acknowledged after its commit. With `synchronous=FULL` it then
//! survives the end of the process and of the machine's power.

use std::sync::Arc;
use std::time::Duration;

use component::{Error, Result};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error::{describe, is_busy};
use crate::sql::{Sql, Write};

/// Callers that may wait before further ones are held back.
const QUEUE: usize = 1024;
/// Changes that share one commit. Bounds the time a writer waits for others.
const GROUP: usize = 512;

type Call = Box<dyn FnOnce(&mut Connection) + Send>;

enum Job {
    Write(Pending),
    /// Anything else that needs this connection, run between two commits.
    Call(Call),
    Close(oneshot::Sender<()>),
}

struct Pending {
    writes: Vec<Write>,
    reply: oneshot::Sender<Result<()>>,
}

/// The way to the writing thread, which ends when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
    timeout: Duration,
    path: Arc<str>,
}

impl Writer {
    pub(crate) fn start(
        conn: Connection,
        sql: Arc<Sql>,
        timeout: Duration,
        path: Arc<str>,
    ) -> Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = Thread {
            conn,
            sql,
            path: path.clone(),
        };
        std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || thread.run(queue))
            .map_err(|e| {
                Error::internal(format!(
                    "sqlite database \"{path}\": no thread for the writer: {e}"
                ))
            })?;
        Ok(Self {
            jobs,
            timeout,
            path,
        })
    }

    /// Makes all changes in order, or none; returns after the commit.
    pub(crate) async fn write(&self, writes: Vec<Write>) -> Result<()> {
        let (reply, outcome) = oneshot::channel();
        self.within_timeout(Job::Write(Pending { writes, reply }), outcome)
            .await?
    }

    /// Runs a closure with the writing connection.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, outcome) = oneshot::channel();
        let call = Box::new(move |conn: &mut Connection| {
            // Whoever gave up needs no answer.
            let _ = reply.send(f(conn));
        });
        self.within_timeout(Job::Call(call), outcome)
            .await?
            .map_err(|e| describe(&e, &self.path))
    }

    /// Finishes what is queued and closes the connection.
    pub(crate) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        // An error means that it is closed already.
        let _ = self.within_timeout(Job::Close(reply), closed).await;
    }

    async fn within_timeout<T>(&self, job: Job, outcome: oneshot::Receiver<T>) -> Result<T> {
        let answer = async {
            let closed =
                || Error::unavailable(format!("sqlite database \"{}\" is closed", self.path));
            self.jobs.send(job).await.map_err(|_| closed())?;
            outcome.await.map_err(|_| closed())
        };
        tokio::time::timeout(self.timeout, answer).await.unwrap_or_else(|_| {
            Err(Error::unavailable(format!(
                "sqlite database \"{}\" did not answer within {:?}; raise metadata timeout if that is too short",
                self.path, self.timeout
            )))
        })
    }
}

struct Thread {
    conn: Connection,
    sql: Arc<Sql>,
    path: Arc<str>,
}

impl Thread {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut group = Vec::new();
        let mut closing = None;
        while let Some(first) = queue.blocking_recv() {
            let mut next = Some(first);
            let mut interlude = None;
            while let Some(job) = next.take() {
                match job {
                    Job::Write(pending) => group.push(pending),
                    // Must neither see uncommitted changes nor be overtaken.
                    Job::Call(call) => interlude = Some(call),
                    Job::Close(done) => {
                        queue.close();
                        closing = Some(done);
                    }
                }
                if interlude.is_none() && group.len() < GROUP {
                    next = queue.try_recv().ok();
                }
            }
            self.commit(&mut group);
            if let Some(call) = interlude {
                call(&mut self.conn);
            }
        }
        drop(self.conn);
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    /// Writes a group and answers everyone in it.
    fn commit(&self, group: &mut Vec<Pending>) {
        // Nobody waits for these any more, and they have not begun.
        group.retain(|pending| !pending.reply.is_closed());
        let outcomes = match group.as_slice() {
            [] => return,
            [only] => vec![self.alone(only)],
            many => self.together(many).unwrap_or_else(|error| {
                if is_busy(&error) {
                    many.iter()
                        .map(|_| Err(describe(&error, &self.path)))
                        .collect()
                } else {
                    // One of them made the whole transaction fail: find out which.
                    many.iter().map(|pending| self.alone(pending)).collect()
                }
            }),
        };
        for (pending, outcome) in group.drain(..).zip(outcomes) {
            let _ = pending.reply.send(outcome);
        }
    }

    fn alone(&self, pending: &Pending) -> Result<()> {
        let outcome = match pending.writes.as_slice() {
            // A single statement is a transaction by itself.
            [only] => self.sql.apply(&self.conn, only),
            many => self.transaction(Result::is_ok, || self.in_order(many)),
        };
        outcome.unwrap_or_else(|e| Err(describe(&e, &self.path)))
    }

    fn together(&self, group: &[Pending]) -> rusqlite::Result<Vec<Result<()>>> {
        self.transaction(
            |_| true,
            || {
                group
                    .iter()
                    .map(|pending| self.isolated(&pending.writes))
                    .collect()
            },
        )
    }

    /// One member of a group: its failure leaves no trace in the transaction.
    /// The outer error means that SQLite has ended the transaction.
    fn isolated(&self, writes: &[Write]) -> rusqlite::Result<Result<()>> {
        let outcome = match writes {
            // A statement that fails has changed nothing.
            [only] => self.sql.apply(&self.conn, only),
            many => {
                self.execute("SAVEPOINT member")?;
                let outcome = self.in_order(many);
                if !self.conn.is_autocommit() {
                    if !matches!(outcome, Ok(Ok(()))) {
                        self.execute("ROLLBACK TO member")?;
                    }
                    self.execute("RELEASE member")?;
                }
                outcome
            }
        };
        match outcome {
            Err(error) if self.conn.is_autocommit() => Err(error),
            Err(error) => Ok(Err(describe(&error, &self.path))),
            Ok(outcome) => Ok(outcome),
        }
    }

    fn in_order(&self, writes: &[Write]) -> rusqlite::Result<Result<()>> {
        for write in writes {
            if let Err(refused) = self.sql.apply(&self.conn, write)? {
                return Ok(Err(refused));
            }
        }
        Ok(Ok(()))
    }

    /// Commits when the body's result is one to keep, else rolls back.
    fn transaction<T>(
        &self,
        keep: impl FnOnce(&T) -> bool,
        body: impl FnOnce() -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.execute(self.sql.begin)?;
        let outcome = body().and_then(|value| {
            if keep(&value) {
                self.execute("COMMIT")?;
            }
            Ok(value)
        });
        if !self.conn.is_autocommit() {
            self.execute("ROLLBACK")?;
        }
        outcome
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([]).map(drop)
    }
}
