//! Actors over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use actors::call::{Actor, Data, Invoke};
use actors::timers::NewTimer;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use component::state::{Metadata, Value};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;

use super::names;
use super::reminders::{self, Reminder};
use super::state::{Change, Row};
use super::{Actors, bytes_value};
use crate::api::body;
use crate::api::error::{ApiError, json_response};
use crate::api::errors::actors as errors;
use crate::api::errors::unclassified;
use crate::api::http::{Group, Routes};
use crate::api::json;
use crate::api::router::{Call, on};
use crate::api::trace::Traced;
use crate::invoke::local::continue_http;
use crate::invoke::method;
use crate::peer::headers;

const V1: Group = Group::new("actors", "v1");

pub(crate) fn routes(actors: &Actors) -> Routes {
    let actors = Arc::new(actors.clone());
    let call = on(&actors).get(invoke).write(invoke).delete(invoke);
    let base = "/v1.0/actors/{type}/{id}";
    Routes::new()
        .add(V1, format!("{base}/method/{{method}}"), call)
        .add(
            V1,
            format!("{base}/state/{{key}}"),
            on(&actors).get(get_state),
        )
        .add(V1, format!("{base}/state"), on(&actors).write(save_state))
        .add(
            V1,
            format!("{base}/reminders/{{name}}"),
            on(&actors)
                .write(create_reminder)
                .get(get_reminder)
                .delete(delete_reminder),
        )
        .add(
            V1,
            format!("{base}/timers/{{name}}"),
            on(&actors).write(create_timer).delete(delete_timer),
        )
}

type Answer = Result<Response, Response>;

#[allow(clippy::result_large_err)] // the error is the answer, and comes once per request
fn actor(call: &Call) -> Result<Actor, Response> {
    Ok(Actor::new(call.param("type")?, call.param("id")?))
}

fn failed(error: ApiError) -> Response {
    error.into_response()
}

fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

async fn invoke(actors: Arc<Actors>, call: Call) -> Answer {
    let actor = actor(&call)?;
    let method = call.param("method")?.into_owned();
    let bad = |cause: String| errors::bad_request(&cause).into_response();
    names::check(&actor.kind).map_err(|e| bad(format!("invalid actorType: {e}")))?;
    names::check(&actor.id).map_err(|e| bad(format!("invalid actorId: {e}")))?;
    let method = method::normalize(&method).map_err(bad)?;
    let (parts, body) = call.req.into_parts();
    let mut headers = headers::end_to_end(&parts.headers);
    if let Some(traced) = parts.extensions.get::<Traced>() {
        continue_http(traced.context(), &mut headers);
    }
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let call = Invoke {
        actor,
        method,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers,
        content_type: content_type
            .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
            .unwrap_or_default(),
        body: match body::read(body).await {
            Ok(body) => body,
            Err(e) => return Err(bad(format!("failed to read body: {e}"))),
        },
    };
    let reply = actors.invoke(call).await;
    let reply = reply.map_err(|e| errors::invoke(&e).into_response())?;
    let mut response = Response::new(reply.body.into());
    *response.headers_mut() = headers::end_to_end(&reply.headers);
    if let Ok(value) = HeaderValue::try_from(reply.content_type)
        && !value.is_empty()
    {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    Ok(response)
}

async fn get_state(actors: Arc<Actors>, call: Call) -> Answer {
    let (actor, key) = (actor(&call)?, call.param("key")?.into_owned());
    let Some(item) = actors.get_state(&actor, &key).await.map_err(failed)? else {
        return Ok(nothing());
    };
    let mut response = json_response(StatusCode::OK, item.data);
    for (key, value) in &item.metadata {
        let name = HeaderName::try_from(format!("metadata.{key}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

#[derive(Default)]
struct WireChange<'a> {
    operation: String,
    request: Option<WireRow<'a>>,
}

#[derive(Default)]
struct WireRow<'a> {
    key: String,
    value: Option<&'a RawValue>,
    etag: Option<String>,
    metadata: Metadata,
}

body::fields! {
    impl<'de> WireChange<'de> {
        "operation" => operation,
        "request" => request,
    }
}

body::fields! {
    impl<'de> WireRow<'de> {
        "key" => key,
        "value" => value,
        "etag" => etag,
        "metadata" => metadata,
    }
}

impl WireChange<'_> {
    fn read(self) -> Result<Change, json::TooDeep> {
        let row = |row: WireRow<'_>| {
            let value = row.value.map(json::canonical).transpose()?;
            Ok(Row {
                key: row.key,
                value: value.map(Value::Json),
                etag: row.etag,
                metadata: row.metadata,
            })
        };
        Ok(Change {
            operation: self.operation,
            request: self.request.map(row).transpose()?,
        })
    }
}

async fn save_state(actors: Arc<Actors>, call: Call) -> Answer {
    let actor = actor(&call)?;
    actors
        .admits(&actor)
        .map_err(|e| failed(errors::general(&e)))?;
    actors
        .ready()
        .await
        .map_err(|e| failed(errors::state_save(&e)))?;
    let malformed = |e: String| body::malformed(&e).into_response();
    let read = body::read(call.req.into_body()).await;
    let read = read.map_err(|e| malformed(e.to_string()))?;
    let wire: Option<Vec<Option<WireChange<'_>>>> = body::first_json(&read).map_err(malformed)?;
    let changes = wire.unwrap_or_default().into_iter();
    let changes = changes.map(|change| change.unwrap_or_default().read());
    let changes: Vec<Change> = changes
        .collect::<Result<_, _>>()
        .map_err(|e| malformed(e.to_string()))?;
    actors.save_state(&actor, changes).await.map_err(failed)?;
    Ok(nothing())
}

/// The body of a reminder or a timer. Names match in any case, and `null` is data
/// like any other.
struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let given: Option<BTreeMap<String, &RawValue>> = body::first_json(bytes)?;
        let given = given.unwrap_or_default().into_iter();
        Ok(Self(
            given.map(|(k, v)| (k.to_ascii_lowercase(), v)).collect(),
        ))
    }

    fn get<T: serde::de::DeserializeOwned + Default>(&self, name: &str) -> Result<T, String> {
        let Some(raw) = self.0.get(name) else {
            return Ok(T::default());
        };
        let value: Result<Option<T>, _> = serde_json::from_str(raw.get());
        value
            .map(Option::unwrap_or_default)
            .map_err(|e| format!("{name}: {e}"))
    }

    fn data(&self) -> Option<Data> {
        let raw = self.0.get("data")?;
        let json = Bytes::copy_from_slice(raw.get().as_bytes());
        Some(bytes_value(&json))
    }
}

async fn create_timer(actors: Arc<Actors>, call: Call) -> Answer {
    let (actor, name) = (actor(&call)?, call.param("name")?.into_owned());
    actors
        .admits(&actor)
        .map_err(|e| failed(errors::general(&e)))?;
    let malformed = |e: String| body::malformed(&e).into_response();
    let read = body::read(call.req.into_body()).await;
    let read = read.map_err(|e| malformed(e.to_string()))?;
    let timer = |fields: &Fields<'_>| {
        Ok(NewTimer {
            actor,
            name,
            due_time: fields.get("duetime")?,
            period: fields.get("period")?,
            ttl: fields.get("ttl")?,
            callback: fields.get("callback")?,
            data: fields.data(),
        })
    };
    let timer = Fields::read(&read).and_then(|fields| timer(&fields));
    let timer = timer.map_err(malformed)?;
    actors.create_timer(timer).await.map_err(failed)?;
    Ok(nothing())
}

async fn delete_timer(actors: Arc<Actors>, call: Call) -> Answer {
    let (actor, name) = (actor(&call)?, call.param("name")?.into_owned());
    actors.delete_timer(&actor, &name).await.map_err(failed)?;
    Ok(nothing())
}

async fn create_reminder(actors: Arc<Actors>, call: Call) -> Answer {
    let (actor, name) = (actor(&call)?, call.param("name")?.into_owned());
    actors
        .admits(&actor)
        .map_err(|e| failed(errors::general(&e)))?;
    let malformed = |e: String| body::malformed(&e).into_response();
    let read = body::read(call.req.into_body()).await;
    let read = read.map_err(|e| malformed(e.to_string()))?;
    let reminder = |fields: &Fields<'_>| {
        reminders::check_policy(&fields.get("failure_policy")?)?;
        let overwrite: Option<bool> = fields.get("overwrite")?;
        Ok(Reminder {
            name,
            due_time: fields.get("duetime")?,
            period: fields.get("period")?,
            ttl: fields.get("ttl")?,
            data: fields.data(),
            overwrite: overwrite.unwrap_or(true),
            failure_policy: None,
        })
    };
    let reminder = Fields::read(&read).and_then(|fields| reminder(&fields));
    let reminder = reminder.map_err(malformed)?;
    let created = actors.create_reminder(&actor, reminder).await;
    created.map_err(failed)?;
    Ok(nothing())
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(rename = "actorID", skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(rename = "actorType", skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(rename = "dueTime", skip_serializing_if = "str::is_empty")]
    due_time: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    period: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    ttl: &'a str,
}

async fn get_reminder(actors: Arc<Actors>, call: Call) -> Answer {
    let (actor, name) = (actor(&call)?, call.param("name")?.into_owned());
    let reminder = actors.get_reminder(&actor, &name).await.map_err(failed)?;
    let shown = Shown {
        id: &actor.id,
        kind: &actor.kind,
        data: reminder.data.as_ref().and_then(super::app::data),
        due_time: &reminder.due_time,
        period: &reminder.period,
        ttl: &reminder.ttl,
    };
    match json::to_vec(&shown) {
        Ok(mut body) => {
            body.push(b'\n');
            Ok(json_response(StatusCode::OK, body))
        }
        Err(e) => Err(unclassified(e.to_string()).into_response()),
    }
}

async fn delete_reminder(actors: Arc<Actors>, call: Call) -> Answer {
    let (actor, name) = (actor(&call)?, call.param("name")?.into_owned());
    let deleted = actors.delete_reminder(&actor, &name).await;
    deleted.map_err(failed)?;
    Ok(nothing())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_timer_match_in_any_case_and_null_is_data() {
        let fields = Fields::read(br#"{"DueTime": "1s", "period": null, "DATA": null}"#).unwrap();
        assert_eq!(fields.get::<String>("duetime").as_deref(), Ok("1s"));
        assert_eq!(fields.get::<String>("period").as_deref(), Ok(""));
        let data = fields.data().unwrap();
        assert_eq!(&data.value[..], b"\n\x04null");
        assert!(Fields::read(b"{}").unwrap().data().is_none());
        assert!(Fields::read(b"null").unwrap().data().is_none());
    }

    #[test]
    fn a_body_that_is_no_timer_is_refused() {
        assert_eq!(Fields::read(b" ").err().as_deref(), Some("EOF"));
        for body in [&b"[]"[..], b"{", b"\"x\"", b"{\"data\": }"] {
            assert!(Fields::read(body).is_err(), "{body:?}");
        }
        let fields = Fields::read(br#"{"dueTime": 5}"#).unwrap();
        assert!(fields.get::<String>("duetime").is_err());
    }
}
