//! Streams whose messages are not decoded.

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

const PATH: &str = "/dapr.proto.placement.v1.Placement/ReportDaprStatus";

/// Opens a stream: what it is told goes in on the left.
pub(crate) async fn open(channel: Channel) -> (mpsc::Sender<Bytes>, Streaming<Bytes>) {
    let (requests, queue) = mpsc::channel(8);
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let request = Request::new(ReceiverStream::new(queue));
    let path = PathAndQuery::from_static(PATH);
    let answer = client.streaming(request, path, Raw).await.unwrap();
    (requests, answer.into_inner())
}

/// Messages as they are.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
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
