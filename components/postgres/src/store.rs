//! The store, over either layout.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use component::state::{
    BulkItem, Concurrency, DeleteRequest, GetRequest, Item, KeysPage, KeysRequest, Metadata,
    Operation, QueryItem, QueryPage, SetRequest, TTL_EXPIRE_TIME, ttl_in_seconds,
};
use component::{Env, Error, ErrorKind, Result};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::config::{Connection, Tables};
use crate::connect::Connections;
use crate::layout::{Layout, Raw, Statement, Statements, column};
use crate::lease::Lease;
use crate::query::Search;
use crate::{migrate, upkeep};

pub(crate) struct Store<L> {
    pub(crate) connections: Connections,
    pub(crate) sql: Arc<Statements>,
    table: String,
    timeout: Duration,
    _upkeep: JoinSet<()>,
    layout: PhantomData<L>,
}

/// One change of one row, checked and ready to be sent.
enum Write<L: Layout> {
    Set {
        req: SetRequest,
        seconds: Option<f64>,
        etag: Option<L::Etag>,
    },
    Delete {
        key: String,
        etag: Option<L::Etag>,
    },
}

impl<L: Layout> Store<L> {
    pub(crate) async fn open(tables: Tables, connection: &Connection, env: Env) -> Result<Self> {
        let connections = Connections::new(connection)?;
        let steps = L::migrations(&tables.state);
        let migrated = timeout(tables.timeout, migrate::run(&connections, &tables, &steps));
        match env.shutdown.run_until_cancelled(migrated).await {
            Some(done) => {
                done.unwrap_or_else(|_| Err(late(&connections.address, tables.timeout)))?
            }
            None => return Err(Error::unavailable("opening the component was cancelled")),
        }
        let sql = Arc::new(L::statements(&tables.state));
        let _upkeep = upkeep::start(connections.clone(), &tables, sql.clone(), env);
        Ok(Self {
            connections,
            sql,
            table: tables.state,
            timeout: tables.timeout,
            _upkeep,
            layout: PhantomData,
        })
    }

    async fn timed<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(self.timeout, call)
            .await
            .unwrap_or_else(|_| Err(late(&self.connections.address, self.timeout)))
    }

    async fn rows(
        &self,
        statement: &Statement,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.timed(async {
            let lease = self.connections.lease().await?;
            let rows = lease.rows(statement, params).await;
            lease.done();
            rows
        })
        .await
    }

    pub(crate) async fn get(&self, req: GetRequest) -> Result<Option<Item>> {
        named(&req.key, "get")?;
        let rows = self.rows(&self.sql.get, &[&req.key]).await?;
        rows.first().map(item::<L>).transpose()
    }

    /// Found keys first, then the missing ones.
    pub(crate) async fn bulk_get(&self, reqs: Vec<GetRequest>) -> Result<Vec<BulkItem>> {
        if reqs.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = reqs.into_iter().map(|r| r.key).collect();
        let rows = self.rows(&self.sql.get_many, &[&keys]).await?;
        let mut items = HashMap::with_capacity(rows.len());
        for row in &rows {
            items.insert(column::<&str>(row, "key")?, row);
        }
        let (mut found, mut missing) = (Vec::with_capacity(keys.len()), Vec::new());
        for key in keys {
            match items.get(key.as_str()) {
                Some(row) => found.push(BulkItem {
                    key,
                    result: item::<L>(row).map(Some),
                }),
                None => missing.push(BulkItem {
                    key,
                    result: Ok(None),
                }),
            }
        }
        found.append(&mut missing);
        Ok(found)
    }

    /// All changes in order, or none. One change needs no transaction.
    pub(crate) async fn write(&self, ops: Vec<Operation>) -> Result<()> {
        let writes: Vec<Write<L>> = ops.into_iter().map(check).collect::<Result<_>>()?;
        self.timed(async {
            match <[_; 1]>::try_from(writes) {
                Ok([only]) => {
                    let lease = self.connections.lease().await?;
                    let outcome = self.apply(&lease, only).await;
                    lease.done();
                    outcome
                }
                Err(none) if none.is_empty() => Ok(()),
                Err(many) => self.transaction(many).await,
            }
        })
        .await
    }

    async fn transaction(&self, writes: Vec<Write<L>>) -> Result<()> {
        let lease = self.connections.lease().await?;
        lease.batch("BEGIN").await.map_err(|e| lease.failed(&e))?;
        for write in writes {
            if let Err(refused) = self.apply(&lease, write).await {
                // Without an answer the connection is closed, which rolls back too.
                if lease.batch("ROLLBACK").await.is_ok() {
                    lease.done();
                }
                return Err(refused);
            }
        }
        lease.batch("COMMIT").await.map_err(|e| lease.failed(&e))?;
        lease.done();
        Ok(())
    }

    async fn apply(&self, lease: &Lease<'_>, write: Write<L>) -> Result<()> {
        match write {
            Write::Set { req, seconds, etag } => {
                let (payload, marker) = L::bind(req.value);
                let mut params: Vec<&(dyn ToSql + Sync)> = vec![&req.key, &payload];
                if L::MARKED {
                    params.push(&marker);
                }
                params.push(&seconds);
                let statement = match (&etag, req.concurrency) {
                    (Some(etag), _) => {
                        params.push(etag);
                        &self.sql.set_etag
                    }
                    (None, Concurrency::FirstWrite) => &self.sql.set_first,
                    (None, _) => &self.sql.set,
                };
                match (lease.count(statement, &params).await?, etag) {
                    (0, Some(_)) => Err(Error::etag_mismatch("no item was updated")),
                    (0, None) => Err(Error::new(ErrorKind::Conflict, "no item was updated")),
                    _ => Ok(()),
                }
            }
            Write::Delete { key, etag: None } => {
                lease.count(&self.sql.delete, &[&key]).await.map(drop)
            }
            Write::Delete {
                key,
                etag: Some(etag),
            } => match lease.count(&self.sql.delete_etag, &[&key, &etag]).await? {
                0 => Err(Error::etag_mismatch("no item was deleted")),
                _ => Ok(()),
            },
        }
    }

    pub(crate) async fn keys(&self, req: KeysRequest) -> Result<KeysPage> {
        if req.pattern.is_empty() {
            return Err(Error::invalid("keys like pattern cannot be empty"));
        }
        let after: i64 = match req.token.as_deref().filter(|t| !t.is_empty()) {
            None => 0,
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
        // One more shows whether another page follows.
        let page = req.page_size as usize;
        let limit = (page > 0).then(|| i64::from(req.page_size) + 1);
        let mut rows = self
            .rows(&self.sql.keys, &[&pattern, &after, &limit])
            .await?;
        let more = page > 0 && rows.len() > page;
        if more {
            rows.truncate(page);
        }
        let keys = rows
            .iter()
            .map(|row| column(row, "key"))
            .collect::<Result<_>>()?;
        let last = rows
            .last()
            .filter(|_| more)
            .map(|row| column::<i64>(row, "row_id"))
            .transpose()?;
        Ok(KeysPage {
            keys,
            token: last.map(|id| id.to_string()),
        })
    }

    pub(crate) async fn search(&self, query: &[u8]) -> Result<QueryPage> {
        let search = Search::build(&self.table, query)?;
        let params: Vec<(&(dyn ToSql + Sync), Type)> = search
            .params
            .iter()
            .map(|p| (p as &(dyn ToSql + Sync), Type::TEXT))
            .collect();
        let rows = self
            .timed(async {
                let lease = self.connections.lease().await?;
                // Not kept: each query is a statement of its own.
                let rows = lease.once(&search.sql, &params).await;
                lease.done();
                rows
            })
            .await?;
        let mut page = QueryPage::default();
        for row in &rows {
            page.results.push(QueryItem {
                key: column(row, "key")?,
                data: Bytes::copy_from_slice(column::<Raw<'_>>(row, "value")?.0),
                etag: Some(column(row, "etag")?),
                error: String::new(),
            });
        }
        if let Some(offset) = search.offset {
            page.token = (offset + rows.len() as u64).to_string();
        }
        Ok(page)
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        self.timed(async {
            let lease = self.connections.lease().await?;
            let answer = lease.batch("SELECT 1").await.map_err(|e| lease.failed(&e));
            lease.done();
            answer
        })
        .await
    }

    pub(crate) fn close(&self) {
        self.connections.pool.close();
    }
}

fn check<L: Layout>(op: Operation) -> Result<Write<L>> {
    let etag = |etag: Option<&str>| etag.filter(|e| !e.is_empty()).map(L::etag).transpose();
    match op {
        Operation::Set(req) => {
            named(&req.key, "set")?;
            // Zero and -1 clear the expiry, like none.
            let seconds = ttl_in_seconds(&req.metadata)?
                .filter(|s| *s > 0)
                .map(f64::from);
            let etag = etag(req.etag.as_deref())?;
            Ok(Write::Set { req, seconds, etag })
        }
        Operation::Delete(DeleteRequest {
            key, etag: text, ..
        }) => {
            named(&key, "delete")?;
            Ok(Write::Delete {
                key,
                etag: etag(text.as_deref())?,
            })
        }
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
        Err(Error::invalid(format!(
            "missing key in {operation} operation"
        )))
    } else {
        Ok(())
    }
}

fn late(address: &str, limit: Duration) -> Error {
    Error::unavailable(format!(
        "postgresql at {address} did not answer within {limit:?}; raise metadata timeout if that is too short"
    ))
}
