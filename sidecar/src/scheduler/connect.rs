//! Connections to schedulers.

use std::sync::Arc;
use std::time::Duration;

use proto::dapr::scheduler::v1::scheduler_client::SchedulerClient;
use security::tls::Connector;
use tonic::transport::{Channel, Endpoint};

use crate::api::metrics::{GrpcMetrics, Measured};

const PING: Duration = Duration::from_secs(3);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Dials with this sidecar's identity, and accepts that of a scheduler only.
#[derive(Clone)]
pub(super) struct Dialer {
    connector: Connector,
    metrics: Option<GrpcMetrics>,
}

/// One scheduler, and the connection for calls to it.
pub(super) struct Host {
    pub(super) address: Arc<str>,
    channel: Measured<Channel>,
}

impl Dialer {
    pub(super) fn new(connector: Connector, metrics: Option<GrpcMetrics>) -> Self {
        Self { connector, metrics }
    }

    /// Connects when the first call is made, and again after a break.
    pub(super) fn host(&self, address: &str) -> Result<Host, tonic::transport::Error> {
        let channel = endpoint(address)?.connect_with_connector_lazy(self.connector.clone());
        Ok(Host {
            address: address.into(),
            channel: Measured::new(channel, self.metrics.clone()),
        })
    }

    /// A connection of its own, for one stream.
    pub(super) async fn connect(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        let endpoint = endpoint(address)?;
        endpoint
            .connect_with_connector(self.connector.clone())
            .await
    }
}

impl Host {
    pub(super) fn client(&self) -> SchedulerClient<Measured<Channel>> {
        SchedulerClient::new(self.channel.clone())
    }
}

fn endpoint(address: &str) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(endpoint
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PING_TIMEOUT))
}
