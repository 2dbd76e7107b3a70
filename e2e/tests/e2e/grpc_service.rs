//! A gRPC service of any messages: a server for an app, and a client.

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use testkit::Server;
use testkit::server::{Body, full};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// Messages as they are on the wire.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

type Messages = Streaming<Bytes>;
type Answers = ReceiverStream<Result<Bytes, Status>>;

/// An app with a method of each shape: `One`, `Collect`, `Spread` and `Talk`.
pub(crate) async fn serve() -> Server {
    Server::start(answer).await.unwrap()
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let request = request.map(tonic::body::Body::new);
    let mut grpc = tonic::server::Grpc::new(Raw);
    let response = match path.as_str() {
        "/e2e.Shapes/One" => grpc.unary(tower::service_fn(one), request).await,
        "/e2e.Shapes/Collect" => {
            let collect = tower::service_fn(collect);
            grpc.client_streaming(collect, request).await
        }
        "/e2e.Shapes/Spread" => {
            let spread = tower::service_fn(spread);
            grpc.server_streaming(spread, request).await
        }
        "/e2e.Shapes/Talk" => grpc.streaming(tower::service_fn(talk), request).await,
        _ => {
            let response = Response::builder().header("content-type", "application/grpc");
            return response.header("grpc-status", "12").body(full("")).unwrap();
        }
    };
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}

/// `fail` fails; everything else comes back with the caller's own metadata.
async fn one(request: tonic::Request<Bytes>) -> Result<tonic::Response<Bytes>, Status> {
    let text = String::from_utf8_lossy(request.get_ref()).into_owned();
    if text == "fail" {
        return Err(Status::failed_precondition("as asked"));
    }
    let key = request.metadata().get("x-key").cloned();
    let mut response = tonic::Response::new(format!("one:{text}").into());
    if let Some(key) = key {
        response.metadata_mut().insert("x-key", key);
    }
    Ok(response)
}

async fn collect(request: tonic::Request<Messages>) -> Result<tonic::Response<Bytes>, Status> {
    let (mut messages, mut all) = (request.into_inner(), Vec::new());
    while let Some(message) = messages.message().await? {
        all.push(String::from_utf8_lossy(&message).into_owned());
    }
    Ok(tonic::Response::new(all.join("+").into()))
}

async fn spread(request: tonic::Request<Bytes>) -> Result<tonic::Response<Answers>, Status> {
    let text = String::from_utf8_lossy(request.get_ref()).into_owned();
    let (sender, receiver) = mpsc::channel(8);
    for number in 0..3 {
        let answer = format!("{text}{number}").into();
        let _ = sender.send(Ok(answer)).await;
    }
    Ok(tonic::Response::new(receiver.into()))
}

/// Answers each message when it comes.
async fn talk(
    request: tonic::Request<Messages>,
) -> Result<tonic::Response<impl Stream<Item = Result<Bytes, Status>> + Send + 'static>, Status> {
    let answers = request.into_inner().map(|message| {
        let message = message?;
        Ok(Bytes::from([b"re:", &message[..]].concat()))
    });
    Ok(tonic::Response::new(answers))
}

/// A client that calls the app of this id through a sidecar.
pub(crate) struct Client {
    grpc: tonic::client::Grpc<Channel>,
    id: String,
}

impl Client {
    pub(crate) async fn connect(port: u16, id: &str) -> Self {
        let endpoint = Channel::from_shared(format!("http://127.0.0.1:{port}"));
        let channel = endpoint.unwrap().connect().await.unwrap();
        Self {
            grpc: tonic::client::Grpc::new(channel),
            id: id.to_owned(),
        }
    }

    fn request<T>(&self, message: T, more: &[(&'static str, &str)]) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        let own = ("dapr-app-id", self.id.as_str());
        for (name, value) in more.iter().copied().chain([own]) {
            let value: MetadataValue<_> = value.parse().unwrap();
            request.metadata_mut().append(name, value);
        }
        request.set_timeout(testkit::DEADLINE);
        request
    }

    pub(crate) async fn one(
        &mut self,
        message: &'static str,
        metadata: &[(&'static str, &str)],
    ) -> Result<tonic::Response<Bytes>, Status> {
        let request = self.request(Bytes::from(message), metadata);
        self.grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static("/e2e.Shapes/One");
        self.grpc.unary(request, path, Raw).await
    }

    pub(crate) async fn collect(&mut self, messages: &[&'static str]) -> Result<Bytes, Status> {
        let messages: Vec<_> = messages.iter().copied().map(Bytes::from).collect();
        let request = self.request(tokio_stream::iter(messages), &[("dapr-stream", "true")]);
        self.grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static("/e2e.Shapes/Collect");
        let answer = self.grpc.client_streaming(request, path, Raw).await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn spread(&mut self, message: &'static str) -> Result<Messages, Status> {
        let request = self.request(Bytes::from(message), &[("dapr-stream", "true")]);
        self.grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static("/e2e.Shapes/Spread");
        let answer = self.grpc.server_streaming(request, path, Raw).await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn talk(
        &mut self,
        messages: mpsc::Receiver<Bytes>,
    ) -> Result<Messages, Status> {
        let messages = ReceiverStream::new(messages);
        let request = self.request(messages, &[("dapr-stream", "true")]);
        self.grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static("/e2e.Shapes/Talk");
        let answer = self.grpc.streaming(request, path, Raw).await?;
        Ok(answer.into_inner())
    }
}
