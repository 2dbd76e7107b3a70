//! Messages of Placement, and a server that does what a test says.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use proto::dapr::placement::v1::placement_server::{Placement, PlacementServer};
use proto::dapr::placement::v1::{
    Host, HostOperation, PlacementOrder, PlacementTable, PlacementTables,
};
use security::Acceptor;
use service::Tasks;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::client::switch;
use super::dissemination::{Dissemination, Effect, Event};
use super::tables::Own;
use super::{Hosted, Residents};

/// The patience of a test; only one that fails waits it out.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Tables of types and the names of their hosts.
pub(crate) fn tables(types: &[(&str, &[&str])]) -> PlacementTables {
    let entries = types.iter().map(|(kind, names)| {
        let load_map = names.iter().map(|name| ((*name).to_owned(), host(name)));
        let table = PlacementTable {
            load_map: load_map.collect(),
            ..PlacementTable::default()
        };
        ((*kind).to_owned(), table)
    });
    PlacementTables {
        entries: entries.collect(),
        replication_factor: 10,
        ..PlacementTables::default()
    }
}

fn host(name: &str) -> Host {
    Host {
        name: name.to_owned(),
        id: format!("app of {name}"),
        namespace: "default".to_owned(),
        ..Host::default()
    }
}

/// An order without tables.
pub(crate) fn order(operation: &str, version: u64) -> PlacementOrder {
    PlacementOrder {
        operation: operation.to_owned(),
        version,
        tables: None,
    }
}

/// An update.
pub(crate) fn update(version: u64, types: &[(&str, &[&str])]) -> PlacementOrder {
    PlacementOrder {
        tables: Some(tables(types)),
        ..order("update", version)
    }
}

/// A server of Placement; it ends with this handle.
pub(crate) struct Fake {
    pub(crate) address: String,
    streams: mpsc::Receiver<Stream>,
    refusal: Arc<Mutex<Option<Status>>>,
    tasks: Tasks,
}

/// The server's end of a stream.
pub(crate) struct Stream {
    reports: Streaming<Host>,
    orders: mpsc::Sender<Result<PlacementOrder, Status>>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        Self::serve(None).await
    }

    pub(crate) async fn secure(acceptor: Acceptor) -> Self {
        Self::serve(Some(acceptor)).await
    }

    async fn serve(acceptor: Option<Acceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, streams) = mpsc::channel(8);
        let (refusal, tasks) = (Arc::default(), Tasks::new());
        let service = Service {
            streams: sender,
            refusal: Arc::clone(&refusal),
        };
        let (end, connections) = (tasks.token(), tasks.clone());
        tasks.spawn("fake placement", async move {
            while let Some(Ok((stream, _))) = end.run_until_cancelled(listener.accept()).await {
                let service = TowerToHyperService::new(PlacementServer::new(service.clone()));
                let (acceptor, end) = (acceptor.clone(), end.clone());
                let serve = async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    match acceptor {
                        None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                        Some(acceptor) => {
                            if let Ok((stream, _)) = acceptor.accept(stream).await {
                                let stream = TokioIo::new(stream);
                                let _ = server.serve_connection(stream, service).await;
                            }
                        }
                    }
                };
                connections.spawn("connection", async move {
                    end.run_until_cancelled(serve).await;
                });
            }
        });
        Self {
            address,
            streams,
            refusal,
            tasks,
        }
    }

    /// The next stream that a sidecar opens.
    pub(crate) async fn next_stream(&mut self) -> Stream {
        let next = timeout(LONG, self.streams.recv()).await;
        next.expect("a sidecar connects").expect("the server runs")
    }

    /// Answers every stream so, from now on.
    pub(crate) fn refuse(&self, status: Status) {
        *self.refusal.lock() = Some(status);
    }

    pub(crate) fn lead(&self) {
        *self.refusal.lock() = None;
    }

    /// Whether no stream waits to be served.
    pub(crate) fn was_left_alone(&self) -> bool {
        self.streams.is_empty()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

impl Stream {
    /// The next message of the sidecar.
    pub(crate) async fn next(&mut self) -> Host {
        let next = timeout(LONG, self.reports.message()).await;
        let next = next.expect("the sidecar says something");
        next.unwrap().expect("the stream goes on")
    }

    /// Fails unless the next message is this ack.
    #[track_caller]
    pub(crate) fn expect(
        &mut self,
        operation: HostOperation,
        version: u64,
    ) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let ack = self.next().await;
            let said = (ack.operation(), ack.version);
            assert_eq!(said, (operation, Some(version)), "{caller}");
        }
    }

    pub(crate) async fn send(&self, order: PlacementOrder) {
        self.orders.send(Ok(order)).await.unwrap();
    }

    /// Lock, update and unlock with their acks.
    pub(crate) async fn round(&mut self, version: u64, types: &[(&str, &[&str])]) {
        self.send(order("lock", version)).await;
        self.expect(HostOperation::Lock, version).await;
        self.send(update(version, types)).await;
        self.expect(HostOperation::Update, version).await;
        self.send(order("unlock", version)).await;
        self.expect(HostOperation::Unlock, version).await;
    }

    pub(crate) async fn end(self, status: Status) {
        self.orders.send(Err(status)).await.unwrap();
    }

    /// Whether the sidecar closes the stream.
    pub(crate) async fn is_over(&mut self) -> bool {
        let next = timeout(LONG, self.reports.message()).await;
        !matches!(next, Ok(Ok(Some(_))) | Err(_))
    }
}

#[derive(Clone)]
struct Service {
    streams: mpsc::Sender<Stream>,
    refusal: Arc<Mutex<Option<Status>>>,
}

#[tonic::async_trait]
impl Placement for Service {
    type ReportDaprStatusStream = ReceiverStream<Result<PlacementOrder, Status>>;

    async fn report_dapr_status(
        &self,
        request: Request<Streaming<Host>>,
    ) -> Result<Response<Self::ReportDaprStatusStream>, Status> {
        if let Some(status) = self.refusal.lock().clone() {
            return Err(status);
        }
        let (orders, sent) = mpsc::channel(16);
        let reports = request.into_inner();
        let stream = Stream { reports, orders };
        let taken = self.streams.send(stream).await;
        taken.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(sent)))
    }
}

/// A sidecar's placement without a stream: the orders are those of the test.
pub(crate) struct Puppet {
    pub(crate) placement: super::Placement,
    dissemination: Mutex<Dissemination>,
    residents: Arc<dyn Residents>,
}

impl Puppet {
    /// `drain` is the time that calls have to end.
    pub(crate) fn new(name: &str, residents: Arc<dyn Residents>, drain: Duration) -> Self {
        let mut dissemination = Dissemination::new(Own::new(name), LONG);
        dissemination.on(Event::Opened, Instant::now());
        let placement = super::Placement {
            shared: Arc::default(),
        };
        placement.report(Hosted {
            drain,
            ..Hosted::default()
        });
        Self {
            placement,
            dissemination: Mutex::new(dissemination),
            residents,
        }
    }

    /// Follows an order until it could be acknowledged.
    pub(crate) async fn obey(&self, order: PlacementOrder) {
        let mut event = Event::Order(order);
        loop {
            let effects = self.dissemination.lock().on(event, Instant::now());
            let mut settling = None;
            for effect in effects {
                match effect {
                    Effect::Switch { tables, blocked } => {
                        let (shared, residents) = (&self.placement.shared, &self.residents);
                        settling = Some(switch(shared, residents.clone(), tables, blocked));
                    }
                    Effect::Release { .. } => self.placement.shared.claims.release(),
                    Effect::Ack { .. } => {}
                    Effect::Close(closing) => panic!("{closing}"),
                }
            }
            let Some(settling) = settling else { return };
            settling.await;
            event = Event::Settled;
        }
    }
}
