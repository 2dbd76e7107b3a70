//! Bodies that are larger than memory should hold, and bodies that come slowly.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use e2e::Sidecar;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{Mesh, serve};

const PIECE: usize = 64 * 1024;
const PIECES: usize = 1024;
const ALLOWED_KIB: u64 = 40 * 1024;

fn large() -> Body {
    let pieces =
        stream::iter((0..PIECES).map(|_| Ok::<_, Infallible>(Bytes::from(vec![7; PIECE]))));
    Body::from_stream(pieces)
}

async fn length(mut body: Body) -> usize {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame.unwrap().into_data().map_or(0, |data| data.len());
    }
    length
}

/// Largest resident size so far, in KiB.
fn peak(sidecar: &Sidecar) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", sidecar.id())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// One request on a connection of its own; the set drives the connection.
pub(crate) async fn send(port: u16, req: Request) -> (Response, JoinSet<()>) {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async {
        // The peer may close first.
        let _ = connection.await;
    });
    let response = sender.send_request(req).await.unwrap();
    (response.map(Body::new), driver)
}

fn request(path: &str) -> http::request::Builder {
    Request::post(path).header("host", "localhost")
}

#[tokio::test]
async fn a_body_of_64_mib_passes_both_ways_without_being_held() {
    let router = Router::new().fallback(|req: Request| async move {
        let got = length(req.into_body()).await;
        Response::builder()
            .header("x-got", got)
            .body(large())
            .unwrap()
    });
    let (mesh, app) = (Mesh::new(), serve(router, false).await);
    let unlimited = ["--max-body-size", "128Mi"];
    let callee = mesh.callee("app", &app, &unlimited).await;
    let caller = mesh.builder("caller").args(unlimited).start().ready().await;
    let before = [peak(&callee), peak(&caller)];
    let req = request("/v1.0/invoke/app/method/x").body(large()).unwrap();
    let (response, _driver) = send(caller.http, req).await;
    assert_eq!(response.status(), 200);
    let all = (PIECE * PIECES).to_string();
    assert_eq!(response.headers()["x-got"], all.as_str());
    assert_eq!(length(response.into_body()).await.to_string(), all);
    for (sidecar, before) in [&callee, &caller].into_iter().zip(before) {
        let grown = peak(sidecar) - before;
        assert!(grown < ALLOWED_KIB, "grew by {grown} KiB");
    }
}

#[tokio::test]
async fn events_are_passed_on_as_they_come() {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, Infallible>>(1);
    let events = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
    let router = Router::new().fallback(move || {
        let events = events.lock().unwrap().take();
        async move {
            let body = events.map_or_else(Body::empty, |events| {
                Body::from_stream(ReceiverStream::new(events))
            });
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body(body).unwrap()
        }
    });
    let (mesh, app) = (Mesh::new(), serve(router, false).await);
    let _callee = mesh
        .callee(
            "app",
            &app,
            &["--disable-init-endpoints", "config,subscribe"],
        )
        .await;
    let caller = mesh.caller().await;
    let req = request("/v1.0/invoke/app/method/events")
        .header("accept", "text/event-stream")
        .body(Body::empty())
        .unwrap();
    let (response, _driver) = send(caller.http, req).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    let mut body = response.into_body().into_data_stream();
    for text in ["data: 1\n\n", "data: 2\n\n"] {
        // The next is sent only when the last has arrived.
        sender.send(Ok(Bytes::from(text))).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), text);
    }
    drop(sender);
    assert!(body.next().await.is_none());
}
