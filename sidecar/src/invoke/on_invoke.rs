//! A call of a gRPC app: `AppCallback/OnInvoke`.

use axum::body::Body;
use http::uri::PathAndQuery;
use http_body_util::BodyExt;
use proto::dapr::common::v1 as common;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic_prost::ProstCodec;

use super::local::{Answer, Inbound};
use crate::app::{self, App, AppChannel};
use crate::peer::headers::{self, Metadata};

const ON_INVOKE: &str = "/dapr.proto.runtime.v1.AppCallback/OnInvoke";

pub(super) async fn call(app: &App, inbound: Inbound) -> Result<Answer, app::Error> {
    let Inbound { head, body } = inbound;
    let broken = |e: axum::Error| app::Error::Unreachable(e.to_string());
    let value = body.collect().await.map_err(broken)?.to_bytes();
    let (channel, permit) = app.grpc().await?;
    let mut request = tonic::Request::new(common::InvokeRequest {
        method: head.method,
        data: Some(prost_types::Any {
            type_url: head.type_url,
            value: value.into(),
        }),
        content_type: head.content_type,
        http_extension: Some(common::HttpExtension {
            verb: head.verb.into(),
            querystring: head.query,
        }),
    });
    let mut trace = headers::trace(&head.metadata);
    if let (true, Some(context)) = (trace.is_empty(), &head.trace) {
        trace = vec![
            (
                telemetry::headers::TRACEPARENT,
                telemetry::headers::traceparent(context),
            ),
            (
                telemetry::headers::GRPC_TRACE_BIN,
                telemetry::headers::grpc_trace_bin(context),
            ),
        ];
    }
    *request.metadata_mut() = headers::to_grpc(head.metadata);
    for (name, value) in trace {
        request.metadata_mut().as_mut().insert(name, value);
    }
    if let Some(token) = app.token().and_then(|t| t.to_str().ok()?.parse().ok()) {
        request.metadata_mut().insert("dapr-api-token", token);
    }
    let result = on_invoke(channel, request).await;
    drop(permit);
    Ok(match result {
        Ok((headers, message, trailers)) => {
            let data = message.data.unwrap_or_default();
            Answer {
                code: 0,
                message: String::new(),
                details: Vec::new(),
                content_type: message.content_type,
                type_url: data.type_url,
                headers: headers::from_grpc_answer(&headers),
                trailers: headers::from_grpc_answer(&trailers),
                body: Body::from(data.value),
            }
        }
        Err(status) => Answer {
            code: status.code().into(),
            message: status.message().to_owned(),
            details: details(&status),
            content_type: String::new(),
            type_url: String::new(),
            headers: Metadata::new(),
            trailers: headers::from_grpc_answer(status.metadata()),
            body: Body::empty(),
        },
    })
}

/// tonic's client would add the trailers to the headers.
async fn on_invoke(
    channel: AppChannel,
    request: tonic::Request<common::InvokeRequest>,
) -> Result<(MetadataMap, common::InvokeResponse, MetadataMap), Status> {
    let mut client = tonic::client::Grpc::new(channel)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    let ready = client.ready().await;
    ready.map_err(|e| Status::unavailable(format!("the app is not ready: {e}")))?;
    let codec = ProstCodec::<_, common::InvokeResponse>::default();
    let answer = client.server_streaming(request, PathAndQuery::from_static(ON_INVOKE), codec);
    let (headers, mut messages, _) = answer.await?.into_parts();
    let message = messages.message().await?;
    let message = message.ok_or_else(|| Status::internal("the app answered without a message"))?;
    let trailers = messages.trailers().await?.unwrap_or_default();
    Ok((headers, message, trailers))
}

fn details(status: &Status) -> Vec<prost_types::Any> {
    let decoded = <proto::google::rpc::Status as prost::Message>::decode(status.details());
    decoded.map(|s| s.details).unwrap_or_default()
}
