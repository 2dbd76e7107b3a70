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

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn a_call_arrives_as_it_was_sent_and_marked_as_remote() {
        let mut sent = Invoke::new(Actor::new("Cart", "7"), "add/one");
        sent.query = "a=1".into();
        sent.content_type = "text/plain".into();
        sent.body = Bytes::from_static(b"soap");
        sent.headers
            .insert("dapr-reentrancy-id", HeaderValue::from_static("chain"));
        let got = invoked(invoke(&sent)).unwrap();
        assert_eq!(got.actor, sent.actor);
        assert_eq!(
            (&*got.method, &*got.query, &*got.content_type),
            ("add/one", "a=1", "text/plain")
        );
        assert_eq!(got.body, sent.body);
        assert_eq!(got.headers["dapr-reentrancy-id"], "chain");
        assert_eq!(got.headers["x-dapr-remote"], "true");
    }

    #[test]
    fn a_call_without_its_parts_is_refused() {
        let whole = || invoke(&Invoke::new(Actor::new("Cart", "7"), "add"));
        type Spoil = fn(&mut wire::InternalInvokeRequest);
        let cases: [(Spoil, &str); 4] = [
            (|r| r.ver = 0, "unsupported spec version: 0"),
            (|r| r.actor = None, "names no actor"),
            (|r| r.message = None, "names no method"),
            (
                |r| r.message.as_mut().unwrap().method = "a?b".into(),
                "invalid method",
            ),
        ];
        for (spoil, expected) in cases {
            let mut request = whole();
            spoil(&mut request);
            let refused = invoked(request).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument);
            assert!(refused.message().contains(expected), "{refused}");
        }
    }

    #[test]
    fn an_answer_keeps_its_headers_and_an_http_error_of_a_peer_is_one() {
        let mut headers = HeaderMap::new();
        headers.insert("x-own", HeaderValue::from_static("1"));
        headers.insert("connection", HeaderValue::from_static("close"));
        let sent = Reply {
            headers,
            content_type: "application/json".into(),
            body: Bytes::from_static(b"[1]"),
        };
        let got = replied(reply(sent)).unwrap();
        assert_eq!(
            (&*got.content_type, &got.body[..]),
            ("application/json", &b"[1]"[..])
        );
        assert_eq!(got.headers["x-own"], "1");
        assert!(!got.headers.contains_key("connection"));
        let mut failed = reply(Reply::default());
        failed.status.as_mut().unwrap().code = 503;
        assert_eq!(replied(failed).unwrap_err().code(), tonic::Code::Internal);
    }

    #[test]
    fn a_reminder_keeps_everything_but_the_callback() {
        let sent = Fire {
            actor: Actor::new("Cart", "7"),
            name: "expire".into(),
            data: Some(Data {
                type_url: "type.googleapis.com/google.protobuf.BytesValue".into(),
                value: Bytes::from_static(b"\n\x01x"),
            }),
            due_time: "1s".into(),
            period: "2s".into(),
            callback: "onTick".into(),
            is_timer: true,
            skip_lock: true,
        };
        let got = reminded(reminder(&sent));
        assert_eq!(
            (&got.actor, &got.name, &got.data),
            (&sent.actor, &sent.name, &sent.data)
        );
        assert_eq!(
            (&*got.due_time, &*got.period, &*got.callback),
            ("1s", "2s", "")
        );
        assert!(got.is_timer && got.skip_lock);
    }
}
