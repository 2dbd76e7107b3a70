//! The decoders of what arrives from outside, for the crate `fuzz`.

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use proto::dapr::common::v1::StreamPayload;
use proto::dapr::internals::v1 as wire;
use resources::configuration::AccessControl;
use security::SpiffeId;

use crate::invoke::local::{Answer, Inbound};
use crate::peer::access::AccessList;
use crate::peer::{self, Incoming};

pub use crate::invoke::proxy::whole::messages;

/// An access list of an app.
pub struct Access(AccessList);

impl Access {
    /// `None` when the list restricts nothing.
    pub fn compile(spec: &AccessControl, http: bool) -> Result<Option<Self>, String> {
        Ok(AccessList::compile(spec, http, None)?.map(Self))
    }

    /// The error is the text of the refusal.
    pub fn check(
        &self,
        caller: Option<&SpiffeId>,
        operation: &str,
        verb: Option<&str>,
    ) -> Result<(), String> {
        self.0.check(caller, operation, verb)
    }
}

/// A call that arrived from another sidecar.
pub struct Call {
    /// What the access list judges.
    pub method: String,
    /// The call as it would be handed on.
    pub wire: wire::InternalInvokeRequest,
    /// The call as an HTTP app gets it.
    pub http: Result<http::Request<()>, String>,
}

impl Call {
    pub fn read(head: wire::InternalInvokeRequest) -> Result<Self, String> {
        let inbound = Inbound::from_wire(head, Body::empty());
        let inbound = inbound.map_err(|status| status.message().to_owned())?;
        Ok(Self {
            method: inbound.head.method.clone(),
            wire: inbound.head.clone().into_wire(),
            http: inbound.into_http().map(|request| request.map(drop)),
        })
    }
}

/// The answer of another sidecar, as it would be handed on.
pub fn answer(head: wire::InternalInvokeResponse) -> Result<wire::InternalInvokeResponse, String> {
    let answer = Answer::from_wire(head, Body::empty())?;
    Ok(answer.into_wire().0)
}

/// The chunks that a body is sent in.
pub async fn chunks(body: Bytes) -> Vec<StreamPayload> {
    let chunks = peer::chunks(Body::from(body));
    // A body that is all there does not fail.
    chunks.filter_map(async |chunk| chunk.ok()).collect().await
}

/// The body of chunks that arrived.
pub async fn joined(chunks: Vec<StreamPayload>) -> Result<Bytes, String> {
    let messages = stream::iter(chunks).map(|chunk| Ok(Some(chunk)));
    let body = Incoming::default().body(None, messages).collect().await;
    Ok(body.map_err(|e| e.to_string())?.to_bytes())
}
