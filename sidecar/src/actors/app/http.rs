//! Actors behind an HTTP app: `/actors/{type}/{id}/...`.

use ::http::{HeaderValue, Method, Request, StatusCode, header};
use actors::Error;
use actors::call::{Actor, App as Hosting, Fire, Fired, Invoke, Reply, cancels};
use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::app::App;

/// What a part of a path cannot hold as it is. A method may have slashes.
const PART: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'#')
    .add(b'?')
    .add(b'{')
    .add(b'}')
    .add(b'%');

pub(crate) struct Http {
    app: App,
    /// Of an answer, in bytes.
    max_body: usize,
}

/// What the app is told of a reminder or a timer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<&'a str>,
    due_time: &'a str,
    period: &'a str,
}

struct Answer {
    headers: ::http::HeaderMap,
    body: Bytes,
}

impl Http {
    pub(crate) fn new(app: App, max_body: usize) -> Self {
        Self { app, max_body }
    }

    /// Sends one request; an answer has status 200, whatever else is an error.
    async fn send(&self, path: &str, mut req: Request<Body>) -> Result<Answer, Error> {
        let address = format!("/{}", utf8_percent_encode(path, PART));
        *req.uri_mut() = match req.uri().query() {
            Some(query) => format!("{address}?{query}").parse(),
            None => address.parse(),
        }
        .map_err(|_| Error::Invalid(format!("'{address}' is not a valid address")))?;
        let response = self.app.send(req).await;
        let response = response.map_err(|e| Error::Unreachable(e.to_string()))?;
        let (parts, body) = response.into_parts();
        if parts.status == StatusCode::NOT_FOUND {
            return Err(Error::MethodNotFound(path.to_owned()));
        }
        let body = Limited::new(body, self.max_body).collect().await;
        let body = body.map_err(|e| {
            let cause = format!("the answer of the app cannot be read: {e}");
            Error::Unreachable(cause)
        })?;
        let body = body.to_bytes();
        if parts.status != StatusCode::OK {
            let status = parts.status.as_u16();
            return Err(Error::App {
                status: Some(status),
                text: format!("({status}) {}", String::from_utf8_lossy(&body)),
            });
        }
        let headers = parts.headers;
        Ok(Answer { headers, body })
    }

    async fn event(&self, kind: &str, fire: &Fire) -> Result<Fired, Error> {
        let event = Event {
            data: fire.data.as_ref().and_then(super::data),
            callback: fire.is_timer.then_some(&*fire.callback),
            due_time: &fire.due_time,
            period: &fire.period,
        };
        let body = crate::api::json::to_vec(&event).map_err(|e| Error::Invalid(e.to_string()))?;
        let mut req = Request::new(Body::from(body));
        *req.method_mut() = Method::PUT;
        req.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        let Actor { kind: class, id } = &fire.actor;
        let path = format!("actors/{class}/{id}/method/{kind}/{}", fire.name);
        let answer = self.send(&path, req).await?;
        Ok(match cancels(&answer.headers) {
            true => Fired::Canceled,
            false => Fired::Done,
        })
    }
}

#[async_trait]
impl Hosting for Http {
    async fn invoke(&self, call: &Invoke) -> Result<Reply, Error> {
        let mut req = Request::new(Body::from(call.body.clone()));
        *req.method_mut() = Method::PUT;
        *req.headers_mut() = call.headers.clone();
        if let Ok(value) = HeaderValue::try_from(&*call.content_type)
            && !value.is_empty()
        {
            req.headers_mut().insert(header::CONTENT_TYPE, value);
        }
        if !call.query.is_empty() {
            let query = format!("/?{}", call.query);
            *req.uri_mut() = query
                .parse()
                .map_err(|_| Error::Invalid(format!("'{}' is not a valid query", call.query)))?;
        }
        let Actor { kind, id } = &call.actor;
        let path = format!("actors/{kind}/{id}/method/{}", call.method);
        let answer = self.send(&path, req).await?;
        if cancels(&answer.headers) {
            return Err(Error::ReminderCanceled);
        }
        let content_type = answer.headers.get(header::CONTENT_TYPE);
        Ok(Reply {
            content_type: content_type
                .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
                .unwrap_or_default(),
            headers: answer.headers,
            body: answer.body,
        })
    }

    async fn reminder(&self, fire: &Fire) -> Result<Fired, Error> {
        self.event("remind", fire).await
    }

    async fn timer(&self, fire: &Fire) -> Result<Fired, Error> {
        self.event("timer", fire).await
    }

    async fn deactivate(&self, actor: &Actor) -> Result<(), Error> {
        let mut req = Request::new(Body::empty());
        *req.method_mut() = Method::DELETE;
        let path = format!("actors/{}/{}", actor.kind, actor.id);
        self.send(&path, req).await.map(|_| ())
    }
}
