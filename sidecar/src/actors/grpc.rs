//! Actors over gRPC.

use actors::call::{Actor, Data, Invoke};
use actors::timers::NewTimer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use component::state::Value;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use proto::dapr::runtime::v1 as rt;
use tonic::{Request, Response, Status};

use super::reminders::{Reminder, Stored};
use super::state::{Change, Row};
use super::{Actors, bytes_value, names};
use crate::api::errors::actors as errors;
use crate::api::trace::Traced;
use crate::invoke::local::continue_http;
use crate::invoke::method;

pub(crate) async fn invoke(
    actors: &Actors,
    request: Request<rt::InvokeActorRequest>,
) -> Result<Response<rt::InvokeActorResponse>, Status> {
    let (_, extensions, message) = request.into_parts();
    let bad = Status::invalid_argument;
    names::check(&message.actor_type).map_err(|e| bad(format!("invalid actorType: {e}")))?;
    names::check(&message.actor_id).map_err(|e| bad(format!("invalid actorId: {e}")))?;
    let method = method::normalize(&message.method)
        .map_err(|e| bad(format!("invalid actor method: {e}")))?;
    let mut headers = HeaderMap::with_capacity(message.metadata.len());
    let mut content_type = String::new();
    for (name, value) in message.metadata {
        let named = HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (named, HeaderValue::try_from(value.as_str())) {
            match name {
                header::CONTENT_TYPE => content_type = value.to_str().unwrap_or("").to_owned(),
                name => drop(headers.insert(name, value)),
            }
        }
    }
    if let Some(traced) = extensions.get::<Traced>() {
        continue_http(traced.context(), &mut headers);
    }
    let call = Invoke {
        actor: Actor::new(message.actor_type, message.actor_id),
        method,
        query: String::new(),
        headers: crate::peer::headers::end_to_end(&headers),
        content_type,
        body: message.data,
    };
    let reply = actors.invoke(call).await;
    let reply = reply.map_err(|e| errors::invoke_status(&e))?;
    Ok(Response::new(rt::InvokeActorResponse { data: reply.body }))
}

pub(crate) async fn get_state(
    actors: &Actors,
    message: rt::GetActorStateRequest,
) -> Result<rt::GetActorStateResponse, Status> {
    let actor = Actor::new(message.actor_type, message.actor_id);
    let item = actors.get_state(&actor, &message.key).await?;
    let item = item.unwrap_or_default();
    Ok(rt::GetActorStateResponse {
        data: item.data,
        metadata: item.metadata.into_iter().collect(),
    })
}

pub(crate) async fn save_state(
    actors: &Actors,
    message: rt::ExecuteActorStateTransactionRequest,
) -> Result<(), Status> {
    let actor = Actor::new(message.actor_type, message.actor_id);
    actors.admits(&actor).map_err(|e| errors::general(&e))?;
    let mut changes = Vec::with_capacity(message.operations.len());
    for operation in message.operations {
        if !matches!(operation.operation_type.as_str(), "upsert" | "delete") {
            let kind = operation.operation_type;
            return Err(crate::api::errors::state::unsupported_operation(&kind).into());
        }
        let value = operation.value.map(|any| Value::Bytes(any.value.into()));
        changes.push(Change {
            operation: operation.operation_type,
            request: Some(Row {
                key: operation.key,
                value: Some(value.unwrap_or(Value::Bytes(Bytes::new()))),
                etag: None,
                metadata: operation.metadata.into_iter().collect(),
            }),
        });
    }
    Ok(actors.save_state(&actor, changes).await?)
}

/// Bytes become JSON: a string of base64. No bytes are no data.
fn data(bytes: &[u8]) -> Option<Data> {
    if bytes.is_empty() {
        return None;
    }
    let text = format!("\"{}\"", STANDARD.encode(bytes));
    Some(bytes_value(&text.into()))
}

pub(crate) async fn create_timer(
    actors: &Actors,
    message: rt::RegisterActorTimerRequest,
) -> Result<(), Status> {
    let timer = NewTimer {
        actor: Actor::new(message.actor_type, message.actor_id),
        name: message.name,
        due_time: message.due_time,
        period: message.period,
        ttl: message.ttl,
        callback: message.callback,
        data: data(&message.data),
    };
    Ok(actors.create_timer(timer).await?)
}

pub(crate) async fn delete_timer(
    actors: &Actors,
    message: rt::UnregisterActorTimerRequest,
) -> Result<(), Status> {
    let actor = Actor::new(message.actor_type, message.actor_id);
    Ok(actors.delete_timer(&actor, &message.name).await?)
}

pub(crate) async fn create_reminder(
    actors: &Actors,
    message: rt::RegisterActorReminderRequest,
) -> Result<(), Status> {
    let actor = Actor::new(message.actor_type, message.actor_id);
    actors.admits(&actor).map_err(|e| errors::general(&e))?;
    if message.name.is_empty() {
        return Err(errors::bad_request("reminder name cannot be empty").into());
    }
    let reminder = Reminder {
        name: message.name,
        due_time: message.due_time,
        period: message.period,
        ttl: message.ttl,
        data: data(&message.data),
        overwrite: message.overwrite.unwrap_or(true),
        failure_policy: message.failure_policy,
    };
    Ok(actors.create_reminder(&actor, reminder).await?)
}

pub(crate) async fn delete_reminder(
    actors: &Actors,
    message: rt::UnregisterActorReminderRequest,
) -> Result<(), Status> {
    let actor = Actor::new(message.actor_type, message.actor_id);
    Ok(actors.delete_reminder(&actor, &message.name).await?)
}

pub(crate) async fn delete_reminders(
    actors: &Actors,
    message: rt::UnregisterActorRemindersByTypeRequest,
) -> Result<rt::UnregisterActorRemindersByTypeResponse, Status> {
    let id = message.actor_id.as_deref();
    actors.delete_reminders(&message.actor_type, id).await?;
    Ok(rt::UnregisterActorRemindersByTypeResponse {})
}

fn shown(text: String) -> Option<String> {
    Some(text).filter(|t| !t.is_empty())
}

fn any(data: Data) -> prost_types::Any {
    prost_types::Any {
        type_url: data.type_url,
        value: data.value.into(),
    }
}

pub(crate) async fn get_reminder(
    actors: &Actors,
    message: rt::GetActorReminderRequest,
) -> Result<rt::GetActorReminderResponse, Status> {
    let actor = Actor::new(message.actor_type, message.actor_id);
    let Stored {
        due_time,
        period,
        ttl,
        data,
    } = actors.get_reminder(&actor, &message.name).await?;
    Ok(rt::GetActorReminderResponse {
        actor_type: actor.kind.to_string(),
        actor_id: actor.id.to_string(),
        due_time: shown(due_time),
        period: shown(period),
        data: data.map(any),
        ttl: shown(ttl),
    })
}

pub(crate) async fn list_reminders(
    actors: &Actors,
    message: rt::ListActorRemindersRequest,
) -> Result<rt::ListActorRemindersResponse, Status> {
    let id = message.actor_id.as_deref();
    let listed = actors.list_reminders(&message.actor_type, id).await?;
    let reminders = listed.into_iter().map(|(actor, name, stored)| {
        let reminder = rt::ActorReminder {
            actor_type: actor.kind.to_string(),
            actor_id: actor.id.to_string(),
            due_time: shown(stored.due_time),
            period: shown(stored.period),
            data: stored.data.map(any),
            ttl: shown(stored.ttl),
        };
        rt::NamedActorReminder {
            name,
            reminder: Some(reminder),
        }
    });
    Ok(rt::ListActorRemindersResponse {
        reminders: reminders.collect(),
    })
}
