//! The Redis client that all components share: one connection that many callers
//! use at once, made again when it breaks.

mod config;
mod dial;
mod error;
mod link;
mod settings;

use redis::{Cmd, Pipeline, RedisResult, Value};

use component::Env;
use dial::Dialer;
use link::Link;

pub(crate) use config::Config;
pub(crate) use error::{explain, kind, text};
pub(crate) use settings::{Defaults, Settings};

/// Whether a request may be sent again when its connection broke before the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A second execution changes nothing.
    Safe,
    /// A second execution would see the effect of the first.
    Never,
}

/// A connected client.
pub(crate) struct Client {
    address: String,
    cluster: bool,
    ordinary: Link,
    /// For commands that make the server wait: they hold up everything behind them.
    waiting: Link,
}

impl Client {
    /// Connects; ends early when the component is closed meanwhile.
    pub(crate) async fn open(settings: &Settings, env: &Env) -> RedisResult<Self> {
        let dialer = Dialer::new(settings)?;
        let link = || Link::new(dialer.clone(), settings.retry);
        let client = Self {
            address: settings.address(),
            cluster: dialer.is_cluster(),
            ordinary: link(),
            waiting: link(),
        };
        let mut ping = redis::pipe();
        ping.cmd("PING").ignore_errors();
        tokio::select! {
            answer = client.ordinary.send(&ping, Repeat::Safe) => first(answer?)?,
            () = env.shutdown.cancelled() => return Err(link::closed()),
        };
        Ok(client)
    }

    /// The addresses from the settings.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether keys live on several servers.
    pub(crate) fn is_cluster(&self) -> bool {
        self.cluster
    }

    /// Sends one command.
    pub(crate) async fn call(&self, command: Cmd, repeat: Repeat) -> RedisResult<Value> {
        let mut pipe = Pipeline::with_capacity(1);
        pipe.add_command(command);
        first(self.batch(pipe, repeat).await?)
    }

    /// Sends commands together and returns the outcome of each. In a cluster their
    /// keys must share a slot.
    pub(crate) async fn batch(&self, mut pipe: Pipeline, repeat: Repeat) -> RedisResult<Outcomes> {
        pipe.ignore_errors();
        self.ordinary.send(&pipe, repeat).await
    }

    /// Like [`batch`](Self::batch), for commands among which one makes the server wait.
    pub(crate) async fn waiting_batch(
        &self,
        mut pipe: Pipeline,
        repeat: Repeat,
    ) -> RedisResult<Outcomes> {
        pipe.ignore_errors();
        self.waiting.send(&pipe, repeat).await
    }

    /// Sends one command to one server of the cluster.
    pub(crate) async fn call_node(&self, node: &Node, command: Cmd) -> RedisResult<Value> {
        let mut pipe = Pipeline::with_capacity(1);
        pipe.add_command(command).ignore_errors();
        first(self.ordinary.send_to(node, &pipe).await?)
    }

    /// The servers of the cluster that hold keys.
    pub(crate) async fn nodes(&self) -> RedisResult<Vec<Node>> {
        let mut slots = redis::cmd("CLUSTER");
        slots.arg("SLOTS");
        let ranges: Vec<(u16, u16, (String, u16))> =
            redis::from_redis_value(trimmed(self.call(slots, Repeat::Safe).await?))?;
        let mut nodes: Vec<_> = ranges
            .into_iter()
            .map(|(_, _, (host, port))| Node { host, port })
            .collect();
        nodes.sort();
        nodes.dedup();
        Ok(nodes)
    }

    /// Later calls fail; the connection ends with the calls that still use it.
    pub(crate) fn close(&self) {
        self.ordinary.close();
        self.waiting.close();
    }
}

/// The outcome of each command of a batch.
pub(crate) type Outcomes = Vec<RedisResult<Value>>;

/// A server of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node {
    host: String,
    port: u16,
}

pub(crate) fn first(outcomes: Outcomes) -> RedisResult<Value> {
    outcomes.into_iter().next().unwrap_or(Ok(Value::Nil))
}

/// `CLUSTER SLOTS` without what follows the address of the master in each range.
fn trimmed(ranges: Value) -> Value {
    let Value::Array(ranges) = ranges else {
        return ranges;
    };
    let range = |range| match range {
        Value::Array(mut parts) => {
            parts.truncate(3);
            if let Some(Value::Array(master)) = parts.get_mut(2) {
                master.truncate(2);
            }
            Value::Array(parts)
        }
        other => other,
    };
    Value::Array(ranges.into_iter().map(range).collect())
}
