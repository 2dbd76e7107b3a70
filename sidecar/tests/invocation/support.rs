//! Apps as axum routers, in the clear or over TLS, and sidecars that find one
//! another.

use std::convert::Infallible;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use e2e::{Sidecar, SidecarBuilder};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use proto::dapr::common::v1::{InvokeRequest, InvokeResponse};
use rustls::ServerConfig;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tonic_prost::ProstCodec;

/// An app; it stops when it is dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    _task: JoinSet<()>,
}

/// Serves HTTP/1.1 and HTTP/2 on a free port.
pub(crate) async fn serve(router: Router, tls: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tls.then(acceptor);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (router, acceptor) = (router.clone(), acceptor.clone());
            connections.spawn(async move {
                match acceptor {
                    None => connection(stream, router).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            connection(stream, router).await;
                        }
                    }
                }
            });
        }
    });
    Server { port, _task: task }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let service = TowerToHyperService::new(router);
    let builder = Builder::new(TokioExecutor::new());
    // A client that goes away ends the connection, which is no failure.
    let _ = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A certificate that nobody has signed.
fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Answers with what it was asked, as JSON.
pub(crate) fn echo() -> Router {
    Router::new().fallback(|req: Request| async move {
        let (parts, body) = req.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let mut headers = Map::new();
        for name in parts.headers.keys() {
            let values = parts.headers.get_all(name).iter();
            let values: Vec<&str> = values.map(|v| v.to_str().unwrap()).collect();
            headers.insert(name.to_string(), json!(values));
        }
        let seen = json!({
            "method": parts.method.as_str(),
            "uri": parts.uri.path_and_query().map(ToString::to_string),
            "version": format!("{:?}", parts.version),
            "headers": headers,
            "body": String::from_utf8_lossy(&body),
        });
        Response::builder()
            .header("content-type", "application/json")
            .header("x-many", "1")
            .header("x-many", "2")
            .body(Body::from(seen.to_string()))
            .unwrap()
    })
}

/// A gRPC method as a handler of the router.
pub(crate) async fn unary<Q, A, F>(
    req: Request,
    answer: impl Fn(tonic::Request<Q>) -> F,
) -> Response
where
    Q: prost::Message + Default + 'static,
    A: prost::Message + Default + 'static,
    F: Future<Output = Result<tonic::Response<A>, Status>>,
{
    let service = tower::service_fn(answer);
    let mut server = tonic::server::Grpc::new(ProstCodec::<A, Q>::default());
    server.unary(service, req).await.map(Body::new)
}

/// An app that speaks gRPC: the callback, the health check and a stream of its own.
pub(crate) fn grpc_app() -> Router {
    use axum::routing::post;
    Router::new()
        .route(
            "/dapr.proto.runtime.v1.AppCallback/OnInvoke",
            post(|req| unary(req, on_invoke)),
        )
        .route(
            "/dapr.proto.runtime.v1.AppCallbackHealthCheck/HealthCheck",
            post(|req| {
                unary(req, async |_: tonic::Request<()>| {
                    Ok(tonic::Response::new(()))
                })
            }),
        )
        .route("/test.Echo/Chat", post(chat))
        .fallback(async || Status::unimplemented("no such method").into_http::<Body>())
}

async fn on_invoke(
    request: tonic::Request<InvokeRequest>,
) -> Result<tonic::Response<InvokeResponse>, Status> {
    let metadata = request.metadata().clone().into_headers();
    let request = request.into_inner();
    let extension = request.http_extension.unwrap_or_default();
    if request.method == "fail" {
        let info = proto::google::rpc::ErrorInfo {
            reason: "GONE".into(),
            domain: "app".into(),
            metadata: [("k".to_owned(), "v".to_owned())].into(),
        };
        let details = proto::google::rpc::Status {
            code: 5,
            message: "no such order".into(),
            details: vec![prost_types::Any::from_msg(&info).unwrap()],
        };
        let details = prost::Message::encode_to_vec(&details).into();
        return Err(Status::with_details(
            tonic::Code::NotFound,
            "no such order",
            details,
        ));
    }
    let headers: Map<String, Value> = metadata
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
        .collect();
    let seen = json!({
        "method": request.method,
        "verb": extension.verb().as_str_name(),
        "query": extension.querystring,
        "contentType": request.content_type,
        "body": String::from_utf8_lossy(&request.data.unwrap_or_default().value),
        "headers": headers,
    });
    let mut response = tonic::Response::new(InvokeResponse {
        data: Some(prost_types::Any {
            value: seen.to_string().into(),
            ..Default::default()
        }),
        content_type: "application/json".into(),
    });
    response
        .metadata_mut()
        .insert("x-app", "grpc".parse().unwrap());
    Ok(response)
}

/// Sends every frame back as it comes, then the status.
async fn chat(req: Request) -> Result<Response, Infallible> {
    use http_body_util::BodyExt;
    let named = req.headers().get("dapr-caller-app-id").cloned();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers.insert("x-trailer", "seen".parse().unwrap());
    let body = req.into_body().with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::builder().header("content-type", "application/grpc");
    if let Some(caller) = named {
        response = response.header("x-caller", caller);
    }
    Ok(response.body(Body::new(body)).unwrap())
}

/// Sidecars with one registry of their own.
pub(crate) struct Mesh {
    pub(crate) apps: TempDir,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        let apps = tempfile::tempdir().unwrap();
        std::fs::set_permissions(apps.path(), PermissionsExt::from_mode(0o700)).unwrap();
        Self { apps }
    }

    pub(crate) fn builder(&self, id: &str) -> SidecarBuilder {
        Sidecar::builder(id).env("DAPR_APPS_DIR", self.apps.path().to_str().unwrap())
    }

    /// A sidecar that serves an app.
    pub(crate) async fn callee(&self, id: &str, app: &Server, more: &[&str]) -> Sidecar {
        let builder = self.builder(id).app_port(app.port).args(more);
        builder.start().ready().await
    }

    /// A sidecar that only calls.
    pub(crate) async fn caller(&self) -> Sidecar {
        self.builder("caller").start().ready().await
    }
}
