//! Many sidecars that join a running placement service at once: how long until
//! all have the table with everybody in it, and what that costs the service.
//!
//! `join PORT [SIDECARS] [PID of the service]`

#![allow(clippy::print_stdout)] // Its output is its purpose.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use proto::dapr::placement::v1::{Host, HostOperation, PlacementOrder};
use service::Tasks;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

const PATH: &str = "/dapr.proto.placement.v1.Placement/ReportDaprStatus";

type Requests = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let port = args.next().context("join PORT [SIDECARS] [PID]")?.parse()?;
    let count = args.next().map_or(Ok(1000), |n| n.parse())?;
    let pid = args.next();
    let before = pid.as_deref().map(cpu).transpose()?.unwrap_or_default();
    let (tasks, begin) = (Tasks::new(), Instant::now());
    let joining: Vec<_> = (0..count)
        .map(|n| tasks.spawn("sidecar", join(port, n, count, tasks.clone())))
        .collect();
    let mut sidecars = Vec::new();
    for joined in joining {
        sidecars.push(joined.await??);
    }
    let took = begin.elapsed();
    let bytes: usize = sidecars.iter().map(|(_, bytes)| bytes).sum();
    println!(
        "{count} sidecars have the whole table after {took:?}, {} MiB",
        bytes >> 20
    );
    if let Some(pid) = pid {
        tokio::time::sleep(Duration::from_millis(300)).await;
        println!("the service used {:?}", cpu(&pid)?.saturating_sub(before));
    }
    Ok(())
}

/// Joins and answers orders until the table has everybody in it; what keeps the
/// stream open, and the bytes received.
async fn join(port: u16, n: u32, count: u32, tasks: Tasks) -> anyhow::Result<(Requests, usize)> {
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
    say(&requests, report(n)).await?;
    let mut body = sender.send_request(request).await?.into_body();
    let (mut buffer, mut bytes, mut version) = (BytesMut::new(), 0, 0);
    let whole = whole(count);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { break };
        bytes += data.len();
        buffer.extend_from_slice(&data);
        while let Some(message) = cut(&mut buffer) {
            // Tables are not decoded, that would take most of the machine.
            if message.len() > 64 {
                say(&requests, ack(n, HostOperation::Update, version)).await?;
                if message.len() >= whole {
                    tasks.spawn("rest", finish(body, buffer, requests.clone(), n));
                    return Ok((requests, bytes));
                }
                continue;
            }
            let order = PlacementOrder::decode(message)?;
            version = order.version;
            let operation = operation(&order.operation)?;
            say(&requests, ack(n, operation, version)).await?;
        }
    }
    bail!("the stream of sidecar {n} ended")
}

/// Goes on to answer.
async fn finish(
    mut body: hyper::body::Incoming,
    mut buffer: BytesMut,
    requests: Requests,
    n: u32,
) -> anyhow::Result<()> {
    let mut version = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { break };
        buffer.extend_from_slice(&data);
        while let Some(message) = cut(&mut buffer) {
            let operation = match message.len() {
                65.. => HostOperation::Update,
                _ => {
                    let order = PlacementOrder::decode(message)?;
                    version = order.version;
                    operation(&order.operation)?
                }
            };
            say(&requests, ack(n, operation, version)).await?;
        }
    }
    Ok(())
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
fn report(n: u32) -> Host {
    Host {
        name: format!("10.0.{}.{}:50002", 100 + n / 100, 100 + n % 100),
        id: format!("app-{n:05}"),
        namespace: "default".into(),
        entities: vec!["cart".into()],
        api_level: 20,
        operation: HostOperation::Report as i32,
        ..Host::default()
    }
}

fn ack(n: u32, operation: HostOperation, version: u64) -> Host {
    Host {
        id: format!("app-{n:05}"),
        namespace: "default".into(),
        operation: operation as i32,
        version: Some(version),
        ..Host::default()
    }
}

/// No update without everybody in it is as long as this.
fn whole(count: u32) -> usize {
    let host = report(0);
    let entry = host.encoded_len() + host.name.len() + 6;
    entry * count as usize
}

async fn say(requests: &Requests, host: Host) -> anyhow::Result<()> {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(host.encoded_len())?);
    host.encode(&mut frame)?;
    let frame = Ok(Frame::data(frame.freeze()));
    ensure!(requests.send(frame).await.is_ok(), "nobody listens");
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

/// The processor time of a process.
fn cpu(pid: &str) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("no stat")?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    // A hundred to the second, on every Linux.
    Ok(Duration::from_millis(ticks * 10))
}
