//! What an API call answers when it fails, and how both transports show it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use prost::Message;
use proto::google::rpc;

use super::json::write_str;

pub(crate) const DOMAIN: &str = "dapr.io";

/// A failed API call. The catalogue of constructors is [`super::errors`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    /// `errorCode` of the HTTP body.
    pub(crate) code: Cow<'static, str>,
    pub(crate) http: StatusCode,
    pub(crate) grpc: tonic::Code,
    pub(crate) message: String,
    pub(crate) details: Details,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Details {
    /// No details on either transport.
    Legacy,
    /// gRPC only: one ErrorInfo whose reason is the code.
    Basic,
    /// On both transports.
    Rich(Vec<Detail>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Detail {
    ErrorInfo {
        reason: Cow<'static, str>,
        metadata: Option<BTreeMap<String, String>>,
    },
    ResourceInfo {
        kind: &'static str,
        name: String,
        owner: String,
        description: String,
    },
    BadRequest {
        field: String,
        description: String,
    },
    Help {
        url: &'static str,
        description: &'static str,
    },
}

impl ApiError {
    pub(crate) fn legacy(
        code: &'static str,
        http: StatusCode,
        grpc: tonic::Code,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code: code.into(),
            http,
            grpc,
            message: message.into(),
            details: Details::Legacy,
        }
    }

    /// Legacy over HTTP; over gRPC with an ErrorInfo.
    pub(crate) fn basic(
        code: &'static str,
        http: StatusCode,
        grpc: tonic::Code,
        message: impl Into<String>,
    ) -> Self {
        Self {
            details: Details::Basic,
            ..Self::legacy(code, http, grpc, message)
        }
    }

    pub(crate) fn rich(
        code: &'static str,
        http: StatusCode,
        grpc: tonic::Code,
        message: impl Into<String>,
        details: Vec<Detail>,
    ) -> Self {
        Self {
            details: Details::Rich(details),
            ..Self::legacy(code, http, grpc, message)
        }
    }

    /// The body of the HTTP answer: keys in wire order, details alphabetical inside.
    pub(crate) fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + self.message.len());
        out.extend_from_slice(b"{\"errorCode\":");
        write_str(&mut out, &self.code);
        out.extend_from_slice(b",\"message\":");
        write_str(&mut out, &self.message);
        if let Details::Rich(details) = &self.details {
            out.extend_from_slice(b",\"details\":[");
            for (i, detail) in details.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                detail.write(&mut out);
            }
            out.push(b']');
        }
        out.push(b'}');
        out
    }

    pub(crate) fn status(&self) -> tonic::Status {
        let details: Vec<prost_types::Any> = match &self.details {
            Details::Legacy => return tonic::Status::new(self.grpc, &self.message),
            Details::Basic => vec![
                Detail::ErrorInfo {
                    reason: self.code.clone(),
                    metadata: None,
                }
                .any(),
            ],
            Details::Rich(details) => details.iter().map(Detail::any).collect(),
        };
        let status = rpc::Status {
            code: self.grpc as i32,
            message: self.message.clone(),
            details,
        };
        tonic::Status::with_details(self.grpc, &self.message, status.encode_to_vec().into())
    }
}

/// As it appears inside other texts.
impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "api error: code = {:?} desc = {}",
            self.grpc, self.message
        )
    }
}

impl std::error::Error for ApiError {}

impl From<ApiError> for tonic::Status {
    fn from(error: ApiError) -> Self {
        error.status()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json_response(self.http, self.body());
        response.extensions_mut().insert(Failed(self.code));
        response
    }
}

/// Left on the response for the error metric.
#[derive(Clone)]
pub(crate) struct Failed(pub(crate) Cow<'static, str>);

pub(crate) fn json_response(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

pub(crate) fn text_response(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// A refusal in plain text, as Go's servers write it.
pub(crate) fn plain_error(status: StatusCode, text: &str) -> Response {
    let mut response = text_response(status, format!("{text}\n"));
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

impl Detail {
    fn write(&self, out: &mut Vec<u8>) {
        let start = |out: &mut Vec<u8>, name: &str| {
            out.extend_from_slice(b"{\"@type\":\"type.googleapis.com/google.rpc.");
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
        };
        let field = |out: &mut Vec<u8>, name: &str, value: &str| {
            out.push(b',');
            write_str(out, name);
            out.push(b':');
            write_str(out, value);
        };
        match self {
            Self::ErrorInfo { reason, metadata } => {
                start(out, "ErrorInfo");
                field(out, "domain", DOMAIN);
                out.extend_from_slice(b",\"metadata\":");
                match metadata {
                    None => out.extend_from_slice(b"null"),
                    Some(map) => write_map(out, map),
                }
                field(out, "reason", reason);
            }
            Self::ResourceInfo {
                kind,
                name,
                owner,
                description,
            } => {
                start(out, "ResourceInfo");
                field(out, "description", description);
                field(out, "owner", owner);
                field(out, "resource_name", name);
                field(out, "resource_type", kind);
            }
            Self::BadRequest {
                field: name,
                description,
            } => {
                start(out, "BadRequest");
                out.extend_from_slice(b",\"field_violations\":[{");
                if !name.is_empty() {
                    out.extend_from_slice(b"\"field\":");
                    write_str(out, name);
                    out.push(b',');
                }
                out.extend_from_slice(b"\"description\":");
                write_str(out, description);
                out.extend_from_slice(b"}]");
            }
            Self::Help { url, description } => {
                start(out, "Help");
                out.extend_from_slice(b",\"links\":[{\"description\":");
                write_str(out, description);
                field(out, "url", url);
                out.extend_from_slice(b"}]");
            }
        }
        out.push(b'}');
    }

    fn any(&self) -> prost_types::Any {
        let (name, value) = match self {
            Self::ErrorInfo { reason, metadata } => {
                let metadata = metadata.clone().unwrap_or_default().into_iter().collect();
                let info = rpc::ErrorInfo {
                    reason: reason.to_string(),
                    domain: DOMAIN.into(),
                    metadata,
                };
                ("ErrorInfo", info.encode_to_vec())
            }
            Self::ResourceInfo {
                kind,
                name,
                owner,
                description,
            } => {
                let info = rpc::ResourceInfo {
                    resource_type: (*kind).into(),
                    resource_name: name.clone(),
                    owner: owner.clone(),
                    description: description.clone(),
                };
                ("ResourceInfo", info.encode_to_vec())
            }
            Self::BadRequest { field, description } => {
                let violation = rpc::bad_request::FieldViolation {
                    field: field.clone(),
                    description: description.clone(),
                    ..Default::default()
                };
                (
                    "BadRequest",
                    rpc::BadRequest {
                        field_violations: vec![violation],
                    }
                    .encode_to_vec(),
                )
            }
            Self::Help { url, description } => {
                let link = rpc::help::Link {
                    description: (*description).into(),
                    url: (*url).into(),
                };
                ("Help", rpc::Help { links: vec![link] }.encode_to_vec())
            }
        };
        prost_types::Any {
            type_url: format!("type.googleapis.com/google.rpc.{name}"),
            value,
        }
    }
}

fn write_map(out: &mut Vec<u8>, map: &BTreeMap<String, String>) {
    out.push(b'{');
    for (i, (key, value)) in map.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_str(out, key);
        out.push(b':');
        write_str(out, value);
    }
    out.push(b'}');
}
