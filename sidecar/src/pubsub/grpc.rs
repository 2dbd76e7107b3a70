//! Publishing over gRPC.

use proto::dapr::runtime::v1 as rt;
use tonic::{Request, Status};

use super::{Brokers, Publish, told};
use crate::api::trace::Traced;

pub(crate) async fn publish(
    brokers: &Brokers,
    request: Request<rt::PublishEventRequest>,
) -> Result<(), Status> {
    let text = |name| {
        request
            .metadata()
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let (traceparent, tracestate) = match request.extensions().get::<Traced>() {
        Some(traced) => {
            traced.message(request.get_ref());
            told(traced)
        }
        None => (text("traceparent"), text("tracestate")),
    };
    let req = request.into_inner();
    let message = Publish {
        pubsub: req.pubsub_name,
        topic: req.topic,
        data: req.data,
        content_type: req.data_content_type,
        metadata: req.metadata,
        traceparent,
        tracestate,
    };
    Ok(brokers.publish(message, None).await?)
}
