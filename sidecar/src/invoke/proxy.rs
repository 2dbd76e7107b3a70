//! gRPC methods that no service here has: they belong to some app, which the
//! call's metadata has to name.

use axum::extract::Request;
use axum::response::Response;
use tonic::Status;

use super::Invoker;
use crate::api::grpc::status;

/// Forwarding such calls is not part of this release; what names no app is
/// answered as upstream answers it.
pub(crate) async fn call(_: &Invoker, req: Request) -> Response {
    let named = ["dapr-callee-app-id", "dapr-app-id"]
        .into_iter()
        .find_map(|name| req.headers().get(name));
    let error = match named {
        None => Status::unknown(
            "failed to proxy request: required metadata dapr-callee-app-id or dapr-app-id not found",
        ),
        Some(id) => Status::unimplemented(format!(
            "cannot proxy {} to app {}: gRPC proxying is not part of this release yet; use InvokeService or the HTTP API",
            req.uri().path(),
            String::from_utf8_lossy(id.as_bytes())
        )),
    };
    status(&error)
}
