//! Upstream's span names and attributes, as functions of what is called.

mod call;
mod hop;
mod operation;

pub use call::{GrpcCall, HttpCall};
pub use hop::Hop;
pub use operation::Operation;

use http::StatusCode;

const RPC_SERVICE: &str = "rpc.service";
const SERVICE_INVOCATION: &str = "ServiceInvocation";
const DAPR: &str = "Dapr";
const PEER: &str = "net.peer.name";
const ACTOR: &str = "dapr.actor";
const DB_SYSTEM: &str = "db.system";
const DB_NAME: &str = "db.name";
const DB_STATEMENT: &str = "db.statement";
const DB_CONNECTION: &str = "db.connection_string";
const MESSAGING_SYSTEM: &str = "messaging.system";
const MESSAGING_TOPIC: &str = "messaging.destination.name";

/// An attribute whose name is fixed.
pub type Attribute = (&'static str, String);

/// Whether calls of this path are traced at all.
pub fn is_traced(path: &str) -> bool {
    !path.contains("/healthz")
}

/// What the span of an HTTP call with this status fails with.
pub fn http_error(status: u16) -> Option<String> {
    if status < 400 {
        return None;
    }
    Some(format!("Code({status}): {}", status_text(status)))
}

/// What the span of a gRPC call with this status fails with.
pub fn grpc_error(code: i32, message: &str) -> Option<String> {
    match (code, message) {
        (0, _) => None,
        (code, "") => Some(format!("gRPC status {code}")),
        (_, message) => Some(message.to_owned()),
    }
}

/// Go's words for a status, which are older than those of the `http` crate.
fn status_text(status: u16) -> &'static str {
    match status {
        413 => "Request Entity Too Large",
        414 => "Request URI Too Long",
        416 => "Requested Range Not Satisfiable",
        _ => StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or(""),
    }
}

/// How upstream writes an actor in attributes.
fn actor(actor_type: &str, id: &str) -> String {
    format!("{actor_type}.{id}")
}

fn call_local(app_id: &str, method: &str) -> String {
    format!("CallLocal/{app_id}/{}", method.trim_start_matches('/'))
}

fn call_actor(actor_type: &str, method: &str) -> String {
    format!("CallActor/{actor_type}/{method}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_checks_are_not_traced() {
        for (path, expected) in [
            ("/v1.0/healthz", false),
            ("/v1.0/healthz/outbound", false),
            ("/v1.0/invoke/app/method/healthz", false),
            ("/v1.0/state/healthz", false),
            ("/v1.0/state/s", true),
            ("healthz", true),
        ] {
            assert_eq!(is_traced(path), expected, "{path}");
        }
    }

    #[test]
    fn statuses_become_errors_in_upstreams_words() {
        for (status, expected) in [
            (200, None),
            (204, None),
            (302, None),
            (399, None),
            (400, Some("Code(400): Bad Request")),
            (404, Some("Code(404): Not Found")),
            (413, Some("Code(413): Request Entity Too Large")),
            (500, Some("Code(500): Internal Server Error")),
            (599, Some("Code(599): ")),
        ] {
            assert_eq!(http_error(status).as_deref(), expected);
        }
        for (code, message, expected) in [
            (0, "fine", None),
            (5, "no such key", Some("no such key")),
            (13, "", Some("gRPC status 13")),
        ] {
            assert_eq!(grpc_error(code, message).as_deref(), expected);
        }
    }
}
