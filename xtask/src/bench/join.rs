//! A sidecar as placement sees it: it joins and answers every order.

use std::convert::Infallible;

use anyhow::{Context, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use proto::dapr::placement::v1::{Host, HostOperation, PlacementOrder};
use service::Tasks;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

const PATH: &str = "/dapr.proto.placement.v1.Placement/ReportDaprStatus";
/// No order without tables is longer.
const SHORT: usize = 64;

/// Joins sidecar `number` of `count`, and returns when it has the table with
/// everybody in it; it goes on to answer until the tasks end.
pub(super) async fn join(port: u16, number: u32, count: u32, tasks: Tasks) -> anyhow::Result<()> {
    let mut stream = Stream::open(port, number, &tasks).await?;
    let whole = whole(count);
    while stream.answer().await? < whole {}
    tasks.spawn(
        "rest",
        async move { while stream.answer().await.is_ok() {} },
    );
    Ok(())
}

struct Stream {
    number: u32,
    requests: mpsc::Sender<Result<Frame<Bytes>, Infallible>>,
    orders: Incoming,
    buffer: BytesMut,
    /// Of the last lock.
    version: u64,
}

impl Stream {
    async fn open(port: u16, number: u32, tasks: &Tasks) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        // As a client of gRPC in Go begins.
        builder
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(65_535);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        tasks.spawn("connection", connection);
        let (requests, queue) = mpsc::channel(8);
        let request = Request::post(format!("http://127.0.0.1:{port}{PATH}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(StreamBody::new(ReceiverStream::new(queue)))?;
        say(&requests, &report(number)).await?;
        Ok(Self {
            number,
            requests,
            orders: sender.send_request(request).await?.into_body(),
            buffer: BytesMut::new(),
            version: 0,
        })
    }

    /// Answers the next order, and says how long it was.
    async fn answer(&mut self) -> anyhow::Result<usize> {
        let message = self.next().await?;
        let length = message.len();
        let operation = if length > SHORT {
            // Tables are not decoded, that would take most of the machine.
            HostOperation::Update
        } else {
            let order = PlacementOrder::decode(message)?;
            self.version = order.version;
            operation(&order.operation)?
        };
        let ack = Host {
            id: app_id(self.number),
            namespace: "default".to_owned(),
            operation: operation.into(),
            version: Some(self.version),
            ..Host::default()
        };
        say(&self.requests, &ack).await?;
        Ok(length)
    }

    async fn next(&mut self) -> anyhow::Result<Bytes> {
        loop {
            if let Some(message) = cut(&mut self.buffer) {
                return Ok(message);
            }
            let frame = self.orders.frame().await;
            let frame = frame.with_context(|| format!("the stream of {} ended", self.number))?;
            let Ok(data) = frame?.into_data() else {
                bail!("placement closes the stream of {}", self.number);
            };
            self.buffer.extend_from_slice(&data);
        }
    }
}

fn operation(name: &str) -> anyhow::Result<HostOperation> {
    Ok(match name {
        "lock" => HostOperation::Lock,
        "unlock" => HostOperation::Unlock,
        "update" => HostOperation::Update,
        name => bail!("{name} is no operation"),
    })
}

// The level is deprecated and sent by every sidecar.
#[allow(deprecated)]
fn report(number: u32) -> Host {
    Host {
        name: format!("10.0.{}.{}:50002", 100 + number / 100, 100 + number % 100),
        id: app_id(number),
        namespace: "default".to_owned(),
        entities: vec!["cart".to_owned()],
        api_level: 20,
        operation: HostOperation::Report.into(),
        ..Host::default()
    }
}

fn app_id(number: u32) -> String {
    format!("app-{number:05}")
}

/// No update without everybody in it is as long as this.
fn whole(count: u32) -> usize {
    let host = report(0);
    let entry = host.encoded_len() + host.name.len() + 6;
    entry * count as usize
}

async fn say(
    requests: &mpsc::Sender<Result<Frame<Bytes>, Infallible>>,
    host: &Host,
) -> anyhow::Result<()> {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(host.encoded_len())?);
    host.encode(&mut frame)?;
    let frame = Ok(Frame::data(frame.freeze()));
    ensure!(
        requests.send(frame).await.is_ok(),
        "placement does not listen"
    );
    Ok(())
}

/// The next whole message.
fn cut(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = buffer.get(1..5)?.try_into().ok().map(u32::from_be_bytes)?;
    let length = length as usize;
    if buffer.len() < 5 + length {
        return None;
    }
    buffer.advance(5);
    Some(buffer.split_to(length).freeze())
}

#[cfg(test)]
mod tests {
    use proto::dapr::placement::v1::{PlacementTable, PlacementTables};

    use super::*;

    // The table's own version is deprecated and still sent.
    #[allow(deprecated)]
    fn update(hosts: u32) -> usize {
        let hosts = (0..hosts).map(report);
        let table = PlacementTable {
            load_map: hosts.map(|host| (host.name.clone(), host)).collect(),
            ..PlacementTable::default()
        };
        let tables = PlacementTables {
            entries: [("cart".to_owned(), table)].into(),
            version: "1000".to_owned(),
            replication_factor: 1000,
            ..PlacementTables::default()
        };
        let order = PlacementOrder {
            tables: Some(tables),
            operation: "update".to_owned(),
            version: 1000,
        };
        order.encoded_len()
    }

    #[test]
    fn only_an_update_with_everybody_in_it_is_as_long_as_the_whole_table() {
        for count in [1, 10, 1000] {
            assert!(update(count) >= whole(count));
            assert!(update(count - 1) < whole(count));
        }
    }

    #[test]
    fn orders_without_tables_are_shorter_than_any_with_one() {
        for operation in ["lock", "unlock"] {
            let order = PlacementOrder {
                operation: operation.to_owned(),
                version: u64::MAX,
                tables: None,
            };
            assert!(order.encoded_len() <= SHORT);
        }
        assert!(update(1) > SHORT);
    }
}
