//! A scheduler that does what a test says, and keeps jobs in a map.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use proto::dapr::scheduler::v1 as wire;
use proto::dapr::scheduler::v1::scheduler_server::{Scheduler, SchedulerServer};
use proto::dapr::scheduler::v1::watch_jobs_request::WatchJobRequestType;
use security::{Acceptor, Connector};
use service::Tasks;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, WatchStream};
use tonic::{Request, Response, Status, Streaming};

use super::{Client, Options};

/// The patience of a test; only one that fails waits it out.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A client of these schedulers.
pub(crate) fn client(addresses: &[&str]) -> Client {
    Client::new(options(addresses))
}

pub(crate) fn options(addresses: &[&str]) -> Options {
    Options {
        addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
        streams: 1,
        app_id: "app".into(),
        namespace: "default".into(),
        connector: Connector::plain(),
        metrics: None,
    }
}

/// A server of the Scheduler; it ends, and cuts its connections, with this handle.
pub(crate) struct Fake {
    pub(crate) address: String,
    streams: mpsc::Receiver<Stream>,
    state: Arc<State>,
    tasks: Tasks,
}

struct State {
    streams: mpsc::Sender<Stream>,
    /// `None` for one that does not know the call.
    hosts: watch::Sender<Option<Vec<String>>>,
    jobs: Mutex<BTreeMap<String, wire::Job>>,
    calls: Mutex<usize>,
    /// What the next calls fail with.
    failures: Mutex<VecDeque<Status>>,
}

/// The server's end of a stream.
pub(crate) struct Stream {
    pub(crate) initial: wire::WatchJobsRequestInitial,
    requests: Streaming<wire::WatchJobsRequest>,
    triggers: mpsc::Sender<Result<wire::WatchJobsResponse, Status>>,
}

impl Fake {
    /// One that names itself as the only host.
    pub(crate) async fn start() -> Self {
        let fake = Self::silent().await;
        fake.name_hosts(&[&fake.address]);
        fake
    }

    /// One that does not know how to name hosts.
    pub(crate) async fn silent() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn on(listener: TcpListener) -> Self {
        Self::serve(listener, None)
    }

    /// One that shows a certificate, and names itself as the only host.
    pub(crate) async fn secure(acceptor: Acceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self::serve(listener, Some(acceptor));
        fake.name_hosts(&[&fake.address]);
        fake
    }

    fn serve(listener: TcpListener, acceptor: Option<Acceptor>) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let (sender, streams) = mpsc::channel(16);
        let tasks = Tasks::new();
        let state = Arc::new(State {
            streams: sender,
            hosts: watch::Sender::new(None),
            jobs: Mutex::default(),
            calls: Mutex::default(),
            failures: Mutex::default(),
        });
        let service = Service(state.clone());
        let (end, connections) = (tasks.token(), tasks.clone());
        tasks.spawn("fake scheduler", async move {
            while let Some(Ok((stream, _))) = end.run_until_cancelled(listener.accept()).await {
                let service = TowerToHyperService::new(SchedulerServer::new(service.clone()));
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
            state,
            tasks,
        }
    }

    /// Names these to everybody who watches.
    pub(crate) fn name_hosts(&self, addresses: &[&str]) {
        let addresses = addresses.iter().map(|a| (*a).to_owned()).collect();
        self.state.hosts.send_replace(Some(addresses));
    }

    pub(crate) fn fail_next(&self, status: Status) {
        self.state.failures.lock().push_back(status);
    }

    pub(crate) fn calls(&self) -> usize {
        *self.state.calls.lock()
    }

    /// The next stream that a sidecar opens.
    pub(crate) async fn next_stream(&mut self) -> Stream {
        let next = timeout(LONG, self.streams.recv()).await;
        next.expect("a sidecar connects").expect("the server runs")
    }

    /// Whether no stream waits to be served.
    pub(crate) fn was_left_alone(&self) -> bool {
        self.streams.is_empty()
    }

    /// Ends as a process does that is killed. The address can be used again.
    pub(crate) async fn kill(self) -> String {
        assert!(self.tasks.shutdown(LONG).await.is_empty());
        self.address.clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

impl Stream {
    pub(crate) async fn send(&self, trigger: wire::WatchJobsResponse) {
        self.triggers.send(Ok(trigger)).await.unwrap();
    }

    /// A job of the app.
    pub(crate) async fn send_job(&self, id: u64, name: &str) {
        self.send(trigger(id, name, Some(job_target()))).await;
    }

    pub(crate) async fn end(self, status: Status) {
        self.triggers.send(Err(status)).await.unwrap();
    }

    /// The next result: the trigger's id, and whether it is a success.
    pub(crate) async fn result(&mut self) -> (u64, bool) {
        let next = timeout(LONG, self.requests.message()).await;
        let next = next.expect("the sidecar says something").unwrap();
        let next = next.expect("the stream goes on").watch_job_request_type;
        match next {
            Some(WatchJobRequestType::Result(result)) => (
                result.id,
                result.status() == wire::WatchJobsRequestResultStatus::Success,
            ),
            other => panic!("no result: {other:?}"),
        }
    }

    /// Whether the sidecar says no more.
    pub(crate) async fn is_over(&mut self) -> bool {
        let next = timeout(LONG, self.requests.message()).await;
        !matches!(next, Ok(Ok(Some(_))) | Err(_))
    }
}

pub(crate) fn job_target() -> wire::job_target_metadata::Type {
    wire::job_target_metadata::Type::Job(wire::TargetJob {})
}

pub(crate) fn trigger(
    id: u64,
    name: &str,
    target: Option<wire::job_target_metadata::Type>,
) -> wire::WatchJobsResponse {
    wire::WatchJobsResponse {
        name: name.to_owned(),
        id,
        data: None,
        metadata: Some(wire::JobMetadata {
            target: Some(wire::JobTargetMetadata { r#type: target }),
            ..Default::default()
        }),
    }
}

#[derive(Clone)]
struct Service(Arc<State>);

impl Service {
    /// Counts a call, and fails it if a test has said so.
    #[allow(clippy::result_large_err)] // As tonic has it.
    fn called(&self, metadata: Option<&wire::JobMetadata>) -> Result<(), Status> {
        *self.0.calls.lock() += 1;
        if let Some(status) = self.0.failures.lock().pop_front() {
            return Err(status);
        }
        match metadata {
            Some(m) if m.app_id == "app" && m.namespace == "default" && m.target.is_some() => {
                Ok(())
            }
            other => Err(Status::invalid_argument(format!("{other:?}"))),
        }
    }
}

type Sent<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Scheduler for Service {
    type WatchJobsStream = ReceiverStream<Result<wire::WatchJobsResponse, Status>>;
    type WatchHostsStream = std::pin::Pin<
        Box<dyn futures_util::Stream<Item = Result<wire::WatchHostsResponse, Status>> + Send>,
    >;

    async fn schedule_job(
        &self,
        req: Request<wire::ScheduleJobRequest>,
    ) -> Sent<wire::ScheduleJobResponse> {
        let req = req.into_inner();
        self.called(req.metadata.as_ref())?;
        let mut jobs = self.0.jobs.lock();
        if jobs.contains_key(&req.name) && !req.overwrite {
            return Err(Status::already_exists(format!(
                "job already exists: '{}'",
                req.name
            )));
        }
        jobs.insert(req.name, req.job.unwrap_or_default());
        Ok(Response::new(wire::ScheduleJobResponse {}))
    }

    async fn get_job(&self, req: Request<wire::GetJobRequest>) -> Sent<wire::GetJobResponse> {
        let req = req.into_inner();
        self.called(req.metadata.as_ref())?;
        let job = self.0.jobs.lock().get(&req.name).cloned();
        let job = job.ok_or_else(|| Status::not_found(format!("job not found: {}", req.name)))?;
        Ok(Response::new(wire::GetJobResponse { job: Some(job) }))
    }

    async fn delete_job(
        &self,
        req: Request<wire::DeleteJobRequest>,
    ) -> Sent<wire::DeleteJobResponse> {
        let req = req.into_inner();
        self.called(req.metadata.as_ref())?;
        self.0.jobs.lock().remove(&req.name);
        Ok(Response::new(wire::DeleteJobResponse {}))
    }

    async fn list_jobs(&self, req: Request<wire::ListJobsRequest>) -> Sent<wire::ListJobsResponse> {
        let metadata = req.into_inner().metadata;
        self.called(metadata.as_ref())?;
        let jobs = self.0.jobs.lock();
        let jobs = jobs.iter().map(|(name, job)| wire::NamedJob {
            name: name.clone(),
            metadata: metadata.clone(),
            job: Some(job.clone()),
        });
        Ok(Response::new(wire::ListJobsResponse {
            jobs: jobs.collect(),
        }))
    }

    async fn delete_by_metadata(
        &self,
        _: Request<wire::DeleteByMetadataRequest>,
    ) -> Sent<wire::DeleteByMetadataResponse> {
        Err(Status::unimplemented("an old one"))
    }

    async fn delete_by_name_prefix(
        &self,
        req: Request<wire::DeleteByNamePrefixRequest>,
    ) -> Sent<wire::DeleteByNamePrefixResponse> {
        let req = req.into_inner();
        self.called(req.metadata.as_ref())?;
        self.0
            .jobs
            .lock()
            .retain(|name, _| !name.starts_with(&req.name_prefix));
        Ok(Response::new(wire::DeleteByNamePrefixResponse {}))
    }

    async fn watch_jobs(
        &self,
        req: Request<Streaming<wire::WatchJobsRequest>>,
    ) -> Sent<Self::WatchJobsStream> {
        let mut requests = req.into_inner();
        let first = requests
            .message()
            .await?
            .and_then(|m| m.watch_job_request_type);
        let Some(WatchJobRequestType::Initial(initial)) = first else {
            return Err(Status::unknown(
                "initial request is required on stream connection",
            ));
        };
        let (triggers, sent) = mpsc::channel(16);
        let stream = Stream {
            initial,
            requests,
            triggers,
        };
        let taken = self.0.streams.send(stream).await;
        taken.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(sent)))
    }

    async fn watch_hosts(
        &self,
        _: Request<wire::WatchHostsRequest>,
    ) -> Sent<Self::WatchHostsStream> {
        if self.0.hosts.borrow().is_none() {
            return Err(Status::unimplemented("an old one"));
        }
        let lists = WatchStream::new(self.0.hosts.subscribe()).map(|addresses| {
            let hosts = addresses.unwrap_or_default().into_iter();
            let hosts = hosts.map(|address| wire::Host { address }).collect();
            Ok(wire::WatchHostsResponse { hosts })
        });
        Ok(Response::new(Box::pin(lists)))
    }
}
