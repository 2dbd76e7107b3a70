//! Spans of API calls: begun where a call arrives, told what it turned out to be,
//! and handed on in headers.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use parking_lot::Mutex;
use proto::dapr::runtime::v1 as rt;
use telemetry::attributes::{GrpcCall, Hop, HttpCall, Operation, grpc_error, is_traced};
use telemetry::baggage::{Baggage, InvalidBaggage};
use telemetry::{Kind, Span, TraceContext, Tracer, headers};
use tonic::Status;

use super::http::Peer;

const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const DAPR: &str = "/dapr.proto.runtime.";

/// The span of a call, for whoever continues the trace: an extension of the
/// request.
#[derive(Clone)]
pub(crate) struct Traced {
    context: TraceContext,
    /// What the call turned out to be; only where that is recorded.
    told: Option<Arc<Mutex<Told>>>,
}

/// What a handler tells of its call.
#[derive(Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    Invoke {
        app_id: String,
        method: String,
    },
    State(String),
    Secrets(String),
    Binding(String),
    Publish(String),
}

impl Told {
    fn operation(&self) -> Operation<'_> {
        match self {
            Self::Nothing => Operation::Other,
            Self::Invoke { app_id, method } => Operation::Invoke { app_id, method },
            Self::State(store) => Operation::State { store },
            Self::Secrets(store) => Operation::Secrets { store },
            Self::Binding(name) => Operation::Binding { name },
            Self::Publish(topic) => Operation::Publish { topic },
        }
    }
}

impl Traced {
    /// `None` where there is no trace to continue.
    fn new(span: &Span) -> Option<Self> {
        Some(Self {
            context: span.context()?.clone(),
            told: span.is_recording().then(Arc::default),
        })
    }

    pub(crate) fn context(&self) -> &TraceContext {
        &self.context
    }

    /// The call is one of another app.
    pub(crate) fn invokes(&self, app_id: &str, method: &str) {
        if let Some(told) = &self.told {
            let (app_id, method) = (app_id.to_owned(), method.to_owned());
            *told.lock() = Told::Invoke { app_id, method };
        }
    }

    /// A message of the gRPC API says what it is about.
    pub(crate) fn message(&self, message: &dyn Any) {
        if let Some(told) = &self.told {
            *told.lock() = of_message(message);
        }
    }
}

fn of_message(message: &dyn Any) -> Told {
    macro_rules! find {
        ($($ty:ident.$field:ident => $told:ident,)*) => {
            $(if let Some(m) = message.downcast_ref::<rt::$ty>() {
                return Told::$told(m.$field.clone());
            })*
        };
    }
    find! {
        GetStateRequest.store_name => State,
        GetBulkStateRequest.store_name => State,
        SaveStateRequest.store_name => State,
        DeleteStateRequest.store_name => State,
        DeleteBulkStateRequest.store_name => State,
        ExecuteStateTransactionRequest.store_name => State,
        QueryStateRequest.store_name => State,
        GetSecretRequest.store_name => Secrets,
        GetBulkSecretRequest.store_name => Secrets,
        InvokeBindingRequest.name => Binding,
        PublishEventRequest.topic => Publish,
        BulkPublishRequest.topic => Publish,
    }
    Told::Nothing
}

/// A call of the HTTP API under way.
pub(crate) struct HttpSpan {
    span: Span,
    told: Option<Arc<Mutex<Told>>>,
    baggage: Option<HeaderValue>,
    /// Only where it is recorded.
    seen: Option<Box<Seen>>,
}

struct Seen {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    remote: Option<SocketAddr>,
}

/// Begins the span of an HTTP call; `None` for those that are not traced. A
/// malformed baggage is refused.
pub(crate) fn http(tracer: &Tracer, req: &mut Request) -> Result<Option<HttpSpan>, InvalidBaggage> {
    if !is_traced(req.uri().path()) {
        return Ok(None);
    }
    let baggage = Baggage::read(req.headers())?;
    let parent = headers::from_http(req.headers());
    let name = || req.uri().path().to_owned();
    let span = tracer.start(parent.as_ref(), Kind::Client, name);
    let seen = span.is_recording().then(|| {
        Box::new(Seen {
            method: req.method().clone(),
            uri: req.uri().clone(),
            headers: req.headers().clone(),
            remote: req.extensions().get::<Peer>().map(|p| p.0),
        })
    });
    Ok(Some(HttpSpan {
        told: hand_on(&span, req),
        span,
        baggage: baggage.and_then(|b| HeaderValue::from_str(b.raw()).ok()),
        seen,
    }))
}

impl HttpSpan {
    /// Tells the client which trace its call belonged to, unless the app did.
    pub(crate) fn end(mut self, response: &mut Response) {
        let head = response.headers_mut();
        if let Some(context) = self.span.context()
            && !head.contains_key(headers::TRACEPARENT)
        {
            headers::to_http(context, head);
        }
        if let Some(baggage) = self.baggage {
            head.entry(BAGGAGE).or_insert(baggage);
        }
        let (Some(seen), Some(told)) = (self.seen, &self.told) else {
            return;
        };
        let path = seen.uri.path();
        let told = told.lock();
        let operation = match told.operation() {
            Operation::Other => Operation::of_path(path),
            known => known,
        };
        let uri = seen.uri.path_and_query().map_or("/", |p| p.as_str());
        let call = HttpCall {
            method: seen.method.as_str(),
            path,
            uri,
            remote: seen.remote,
            headers: &seen.headers,
            status: response.status().as_u16(),
        };
        self.span.record(|record| call.describe(&operation, record));
    }
}

/// Leaves the span beside the request.
fn hand_on(span: &Span, req: &mut Request) -> Option<Arc<Mutex<Told>>> {
    let traced = Traced::new(span)?;
    let told = traced.told.clone();
    req.extensions_mut().insert(traced);
    told
}

/// A call of the gRPC API under way.
pub(crate) struct GrpcSpan {
    span: Span,
    told: Option<Arc<Mutex<Told>>>,
    baggage: Option<HeaderValue>,
    method: String,
    metadata: Option<Box<HeaderMap>>,
}

/// Begins the span of a gRPC call. What is not one of Dapr's own services is the
/// proxy's to trace, and so is `None`.
pub(crate) fn grpc(tracer: &Tracer, req: &mut Request) -> Result<Option<GrpcSpan>, Status> {
    if !req.uri().path().starts_with(DAPR) {
        return Ok(None);
    }
    let baggage =
        Baggage::read(req.headers()).map_err(|e| Status::invalid_argument(e.to_string()))?;
    let method = req.uri().path().to_owned();
    let parent = headers::from_grpc(req.headers());
    let span = tracer.start(parent.as_ref(), Kind::Client, || method.clone());
    Ok(Some(GrpcSpan {
        told: hand_on(&span, req),
        metadata: span.is_recording().then(|| Box::new(req.headers().clone())),
        span,
        baggage: baggage.and_then(|b| HeaderValue::from_str(&b.normalised()).ok()),
        method,
    }))
}

impl GrpcSpan {
    /// `status` is the code and the message that came with the head of the answer.
    pub(crate) fn end(mut self, response: &mut Response) {
        let head = response.headers_mut();
        if let Some(context) = self.span.context() {
            match self.method.ends_with("/InvokeService") {
                true => head.insert(headers::TRACEPARENT, headers::traceparent(context)),
                false => head.insert(headers::GRPC_TRACE_BIN, headers::grpc_trace_bin(context)),
            };
        }
        if let Some(baggage) = self.baggage {
            head.insert(BAGGAGE, baggage);
        }
        let (Some(metadata), Some(told)) = (self.metadata, &self.told) else {
            return;
        };
        let call = GrpcCall {
            method: &self.method,
            metadata: &metadata,
        };
        let told = told.lock();
        self.span
            .record(|record| call.describe(&told.operation(), record));
        self.span.status(failure(response.headers()));
    }
}

/// Starts the span of a call that is proxied.
pub(crate) fn proxied(tracer: &Tracer, req: &Request, to_this_app: bool) -> Span {
    let parent = headers::from_grpc(req.headers());
    let hop = Hop::Proxied {
        rpc: req.uri().path(),
        to_this_app,
    };
    hop.start(tracer, parent.as_ref())
}

/// The error that the head of a gRPC answer tells.
pub(crate) fn failure(headers: &HeaderMap) -> Option<String> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|v: &HeaderValue| v.to_str().ok())
    };
    let code = text("grpc-status")?.parse().ok()?;
    let message = text("grpc-message").unwrap_or_default();
    let message = percent_encoding::percent_decode_str(message).decode_utf8_lossy();
    grpc_error(code, &message)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use service::Tasks;
    use service::metrics::Registry;

    use super::*;

    #[tokio::test]
    async fn a_recorded_call_knows_the_whole_address_of_its_client() {
        let tracing = serde_json::json!({
            "samplingRate": "1",
            "zipkin": { "endpointAddress": "http://127.0.0.1:9/spans" },
        });
        let tracing = serde_json::from_value(tracing).unwrap();
        let settings = telemetry::Settings::read(&tracing, |_| None, "app");
        let settings = settings.unwrap().unwrap();
        let tasks = Tasks::new();
        let tracer = Tracer::start_exporters(settings, &Registry::new(&[]), &tasks);
        let address: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        let mut req = Request::new(Body::empty());
        req.extensions_mut().insert(Peer(address));
        let span = http(&tracer, &mut req).unwrap().unwrap();
        assert_eq!(span.seen.unwrap().remote, Some(address));
        tasks.token().cancel();
    }

    #[test]
    fn messages_say_what_they_are_about() {
        let state = rt::GetStateRequest {
            store_name: "s".into(),
            ..Default::default()
        };
        let publish = rt::PublishEventRequest {
            topic: "t".into(),
            ..Default::default()
        };
        assert_eq!(of_message(&state), Told::State("s".into()));
        assert_eq!(of_message(&publish), Told::Publish("t".into()));
        assert_eq!(
            of_message(&rt::GetMetadataRequest::default()),
            Told::Nothing
        );
    }

    #[test]
    fn a_failure_is_read_from_the_head_of_an_answer() {
        let mut head = HeaderMap::new();
        assert_eq!(failure(&head), None);
        head.insert("grpc-status", HeaderValue::from_static("0"));
        assert_eq!(failure(&head), None);
        head.insert("grpc-status", HeaderValue::from_static("5"));
        head.insert("grpc-message", HeaderValue::from_static("not%20there"));
        assert!(failure(&head).unwrap().contains("not there"));
    }
}
