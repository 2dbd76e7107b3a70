//! One shared connection that is made again when it breaks.
//!
//! A call on a link that was up when it broke tries again for a while, so that a
//! short restart of the server is not seen. On a link that is known to be down
//! each call makes one attempt, which it shares with all others, and fails at once.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use redis::cluster_routing::SingleNodeRoutingInfo;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind};

use super::dial::{Connection, Dialer};
use super::settings::Retry;
use super::{Node, Outcomes, Repeat};

/// After so long without an answer the connection is checked before a request that
/// cannot be repeated: the server may have gone unnoticed.
const STALE: Duration = Duration::from_secs(1);

pub(super) struct Link {
    dialer: Dialer,
    retry: Retry,
    slot: Mutex<Slot>,
    /// No connection could be made lately.
    down: AtomicBool,
    born: Instant,
    /// Milliseconds from `born` to the last answer.
    answered: AtomicU64,
}

enum Slot {
    Empty,
    Used(Attempt),
    Closed,
}

/// A connection or the making of one. All callers drive the same dial.
#[derive(Clone)]
struct Attempt {
    dial: Shared<BoxFuture<'static, RedisResult<Connection>>>,
    started: Instant,
}

impl Link {
    pub(super) fn new(dialer: Dialer, retry: Retry) -> Self {
        Self {
            dialer,
            retry,
            slot: Mutex::new(Slot::Empty),
            down: AtomicBool::new(false),
            born: Instant::now(),
            answered: AtomicU64::new(0),
        }
    }

    /// Sends the commands in one go. Errors of single commands are among the outcomes.
    pub(super) async fn send(&self, pipe: &Pipeline, repeat: Repeat) -> RedisResult<Outcomes> {
        if repeat == Repeat::Never && self.is_stale() {
            let mut ping = redis::pipe();
            ping.cmd("PING").ignore_errors();
            self.exchange(&ping, Repeat::Safe, None).await?;
        }
        self.exchange(pipe, repeat, None).await
    }

    /// Sends the commands, which must be repeatable, to one server of a cluster.
    pub(super) async fn send_to(&self, node: &Node, pipe: &Pipeline) -> RedisResult<Outcomes> {
        self.exchange(pipe, Repeat::Safe, Some(node)).await
    }

    pub(super) fn close(&self) {
        *self.slot.lock() = Slot::Closed;
    }

    async fn exchange(
        &self,
        pipe: &Pipeline,
        repeat: Repeat,
        node: Option<&Node>,
    ) -> RedisResult<Outcomes> {
        let mut tries = 0;
        loop {
            let attempt = self.attempt()?;
            let dialled = attempt.dial.clone().await;
            let connected = dialled.is_ok();
            let result = match dialled {
                Ok(connection) => run(connection, pipe, node).await,
                Err(error) => Err(error),
            };
            let failure = match result {
                Ok(outcomes) => match passing(&outcomes) {
                    Some(error) => Failure::Refused(error, outcomes),
                    None => return Ok(self.answer(outcomes)),
                },
                Err(error) if !connected => Failure::NotConnected(error),
                Err(error) if is_refusal(&error) => Failure::RefusedAll(error),
                Err(error) => Failure::Broken(error),
            };
            let cluster = self.dialer.is_cluster();
            if failure.needs_new_connection(cluster) {
                self.discard(&attempt);
            }
            let down = self.down.load(Ordering::Relaxed);
            let retry = match &failure {
                Failure::NotConnected(error) => !down && may_connect_later(error),
                // A cluster's connection has tried again by itself.
                Failure::Broken(error) => !cluster && repeat == Repeat::Safe && is_dropped(error),
                Failure::Refused(..) | Failure::RefusedAll(_) => true,
            };
            if tries >= self.retry.count || !retry {
                if !connected {
                    self.down.store(true, Ordering::Relaxed);
                }
                return failure.end();
            }
            // A broken connection says nothing against a new one right now.
            if !matches!(failure, Failure::Broken(_)) {
                tokio::time::sleep(self.retry.wait(tries)).await;
            }
            tries += 1;
        }
    }

    /// The current connection, or the dial that all callers wait for.
    fn attempt(&self) -> RedisResult<Attempt> {
        let mut slot = self.slot.lock();
        match &*slot {
            Slot::Closed => return Err(closed()),
            Slot::Used(attempt) if !self.is_abandoned(attempt) => return Ok(attempt.clone()),
            Slot::Used(_) | Slot::Empty => {}
        }
        let attempt = Attempt {
            dial: self.dialer.clone().dial().boxed().shared(),
            started: Instant::now(),
        };
        *slot = Slot::Used(attempt.clone());
        Ok(attempt)
    }

    /// A dial rests while nobody waits for it, but its deadline does not.
    fn is_abandoned(&self, attempt: &Attempt) -> bool {
        attempt.dial.peek().is_none() && attempt.started.elapsed() > self.dialer.limit()
    }

    fn discard(&self, attempt: &Attempt) {
        let mut slot = self.slot.lock();
        if let Slot::Used(current) = &*slot
            && current.dial.ptr_eq(&attempt.dial)
        {
            *slot = Slot::Empty;
        }
    }

    fn answer(&self, outcomes: Outcomes) -> Outcomes {
        self.down.store(false, Ordering::Relaxed);
        self.answered.store(self.now(), Ordering::Relaxed);
        outcomes
    }

    fn is_stale(&self) -> bool {
        let silent = self.now() - self.answered.load(Ordering::Relaxed).min(self.now());
        u128::from(silent) > STALE.as_millis()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// How an exchange failed.
enum Failure {
    /// Nothing was sent.
    NotConnected(RedisError),
    /// Sent, and then no answer: it may have been executed.
    Broken(RedisError),
    /// The server cannot do it now and has not executed the first command.
    Refused(RedisError, Outcomes),
    /// Likewise, of a transaction.
    RefusedAll(RedisError),
}

impl Failure {
    fn needs_new_connection(&self, cluster: bool) -> bool {
        match self {
            Self::NotConnected(_) => true,
            // A cluster's connection mends itself, unless it lost every server.
            Self::Broken(error) if cluster => error.kind() == ErrorKind::ClusterConnectionNotFound,
            // A late answer may mean that the peer is gone. Calls under way keep the old connection.
            Self::Broken(error) => error.is_io_error() || error.is_unrecoverable_error(),
            // This server is no longer the master: ask the sentinels again.
            Self::Refused(error, _) | Self::RefusedAll(error) => {
                server_kinds(error).contains(&ServerErrorKind::ReadOnly)
            }
        }
    }

    fn end(self) -> RedisResult<Outcomes> {
        match self {
            Self::Refused(_, outcomes) => Ok(outcomes),
            Self::NotConnected(e) | Self::Broken(e) | Self::RefusedAll(e) => Err(e),
        }
    }
}

async fn run(
    connection: Connection,
    pipe: &Pipeline,
    node: Option<&Node>,
) -> RedisResult<Outcomes> {
    match (connection, node) {
        (Connection::Single(mut connection), _) => pipe.query_async(&mut connection).await,
        (Connection::Cluster(mut connection), None) => pipe.query_async(&mut connection).await,
        (Connection::Cluster(mut connection), Some(node)) => {
            let route = SingleNodeRoutingInfo::ByAddress {
                host: node.host.as_str().into(),
                port: node.port,
            };
            let answers = connection
                .route_pipeline(pipe.clone(), 0, pipe.len(), route)
                .await?;
            Ok(answers
                .into_iter()
                .map(redis::Value::extract_error)
                .collect())
        }
    }
}

/// The first command's error when it says "not now". The rest of a batch depends on the first.
fn passing(outcomes: &Outcomes) -> Option<RedisError> {
    let error = outcomes.first()?.as_ref().err()?;
    is_refusal(error).then(|| error.clone())
}

fn is_refusal(error: &RedisError) -> bool {
    server_kinds(error).iter().any(|kind| {
        matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::TryAgain
        )
    })
}

fn server_kinds(error: &RedisError) -> Vec<ServerErrorKind> {
    let errors = error.clone().into_server_errors();
    errors
        .iter()
        .flat_map(|e| e.iter())
        .filter_map(|(_, e)| e.kind())
        .collect()
}

/// A timeout has used its time, and a wrong password stays wrong.
fn may_connect_later(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io => !error.is_timeout(),
        ErrorKind::MasterNameNotFoundBySentinel => true,
        _ => false,
    }
}

fn is_dropped(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_timeout()
}

pub(super) fn closed() -> RedisError {
    io::Error::new(io::ErrorKind::NotConnected, "the component is closed").into()
}
