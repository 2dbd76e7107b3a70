//! The four ways out.

mod client;
mod grpc;
mod otlp;
mod stdout;
#[cfg(test)]
mod tests;
mod zipkin;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use service::Tasks;

use crate::settings::{Resource, Settings, Transport};
use crate::span::Record;
use client::Client;

/// The instrumentation that all of our spans come from.
const SCOPE: &str = "dapr-diagnostics";
/// OTLP leaves it to the collector, and Zipkin has no setting for it.
const ZIPKIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a batch did not arrive.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Says nothing secret.
    pub(crate) reason: String,
    /// Whether to try again, and when the collector wishes it.
    pub(crate) retry: Option<Option<Duration>>,
}

/// Writes batches to one place; its text is the place as a log line names it.
pub(crate) trait Export: fmt::Display + Send + 'static {
    /// Tries once, and answers how many spans the collector did not want.
    fn export(
        &mut self,
        records: &[Arc<Record>],
    ) -> impl Future<Output = Result<u64, Failure>> + Send;
}

pub(crate) struct Exporter {
    way: Way,
    resource: Arc<Resource>,
}

enum Way {
    Stdout,
    Zipkin(Client),
    OtlpHttp(Client),
    OtlpGrpc(Client),
}

/// Everything that is configured; nothing connects before the first batch.
pub(crate) fn open(settings: Settings, tasks: &Tasks) -> Vec<Exporter> {
    let resource = Arc::new(settings.resource);
    let mut ways = Vec::new();
    if settings.stdout {
        ways.push(Way::Stdout);
    }
    if let Some(url) = settings.zipkin {
        let client = Client::new(url, ZIPKIN_TIMEOUT, tasks.clone());
        ways.push(Way::Zipkin(client));
    }
    if let Some(otlp) = settings.otlp {
        let client = Client::new(otlp.url, otlp.timeout, tasks.clone()).with_headers(otlp.headers);
        ways.push(match otlp.transport {
            Transport::Http => Way::OtlpHttp(client),
            Transport::Grpc => Way::OtlpGrpc(client.with_http2()),
        });
    }
    let exporter = |way| Exporter {
        way,
        resource: resource.clone(),
    };
    ways.into_iter().map(exporter).collect()
}

impl Exporter {
    /// The value of the metrics' label.
    pub(crate) fn name(&self) -> &'static str {
        match self.way {
            Way::Stdout => "stdout",
            Way::Zipkin(_) => "zipkin",
            Way::OtlpHttp(_) | Way::OtlpGrpc(_) => "otlp",
        }
    }
}

impl Export for Exporter {
    async fn export(&mut self, records: &[Arc<Record>]) -> Result<u64, Failure> {
        let resource = &self.resource;
        match &mut self.way {
            Way::Stdout => {
                stdout::write(records);
                Ok(0)
            }
            Way::Zipkin(client) => {
                let body = zipkin::encode(records, resource)?;
                let answer = client.post("application/json", body).await?;
                answer.success()?;
                Ok(0)
            }
            Way::OtlpHttp(client) => {
                let body = otlp::encode(records, resource);
                let answer = client.post("application/x-protobuf", body).await?;
                answer.success()?;
                Ok(otlp::rejected(&answer.body))
            }
            Way::OtlpGrpc(client) => {
                let body = grpc::frame(&otlp::encode(records, resource));
                let answer = client.post("application/grpc", body).await?;
                Ok(otlp::rejected(grpc::message(&answer)?))
            }
        }
    }
}

impl fmt::Display for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Stdout => f.write_str("stdout"),
            Way::Zipkin(client) => write!(f, "Zipkin at {client}"),
            Way::OtlpHttp(client) | Way::OtlpGrpc(client) => {
                write!(f, "the OTLP collector at {client}")
            }
        }
    }
}
