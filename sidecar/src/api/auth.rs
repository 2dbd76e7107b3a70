//! The API token: who may call this sidecar.

use std::fmt;

use axum::extract::Request;
use http::Method;
use subtle::ConstantTimeEq;
use tonic::Status;

use super::error::{ApiError, Detail, Details};

pub(crate) const HEADER: &str = "dapr-api-token";

/// `DAPR_API_TOKEN`. Compared in constant time, never shown.
#[derive(Clone)]
pub(crate) struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// `None` for an empty text: no token is asked for.
    pub(crate) fn new(text: String) -> Option<Self> {
        (!text.is_empty()).then_some(Self(text))
    }

    fn matches(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }

    /// Whether an HTTP request may pass; its token goes no further.
    pub(crate) fn admits(&self, req: &mut Request) -> bool {
        let health = matches!(req.uri().path(), "/v1.0/healthz" | "/v1.0/healthz/outbound");
        if health && req.method() == Method::GET {
            return true;
        }
        let given = req.headers_mut().remove(HEADER);
        given.is_some_and(|given| self.matches(given.as_bytes()))
    }

    /// The same for a gRPC call of any service on the port.
    pub(crate) fn admits_grpc(&self, headers: &mut http::HeaderMap) -> Result<(), Status> {
        let cause = match headers.remove(HEADER) {
            None => "missing api token in request metadata",
            Some(given) if self.matches(given.as_bytes()) => return Ok(()),
            Some(_) => "authentication error: api token mismatch",
        };
        Err(unauthorized(cause))
    }
}

fn unauthorized(cause: &str) -> Status {
    refusal(tonic::Code::Unauthenticated, "Unauthorized", "401", cause)
}

/// The answer for a method that `spec.api` blocks.
pub(crate) fn not_allowed() -> Status {
    refusal(
        tonic::Code::Unimplemented,
        "Not Implemented",
        "501",
        "requested endpoint is not available",
    )
}

fn refusal(code: tonic::Code, text: &'static str, http_code: &str, cause: &str) -> Status {
    let metadata = [("http.code", http_code), ("http.error_message", cause)];
    let metadata = metadata
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    let details = vec![Detail::ErrorInfo {
        reason: text.into(),
        metadata: Some(metadata),
    }];
    ApiError {
        details: Details::Rich(details),
        ..ApiError::legacy(text, http::StatusCode::OK, code, text)
    }
    .status()
}
