//! State over HTTP.

use std::borrow::Cow;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use component::ErrorKind;
use component::state::{Item, Metadata, Value};
use http::header::{ETAG, IF_MATCH};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::value::RawValue;

use super::{BulkGetError, Change, Delete, Ready, Save, SaveError, State, TransactError};
use crate::api::body;
use crate::api::error::{ApiError, json_response};
use crate::api::errors::state as errors;
use crate::api::errors::{malformed_bare, unclassified};
use crate::api::http::{Group, Routes};
use crate::api::json::{self, write_str};
use crate::api::path;
use crate::api::router::{Call, on};

struct Block {
    state: State,
    app_id: String,
}

const V1: Group = Group::new("state", "v1");
const ALPHA1: Group = Group::new("state", "v1alpha1");

pub(crate) fn routes(state: State, app_id: &str) -> Routes {
    let block = Arc::new(Block {
        state,
        app_id: app_id.into(),
    });
    let key = || on(&block).get(get_key).delete(delete_key);
    Routes::new()
        .add(V1, "/v1.0/state/{store}", on(&block).write(save))
        .add(V1, "/v1.0/state/{store}/{key}", key())
        // GET and DELETE on these names are operations on keys so called.
        .add(V1, "/v1.0/state/{store}/bulk", key().write(bulk_get))
        .add(V1, "/v1.0/state/{store}/transaction", key().write(transact))
        .add(
            ALPHA1,
            "/v1.0-alpha1/state/{store}/query",
            on(&block).write(query),
        )
        .add(
            ALPHA1,
            "/v1.0-alpha1/state/{store}/keys",
            on(&block).get(keys),
        )
}

async fn get_key(block: Arc<Block>, call: Call) -> Result<Response, Response> {
    let (store, key) = (block.store(&call.param("store")?).await?, key(&call)?);
    let query = call.query();
    let consistency = path::query_value(query, "consistency").unwrap_or_default();
    let item = store.get(&key, &consistency, path::metadata(query)).await;
    Ok(match item.map_err(over_http)? {
        Some(item) => item_response(item),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

fn item_response(item: Item) -> Response {
    let mut response = json_response(StatusCode::OK, item.data);
    let headers = response.headers_mut();
    if let Some(etag) = item.etag.and_then(|e| HeaderValue::try_from(e).ok()) {
        headers.insert(ETAG, etag);
    }
    for (key, value) in &item.metadata {
        let name = HeaderName::try_from(format!("metadata.{key}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    response
}

async fn delete_key(block: Arc<Block>, call: Call) -> Result<Response, Response> {
    let (store, key) = (block.store(&call.param("store")?).await?, key(&call)?);
    let query = call.query();
    let text = |name| {
        path::query_value(query, name)
            .unwrap_or_default()
            .into_owned()
    };
    let etag = call
        .req
        .headers()
        .get(IF_MATCH)
        .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let item = Delete {
        key: key.into_owned(),
        etag,
        concurrency: text("concurrency"),
        consistency: text("consistency"),
        metadata: path::metadata(query),
    };
    store.delete(item).await.map_err(over_http)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn save(block: Arc<Block>, call: Call) -> Result<Response, Response> {
    let store = block.store(&call.param("store")?).await?;
    let over = path::metadata(call.query());
    let body = body::read(call.req.into_body())
        .await
        .map_err(|e| malformed_bare(e.to_string()).into_response())?;
    let items: Option<Vec<Option<WireItem<'_>>>> =
        body::first_json(&body).map_err(|e| malformed_bare(e).into_response())?;
    let mut saves = Vec::new();
    for item in items.unwrap_or_default() {
        let mut item = item.unwrap_or_default();
        if item.key.is_empty() {
            return Err(malformed_bare("\"key\" is a required field").into_response());
        }
        item.metadata.extend(over.clone());
        let save = item.into_save();
        saves.push(save.map_err(|e| malformed_bare(e.to_string()).into_response())?);
    }
    if saves.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    match store.save(saves).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(SaveError::Api(e)) => Err(over_http(e)),
        Err(SaveError::Encryption(e)) => {
            Err(errors::save(store.name(), &e.message, e.kind).into_response())
        }
    }
}

async fn bulk_get(block: Arc<Block>, call: Call) -> Result<Response, Response> {
    let store = block.store(&call.param("store")?).await?;
    let mut metadata = path::metadata(call.query());
    let body = body::read(call.req.into_body())
        .await
        .map_err(|e| body::malformed(&e).into_response())?;
    let wire: WireBulkGet =
        body::first_json(&body).map_err(|e| body::malformed(&e).into_response())?;
    for (key, value) in wire.metadata {
        metadata.entry(key).or_insert(value);
    }
    let items = match store.bulk_get(wire.keys, wire.parallelism, &metadata).await {
        Ok(items) => items,
        Err(BulkGetError::Key(e)) => return Err(over_http(e)),
        Err(BulkGetError::Store(e)) => return Err(errors::bulk_get(&e.message).into_response()),
    };
    let mut out = Vec::with_capacity(64 * items.len() + 2);
    out.push(b'[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"key\":");
        write_str(&mut out, &item.key);
        match item.result {
            Ok(Some(found)) => write_item(&mut out, &found),
            Ok(None) => {}
            Err(e) => {
                out.extend_from_slice(b",\"error\":");
                write_str(&mut out, &e.message);
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]\n");
    Ok(json_response(StatusCode::OK, out))
}

fn write_item(out: &mut Vec<u8>, item: &Item) {
    if !item.data.is_empty() {
        out.extend_from_slice(b",\"data\":");
        write_data(out, &item.data);
    }
    if let Some(etag) = &item.etag {
        out.extend_from_slice(b",\"etag\":");
        write_str(out, etag);
    }
    if !item.metadata.is_empty() {
        out.extend_from_slice(b",\"metadata\":{");
        for (i, (key, value)) in item.metadata.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_str(out, key);
            out.push(b':');
            write_str(out, value);
        }
        out.push(b'}');
    }
}

/// Data is embedded as JSON. Bytes that are no JSON, which upstream cannot answer
/// at all, become a JSON string.
fn write_data(out: &mut Vec<u8>, data: &[u8]) {
    match serde_json::from_slice::<&RawValue>(data) {
        Ok(raw) => match json::canonical(raw) {
            Ok(text) => out.extend_from_slice(&text),
            // Valid as it is, and only bytes of a gRPC client can be so deep.
            Err(_) => out.extend_from_slice(raw.get().as_bytes()),
        },
        Err(_) => write_str(out, &String::from_utf8_lossy(data)),
    }
}

async fn transact(block: Arc<Block>, call: Call) -> Result<Response, Response> {
    let store = block.store(&call.param("store")?).await?;
    store.transactional().map_err(IntoResponse::into_response)?;
    let over = path::metadata(call.query());
    let body = body::read(call.req.into_body())
        .await
        .map_err(|e| body::malformed(&e).into_response())?;
    let wire: WireTransaction<'_> =
        body::first_json(&body).map_err(|e| body::malformed(&e).into_response())?;
    if wire.operations.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let mut changes = Vec::with_capacity(wire.operations.len());
    for operation in wire.operations {
        let mut item = operation.request;
        item.metadata.extend(over.clone());
        changes.push(match operation.operation.as_str() {
            "upsert" => {
                let save = item.into_save();
                Change::Upsert(save.map_err(|e| body::malformed(&e).into_response())?)
            }
            "delete" => Change::Delete(item.into_delete()),
            other => return Err(errors::unsupported_operation(other).into_response()),
        });
    }
    let mut metadata = wire.metadata;
    metadata.extend(over);
    match store.transact(changes, metadata).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(TransactError::Item(SaveError::Encryption(e))) => {
            Err(errors::transaction_encryption(store.name(), &e.message).into_response())
        }
        Err(TransactError::Item(SaveError::Api(e)) | TransactError::Api(e)) => {
            Err(errors::over_http(e, false).into_response())
        }
    }
}

async fn query(block: Arc<Block>, call: Call) -> Result<Response, Response> {
    let name = call.param("store")?.into_owned();
    let store = block
        .state
        .store(&name, None)
        .await
        .map_err(IntoResponse::into_response)?;
    let metadata = path::metadata(call.query());
    let body = body::read(call.req.into_body())
        .await
        .map_err(|e| crate::api::errors::body_read(&e.to_string()).into_response())?;
    let page = store.query(body, metadata).await.map_err(over_http)?;
    if page.results.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let mut out = b"{\"results\":[".to_vec();
    for (i, item) in page.results.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"key\":");
        write_str(&mut out, &item.key);
        let found = Item {
            data: item.data.clone(),
            etag: item.etag.clone(),
            ..Item::default()
        };
        write_item(&mut out, &found);
        if !item.error.is_empty() {
            out.extend_from_slice(b",\"error\":");
            write_str(&mut out, &item.error);
        }
        out.push(b'}');
    }
    out.push(b']');
    if !page.token.is_empty() {
        out.extend_from_slice(b",\"token\":");
        write_str(&mut out, &page.token);
    }
    if !page.metadata.is_empty() {
        let metadata = json::to_vec(&page.metadata)
            .map_err(|e| unclassified(e.to_string()).into_response())?;
        out.extend_from_slice(b",\"metadata\":");
        out.extend_from_slice(&metadata);
    }
    out.extend_from_slice(b"}\n");
    Ok(json_response(StatusCode::OK, out))
}

/// Ours: `?prefix=&pageSize=&token=` answers `{"keys":[...],"token":"..."}`; no
/// token on the last page.
async fn keys(block: Arc<Block>, call: Call) -> Result<Response, Response> {
    let store = block.store(&call.param("store")?).await?;
    let query = call.query();
    let prefix = path::query_value(query, "prefix").unwrap_or_default();
    let token = path::query_value(query, "token")
        .filter(|t| !t.is_empty())
        .map(Into::into);
    let size = path::query_value(query, "pageSize").unwrap_or_default();
    let size = match size.as_ref() {
        "" => 0,
        text => text.parse().map_err(|_| {
            let cause = format!("pageSize '{text}' is not a number from 0 to {}", u32::MAX);
            errors::keys(store.name(), &cause, ErrorKind::InvalidRequest).into_response()
        })?,
    };
    let page = store.keys(&prefix, size, token).await.map_err(over_http)?;
    #[derive(serde::Serialize)]
    struct Page {
        keys: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    }
    let body = json::to_vec(&Page {
        keys: page.keys,
        token: page.token,
    });
    Ok(json_response(
        StatusCode::OK,
        body.map_err(|e| unclassified(e.to_string()).into_response())?,
    ))
}

impl Block {
    async fn store(&self, name: &str) -> Result<Ready, Response> {
        self.state
            .store(name, Some(&self.app_id))
            .await
            .map_err(IntoResponse::into_response)
    }
}

/// On `.../bulk` and `.../transaction` the key is the last segment itself.
#[allow(clippy::result_large_err)] // the error is the answer, and comes once per request
fn key(call: &Call) -> Result<Cow<'_, str>, Response> {
    match call.names().iter().any(|name| name == "key") {
        true => call.param("key"),
        false => {
            let path = call.req.uri().path();
            Ok(path.rsplit('/').next().unwrap_or_default().into())
        }
    }
}

fn over_http(error: ApiError) -> Response {
    errors::over_http(error, true).into_response()
}

/// An item as JSON; names match in any case, unknown ones are ignored.
#[derive(Default)]
struct WireItem<'a> {
    key: String,
    value: Option<&'a RawValue>,
    etag: Option<String>,
    metadata: Metadata,
    options: WireOptions,
    content_type: Option<String>,
}

impl WireItem<'_> {
    fn into_save(self) -> Result<Save, json::TooDeep> {
        let value = match self.value {
            Some(value) => json::canonical(value)?,
            None => Bytes::from_static(b"null"),
        };
        Ok(Save {
            key: self.key,
            value: Value::Json(value),
            etag: self.etag,
            concurrency: self.options.concurrency,
            consistency: self.options.consistency,
            content_type: self.content_type,
            metadata: self.metadata,
        })
    }

    fn into_delete(self) -> Delete {
        Delete {
            key: self.key,
            etag: self.etag,
            concurrency: self.options.concurrency,
            consistency: self.options.consistency,
            metadata: self.metadata,
        }
    }
}

body::fields! {
    impl<'de> WireItem<'de> {
        "key" => key,
        "value" => value,
        "etag" => etag,
        "metadata" => metadata,
        "options" => options,
        "contenttype" => content_type,
    }
}

#[derive(Default)]
struct WireOptions {
    concurrency: String,
    consistency: String,
}

body::fields! {
    impl<'de> WireOptions {
        "concurrency" => concurrency,
        "consistency" => consistency,
    }
}

#[derive(Default)]
struct WireBulkGet {
    keys: Vec<String>,
    parallelism: i32,
    metadata: Metadata,
}

body::fields! {
    impl<'de> WireBulkGet {
        "keys" => keys,
        "parallelism" => parallelism,
        "metadata" => metadata,
    }
}

#[derive(Default)]
struct WireTransaction<'a> {
    operations: Vec<WireOperation<'a>>,
    metadata: Metadata,
}

body::fields! {
    impl<'de> WireTransaction<'de> {
        "operations" => operations,
        "metadata" => metadata,
    }
}

#[derive(Default)]
struct WireOperation<'a> {
    operation: String,
    request: WireItem<'a>,
}

body::fields! {
    impl<'de> WireOperation<'de> {
        "operation" => operation,
        "request" => request,
    }
}
