//! State over gRPC.

use component::state::{Metadata, Value};
use proto::dapr::common::v1 as common;
use proto::dapr::runtime::v1 as rt;
use proto::dapr_rs::state::v1alpha1 as ours;
use proto::dapr_rs::state::v1alpha1::state_keys_server::StateKeys;
use serde_json::value::RawValue;
use tonic::{Request, Response, Status};

use super::{BulkGetError, Change, Delete, Save, SaveError, State, TransactError};
use crate::api::errors::state as errors;
use crate::api::json;

pub(crate) async fn get(
    state: &State,
    req: rt::GetStateRequest,
) -> Result<rt::GetStateResponse, Status> {
    let store = state.store(&req.store_name, None).await?;
    let item = store
        .get(&req.key, consistency(req.consistency), req.metadata)
        .await?;
    Ok(
        item.map_or_else(Default::default, |item| rt::GetStateResponse {
            data: item.data,
            etag: item.etag.unwrap_or_default(),
            metadata: item.metadata,
        }),
    )
}

pub(crate) async fn bulk_get(
    state: &State,
    req: rt::GetBulkStateRequest,
) -> Result<rt::GetBulkStateResponse, Status> {
    let store = state.store(&req.store_name, None).await?;
    let items = store
        .bulk_get(req.keys, req.parallelism, &req.metadata)
        .await
        .map_err(|e| match e {
            BulkGetError::Key(e) => e.status(),
            BulkGetError::Store(e) => Status::unknown(e.message),
        })?;
    let items = items.into_iter().map(|item| {
        let (found, error) = match item.result {
            Ok(found) => (found.unwrap_or_default(), String::new()),
            Err(e) => (Default::default(), e.message),
        };
        rt::BulkStateItem {
            key: item.key,
            data: found.data,
            etag: found.etag.unwrap_or_default(),
            error,
            metadata: found.metadata,
        }
    });
    Ok(rt::GetBulkStateResponse {
        items: items.collect(),
    })
}

pub(crate) async fn save(state: &State, req: rt::SaveStateRequest) -> Result<(), Status> {
    let store = state.store(&req.store_name, None).await?;
    let mut saves = Vec::with_capacity(req.states.len());
    for item in req.states {
        if item.key.is_empty() {
            return Err(errors::empty_key(store.name()).into());
        }
        saves.push(to_save(item, true)?);
    }
    if saves.is_empty() {
        return Ok(());
    }
    store.save(saves).await.map_err(save_status)
}

pub(crate) async fn delete(state: &State, req: rt::DeleteStateRequest) -> Result<(), Status> {
    let store = state.store(&req.store_name, None).await?;
    let item = common::StateItem {
        key: req.key,
        etag: req.etag,
        metadata: req.metadata,
        options: req.options,
        ..Default::default()
    };
    Ok(store.delete(to_delete(item)).await?)
}

pub(crate) async fn bulk_delete(
    state: &State,
    req: rt::DeleteBulkStateRequest,
) -> Result<(), Status> {
    let store = state.store(&req.store_name, None).await?;
    Ok(store
        .bulk_delete(req.states.into_iter().map(to_delete).collect())
        .await?)
}

pub(crate) async fn transact(
    state: &State,
    req: rt::ExecuteStateTransactionRequest,
) -> Result<(), Status> {
    let store = state.store(&req.store_name, None).await?;
    store.transactional()?;
    let mut changes = Vec::with_capacity(req.operations.len());
    for operation in req.operations {
        let item = operation.request.unwrap_or_default();
        changes.push(match operation.operation_type.as_str() {
            "upsert" => Change::Upsert(to_save(item, false)?),
            "delete" => Change::Delete(to_delete(item)),
            other => return Err(errors::unsupported_operation(other).into()),
        });
    }
    if changes.is_empty() {
        return Ok(());
    }
    store
        .transact(changes, req.metadata)
        .await
        .map_err(|e| match e {
            TransactError::Item(SaveError::Encryption(e)) => {
                errors::transaction(&e.message).status()
            }
            TransactError::Item(SaveError::Api(e)) | TransactError::Api(e) => e.status(),
        })
}

pub(crate) async fn query(
    state: &State,
    req: rt::QueryStateRequest,
) -> Result<rt::QueryStateResponse, Status> {
    let store = state.store(&req.store_name, None).await?;
    let page = store.query(req.query.into(), req.metadata).await?;
    let results = page.results.into_iter().map(|item| rt::QueryStateItem {
        key: item.key,
        data: item.data,
        etag: item.etag.unwrap_or_default(),
        error: item.error,
    });
    Ok(rt::QueryStateResponse {
        results: results.collect(),
        token: page.token,
        metadata: page.metadata,
    })
}

/// The service that lists keys.
pub(crate) struct Keys(pub(crate) State);

#[tonic::async_trait]
impl StateKeys for Keys {
    async fn list_keys_alpha1(
        &self,
        request: Request<ours::ListKeysRequest>,
    ) -> Result<Response<ours::ListKeysResponse>, Status> {
        let req = request.into_inner();
        let store = self.0.store(&req.store_name, None).await?;
        let token = Some(req.token).filter(|t| !t.is_empty());
        let page = store.keys(&req.prefix, req.page_size, token).await?;
        Ok(Response::new(ours::ListKeysResponse {
            keys: page.keys,
            token: page.token.unwrap_or_default(),
        }))
    }
}

fn save_status(error: SaveError) -> Status {
    match error {
        SaveError::Api(e) => e.status(),
        SaveError::Encryption(e) => Status::unknown(e.message),
    }
}

/// Values are bytes, except where a save says that they are JSON; in a
/// transaction they always are bytes.
fn to_save(item: common::StateItem, parse: bool) -> Result<Save, Status> {
    let content_type = content_type(&item.metadata);
    let is_json = parse && content_type.as_deref() == Some("application/json");
    let value = if is_json {
        let raw: &RawValue =
            serde_json::from_slice(&item.value).map_err(|e| Status::unknown(e.to_string()))?;
        Value::Json(json::canonical(raw).map_err(|e| Status::unknown(e.to_string()))?)
    } else {
        Value::Bytes(item.value)
    };
    let (concurrency, consistency) = options(item.options);
    Ok(Save {
        key: item.key,
        value,
        etag: item.etag.map(|e| e.value),
        concurrency,
        consistency,
        content_type,
        metadata: item.metadata,
    })
}

fn to_delete(item: common::StateItem) -> Delete {
    let (concurrency, consistency) = options(item.options);
    Delete {
        key: item.key,
        etag: item.etag.map(|e| e.value),
        concurrency,
        consistency,
        metadata: item.metadata,
    }
}

fn content_type(metadata: &Metadata) -> Option<String> {
    let found = metadata
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case("contentType"));
    found.map(|(_, value)| value.clone())
}

fn options(options: Option<common::StateOptions>) -> (String, String) {
    let options = options.unwrap_or_default();
    let concurrency = match options.concurrency {
        1 => "first-write",
        2 => "last-write",
        _ => "",
    };
    (concurrency.into(), consistency(options.consistency).into())
}

/// Numbers outside the enum count as unspecified.
fn consistency(number: i32) -> &'static str {
    match number {
        1 => "eventual",
        2 => "strong",
        _ => "",
    }
}
