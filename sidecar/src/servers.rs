//! The four servers of a sidecar: HTTP, gRPC, public HTTP, and the internal one.

use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use proto::dapr::internals::v1::service_invocation_server::ServiceInvocationServer;
use resources::configuration::ApiLogging;
use security::Acceptor;
use service::Tasks;
use telemetry::Tracer;
use tokio::net::TcpListener;

use crate::SCOPE;
use crate::api::access::Access;
use crate::api::auth::Token;
use crate::api::cors::Cors;
use crate::api::grpc::dapr::Api;
use crate::api::grpc::{self, GrpcApi};
use crate::api::http::{self as http_api, Connection, Group, HttpApi, Routes};
use crate::api::log::{ApiLog, Kind};
use crate::api::metrics::{GrpcMetrics, HttpMetrics};
use crate::api::pipeline::Pipeline;
use crate::api::router::Fallback;
use crate::api::serve::{Listener, Protocol, serve, serve_identified};
use crate::flags::Config;
use crate::invoke::{self, Invoker};
use crate::peer;
use crate::peer::Caller;
use crate::peer::access::AccessList;

/// Bound before anything is served, so that a busy port ends the start.
pub(crate) struct Listeners {
    pub(crate) http: Vec<Listener>,
    pub(crate) grpc: Vec<Listener>,
    pub(crate) public: Option<Listener>,
}

impl Listeners {
    pub(crate) async fn bind(config: &Config) -> Result<Self, String> {
        if let Some(port) = config.profile {
            tracing::warn!(
                target: SCOPE,
                "--enable-profiling is accepted, but this build serves no profiles on port {port}; attach a system profiler to the process instead"
            );
        }
        let http = listen(config, "http", config.http_port).await;
        let http = http.ok_or("failed to start HTTP server: could not listen on any endpoint")?;
        let grpc = listen(config, "grpc", config.grpc_port).await;
        let grpc =
            grpc.ok_or("failed to start API gRPC server: could not listen on any endpoint")?;
        let public = match config.public_port {
            Some(port) => {
                let bound = service::net::listen(&config.public_address, port).await;
                Some(Listener::Tcp(bound.map_err(|e| e.to_string())?))
            }
            None => None,
        };
        Ok(Self { http, grpc, public })
    }
}

/// One listener that works is enough.
async fn listen(config: &Config, kind: &str, port: u16) -> Option<Vec<Listener>> {
    let mut bound = Vec::new();
    if let Some(folder) = &config.unix_folder {
        let path = Path::new(folder).join(format!("dapr-{}-{kind}.socket", config.app_id));
        match service::net::bind_unix(&path).await {
            Ok(listener) => bound.push(Listener::Unix(listener)),
            Err(e) => {
                tracing::error!(target: SCOPE, "cannot listen on socket {}: {e}", path.display())
            }
        }
        return (!bound.is_empty()).then_some(bound);
    }
    for address in &config.listen_addresses {
        match service::net::bind(address, port).await {
            Ok(listener) => bound.push(Listener::Tcp(listener)),
            Err(e) if kind == "grpc" => tracing::error!(
                target: "dapr.runtime.grpc.api",
                "Failed to listen for gRPC server on TCP address {address}:{port} with error: {e}"
            ),
            // Upstream says this at debug level only, and leaves its users guessing.
            Err(e) => tracing::error!(
                target: "dapr.runtime.http",
                "Failed to listen for HTTP server on TCP address {address}:{port} with error: {e}"
            ),
        }
    }
    (!bound.is_empty()).then_some(bound)
}

/// What the servers have in common.
pub(crate) struct Servers<'a> {
    pub(crate) config: &'a Config,
    pub(crate) access: Access,
    pub(crate) tracer: Option<Tracer>,
    pub(crate) http_metrics: Option<HttpMetrics>,
    pub(crate) grpc_metrics: Option<GrpcMetrics>,
    pub(crate) pipeline: Pipeline,
    /// Set when API calls are logged.
    pub(crate) logging: Option<ApiLogging>,
}

impl Servers<'_> {
    pub(crate) fn http(
        &self,
        listeners: Vec<Listener>,
        routes: Routes,
        invoker: &Invoker,
        tasks: &Tasks,
    ) {
        let config = self.config;
        let cors = Cors::new(&config.allowed_origins);
        let token = Token::new(config.api_token.clone());
        for (on, what) in [
            (config.max_body.is_some(), "max body size HTTP middleware"),
            (self.tracer.is_some(), "tracing HTTP middleware"),
            (self.http_metrics.is_some(), "metrics HTTP middleware"),
            (cors.is_some(), "CORS HTTP middleware"),
            (token.is_some(), "token authentication on HTTP server"),
        ] {
            if on {
                let size = config.max_body.filter(|_| what.starts_with("max"));
                let size = size
                    .map(|n| format!(" with size {n} bytes"))
                    .unwrap_or_default();
                tracing::info!(target: "dapr.runtime.http", "Enabled {what}{size}");
            }
        }
        let layers = http_api::Layers {
            max_body: config.max_body,
            tracer: self.tracer.clone(),
            metrics: self.http_metrics.clone(),
            cors,
            token,
            pipeline: self.pipeline.clone(),
            log: self.log(Kind::Http),
        };
        let invocation = Group::new("invoke", "v1");
        let invoker = invoker.clone();
        let fallback: Fallback =
            Box::new(move |req| Box::pin(invoke::http::fallback(invoker.clone(), req)));
        let fallback = self
            .access
            .http(invocation, "/v1.0/invoke")
            .then_some(fallback);
        let api = HttpApi::new(layers, routes.router(&self.access, fallback));
        let h2c = !service::flags::process_env("DAPR_HTTP_DISABLE_H2C")
            .is_some_and(|v| service::flags::truthy(&v));
        for listener in listeners {
            self.say("dapr.runtime.http", "HTTP server listening", &listener);
            let api = api.clone();
            let protocol = Protocol::http(config.read_buffer, h2c);
            serve(listener, protocol, tasks, move |peer| Connection {
                api: api.clone(),
                peer,
            });
        }
        self.running("HTTP server is running", config.http_port);
    }

    pub(crate) fn grpc(&self, listeners: Vec<Listener>, api: Api, invoker: Invoker, tasks: &Tasks) {
        let config = self.config;
        let token = Token::new(config.api_token.clone());
        for (on, what) in [
            (self.access.restricts_grpc(), "API access list"),
            (token.is_some(), "token authentication"),
        ] {
            if on {
                tracing::info!(target: "dapr.runtime.grpc.api", "Enabled {what} on gRPC server");
            }
        }
        let layers = grpc::Layers {
            access: self.access.clone(),
            tracer: self.tracer.clone(),
            token,
            metrics: self.grpc_metrics.clone(),
            log: self.log(Kind::Grpc),
        };
        let api = GrpcApi::new(layers, api, invoker, config.max_body.unwrap_or(usize::MAX));
        for listener in listeners {
            self.say("dapr.runtime.grpc.api", "gRPC server listening", &listener);
            let api = api.clone();
            serve(
                listener,
                Protocol::grpc(max_head(config)),
                tasks,
                move |_| api.clone(),
            );
        }
        self.running("API gRPC server is running", config.grpc_port);
    }

    /// Health and metadata only; no token, no body limit, no invocation.
    pub(crate) fn public(&self, listener: Option<Listener>, routes: Routes, tasks: &Tasks) {
        let Some(listener) = listener else { return };
        let layers = http_api::Layers {
            max_body: None,
            tracer: self.tracer.clone(),
            metrics: self.http_metrics.clone(),
            cors: None,
            token: None,
            pipeline: Pipeline::default(),
            log: None,
        };
        let api = HttpApi::new(layers, routes.router(&self.access, None));
        let protocol = Protocol::http(self.config.read_buffer, false);
        serve(listener, protocol, tasks, move |peer| Connection {
            api: api.clone(),
            peer,
        });
    }

    /// For other sidecars: no token, the access policy of this app's own, and a
    /// certificate where there is an identity.
    pub(crate) fn internal(
        &self,
        listener: TcpListener,
        peers: peer::Server,
        access: Option<AccessList>,
        invoker: Invoker,
        acceptor: Option<Acceptor>,
        tasks: &Tasks,
    ) {
        let most = self.config.max_body.unwrap_or(usize::MAX);
        let most = most.max(invoke::LEAST_MESSAGE);
        let server = ServiceInvocationServer::new(peers);
        let server = server
            .max_decoding_message_size(most)
            .max_encoding_message_size(most);
        let services = PeerServices {
            server,
            invoker,
            access,
            caller: None,
        };
        let port = listener.local_addr().map_or(0, |a| a.port());
        let protocol = Protocol::grpc(max_head(self.config));
        let listener = Listener::Tcp(listener);
        self.say(
            "dapr.runtime.grpc.internal",
            "gRPC server listening on pre-bound",
            &listener,
        );
        let service = move |caller| PeerServices {
            caller,
            ..services.clone()
        };
        match (listener, acceptor) {
            (Listener::Tcp(listener), Some(acceptor)) => {
                let of = move |id| service(Some(Caller(Arc::new(id))));
                serve_identified(listener, acceptor, protocol, tasks, of);
            }
            (listener, _) => serve(listener, protocol, tasks, move |_| service(None)),
        }
        tracing::info!(
            target: SCOPE,
            "Internal gRPC server is running on {}:{port}", self.config.internal_address
        );
    }

    fn log(&self, kind: Kind) -> Option<ApiLog> {
        self.logging.as_ref().map(|settings| ApiLog {
            kind,
            omit_health: settings.omit_health_checks,
            obfuscate: settings.obfuscate_urls,
        })
    }

    fn say(&self, scope: &str, what: &str, listener: &Listener) {
        let what = what
            .strip_suffix(" listening")
            .map_or_else(|| what.to_owned(), |w| format!("{w} listening on"));
        let kind = match listener {
            Listener::Tcp(_) => "TCP address",
            Listener::Unix(_) => "UNIX socket",
        };
        let text = format!("{what} {kind}: {}", listener.describe());
        match scope {
            "dapr.runtime.http" => tracing::info!(target: "dapr.runtime.http", "{text}"),
            "dapr.runtime.grpc.api" => tracing::info!(target: "dapr.runtime.grpc.api", "{text}"),
            _ => tracing::info!(target: "dapr.runtime.grpc.internal", "{text}"),
        }
    }

    fn running(&self, what: &str, port: u16) {
        match self.config.unix_folder {
            Some(_) => tracing::info!(target: SCOPE, "{what} on a Unix Domain Socket"),
            None => tracing::info!(target: SCOPE, "{what} on port {port}"),
        }
    }
}

/// Upstream's gRPC servers take the header limit times 1024.
fn max_head(config: &Config) -> usize {
    config.read_buffer.saturating_mul(1024)
}

/// The internal services for one connection, whose other end does not change.
#[derive(Clone)]
struct PeerServices {
    server: ServiceInvocationServer<peer::Server>,
    invoker: Invoker,
    access: Option<AccessList>,
    caller: Option<Caller>,
}

impl hyper::service::Service<hyper::Request<hyper::body::Incoming>> for PeerServices {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut req: hyper::Request<hyper::body::Incoming>) -> Self::Future {
        if let Some(caller) = &self.caller {
            req.extensions_mut().insert(caller.clone());
        }
        let (me, req) = (self.clone(), req.map(Body::new));
        Box::pin(async move {
            let ours = req.uri().path().starts_with("/dapr.proto.internals.v1.");
            Ok(if ours {
                grpc::served(me.server, req).await
            } else {
                invoke::proxy::call(&me.invoker, me.access.as_ref(), req).await
            })
        })
    }
}
