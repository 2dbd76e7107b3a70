//! `daprd --wait`: a client that polls another sidecar until it is ready.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

const TOTAL: Duration = Duration::from_secs(60);
const REQUEST: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(100);

/// Always exits with 0, ready or not, as upstream does.
#[allow(clippy::print_stderr)] // What `--wait` says is no log line.
pub(crate) async fn until_ready(port: &str) -> ExitCode {
    let start = Instant::now();
    while start.elapsed() < TOTAL {
        if timeout(REQUEST, is_ready(port))
            .await
            .is_ok_and(|ready| ready.unwrap_or(false))
        {
            eprintln!("sidecar on port {port} is ready");
            return ExitCode::SUCCESS;
        }
        tokio::time::sleep(PAUSE).await;
    }
    eprintln!(
        "sidecar on port {port} is not ready after {}s",
        TOTAL.as_secs()
    );
    ExitCode::SUCCESS
}

#[allow(clippy::disallowed_methods)] // This process serves nobody and has no tracker.
async fn is_ready(port: &str) -> anyhow::Result<bool> {
    let stream = TcpStream::connect(format!("localhost:{port}")).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let req = http::Request::get("/v1.0/healthz/outbound")
        .header("host", "localhost")
        .body(Empty::<bytes::Bytes>::new())?;
    let status = sender.send_request(req).await?.status();
    connection.abort();
    Ok(status == http::StatusCode::NO_CONTENT)
}
