//! `state.redis`: each key is a hash of value and version, or a JSON document
//! where the server has JSON and the request says so.

mod filter;
mod keys;
mod query;
mod read;
mod script;
mod transaction;
mod write;

#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use component::metadata::Join;
use component::state::{
    DeleteRequest, Features, GetRequest, Item, KeysPage, KeysRequest, Metadata, Operation,
    QueryPage, SetRequest, StateStore,
};
use component::{Component, Descriptor, Env, Error, JsonSchema, Registry, Result};
use serde::Deserialize;

use crate::client::{
    Client, Config as Connection, Defaults, Repeat, Settings, explain, kind, text,
};
use query::Indexes;
use script::Form;
use write::{Write, ttl};

/// Metadata of `state.redis` besides the connection.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// Seconds that a value lives when its request does not say; none by default.
    pub ttl_in_seconds: Option<i64>,
    /// Indexes for queries, a JSON list of `{name, indexes: [{key, type}]}`.
    pub query_indexes: Option<String>,
}

/// An open store.
pub struct RedisState {
    client: Client,
    /// Whether the server has JSON.
    json: bool,
    replicas: u32,
    ttl: Option<i64>,
    indexes: Indexes,
    /// Whether the log has been told what transactions do not do.
    warned: AtomicBool,
}

pub(crate) fn register(registry: &mut Registry) {
    registry.state::<RedisState>(Descriptor {
        features: &["ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"],
        tested_with: "redis 7 (Debian): single, password, TLS, sentinel, cluster",
        ..Descriptor::new("redis", "Redis")
    });
}

impl Component for RedisState {
    type Config = Join<Config, Connection>;

    async fn open(Join(config, connection): Self::Config, env: Env) -> Result<Self> {
        let defaults = Defaults {
            min_retry_interval: Duration::from_secs(2),
        };
        let settings = Settings::new(&connection, &defaults)?;
        let indexes = Indexes::parse(config.query_indexes.as_deref().unwrap_or_default())?;
        let address = settings.address();
        let client = Client::open(&settings, &env).await.map_err(|e| {
            let cause = text(&e);
            let message = format!("redis store: error connecting to redis at {address}: {cause}");
            Error::new(kind(&e), message).with_source(e)
        })?;
        let (replicas, json) = (replicas(&client).await, has_json(&client).await);
        let store = Self {
            client,
            json,
            replicas,
            ttl: config.ttl_in_seconds,
            indexes,
            warned: AtomicBool::new(false),
        };
        if json {
            store.create_indexes().await?;
        }
        Ok(store)
    }
}

/// Of the server that was connected to; unknown counts as none.
async fn replicas(client: &Client) -> u32 {
    let mut info = redis::cmd("INFO");
    info.arg("replication");
    let Ok(answer) = client.call(info, Repeat::Safe).await else {
        return 0;
    };
    let Ok(lines) = redis::from_redis_value::<String>(answer) else {
        return 0;
    };
    let count = lines
        .lines()
        .find_map(|l| l.strip_prefix("connected_slaves:"));
    count.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

/// A server without JSON does not know the command; one with it complains of the
/// missing arguments.
async fn has_json(client: &Client) -> bool {
    match client.call(redis::cmd("JSON.GET"), Repeat::Safe).await {
        Ok(_) => true,
        Err(e) => e.code().is_some() && !text(&e).to_ascii_lowercase().contains("unknown command"),
    }
}

#[async_trait]
impl StateStore for RedisState {
    fn features(&self) -> Features {
        let features = Features::ETAG
            .and(Features::TRANSACTIONAL)
            .and(Features::TTL)
            .and(Features::KEYS_LIKE);
        if self.json {
            features.and(Features::QUERY_API)
        } else {
            features
        }
    }

    async fn get(&self, req: GetRequest) -> Result<Option<Item>> {
        if req.key.is_empty() {
            return Err(Error::invalid("missing key in get operation"));
        }
        self.read(&req.key, self.form(&req.metadata)).await
    }

    async fn set(&self, req: SetRequest) -> Result<()> {
        let consistency = req.consistency;
        let guard = req.concurrency == component::state::Concurrency::FirstWrite;
        let (form, ttl) = (self.form(&req.metadata), ttl(&req.metadata)?.or(self.ttl));
        self.write(&Write::set(req, form, guard, ttl)?, consistency)
            .await
    }

    async fn delete(&self, req: DeleteRequest) -> Result<()> {
        let (consistency, form) = (req.consistency, self.form(&req.metadata));
        self.write(&Write::delete(req, form)?, consistency).await
    }

    async fn transact(&self, ops: Vec<Operation>, metadata: Metadata) -> Result<()> {
        self.execute(ops, &metadata).await
    }

    async fn query(&self, query: Bytes, metadata: Metadata) -> Result<QueryPage> {
        self.search(&query, &metadata).await
    }

    async fn keys_like(&self, req: KeysRequest) -> Result<KeysPage> {
        self.list(&req).await
    }

    async fn ping(&self) -> Result<()> {
        let answer = self.client.call(redis::cmd("PING"), Repeat::Safe).await;
        let failed = |e| explain("failed to ping: ", self.client.address(), e);
        answer.map(drop).map_err(failed)
    }

    async fn close(&self) {
        self.client.close();
    }
}

impl RedisState {
    /// How the value of a request is stored.
    fn form(&self, metadata: &Metadata) -> Form {
        let is_json = metadata
            .get("contentType")
            .is_some_and(|t| t == "application/json");
        if self.json && is_json {
            Form::Json
        } else {
            Form::Hash
        }
    }
}

impl Drop for RedisState {
    fn drop(&mut self) {
        self.client.close();
    }
}
