//! What the example applications share: a client of their sidecar that tells what it does.

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// How long one call of the sidecar may take.
const CALL: Duration = Duration::from_secs(10);
/// How long the sidecar and the other application may take to start.
const START: Duration = Duration::from_secs(30);

/// The sidecar beside this application, found as `dapr run` tells.
#[derive(Clone)]
pub struct Sidecar {
    port: u16,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What the sidecar answered.
pub struct Answer {
    pub status: StatusCode,
    /// The version of a state value.
    pub etag: Option<String>,
    /// The body; null when there is none.
    pub body: Value,
}

impl Sidecar {
    /// The sidecar whose port is in the environment.
    pub fn from_env() -> Result<Self> {
        let port = port("DAPR_HTTP_PORT")?;
        Ok(Self {
            port,
            client: Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    /// One call; `body` is sent as JSON unless it is null.
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Answer> {
        self.send(self.port, method, path, body).await
    }

    /// The lines of one metric, as the sidecar tells them to Prometheus.
    pub async fn metric(&self, name: &str) -> Result<Vec<String>> {
        let port = port("DAPR_METRICS_PORT")?;
        let page = self.send(port, Method::GET, "/", &Value::Null).await?.body;
        let lines = page.as_str().unwrap_or_default().lines();
        let wanted = lines.filter(|line| line.split('{').next() == Some(name));
        Ok(wanted.map(str::to_owned).collect())
    }

    async fn send(&self, port: u16, method: Method, path: &str, body: &Value) -> Result<Answer> {
        let bytes = if body.is_null() {
            Bytes::new()
        } else {
            body.to_string().into()
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{port}{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(bytes))?;
        let exchange = async {
            let response = self.client.request(request).await?;
            let status = response.status();
            let etag = response
                .headers()
                .get(header::ETAG)
                .and_then(|tag| tag.to_str().ok());
            let etag = etag.map(str::to_owned);
            let bytes = response.into_body().collect().await?.to_bytes();
            let body = if bytes.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(&bytes)
                    .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into())
            };
            anyhow::Ok(Answer { status, etag, body })
        };
        tokio::time::timeout(CALL, exchange)
            .await
            .with_context(|| format!("the sidecar did not answer {path}"))?
    }

    /// Waits until a GET of this path succeeds.
    pub async fn wait_for(&self, path: &str) -> Result<()> {
        let ready = async {
            while !self
                .call(Method::GET, path, &Value::Null)
                .await
                .is_ok_and(|answer| answer.status.is_success())
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(START, ready)
            .await
            .with_context(|| format!("GET {path} did not succeed in {} s", START.as_secs()))
    }

    /// One call that is told on stdout, question and answer; another status than the expected
    /// one is an error.
    pub async fn tell(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        expected: StatusCode,
    ) -> Result<Answer> {
        say(&format!("   ask  {method} {path}{}", shown(body)));
        let answer = self.call(method, path, body).await?;
        let etag = answer
            .etag
            .as_ref()
            .map(|tag| format!("  (ETag {tag})"))
            .unwrap_or_default();
        say(&format!(
            "   got  {}{}{etag}",
            answer.status,
            shown(&answer.body)
        ));
        if answer.status != expected {
            bail!("{path}: got {}, expected {expected}", answer.status);
        }
        Ok(answer)
    }
}

/// The number in an environment variable that `dapr run` sets.
pub fn port(variable: &str) -> Result<u16> {
    env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .with_context(|| format!("{variable} is not set; start this with `dapr run -f examples`"))
}

/// One line of the story.
#[allow(clippy::print_stdout, reason = "the story is what this program is for")]
pub fn say(line: &str) {
    println!("{line}");
}

fn shown(body: &Value) -> String {
    if body.is_null() {
        String::new()
    } else {
        format!("  {body}")
    }
}
