//! A borrowed connection and how statements run on it.

use component::Result;
use deadpool_postgres::{Client, Object};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::connect::{Connections, Mode};
use crate::error::{describe, no_connection};
use crate::layout::Statement;

pub(crate) type Params<'a> = [&'a (dyn ToSql + Sync)];

/// A connection that goes back to the pool only by [`Lease::done`]. A call that
/// is dropped or times out leaves its answer, or an open transaction, under way:
/// then the connection is closed, and the server rolls back.
pub(crate) struct Lease<'a> {
    client: Option<Client>,
    connections: &'a Connections,
}

impl Connections {
    pub(crate) async fn lease(&self) -> Result<Lease<'_>> {
        let client = self
            .pool
            .get()
            .await
            .map_err(|e| no_connection(&e, &self.address))?;
        Ok(Lease {
            client: Some(client),
            connections: self,
        })
    }
}

impl Lease<'_> {
    /// Gives the connection back after every answer was read.
    pub(crate) fn done(mut self) {
        drop(self.client.take());
    }

    pub(crate) async fn rows(
        &self,
        statement: &Statement,
        params: &Params<'_>,
    ) -> Result<Vec<Row>> {
        let client = self.client();
        let rows = async {
            match self.connections.mode {
                Mode::Prepared => {
                    let prepared = client
                        .prepare_typed_cached(&statement.sql, statement.types)
                        .await?;
                    client.query(&prepared, params).await
                }
                Mode::Unnamed => {
                    client
                        .query_typed(&statement.sql, &typed(statement.types, params))
                        .await
                }
            }
        };
        rows.await
            .map_err(|e| describe(&e, &self.connections.address))
    }

    /// The number of rows that the statement changed.
    pub(crate) async fn count(&self, statement: &Statement, params: &Params<'_>) -> Result<u64> {
        let client = self.client();
        let count = async {
            match self.connections.mode {
                Mode::Prepared => {
                    let prepared = client
                        .prepare_typed_cached(&statement.sql, statement.types)
                        .await?;
                    client.execute(&prepared, params).await
                }
                Mode::Unnamed => {
                    client
                        .execute_typed(&statement.sql, &typed(statement.types, params))
                        .await
                }
            }
        };
        count
            .await
            .map_err(|e| describe(&e, &self.connections.address))
    }

    /// Runs a statement that will not come again.
    pub(crate) async fn once(
        &self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>> {
        self.client()
            .query_typed(sql, params)
            .await
            .map_err(|e| describe(&e, &self.connections.address))
    }

    /// Statements without parameters, one after another.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.client().batch_execute(sql).await
    }

    pub(crate) fn failed(&self, error: &tokio_postgres::Error) -> component::Error {
        describe(error, &self.connections.address)
    }

    #[allow(
        clippy::expect_used,
        reason = "only done() takes it, and done() takes the lease"
    )]
    fn client(&self) -> &Client {
        self.client
            .as_ref()
            .expect("a lease has its connection until it ends")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

fn typed<'a>(types: &[Type], params: &Params<'a>) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().copied().zip(types.iter().cloned()).collect()
}
