//! A client of one sidecar's HTTP API, over TCP or a unix socket.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::{TcpStream, UnixStream};

/// Answers larger than this are refused, so that a strange server cannot fill the memory.
const MAX_ANSWER: usize = 64 << 20;

/// What stays readable in a path segment or a query value.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where a sidecar's HTTP API can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sidecar {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Sidecar {
    /// The API of the sidecar with this app id, from the flags it was started with: a socket
    /// folder when there is one, else a port on the first address that this machine can reach.
    pub(crate) fn new(app_id: &str, port: u16, listen_addresses: &str, socket_dir: &str) -> Self {
        if !socket_dir.is_empty() {
            return Self::Unix(socket(socket_dir, app_id, "http"));
        }
        let addresses: Vec<&str> = listen_addresses
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect();
        let everywhere = |address: &&str| matches!(*address, "127.0.0.1" | "localhost" | "0.0.0.0");
        let host = if addresses.is_empty() || addresses.iter().any(everywhere) {
            "127.0.0.1"
        } else {
            match addresses[0].trim_matches(['[', ']']) {
                "::" | "::1" => "::1",
                other => other,
            }
        };
        Self::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    /// Whether something accepts connections there.
    pub(crate) async fn listens(&self) -> bool {
        match self {
            Self::Tcp { host, port } => TcpStream::connect((host.as_str(), *port)).await.is_ok(),
            Self::Unix(path) => UnixStream::connect(path).await.is_ok(),
        }
    }

    /// One request; the sidecar's token is taken from `DAPR_API_TOKEN`, as the sidecar does.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: impl Into<Bytes>,
        deadline: Duration,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header(
            header::HOST,
            match self {
                Self::Tcp { host, port } => format!("{host}:{port}"),
                Self::Unix(_) => "localhost".to_owned(),
            },
        );
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        if let Ok(token) = std::env::var("DAPR_API_TOKEN")
            && !token.is_empty()
        {
            request = request.header("dapr-api-token", token);
        }
        let request = request
            .body(Full::new(body.into()))
            .with_context(|| format!("{path:?} cannot be used in a request"))?;
        let exchange = async {
            match self {
                Self::Tcp { host, port } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await;
                    exchange(
                        stream.with_context(|| format!("cannot reach {self}"))?,
                        request,
                    )
                    .await
                }
                Self::Unix(socket) => {
                    let stream = UnixStream::connect(socket).await;
                    exchange(
                        stream.with_context(|| format!("cannot reach {self}"))?,
                        request,
                    )
                    .await
                }
            }
        };
        match tokio::time::timeout(deadline, exchange).await {
            Ok(answer) => answer,
            Err(_) => bail!("{self} did not answer within {} s", deadline.as_secs_f32()),
        }
    }
}

impl std::fmt::Display for Sidecar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The socket file that daprd makes for one of its APIs.
pub(crate) fn socket(dir: &str, app_id: &str, api: &str) -> PathBuf {
    PathBuf::from(dir).join(format!("dapr-{app_id}-{api}.socket"))
}

/// A path segment or query value, escaped.
pub(crate) fn escape(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!("cannot read the answer: {error}"))?
            .to_bytes();
        Ok(Answer { status, body })
    });
    // The connection is driven here rather than by a task of its own. It may end before the
    // answer was taken out of it; what it has read is still there then.
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = &mut connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_follows_the_flags_of_the_sidecar() {
        let check = |listen: &str, socket: &str, expected: &str| {
            assert_eq!(
                Sidecar::new("a", 3500, listen, socket).to_string(),
                expected
            );
        };
        check("", "", "127.0.0.1:3500");
        check("[::1],127.0.0.1", "", "127.0.0.1:3500");
        check("10.0.0.7", "", "10.0.0.7:3500");
        check("[::1]", "", "[::1]:3500");
        check("", "/tmp/s", "/tmp/s/dapr-a-http.socket");
    }
}
