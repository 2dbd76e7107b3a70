//! What a sidecar may not say, and what it may not do.

use std::time::{Duration, Instant};

use proto::dapr::placement::v1::{Host, HostOperation};
use testkit::{DEADLINE, Http, eventually};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::client::Grpc;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::service::Placement;
use crate::sidecar::{Sidecar, host};

#[tokio::test]
async fn every_message_is_checked_not_only_the_first() {
    type Change = fn(&mut Host);
    let refused: [(Change, Code, &str); 4] = [
        (
            |h| (h.operation, h.version) = (HostOperation::Unknown as i32, Some(1)),
            Code::InvalidArgument,
            "both operation and version must be set or both must be unset",
        ),
        (
            |h| h.id.clear(),
            Code::InvalidArgument,
            "host ID and namespace must be provided",
        ),
        (
            |h| h.namespace.clear(),
            Code::InvalidArgument,
            "host ID and namespace must be provided",
        ),
        (
            |h| h.entities = vec!["dapr.internal.default.other.workflow".into()],
            Code::PermissionDenied,
            "entity dapr.internal.default.other.workflow is not allowed for app ID one in namespace default",
        ),
    ];
    let placement = Placement::start(|_| {}).await;
    for (change, code, text) in refused {
        let mut bad = host("one", &["a"]);
        change(&mut bad);
        let mut first = Sidecar::connect(placement.channel(), bad.clone())
            .await
            .unwrap();
        let end = first.end().await;
        assert_eq!((end.code(), end.message()), (code, text));

        let mut later = Sidecar::connect(placement.channel(), host("one", &["a"]))
            .await
            .unwrap();
        later.expect("lock", 1).await;
        later.send(bad).await;
        let end = later.end().await;
        assert_eq!((end.code(), end.message()), (code, text));
        gone(&placement).await;
    }
}

/// Waits until no stream is left, so that versions begin again.
async fn gone(placement: &Placement) {
    eventually(DEADLINE, async || {
        let page = Http::port(placement.health).get("/placement/state").await?;
        anyhow::ensure!(page.text() == "{}", "{}", page.text());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_its_stream_only() {
    let placement = Placement::start(|_| {}).await;
    let mut one = Sidecar::connect(placement.channel(), host("one", &["a"]))
        .await
        .unwrap();
    one.round(1).await;
    let mut long = host("long", &[]);
    long.entities = (0..2000).map(|n| format!("{n:01000}")).collect();
    let mut long = Sidecar::connect(placement.channel(), long).await.unwrap();
    assert_eq!(long.end().await.code(), Code::OutOfRange);
    one.report(&["b"]).await;
    one.round(2).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_with_its_connection() {
    let placement = Placement::start(|c| c.timeout = Duration::from_secs(1)).await;
    let mut one = Sidecar::connect(placement.channel(), host("one", &["a"]))
        .await
        .unwrap();
    one.round(1).await;
    // It takes the head of the answer and nothing after it.
    let deaf = Deaf::connect(placement.port).await;
    one.expect("lock", 2).await;
    one.ack(HostOperation::Lock, 2).await;
    one.round(3).await;
    deaf.closed().await;
}

/// A client that grants its streams no window at all.
struct Deaf(TcpStream);

impl Deaf {
    async fn connect(port: u16) -> Self {
        use tokio::io::AsyncWriteExt;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        // SETTINGS with INITIAL_WINDOW_SIZE 0
        let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
        stream.write_all(&settings).await.unwrap();
        let mut head = vec![0x83, 0x86];
        for (name, value) in [
            (
                ":path",
                "/dapr.proto.placement.v1.Placement/ReportDaprStatus",
            ),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
        ] {
            head.push(0);
            for text in [name, value] {
                head.push(u8::try_from(text.len()).unwrap());
                head.extend(text.as_bytes());
            }
        }
        stream.write_all(&frame(1, 4, &head)).await.unwrap();
        let mut message = vec![0];
        let report = prost::Message::encode_to_vec(&host("deaf", &["a"]));
        message.extend(u32::try_from(report.len()).unwrap().to_be_bytes());
        message.extend(report);
        stream.write_all(&frame(0, 0, &message)).await.unwrap();
        Self(stream)
    }

    /// Reads what is not under the window, answers pings, until it is cut off.
    async fn closed(mut self) {
        use tokio::io::AsyncWriteExt;
        let reading = async {
            loop {
                let mut head = [0; 9];
                if self.0.read_exact(&mut head).await.is_err() {
                    return;
                }
                let mut payload = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
                if self.0.read_exact(&mut payload).await.is_err() {
                    return;
                }
                if head[3] == 6 && head[4] == 0 {
                    let mut pong = frame(6, 1, &payload);
                    pong[8] = 0;
                    let _ = self.0.write_all(&pong).await;
                }
            }
        };
        tokio::time::timeout(DEADLINE, reading)
            .await
            .expect("the connection ends");
    }
}

/// A frame of stream 1.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![0, length[0], length[1], kind, flags, 0, 0, 0, 1];
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn other_methods_are_unknown() {
    let placement = Placement::start(|_| {}).await;
    let mut client = Grpc::new(placement.channel());
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/dapr.proto.placement.v1.Placement/Other");
    let codec = ProstCodec::<Host, Host>::default();
    let status = client
        .unary(Request::new(Host::default()), path, codec)
        .await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn reports_that_flood_in_wait_for_the_next_second() {
    let placement = Placement::start(|_| {}).await;
    let began = Instant::now();
    let mut flood = Sidecar::connect(placement.channel(), host("flood", &["a"]))
        .await
        .unwrap();
    flood.round(1).await;
    for n in 0..40 {
        flood.report(&[["a", "b"][n % 2]]).await;
    }
    flood.report(&["last"]).await;
    loop {
        let order = flood.next().await.unwrap();
        let operation = HostOperation::from_str_name(&order.operation.to_uppercase()).unwrap();
        flood.ack(operation, order.version).await;
        let last = order.tables.is_some_and(|t| t.entries.contains_key("last"));
        if last {
            break;
        }
    }
    assert!(began.elapsed() >= Duration::from_secs(1));
}
