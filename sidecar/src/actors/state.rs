//! The state of actors: rows of one store, by app, type, id and key.

use actors::Error;
use actors::call::Actor;
use component::state::{
    DeleteRequest, GetRequest, Item, Metadata, Operation, SetRequest, TTL_IN_SECONDS, Value,
};

use crate::api::error::ApiError;
use crate::api::errors::actors as errors;
use crate::api::errors::actors::{state_get_failed, state_save_failed};

use super::Actors;

/// One change, as a caller writes it.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// `upsert` or `delete`.
    pub(crate) operation: String,
    pub(crate) request: Option<Row>,
}

#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) key: String,
    /// Of an upsert.
    pub(crate) value: Option<Value>,
    pub(crate) etag: Option<String>,
    pub(crate) metadata: Metadata,
}

pub(super) const PARTITION_KEY: &str = "partitionKey";

impl Actors {
    /// The value of a key, `None` when there is none.
    pub(crate) async fn get_state(
        &self,
        actor: &Actor,
        key: &str,
    ) -> Result<Option<Item>, ApiError> {
        self.admits(actor).map_err(|e| errors::general(&e))?;
        let runtime = self.ready().await.map_err(|e| errors::state_get(&e))?;
        let settled = runtime.settled(actor).await;
        settled.map_err(|e| errors::state_get(&e))?;
        let store = self.inner.state.of_actors();
        let store = store.ok_or_else(errors::no_state_store)?;
        let owner = self.owner(actor);
        let request = GetRequest {
            key: format!("{owner}||{key}"),
            metadata: Metadata::from([(PARTITION_KEY.to_owned(), owner)]),
            ..GetRequest::default()
        };
        let item = store.get_raw(request).await;
        item.map_err(|e| state_get_failed(&e.message))
    }

    /// All changes in one transaction of the store, or none. Only an actor that is
    /// active here can change its state.
    pub(crate) async fn save_state(
        &self,
        actor: &Actor,
        changes: Vec<Change>,
    ) -> Result<(), ApiError> {
        let runtime = self.ready().await.map_err(|e| errors::state_save(&e))?;
        let settled = runtime.settled(actor).await;
        settled.map_err(|e| errors::state_save(&e))?;
        if !runtime.host.active(actor) {
            return Err(errors::state_save(&Error::InstanceMissing));
        }
        let owner = self.owner(actor);
        let operations = changes.into_iter().map(|c| self.operation(&owner, c));
        let operations: Vec<Operation> = operations
            .collect::<Result<_, _>>()
            .map_err(|e| state_save_failed(&e))?;
        let store = self.inner.state.of_actors();
        let store = store.ok_or_else(errors::no_state_store)?;
        if operations.is_empty() {
            return Ok(());
        }
        if store
            .max_operations()
            .is_some_and(|max| operations.len() > max)
        {
            let cause =
                "the transaction contains more operations than supported by the state store";
            return Err(state_save_failed(cause));
        }
        let metadata = Metadata::from([(PARTITION_KEY.to_owned(), owner)]);
        let saved = store.transact_raw(operations, metadata).await;
        saved.map_err(|e| state_save_failed(&e.message))
    }

    /// What all keys of an actor begin with.
    fn owner(&self, actor: &Actor) -> String {
        format!("{}||{actor}", self.inner.app_id)
    }

    fn operation(&self, owner: &str, change: Change) -> Result<Operation, String> {
        let row = change.request.ok_or("request data is empty")?;
        let upsert = match change.operation.as_str() {
            "" => return Err("operation is empty".into()),
            "upsert" => true,
            "delete" => false,
            other => return Err(format!("operation type {other} not supported")),
        };
        if row.key.is_empty() {
            return Err("missing key".into());
        }
        let mut metadata = row.metadata;
        if metadata.contains_key(TTL_IN_SECONDS) && !self.inner.state_ttl {
            return Err(format!(
                "{TTL_IN_SECONDS} is not supported without the \"ActorStateTTL\" feature enabled"
            ));
        }
        metadata.insert(PARTITION_KEY.to_owned(), owner.to_owned());
        let key = format!("{owner}||{}", row.key);
        let etag = row.etag.filter(|e| !e.is_empty());
        Ok(match upsert {
            true => Operation::Set(SetRequest {
                etag,
                metadata,
                ..SetRequest::new(key, row.value.unwrap_or(Value::Json("null".into())))
            }),
            false => Operation::Delete(DeleteRequest {
                key,
                etag,
                metadata,
                ..DeleteRequest::default()
            }),
        })
    }
}
