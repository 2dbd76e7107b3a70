//! What a connection costs that nobody uses.

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::process;

pub(super) const CONNECTIONS: u32 = 1000;

/// Resident bytes per connection to this API port that has made one call.
pub(super) async fn per_connection(port: u16, pid: u32) -> anyhow::Result<f64> {
    // The first call touches what is needed however many follow.
    drop(connect(port).await?);
    let (before, _) = process::memory(pid)?;
    let mut connections = Vec::new();
    for number in 0..CONNECTIONS {
        let connection = connect(port).await;
        let connection = connection
            .with_context(|| format!("connection {number} of {CONNECTIONS}; see `ulimit -n`"))?;
        connections.push(connection);
    }
    let (after, _) = process::memory(pid)?;
    Ok((after as f64 - before as f64) / f64::from(CONNECTIONS))
}

async fn connect(port: u16) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = b"GET /v1.0/healthz/outbound HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let more = stream.read_buf(&mut answer).await?;
        ensure!(more > 0, "the sidecar closed a connection");
    }
    ensure!(
        answer.starts_with(b"HTTP/1.1 204"),
        "the sidecar is not healthy"
    );
    Ok(stream)
}
