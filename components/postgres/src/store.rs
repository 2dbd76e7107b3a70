//! The store, over either layout.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use component::metadata::Join;
use component::state::{
    BulkItem, Concurrency, DeleteRequest, Features, GetRequest, Item, KeysPage, KeysRequest,
    Metadata, Operation, QueryItem, QueryPage, SetRequest, StateStore, TTL_EXPIRE_TIME,
    ttl_in_seconds,
};
use component::{Component, Env, Error, ErrorKind, Result};
use deadpool_postgres::{Client, GenericClient, Pool};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::config::{ConfigV1, ConfigV2, Connection, Tables};
use crate::error::{describe, no_connection};
use crate::layout::v1::V1;
use crate::layout::v2::V2;
use crate::layout::{Layout, Statements, column};
use crate::query::Search;
use crate::{cleanup, connect, migrate};

/// `state.postgresql` version 1.
pub struct PostgresV1(Store<V1>);
/// `state.postgresql` version 2.
pub struct PostgresV2(Store<V2>);

pub(crate) struct Store<L> {
    pool: Pool,
    address: String,
    table: String,
    sql: Statements,
    timeout: Duration,
    _cleanup: JoinSet<()>,
    layout: PhantomData<L>,
}

impl Component for PostgresV1 {
    type Config = Join<ConfigV1, Connection>;

    async fn open(Join(config, connection): Self::Config, env: Env) -> Result<Self> {
        Store::open(config.tables()?, &connection, env)
            .await
            .map(Self)
    }
}

impl Component for PostgresV2 {
    type Config = Join<ConfigV2, Connection>;

    async fn open(Join(config, connection): Self::Config, env: Env) -> Result<Self> {
        Store::open(config.tables()?, &connection, env)
            .await
            .map(Self)
    }
}

impl<L: Layout> Store<L> {
    async fn open(tables: Tables, connection: &Connection, env: Env) -> Result<Self> {
        let (pool, address) = connect::pool(connection)?;
        let steps = L::migrations(&tables.state);
        let migrated = timeout(
            tables.timeout,
            migrate::run(&pool, &address, &tables, &steps),
        )
        .await;
        migrated.unwrap_or_else(|_| Err(late(&address, tables.timeout)))?;
        let sql = L::statements(&tables.state);
        let _cleanup = cleanup::start(pool.clone(), &tables, sql.expired.clone(), env);
        Ok(Self {
            pool,
            address,
            table: tables.state,
            sql,
            timeout: tables.timeout,
            _cleanup,
            layout: PhantomData,
        })
    }

    async fn client(&self) -> Result<Client> {
        self.pool
            .get()
            .await
            .map_err(|e| no_connection(&e, &self.address))
    }

    async fn timed<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(self.timeout, call)
            .await
            .unwrap_or_else(|_| Err(late(&self.address, self.timeout)))
    }

    fn failed(&self, error: &tokio_postgres::Error) -> Error {
        describe(error, &self.address)
    }

    async fn rows<C: GenericClient>(
        &self,
        client: &C,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        let statement = client
            .prepare_cached(sql)
            .await
            .map_err(|e| self.failed(&e))?;
        client
            .query(&statement, params)
            .await
            .map_err(|e| self.failed(&e))
    }

    async fn count<C: GenericClient>(
        &self,
        client: &C,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64> {
        let statement = client
            .prepare_cached(sql)
            .await
            .map_err(|e| self.failed(&e))?;
        client
            .execute(&statement, params)
            .await
            .map_err(|e| self.failed(&e))
    }

    async fn get(&self, req: GetRequest) -> Result<Option<Item>> {
        named(&req.key, "get")?;
        self.timed(async {
            let rows = self
                .rows(&self.client().await?, &self.sql.get, &[&req.key])
                .await?;
            rows.first().map(item::<L>).transpose()
        })
        .await
    }

    /// Found rows first, in the database's order, then the missing keys.
    async fn bulk_get(&self, reqs: Vec<GetRequest>) -> Result<Vec<BulkItem>> {
        let keys: Vec<String> = reqs.into_iter().map(|r| r.key).collect();
        self.timed(async {
            let rows = self
                .rows(&self.client().await?, &self.sql.get_many, &[&keys])
                .await?;
            let mut missing: HashMap<&str, usize> = keys.iter().map(|k| (k.as_str(), 0)).collect();
            let mut out = Vec::with_capacity(keys.len());
            for row in &rows {
                let key: String = column(row, "key")?;
                missing.remove(key.as_str());
                out.push(BulkItem {
                    key,
                    result: item::<L>(row).map(Some),
                });
            }
            for key in keys.iter().filter(|k| missing.contains_key(k.as_str())) {
                out.push(BulkItem {
                    key: key.clone(),
                    result: Ok(None),
                });
            }
            Ok(out)
        })
        .await
    }

    async fn apply<C: GenericClient>(&self, client: &C, op: Operation) -> Result<()> {
        match op {
            Operation::Set(req) => self.write(client, req).await,
            Operation::Delete(req) => self.remove(client, req).await,
        }
    }

    async fn write<C: GenericClient>(&self, client: &C, req: SetRequest) -> Result<()> {
        named(&req.key, "set")?;
        let seconds = ttl_in_seconds(&req.metadata)?
            .filter(|s| *s > 0)
            .map(f64::from);
        let etag = req.etag.as_deref().map(L::etag).transpose()?;
        let bound = L::bind(req.value);
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&req.key, &*bound.value];
        if L::MARKED {
            params.push(&bound.binary);
        }
        params.push(&seconds);
        let first = req.concurrency == Concurrency::FirstWrite;
        let sql = match (&etag, first) {
            (Some(_), _) => &self.sql.set_etag,
            (None, true) => &self.sql.set_first,
            (None, false) => &self.sql.set,
        };
        if let Some(etag) = &etag {
            params.push(&**etag);
        }
        match (self.count(client, sql, &params).await?, etag) {
            (0, Some(_)) => Err(Error::etag_mismatch("no item was updated")),
            (0, None) => Err(Error::new(ErrorKind::Conflict, "no item was updated")),
            _ => Ok(()),
        }
    }

    async fn remove<C: GenericClient>(&self, client: &C, req: DeleteRequest) -> Result<()> {
        named(&req.key, "delete")?;
        let Some(etag) = req.etag.as_deref() else {
            return self
                .count(client, &self.sql.delete, &[&req.key])
                .await
                .map(drop);
        };
        let etag = L::etag(etag)?;
        match self
            .count(client, &self.sql.delete_etag, &[&req.key, &*etag])
            .await?
        {
            0 => Err(Error::etag_mismatch("no item was deleted")),
            _ => Ok(()),
        }
    }

    async fn one(&self, op: Operation) -> Result<()> {
        self.timed(async { self.apply(&self.client().await?, op).await })
            .await
    }

    async fn transact(&self, mut ops: Vec<Operation>) -> Result<()> {
        match ops.len() {
            0 => return Ok(()),
            1 => return self.one(ops.remove(0)).await,
            _ => {}
        }
        self.timed(async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await.map_err(|e| self.failed(&e))?;
            for op in ops {
                self.apply(&transaction, op).await?;
            }
            transaction.commit().await.map_err(|e| self.failed(&e))
        })
        .await
    }

    async fn keys(&self, req: KeysRequest) -> Result<KeysPage> {
        if req.pattern.is_empty() {
            return Err(Error::invalid("keys like pattern cannot be empty"));
        }
        let after: i64 = match req.token.as_deref() {
            None | Some("") => 0,
            Some(token) => token
                .parse()
                .map_err(|e| Error::invalid(format!("invalid continue token: {e}")))?,
        };
        // A backslash at the end means itself, as in the other stores.
        let slashes = req.pattern.chars().rev().take_while(|c| *c == '\\').count();
        let pattern = if slashes % 2 == 1 {
            format!("{}\\", req.pattern)
        } else {
            req.pattern
        };
        let size = usize::try_from(req.page_size).unwrap_or(usize::MAX);
        let one_more = i64::from(req.page_size) + 1;
        self.timed(async {
            let client = self.client().await?;
            let mut rows = match size {
                0 => {
                    self.rows(&client, &self.sql.keys, &[&pattern, &after])
                        .await?
                }
                _ => {
                    self.rows(&client, &self.sql.keys_page, &[&pattern, &after, &one_more])
                        .await?
                }
            };
            let more = size > 0 && rows.len() > size;
            if more {
                rows.truncate(size);
            }
            let keys = rows
                .iter()
                .map(|r| column(r, "key"))
                .collect::<Result<_>>()?;
            let last = rows
                .last()
                .filter(|_| more)
                .map(|r| column::<i64>(r, "row_id"))
                .transpose()?;
            Ok(KeysPage {
                keys,
                token: last.map(|id| id.to_string()),
            })
        })
        .await
    }

    async fn search(&self, query: &[u8]) -> Result<QueryPage> {
        let search = Search::build(&self.table, query)?;
        self.timed(async {
            let client = self.client().await?;
            let params: Vec<&(dyn ToSql + Sync)> = search.params.iter().map(|p| p as _).collect();
            // Not kept: each query is a statement of its own.
            let rows = client
                .query(&search.sql, &params)
                .await
                .map_err(|e| self.failed(&e))?;
            let mut page = QueryPage::default();
            for row in &rows {
                let value: String = column(row, "value")?;
                page.results.push(QueryItem {
                    key: column(row, "key")?,
                    data: value.into(),
                    etag: Some(column(row, "etag")?),
                    error: String::new(),
                });
            }
            if let Some(offset) = search.offset {
                page.token = (offset + rows.len() as u64).to_string();
            }
            Ok(page)
        })
        .await
    }

    async fn ping(&self) -> Result<()> {
        self.timed(async {
            self.rows(&self.client().await?, "SELECT 1", &[])
                .await
                .map(drop)
        })
        .await
    }
}

fn item<L: Layout>(row: &Row) -> Result<Item> {
    let mut metadata = Metadata::new();
    if let Some(expires) = column::<Option<Timestamp>>(row, "expires")? {
        let text = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        metadata.insert(TTL_EXPIRE_TIME.into(), text);
    }
    Ok(Item {
        data: L::value(row)?,
        etag: Some(column(row, "etag")?),
        metadata,
        content_type: None,
    })
}

fn named(key: &str, operation: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Error::invalid(format!(
            "missing key in {operation} operation"
        )));
    }
    Ok(())
}

fn late(address: &str, limit: Duration) -> Error {
    Error::unavailable(format!(
        "postgresql at {address} did not answer within {limit:?}"
    ))
}

const FEATURES: Features = Features::ETAG
    .and(Features::TRANSACTIONAL)
    .and(Features::TTL)
    .and(Features::KEYS_LIKE);

/// Both versions are the same store outside.
macro_rules! state_store {
    ($name:ident, $features:expr, $query:expr) => {
        #[async_trait]
        impl StateStore for $name {
            fn features(&self) -> Features {
                $features
            }

            async fn get(&self, req: GetRequest) -> Result<Option<Item>> {
                self.0.get(req).await
            }

            async fn bulk_get(
                &self,
                reqs: Vec<GetRequest>,
                _parallelism: usize,
            ) -> Result<Vec<BulkItem>> {
                self.0.bulk_get(reqs).await
            }

            async fn set(&self, req: SetRequest) -> Result<()> {
                self.0.one(Operation::Set(req)).await
            }

            async fn delete(&self, req: DeleteRequest) -> Result<()> {
                self.0.one(Operation::Delete(req)).await
            }

            async fn transact(&self, ops: Vec<Operation>, _metadata: Metadata) -> Result<()> {
                self.0.transact(ops).await
            }

            async fn query(&self, query: Bytes, _metadata: Metadata) -> Result<QueryPage> {
                if !$query {
                    return Err(Error::unsupported("a query"));
                }
                self.0.search(&query).await
            }

            async fn keys_like(&self, req: KeysRequest) -> Result<KeysPage> {
                self.0.keys(req).await
            }

            async fn ping(&self) -> Result<()> {
                self.0.ping().await
            }

            async fn close(&self) {
                self.0.pool.close();
            }
        }
    };
}

state_store!(PostgresV1, FEATURES.and(Features::QUERY_API), true);
state_store!(PostgresV2, FEATURES, false);
