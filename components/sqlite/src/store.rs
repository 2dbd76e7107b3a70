//! `state.sqlite`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use component::state::{
    BulkItem, Concurrency, DeleteRequest, Features, GetRequest, Item, KeysPage, KeysRequest,
    Metadata, Operation, SetRequest, StateStore, Value, ttl_in_seconds,
};
use component::{Component, Env, Error, Result};
use rusqlite::Connection;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::config::Config;
use crate::connection::Opener;
use crate::error::{describe, is_busy};
use crate::readers::Readers;
use crate::sql::{Condition, Sql, Stored, Write};
use crate::target::Target;
use crate::writer::Writer;
use crate::{cleanup, schema};

/// A state store in one SQLite file or in memory.
pub struct Sqlite {
    writer: Writer,
    reads: Reads,
    sql: Arc<Sql>,
    _cleanup: JoinSet<()>,
}

enum Reads {
    Pool(Arc<Readers>),
    /// A database in memory has one connection only.
    Writer(Writer),
}

impl Component for Sqlite {
    type Config = Config;

    async fn open(config: Config, env: Env) -> Result<Self> {
        config.validate()?;
        let target = Target::parse(&config.connection_string)?;
        let path: Arc<str> = target.path.as_str().into();
        let sql = Arc::new(Sql::new(
            &config.table_name,
            &config.metadata_table_name,
            target.txlock,
        ));
        let memory = target.memory;
        let opener = Opener {
            target,
            busy_timeout: config.busy_timeout.0,
            disable_wal: config.disable_wal,
        };
        let conn = connect(&opener, &config, &env).await?;
        let timeout = config.timeout.0;
        let writer = Writer::start(conn, sql.clone(), timeout, path)?;
        let reads = if memory {
            Reads::Writer(writer.clone())
        } else {
            Reads::Pool(Readers::new(opener, timeout))
        };
        let _cleanup = cleanup::start(writer.clone(), sql.clone(), config.cleanup_interval.0, env);
        Ok(Self {
            writer,
            reads,
            sql,
            _cleanup,
        })
    }
}

/// Opens the writing connection and brings the tables up to date. While another
/// process changes the journal mode or migrates, SQLite may answer "busy" at
/// once whatever the busy timeout is, so that is tried again.
async fn connect(opener: &Opener, config: &Config, env: &Env) -> Result<Connection> {
    let path = &opener.target.path;
    let attempts = async {
        loop {
            let (opener, config) = (opener.clone(), config.clone());
            let attempt = tokio::task::spawn_blocking(move || prepare(&opener, &config));
            let attempt = attempt
                .await
                .map_err(|e| Error::internal(format!("sqlite database \"{path}\": {e}")))?;
            match attempt {
                Err(error) if is_busy(&error) => {
                    tokio::time::sleep(Duration::from_millis(50)).await
                }
                other => return other.map_err(|e| describe(&e, path)),
            }
        }
    };
    tokio::select! {
        () = env.shutdown.cancelled() => Err(Error::unavailable(format!("sqlite database \"{path}\": opening was cancelled"))),
        opened = tokio::time::timeout(config.timeout.0, attempts) => opened.unwrap_or_else(|_| {
            Err(Error::unavailable(format!(
                "sqlite database \"{path}\" was locked by another process for {:?}; end it, or raise metadata timeout",
                config.timeout.0
            )))
        }),
    }
}

fn prepare(opener: &Opener, config: &Config) -> rusqlite::Result<Connection> {
    let mut conn = opener.writer()?;
    if !opener.target.read_only {
        schema::migrate(&mut conn, &config.table_name, &config.metadata_table_name)?;
    }
    // Shows a missing table and a damaged file now rather than at the first call.
    conn.prepare(&format!(
        r#"SELECT key FROM "{}" LIMIT 1"#,
        config.table_name
    ))?
    .exists([])?;
    Ok(conn)
}

impl Sqlite {
    #[cfg(test)]
    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Sql, &Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let sql = self.sql.clone();
        match &self.reads {
            Reads::Pool(readers) => readers.call(move |conn| f(&sql, conn)).await,
            Reads::Writer(writer) => writer.call(move |conn| f(&sql, conn)).await,
        }
    }
}

#[async_trait]
impl StateStore for Sqlite {
    fn features(&self) -> Features {
        Features::ETAG
            .and(Features::TRANSACTIONAL)
            .and(Features::TTL)
            .and(Features::KEYS_LIKE)
    }

    async fn get(&self, req: GetRequest) -> Result<Option<Item>> {
        named(&req.key, "missing key in get operation")?;
        self.read(move |sql, conn| sql.get(conn, &req.key)).await
    }

    async fn set(&self, req: SetRequest) -> Result<()> {
        self.writer.write(vec![set(req)?]).await
    }

    async fn delete(&self, req: DeleteRequest) -> Result<()> {
        self.writer.write(vec![delete(req)?]).await
    }

    /// One visit to the database. Like upstream, found keys come first.
    async fn bulk_get(&self, reqs: Vec<GetRequest>, _parallelism: usize) -> Result<Vec<BulkItem>> {
        if reqs.is_empty() {
            return Ok(Vec::new());
        }
        self.read(move |sql, conn| {
            // One snapshot for all keys. It ends when it is dropped.
            let tx = conn.unchecked_transaction()?;
            let (mut found, mut missing) = (Vec::with_capacity(reqs.len()), Vec::new());
            for GetRequest { key, .. } in reqs {
                match sql.get(&tx, &key)? {
                    Some(item) => found.push(BulkItem {
                        key,
                        result: Ok(Some(item)),
                    }),
                    None => missing.push(BulkItem {
                        key,
                        result: Ok(None),
                    }),
                }
            }
            found.append(&mut missing);
            Ok(found)
        })
        .await
    }

    async fn transact(&self, ops: Vec<Operation>, _metadata: Metadata) -> Result<()> {
        if ops.is_empty() {
            return Ok(());
        }
        let writes: Result<Vec<Write>> = ops
            .into_iter()
            .map(|op| match op {
                Operation::Set(req) => set(req),
                Operation::Delete(req) => delete(req),
            })
            .collect();
        self.writer.write(writes?).await
    }

    async fn keys_like(&self, req: KeysRequest) -> Result<KeysPage> {
        if req.pattern.is_empty() {
            return Err(Error::invalid("keys like pattern cannot be empty"));
        }
        let after = match req.token.as_deref().filter(|t| !t.is_empty()) {
            None => 0,
            Some(token) => token
                .parse()
                .map_err(|e| Error::invalid(format!("invalid continue token: {e}")))?,
        };
        let page = req.page_size as usize;
        let limit = if page == 0 {
            -1
        } else {
            i64::from(req.page_size)
        };
        let rows = self
            .read(move |sql, conn| sql.keys(conn, &req.pattern, after, limit))
            .await?;
        // A full page always has a token, even when nothing follows.
        let token = rows
            .last()
            .filter(|_| page > 0 && rows.len() == page)
            .map(|(row, _)| row.to_string());
        Ok(KeysPage {
            keys: rows.into_iter().map(|(_, key)| key).collect(),
            token,
        })
    }

    async fn ping(&self) -> Result<()> {
        self.read(|_, conn| conn.prepare_cached("SELECT 1")?.exists([]).map(drop))
            .await
    }

    async fn close(&self) {
        if let Reads::Pool(readers) = &self.reads {
            readers.close();
        }
        self.writer.close().await;
    }
}

fn set(req: SetRequest) -> Result<Write> {
    named(&req.key, "missing key in set option")?;
    // Zero and -1 clear the expiry, like none.
    let ttl = ttl_in_seconds(&req.metadata)?.filter(|secs| *secs > 0);
    let value = match req.value {
        Value::Json(text) => Stored {
            text,
            is_binary: false,
        },
        Value::Bytes(bytes) => Stored {
            text: Bytes::from(BASE64_STANDARD.encode(bytes)),
            is_binary: true,
        },
    };
    let condition = match (req.etag.filter(|e| !e.is_empty()), req.concurrency) {
        (Some(etag), _) => Condition::Etag(etag),
        (None, Concurrency::FirstWrite) => Condition::Absent,
        (None, _) => Condition::Always,
    };
    Ok(Write::Set {
        key: req.key,
        value,
        etag: Uuid::new_v4().to_string(),
        ttl,
        condition,
    })
}

fn delete(req: DeleteRequest) -> Result<Write> {
    named(&req.key, "missing key in delete operation")?;
    Ok(Write::Delete {
        key: req.key,
        etag: req.etag.filter(|e| !e.is_empty()),
    })
}

fn named(key: &str, otherwise: &str) -> Result<()> {
    if key.is_empty() {
        Err(Error::invalid(otherwise))
    } else {
        Ok(())
    }
}
