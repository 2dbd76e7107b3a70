//! The stream that an app opens to host actors.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actors::call::App;
use actors::settings::Registration;
use futures_util::Stream;
use proto::dapr::runtime::v1 as rt;
use rt::subscribe_actor_events_request_alpha1::RequestType;
use rt::subscribe_actor_events_response_alpha1::ResponseType;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use super::Actors;
use super::hosting::Source;
use crate::api::errors::actors as errors;

/// Requests that wait on one stream until the app reads them.
const WAITING: usize = 64;

/// Tells streams apart.
static NUMBER: AtomicU64 = AtomicU64::new(0);

pub(crate) type Events =
    Pin<Box<dyn Stream<Item = Result<rt::SubscribeActorEventsResponseAlpha1, Status>> + Send>>;

impl Actors {
    /// Registers what the first message says; from then on the app gets its calls on
    /// this stream. The end of the stream takes the types back.
    pub(crate) async fn subscribe(
        &self,
        mut incoming: Streaming<rt::SubscribeActorEventsRequestAlpha1>,
    ) -> Result<Response<Events>, Status> {
        let runtime = self.inner.runtime.as_ref();
        let runtime = runtime.ok_or_else(|| errors::general(&actors::Error::NoPlacement))?;
        if runtime.app.protocol().is_some_and(|p| !p.is_grpc()) {
            let text = "actor callback streaming requires a gRPC app channel";
            return Err(Status::failed_precondition(text));
        }
        let first = incoming.message().await?.and_then(|m| m.request_type);
        let Some(RequestType::InitialRequest(initial)) = first else {
            let text = "first message must be SubscribeActorEventsRequestInitialAlpha1";
            return Err(Status::invalid_argument(text));
        };
        let registration = Registration::from_stream(&initial, runtime.disseminate_timeout)
            .map_err(|e| Status::internal(format!("failed to register hosted actors: {e}")))?;
        let (outgoing, events) = mpsc::channel(WAITING);
        let hello = rt::SubscribeActorEventsResponseAlpha1 {
            response_type: Some(ResponseType::InitialResponse(
                rt::SubscribeActorEventsResponseInitialAlpha1 {},
            )),
        };
        // There is room: nothing else has been sent.
        let _ = outgoing.try_send(Ok(hello));
        let stream = runtime.streams.open(outgoing.clone());
        let source = Source::Stream(NUMBER.fetch_add(1, Ordering::Relaxed));
        let app: Arc<dyn App> = Arc::new(runtime.streams.clone());
        let (hosting, streams) = (runtime.hosting.clone(), runtime.streams.clone());
        hosting.register(source, registration, &app).await;
        let end = runtime.tasks.token();
        runtime.tasks.spawn("actor events", async move {
            loop {
                let message = tokio::select! {
                    message = incoming.message() => message,
                    () = outgoing.closed() => break,
                    () = end.cancelled() => break,
                };
                match message {
                    Ok(Some(answer)) => stream.answered(answer),
                    Ok(None) | Err(_) => break,
                }
            }
            streams.close(&stream);
            hosting.withdraw(source).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(events))))
    }
}
