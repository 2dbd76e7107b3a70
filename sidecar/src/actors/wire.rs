//! Calls of actors as they travel between sidecars.

use actors::call::{Actor, Data, Fire, Invoke, Reply};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use proto::dapr::common::v1 as common;
use proto::dapr::common::v1::http_extension::Verb;
use proto::dapr::internals::v1 as wire;
use tonic::Status;

use crate::invoke::method;
use crate::peer::headers;

/// Tells the receiver that the call is not from its own app.
const REMOTE: HeaderName = HeaderName::from_static("x-dapr-remote");

pub(super) fn invoke(call: &Invoke) -> wire::InternalInvokeRequest {
    let extension = common::HttpExtension {
        verb: Verb::Put.into(),
        querystring: call.query.clone(),
    };
    wire::InternalInvokeRequest {
        ver: wire::ApiVersion::V1.into(),
        metadata: headers::from_http(&call.headers),
        message: Some(common::InvokeRequest {
            method: call.method.clone(),
            data: Some(prost_types::Any {
                type_url: String::new(),
                value: call.body.clone().into(),
            }),
            content_type: call.content_type.clone(),
            http_extension: Some(extension),
        }),
        actor: Some(wire::Actor {
            actor_type: call.actor.kind.to_string(),
            actor_id: call.actor.id.to_string(),
        }),
    }
}

pub(super) fn invoked(request: wire::InternalInvokeRequest) -> Result<Invoke, Status> {
    if request.ver != i32::from(wire::ApiVersion::V1) {
        let cause = format!("unsupported spec version: {}", request.ver);
        return Err(Status::invalid_argument(format!(
            "parsing InternalInvokeRequest error: {cause}"
        )));
    }
    let missing = |what| Status::invalid_argument(format!("the request names no {what}"));
    let actor = request.actor.ok_or_else(|| missing("actor"))?;
    let message = request.message.ok_or_else(|| missing("method"))?;
    let method = method::normalize(&message.method)
        .map_err(|e| Status::invalid_argument(format!("invalid method: {e}")))?;
    let mut headers = headers::to_http(request.metadata);
    headers.insert(REMOTE, HeaderValue::from_static("true"));
    Ok(Invoke {
        actor: Actor::new(actor.actor_type, actor.actor_id),
        method,
        query: message.http_extension.unwrap_or_default().querystring,
        headers,
        content_type: message.content_type,
        body: message
            .data
            .map(|d| Bytes::from(d.value))
            .unwrap_or_default(),
    })
}

pub(super) fn reply(reply: Reply) -> wire::InternalInvokeResponse {
    wire::InternalInvokeResponse {
        status: Some(wire::Status {
            code: 200,
            ..Default::default()
        }),
        headers: headers::from_answer(&reply.headers),
        trailers: Default::default(),
        message: Some(common::InvokeResponse {
            data: Some(prost_types::Any {
                type_url: String::new(),
                value: reply.body.into(),
            }),
            content_type: reply.content_type,
        }),
    }
}

pub(super) fn replied(response: wire::InternalInvokeResponse) -> Result<Reply, Status> {
    let status = response.status.unwrap_or_default();
    let message = response.message.unwrap_or_default();
    let body = Bytes::from(message.data.unwrap_or_default().value);
    if !matches!(status.code, 0 | 200) {
        let text = String::from_utf8_lossy(&body);
        let code = status.code;
        return Err(Status::internal(format!(
            "error invoke actor method: error from actor service: ({code}) {text}"
        )));
    }
    Ok(Reply {
        headers: headers::to_http(response.headers),
        content_type: message.content_type,
        body,
    })
}

pub(super) fn reminder(fire: &Fire) -> wire::Reminder {
    wire::Reminder {
        actor_id: fire.actor.id.to_string(),
        actor_type: fire.actor.kind.to_string(),
        name: fire.name.clone(),
        data: fire.data.as_ref().map(|data| prost_types::Any {
            type_url: data.type_url.clone(),
            value: data.value.to_vec(),
        }),
        period: fire.period.clone(),
        due_time: fire.due_time.clone(),
        is_timer: fire.is_timer,
        skip_lock: fire.skip_lock,
        ..Default::default()
    }
}

pub(super) fn reminded(reminder: wire::Reminder) -> Fire {
    Fire {
        actor: Actor::new(reminder.actor_type, reminder.actor_id),
        name: reminder.name,
        data: reminder.data.map(|any| Data {
            type_url: any.type_url,
            value: any.value.into(),
        }),
        due_time: reminder.due_time,
        period: reminder.period,
        // It has no place in the message.
        callback: String::new(),
        is_timer: reminder.is_timer,
        skip_lock: reminder.skip_lock,
    }
}
