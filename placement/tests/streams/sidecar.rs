//! A sidecar's side of a stream.

use std::time::Duration;

use proto::dapr::placement::v1::placement_client::PlacementClient;
use proto::dapr::placement::v1::{Host, HostOperation, PlacementOrder};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Sidecar {
    pub(crate) host: Host,
    requests: mpsc::Sender<Host>,
    orders: Streaming<PlacementOrder>,
}

/// What a sidecar reports that hosts these types.
// The level is deprecated and sent by every sidecar.
#[allow(deprecated)]
pub(crate) fn host(id: &str, types: &[&str]) -> Host {
    Host {
        name: format!("10.0.0.1:{id}"),
        id: id.to_owned(),
        namespace: "default".into(),
        entities: types.iter().map(|t| (*t).to_owned()).collect(),
        api_level: 20,
        operation: HostOperation::Report as i32,
        ..Host::default()
    }
}

impl Sidecar {
    /// Opens a stream and reports.
    pub(crate) async fn connect(channel: Channel, host: Host) -> Result<Self, Status> {
        let (requests, queue) = mpsc::channel(64);
        requests.send(host.clone()).await.unwrap();
        let mut client = PlacementClient::new(channel);
        let orders = client
            .report_dapr_status(ReceiverStream::new(queue))
            .await?;
        Ok(Self {
            host,
            requests,
            orders: orders.into_inner(),
        })
    }

    pub(crate) async fn send(&self, host: Host) {
        self.requests.send(host).await.unwrap();
    }

    /// A second way to say something, beside waiting for an order.
    pub(crate) fn requests(&self) -> mpsc::Sender<Host> {
        self.requests.clone()
    }

    /// Reports other types.
    pub(crate) async fn report(&mut self, types: &[&str]) {
        self.host.entities = types.iter().map(|t| (*t).to_owned()).collect();
        self.send(self.host.clone()).await;
    }

    pub(crate) async fn ack(&self, operation: HostOperation, version: u64) {
        self.send(Host {
            id: self.host.id.clone(),
            namespace: self.host.namespace.clone(),
            operation: operation as i32,
            version: Some(version),
            ..Host::default()
        })
        .await;
    }

    pub(crate) async fn next(&mut self) -> Result<PlacementOrder, Status> {
        let next = timeout(PATIENCE, self.orders.message()).await;
        let order = next.expect("an order or an end within a minute")?;
        order.ok_or_else(|| Status::ok(""))
    }

    /// The next order, which must be this one.
    pub(crate) async fn expect(&mut self, operation: &str, version: u64) -> PlacementOrder {
        let order = self.next().await.unwrap();
        assert_eq!(
            (order.operation.as_str(), order.version),
            (operation, version)
        );
        assert_eq!(order.tables.is_some(), operation == "update");
        order
    }

    /// Goes through a whole round and answers its update.
    pub(crate) async fn round(&mut self, version: u64) -> PlacementOrder {
        self.expect("lock", version).await;
        self.ack(HostOperation::Lock, version).await;
        let update = self.expect("update", version).await;
        self.ack(HostOperation::Update, version).await;
        self.expect("unlock", version).await;
        self.ack(HostOperation::Unlock, version).await;
        update
    }

    /// How the stream ends, whatever comes before.
    pub(crate) async fn end(&mut self) -> Status {
        loop {
            if let Err(status) = self.next().await {
                return status;
            }
        }
    }

    /// Ends the requests.
    pub(crate) fn hang_up(self) -> Streaming<PlacementOrder> {
        self.orders
    }
}
