//! A small load generator over kept HTTP/1 connections.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};

const CONNECTIONS: u32 = 16;

/// How fast calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// At this many per second, whatever the answers take: waiting shows.
    Rate(u32),
    /// Each connection calls again as soon as it has its answer.
    Maximum,
}

/// The request that is repeated.
#[derive(Debug, Clone)]
pub(super) struct Call {
    method: Method,
    path: String,
    body: Bytes,
}

impl Call {
    pub(super) fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            body: Bytes::new(),
        }
    }

    pub(super) fn post(path: &str, body: String) -> Self {
        Self {
            method: Method::POST,
            path: path.to_owned(),
            body: body.into(),
        }
    }

    async fn once(&self, sender: &mut SendRequest<Full<Bytes>>) -> anyhow::Result<()> {
        let request = Request::builder()
            .method(&self.method)
            .uri(&self.path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(self.body.clone()))?;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        response.into_body().collect().await?;
        ensure!(
            status.is_success(),
            "{} {}: {status}",
            self.method,
            self.path
        );
        Ok(())
    }
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Sorted.
    latencies: Vec<Duration>,
    elapsed: Duration,
}

impl Outcome {
    pub(super) fn calls(&self) -> usize {
        self.latencies.len()
    }

    pub(super) fn rate(&self) -> f64 {
        self.calls() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that this share of the calls stayed within.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        self.latencies.get(index).copied().unwrap_or_default()
    }
}

/// Repeats the call for this long.
pub(super) async fn run(
    port: u16,
    call: &Call,
    load: Load,
    span: Duration,
) -> anyhow::Result<Outcome> {
    let call = Rc::new(call.clone());
    let begin = Instant::now();
    let mut workers = JoinSet::new();
    let local = LocalSet::new();
    for number in 0..CONNECTIONS {
        let call = Rc::clone(&call);
        workers.spawn_local_on(
            async move { worker(port, &call, load, number, begin, span).await },
            &local,
        );
    }
    let mut latencies = Vec::new();
    let collect = async {
        while let Some(worker) = workers.join_next().await {
            latencies.extend(worker??);
        }
        anyhow::Ok(())
    };
    local.run_until(collect).await?;
    latencies.sort();
    Ok(Outcome {
        latencies,
        elapsed: begin.elapsed(),
    })
}

async fn worker(
    port: u16,
    call: &Call,
    load: Load,
    number: u32,
    begin: Instant,
    span: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let calls = async {
        let mut latencies = Vec::new();
        let mut turn = number;
        while begin.elapsed() < span {
            let mut from = Instant::now();
            if let Load::Rate(rate) = load {
                let due = begin + Duration::from_secs(1) * turn / rate;
                turn += CONNECTIONS;
                // A call that is late already has waited in the queue; one that
                // is early starts when the timer, which counts milliseconds, fires.
                if due > from {
                    sleep_until(due).await;
                    from = Instant::now();
                } else {
                    from = due;
                }
            }
            call.once(&mut sender).await?;
            latencies.push(from.elapsed());
        }
        anyhow::Ok(latencies)
    };
    let driver = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        latencies = calls => latencies,
        () = driver => unreachable!("the driver never returns"),
    }
}
