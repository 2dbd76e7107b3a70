//! Many slow streams, and large ones, through two sidecars.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use e2e::{Mesh, Sidecar};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use testkit::server::{BodySender, channel, full};
use testkit::{Connection, DEADLINE, Server, eventually};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

const STREAMS: usize = 500;

async fn pair(mesh: &Mesh, app: &Server) -> (Sidecar, Sidecar) {
    let large = ["--max-body-size", "2Gi"];
    let callee = mesh.sidecar("callee").args(large).app_port(app.port());
    let callee = callee.start().ready().await;
    (
        mesh.sidecar("caller").args(large).start().ready().await,
        callee,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_slow_streams_leave_room_for_other_calls() {
    let streams = Arc::<Mutex<Vec<BodySender>>>::default();
    let kept = streams.clone();
    let app = Server::start(move |request| {
        let kept = kept.clone();
        async move {
            match request.uri().path() {
                "/slow" => {
                    let (sender, body) = channel();
                    sender.send(Ok(data("begin "))).await.unwrap();
                    kept.lock().await.push(sender);
                    Response::new(body)
                }
                "/quick" => Response::new(full("quick")),
                _ => Response::builder().status(404).body(full("")).unwrap(),
            }
        }
    })
    .await
    .unwrap();
    let mesh = Mesh::start().await;
    let (caller, _callee) = pair(&mesh, &app).await;
    let mut readers = JoinSet::new();
    for _ in 0..STREAMS {
        let port = caller.http;
        readers.spawn(async move {
            let mut connection = Connection::open(port).await?;
            let response = connection.get("/v1.0/invoke/callee/method/slow").await?;
            ensure!(response.status() == 200, "{}", response.status());
            let body = response.into_body().collect().await?.to_bytes();
            Ok(String::from_utf8_lossy(&body).into_owned())
        });
    }
    eventually(DEADLINE, async || {
        let open = streams.lock().await.len();
        ensure!(open == STREAMS, "{open} streams of {STREAMS} have begun");
        Ok(())
    })
    .await;
    // All of them wait for the app now, and none has ended.
    for _ in 0..20 {
        let http = caller.http().within(Duration::from_secs(5));
        let reply = http.get("/v1.0/invoke/callee/method/quick").await;
        assert_eq!(reply.unwrap().expect_status(200).text(), "quick");
    }
    assert!(readers.try_join_next().is_none(), "a stream ended early");
    for sender in std::mem::take(&mut *streams.lock().await) {
        sender.send(Ok(data("end"))).await.unwrap();
    }
    for text in readers.join_all().await {
        assert_eq!(text.unwrap(), "begin end");
    }
}

/// Sidecars built for debugging are slow: a quarter of the size shows the same.
const SIZE: usize = if cfg!(debug_assertions) {
    256 << 20
} else {
    1 << 30
};
const PIECE: usize = 64 << 10;
/// By how much a sidecar may grow, in KiB.
const GROWTH: u64 = 8 << 10;

/// The most memory that the process has had since [`forget`], in KiB.
fn peak(sidecar: &Sidecar) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", sidecar.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let size = line.and_then(|line| line.trim().strip_suffix("kB"));
    Ok(size.context("no VmHWM in status")?.trim().parse()?)
}

/// Makes the present size the peak.
fn forget(sidecar: &Sidecar) -> std::io::Result<()> {
    std::fs::write(format!("/proc/{}/clear_refs", sidecar.id()), "5")
}

/// A body of so many bytes that is made while it is sent.
async fn generate(sender: BodySender, size: usize) {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    for _ in 0..size / PIECE {
        if sender.send(Ok(Frame::data(piece.clone()))).await.is_err() {
            // Whoever reads the other end says what happened.
            return;
        }
    }
}

async fn count<B>(mut body: B) -> Result<usize, B::Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        size += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(size)
}

/// Sends `size` bytes and has the app send as many back.
async fn exchange(caller: &Sidecar, size: usize) {
    let mut connection = Connection::open(caller.http).await.unwrap();
    let (sender, body) = channel();
    let request = Request::put("/v1.0/invoke/callee/method/count").body(body);
    let calling = connection.send(request.unwrap());
    let (response, ()) = tokio::join!(calling, generate(sender, size));
    let response = response.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, size.to_string());

    let path = format!("/v1.0/invoke/callee/method/make?size={size}");
    let response = connection.get(&path).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(count(response.into_body()).await.unwrap(), size);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_passes_without_being_kept() {
    let app = Server::start(|request| async move {
        match request.uri().path() {
            "/count" => match count(request.into_body()).await {
                Ok(size) => Response::new(full(size.to_string())),
                Err(e) => Response::builder()
                    .status(400)
                    .body(full(e.to_string()))
                    .unwrap(),
            },
            "/make" => {
                let query = request.uri().query().unwrap_or_default();
                let size = query.trim_start_matches("size=").parse().unwrap();
                let (sender, body) = channel();
                let mut making = JoinSet::new();
                making.spawn(generate(sender, size));
                making.detach_all();
                Response::new(body)
            }
            _ => Response::builder().status(404).body(full("")).unwrap(),
        }
    })
    .await
    .unwrap();
    let mesh = Mesh::start().await;
    let (caller, callee) = pair(&mesh, &app).await;
    // Buffers that every stream needs are there afterwards.
    exchange(&caller, 16 << 20).await;
    let sidecars = [&caller, &callee];
    for sidecar in sidecars {
        if let Err(e) = forget(sidecar) {
            testkit::skip(format!("the peak of memory cannot be reset here: {e}"));
            return;
        }
    }
    let before = sidecars.map(|s| peak(s).unwrap());
    exchange(&caller, SIZE).await;
    let after = sidecars.map(|s| peak(s).unwrap());
    for (before, after) in before.into_iter().zip(after) {
        assert!(
            after <= before + GROWTH,
            "a sidecar grew from {before} KiB to {after} KiB"
        );
    }
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from(text))
}
