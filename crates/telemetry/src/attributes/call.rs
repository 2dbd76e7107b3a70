//! What the span of every API call tells, whatever the call does.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::HeaderMap;

use super::{DAPR, Operation, RPC_SERVICE, http_error};
use crate::span::Record;

const PROTOCOL: &str = "dapr.protocol";
const API: &str = "dapr.api";
const PREFIX: &str = "dapr-";
const BINARY: &str = "-bin";
/// The one header with that prefix that is a secret.
const TOKEN: &str = "dapr-api-token";
const SERVICE: &str = "/dapr.proto.runtime.v1.Dapr/";

type Attributes = Vec<(Cow<'static, str>, String)>;

/// A call of the HTTP API once it is answered. Its span begins with the path
/// as its name.
#[derive(Clone, Copy, Debug)]
pub struct HttpCall<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// The request's target with its query.
    pub uri: &'a str,
    pub remote: Option<SocketAddr>,
    pub headers: &'a HeaderMap,
    pub status: u16,
}

impl HttpCall<'_> {
    /// Tells the span all about the call; the name follows the operation.
    pub fn describe(&self, operation: &Operation<'_>, record: &mut Record) {
        if let Some(name) = operation.span_name() {
            record.rename(name);
        }
        record.extend(self.attributes());
        record.extend(operation.attributes(&self.statement()));
        record.status(http_error(self.status));
    }

    fn statement(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub fn attributes(&self) -> Attributes {
        let mut all: Attributes = vec![
            (PROTOCOL.into(), "http".to_owned()),
            (API.into(), self.statement()),
            ("dapr.status_code".into(), self.status.to_string()),
            ("http.request.method".into(), self.method.to_owned()),
            ("url.full".into(), self.uri.to_owned()),
        ];
        if let Some(remote) = self.remote {
            all.push((
                "server.address".into(),
                remote.ip().to_canonical().to_string(),
            ));
            all.push(("server.port".into(), remote.port().to_string()));
        }
        all.extend(self.headers.keys().filter_map(|name| {
            let last = self.headers.get_all(name).iter().next_back()?;
            dapr_header(name.as_str(), last.to_str().ok()?)
        }));
        all
    }
}

/// A call of the gRPC API. Its span begins with the full method as its name.
#[derive(Clone, Copy, Debug)]
pub struct GrpcCall<'a> {
    /// The full method, with its leading slash.
    pub method: &'a str,
    pub metadata: &'a HeaderMap,
}

impl GrpcCall<'_> {
    /// Tells the span all about the call; the name follows the operation.
    pub fn describe(&self, operation: &Operation<'_>, record: &mut Record) {
        if let Some(name) = operation.span_name() {
            record.rename(name);
        }
        record.extend(self.attributes());
        record.extend(operation.attributes(self.method));
    }

    pub fn attributes(&self) -> Attributes {
        let mut all: Attributes = vec![
            (PROTOCOL.into(), "grpc".to_owned()),
            (API.into(), self.method.to_owned()),
        ];
        if self.method.starts_with(SERVICE) {
            all.push((RPC_SERVICE.into(), DAPR.to_owned()));
        }
        let names = self
            .metadata
            .keys()
            .filter(|name| !name.as_str().ends_with(BINARY));
        all.extend(names.filter_map(|name| {
            let first = self.metadata.get(name)?;
            dapr_header(name.as_str(), first.to_str().ok()?)
        }));
        all
    }
}

fn dapr_header(name: &str, value: &str) -> Option<(Cow<'static, str>, String)> {
    let shown = name.starts_with(PREFIX) && name != TOKEN;
    shown.then(|| (name.to_owned().into(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::{Kind, TraceContext};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut out = HeaderMap::new();
        for (name, value) in pairs {
            out.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        out
    }

    const HEADERS: &[(&str, &str)] = &[
        ("dapr-app-id", "one"),
        ("dapr-app-id", "two"),
        ("dapr-x-bin", "AAAA"),
        ("dapr-api-token", "secret"),
        ("content-type", "text/plain"),
    ];

    #[track_caller]
    fn check(found: &Attributes, expected: &[(&str, &str)]) {
        let mut found: Vec<_> = found
            .iter()
            .map(|(k, v)| (k.as_ref(), v.as_str()))
            .collect();
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_http_call_tells_its_path_and_last_headers_but_no_token() {
        let headers = headers(HEADERS);
        let call = HttpCall {
            method: "GET",
            path: "/v1.0/state/s",
            uri: "/v1.0/state/s?a=b",
            remote: Some("[::ffff:10.0.0.1]:4000".parse().unwrap()),
            headers: &headers,
            status: 204,
        };
        check(
            &call.attributes(),
            &[
                ("dapr.protocol", "http"),
                ("dapr.api", "GET /v1.0/state/s"),
                ("dapr.status_code", "204"),
                ("http.request.method", "GET"),
                ("url.full", "/v1.0/state/s?a=b"),
                ("server.address", "10.0.0.1"),
                ("server.port", "4000"),
                ("dapr-app-id", "two"),
                ("dapr-x-bin", "AAAA"),
            ],
        );
    }

    #[test]
    fn a_grpc_call_tells_its_method_and_first_metadata() {
        let metadata = headers(HEADERS);
        for (method, service) in [
            (
                "/dapr.proto.runtime.v1.Dapr/GetState",
                &[("rpc.service", "Dapr")][..],
            ),
            ("/shop.Cart/Add", &[]),
        ] {
            let call = GrpcCall {
                method,
                metadata: &metadata,
            };
            let all = [
                ("dapr.protocol", "grpc"),
                ("dapr.api", method),
                ("dapr-app-id", "one"),
            ];
            check(&call.attributes(), &[&all, service].concat());
        }
    }

    fn record() -> Record {
        let context =
            TraceContext::parse("00-11111111111111111111111111111111-2222222222222222-01");
        let context = context.unwrap();
        Record {
            trace_id: context.trace_id,
            span_id: context.span_id,
            parent_id: None,
            flags: 1,
            state: None,
            name: "start".into(),
            kind: Kind::Client,
            start: 0,
            end: 0,
            attributes: Vec::new(),
            left_out: 0,
            error: None,
        }
    }

    #[test]
    fn the_operation_names_the_span_and_has_the_last_word() {
        let none = HeaderMap::new();
        let operation = Operation::Invoke {
            app_id: "app",
            method: "m",
        };
        let mut over_http = record();
        let call = HttpCall {
            method: "POST",
            path: "/v1.0/invoke/app/method/m",
            uri: "/v1.0/invoke/app/method/m",
            remote: None,
            headers: &none,
            status: 500,
        };
        call.describe(&operation, &mut over_http);
        assert_eq!(over_http.name, "CallLocal/app/m");
        assert_eq!(
            over_http.error.as_deref(),
            Some("Code(500): Internal Server Error")
        );

        let mut over_grpc = record();
        let method = "/dapr.proto.runtime.v1.Dapr/InvokeService";
        GrpcCall {
            method,
            metadata: &none,
        }
        .describe(&operation, &mut over_grpc);
        check(
            &over_grpc.attributes,
            &[
                ("dapr.protocol", "grpc"),
                ("dapr.api", method),
                ("rpc.service", "ServiceInvocation"),
                ("net.peer.name", "app"),
            ],
        );
        let mut state = record();
        GrpcCall {
            method,
            metadata: &none,
        }
        .describe(&Operation::State { store: "s" }, &mut state);
        assert_eq!(state.name, "start");
        assert!(
            state
                .attributes
                .contains(&("db.statement".into(), method.to_owned()))
        );
    }
}
