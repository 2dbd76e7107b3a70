//! Server reflection. The descriptors are decoded when somebody first asks.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tonic::Status;
use tower::Service;

use super::status;

#[derive(Clone, Default)]
pub(crate) struct Reflection(Arc<OnceLock<Result<Router, String>>>);

impl Reflection {
    pub(crate) async fn call(&self, req: Request) -> Response {
        match self.0.get_or_init(|| build().map_err(|e| e.to_string())) {
            Ok(router) => match router.clone().call(req).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            Err(e) => status(&Status::internal(format!(
                "server reflection is not available: {e}"
            ))),
        }
    }
}

fn build() -> Result<Router, tonic_reflection::server::Error> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .with_service_name("dapr.proto.runtime.v1.Dapr")
            .with_service_name("dapr_rs.state.v1alpha1.StateKeys")
    };
    let mut routes = tonic::service::Routes::builder();
    routes
        .add_service(builder().build_v1()?)
        .add_service(builder().build_v1alpha()?);
    Ok(routes.routes().prepare().into_axum_router())
}
