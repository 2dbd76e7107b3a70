use std::time::Duration;

use proto::dapr::scheduler::v1::job_target_metadata::Type;
use proto::dapr::scheduler::v1::scheduler_client::SchedulerClient;
use proto::dapr::scheduler::v1::watch_jobs_request::WatchJobRequestType as Message;
use proto::dapr::scheduler::v1::{
    ConcurrencyLimit, Job, JobTargetMetadata, TargetActorReminder, TargetJob,
    WatchJobsRequestInitial, WatchJobsRequestResult,
};
use service::metrics::Registry;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::engine::Cron;
use crate::store::Embedded;

const LONG: Duration = Duration::from_secs(60);

/// A scheduler in this process, and a client of it.
struct Running {
    client: SchedulerClient<Channel>,
    service: Service,
    tasks: Tasks,
    folder: TempDir,
}

impl Running {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(folder: TempDir) -> Self {
        let tasks = Tasks::new();
        let store = Embedded::open(folder.path(), &tasks).await.unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let hosts = Hosts::alone("localhost:50006");
        let metrics = Metrics::new(&Registry::new(&[]));
        let (cron, handle) = Cron::new(store.clone(), hosts.clone(), metrics.clone());
        tasks.spawn("cron", cron.run(tasks.token()));
        let service = Service {
            store,
            cron: handle,
            hosts,
            metrics,
            secured: false,
            tasks: tasks.clone(),
        };
        let listener = service::net::listen("127.0.0.1", 0).await.unwrap();
        let address = listener.local_addr().unwrap();
        serve(listener, None, service.clone().into_server(), &tasks);
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Self {
            client: SchedulerClient::new(endpoint.connect_lazy())
                .max_decoding_message_size(usize::MAX),
            service,
            tasks,
            folder,
        }
    }

    async fn stop(self) -> TempDir {
        let Self {
            tasks,
            folder,
            service,
            ..
        } = self;
        drop(service);
        assert_eq!(tasks.shutdown(LONG).await, Vec::<&str>::new());
        folder
    }

    async fn schedule(&self, name: &str, metadata: JobMetadata, job: Job) -> Result<(), Status> {
        let request = ScheduleJobRequest {
            name: name.into(),
            job: Some(job),
            metadata: Some(metadata),
            overwrite: false,
        };
        let done = self.client.clone().schedule_job(request).await;
        done.map(|_| ())
    }

    async fn names(&self, metadata: JobMetadata) -> Vec<String> {
        let request = ListJobsRequest {
            metadata: Some(metadata),
        };
        let listed = self.client.clone().list_jobs(request).await.unwrap();
        let jobs = listed.into_inner().jobs.into_iter();
        jobs.map(|job| job.name).collect()
    }

    async fn watch(&self, first: Message) -> Result<Watcher, Status> {
        let (results, outgoing) = mpsc::channel(16);
        results.send(message(first)).await.unwrap();
        let mut client = self.client.clone();
        let opened = client.watch_jobs(ReceiverStream::new(outgoing));
        let triggers = timeout(LONG, opened).await.unwrap()?.into_inner();
        Ok(Watcher { results, triggers })
    }
}

struct Watcher {
    results: mpsc::Sender<WatchJobsRequest>,
    triggers: Streaming<WatchJobsResponse>,
}

impl Watcher {
    async fn next(&mut self) -> Result<Option<WatchJobsResponse>, Status> {
        timeout(LONG, self.triggers.message()).await.unwrap()
    }

    async fn answer(&self, id: u64, status: i32) {
        let result = WatchJobsRequestResult { id, status };
        let result = message(Message::Result(result));
        self.results.send(result).await.unwrap();
    }
}

fn message(message: Message) -> WatchJobsRequest {
    WatchJobsRequest {
        watch_job_request_type: Some(message),
    }
}

fn of_app() -> JobMetadata {
    about("cart", Some(Type::Job(TargetJob {})))
}

fn of_actor(kind: &str, id: &str) -> JobMetadata {
    about(
        "cart",
        Some(Type::Actor(TargetActorReminder {
            id: id.into(),
            r#type: kind.into(),
        })),
    )
}

fn about(app_id: &str, target: Option<Type>) -> JobMetadata {
    JobMetadata {
        app_id: app_id.into(),
        namespace: "default".into(),
        target: Some(JobTargetMetadata { r#type: target }),
        concurrency_key: None,
    }
}

fn due(time: &str) -> Job {
    Job {
        due_time: Some(time.into()),
        ..Job::default()
    }
}

fn initial() -> WatchJobsRequestInitial {
    WatchJobsRequestInitial {
        app_id: "cart".into(),
        namespace: "default".into(),
        ..WatchJobsRequestInitial::default()
    }
}

#[track_caller]
fn refused<T>(done: Result<T, Status>, code: Code, text: &str) {
    let Err(status) = done else {
        panic!("taken, where {text:?} was expected");
    };
    assert_eq!((status.code(), status.message()), (code, text));
}

#[tokio::test]
async fn what_cannot_be_scheduled_is_refused_in_upstreams_words() {
    let running = Running::start().await;
    let job = |job: Job| (of_app(), "a", job);
    let cron = |schedule: &str| Job {
        schedule: Some(schedule.into()),
        ..Job::default()
    };
    for ((metadata, name, job), code, text) in [
        (
            (about("", Some(Type::Job(TargetJob {}))), "a", due("1s")),
            Code::InvalidArgument,
            "missing namespace or appID in request",
        ),
        (
            (about("cart", None), "a", due("1s")),
            Code::Unknown,
            "unknown job type: <nil>",
        ),
        (
            (of_app(), "a/b", due("1s")),
            Code::Unknown,
            "job name is invalid \"app||default||cart||a/b\": \
             must not contain '/', '\\', '#' or '?'",
        ),
        (
            job(Job::default()),
            Code::Unknown,
            "job failed validation: job must have either a due time or a schedule",
        ),
        (
            job(due("soon")),
            Code::Unknown,
            "job failed validation: due time format not recognized",
        ),
        (
            job(Job {
                repeats: Some(0),
                ..cron("@every 1s")
            }),
            Code::Unknown,
            "job failed validation: defined repeats must be greater than 0",
        ),
    ] {
        refused(running.schedule(name, metadata, job).await, code, text);
    }
    running.schedule("a", of_app(), due("1h")).await.unwrap();
    refused(
        running.schedule("a", of_app(), due("1h")).await,
        Code::AlreadyExists,
        "job already exists: 'app||default||cart||a'",
    );
    running.stop().await;
}

#[tokio::test]
async fn jobs_are_read_listed_and_deleted() {
    let running = Running::start().await;
    let mut client = running.client.clone();
    for name in ["a1", "a2", "b"] {
        running.schedule(name, of_app(), due("1h")).await.unwrap();
    }
    for (kind, id) in [("k", "x1"), ("k", "x2"), ("kk", "x1")] {
        let metadata = of_actor(kind, id);
        running.schedule("r", metadata, due("1h")).await.unwrap();
    }
    let get = |name: &str| GetJobRequest {
        name: name.into(),
        metadata: Some(of_app()),
    };
    let found = client.get_job(get("a1")).await.unwrap().into_inner().job;
    let found = found.unwrap();
    assert_eq!(found.due_time.as_deref(), Some("1h"));
    assert!(found.failure_policy.is_some());
    refused(
        client.get_job(get("none")).await,
        Code::NotFound,
        "job not found: none",
    );
    assert_eq!(running.names(of_app()).await, ["a1", "a2", "b"]);

    for name in ["b", "none"] {
        let request = DeleteJobRequest {
            name: name.into(),
            metadata: Some(of_app()),
        };
        client.delete_job(request).await.unwrap();
    }
    let by_prefix = DeleteByNamePrefixRequest {
        name_prefix: "a1".into(),
        metadata: Some(of_app()),
    };
    client.delete_by_name_prefix(by_prefix).await.unwrap();
    assert_eq!(running.names(of_app()).await, ["a2"]);

    let by_metadata = |metadata, begins| DeleteByMetadataRequest {
        metadata: Some(metadata),
        id_prefix_match: Some(begins),
    };
    let request = by_metadata(of_actor("k", "x"), false);
    client.delete_by_metadata(request).await.unwrap();
    assert_eq!(running.names(of_actor("k", "x1")).await, ["r"]);
    let request = by_metadata(of_actor("k", "x"), true);
    client.delete_by_metadata(request).await.unwrap();
    assert!(running.names(of_actor("k", "")).await.is_empty());
    assert_eq!(running.names(of_actor("kk", "x1")).await, ["r"]);
    running.stop().await;
}

#[tokio::test]
async fn streams_say_first_what_they_want() {
    let running = Running::start().await;
    let kinds = |accept_job_types: Vec<i32>| {
        Message::Initial(WatchJobsRequestInitial {
            accept_job_types,
            ..initial()
        })
    };
    let nobody = WatchJobsRequestInitial {
        app_id: String::new(),
        ..initial()
    };
    for (first, code, text) in [
        (
            Message::Result(WatchJobsRequestResult { id: 1, status: 0 }),
            Code::Unknown,
            "initial request is required on stream connection",
        ),
        (
            Message::Initial(nobody),
            Code::InvalidArgument,
            "missing namespace or appID in request",
        ),
        (
            kinds(vec![0, 0]),
            Code::Unknown,
            "duplicate target type specified: JOB_TARGET_TYPE_JOB",
        ),
        (
            kinds(vec![1]),
            Code::InvalidArgument,
            "a stream of actor reminders must name the actor types that it takes",
        ),
    ] {
        refused(running.watch(first).await, code, text);
    }
    running.stop().await;
}

#[tokio::test]
async fn jobs_fire_and_results_are_counted() {
    let running = Running::start().await;
    let job = Job {
        schedule: Some("@every 50ms".into()),
        repeats: Some(2),
        ..Job::default()
    };
    running.schedule("twice", of_app(), job).await.unwrap();
    running
        .schedule("once", of_actor("k", "1"), due("0s"))
        .await
        .unwrap();
    let wants = WatchJobsRequestInitial {
        actor_types: vec!["k".into()],
        concurrency_limits: vec![ConcurrencyLimit {
            max_concurrent: 0,
            ..ConcurrencyLimit::default()
        }],
        ..initial()
    };
    let mut watcher = running.watch(Message::Initial(wants)).await.unwrap();
    let mut names = Vec::new();
    for expected in 1..=3 {
        let trigger = watcher.next().await.unwrap().unwrap();
        assert_eq!(trigger.id, expected);
        names.push(trigger.name);
        watcher.answer(trigger.id, 0).await;
    }
    names.sort();
    assert_eq!(names, ["once", "twice", "twice"]);
    testkit::eventually(LONG, async || {
        anyhow::ensure!(running.names(of_app()).await.is_empty());
        Ok(())
    })
    .await;
    watcher.answer(99, 0).await;
    let status = watcher.next().await.unwrap_err();
    assert_eq!(status.message(), "result of an unknown trigger");
    running.stop().await;
}

#[tokio::test]
async fn a_job_whose_result_never_came_fires_again_after_a_restart() {
    let running = Running::start().await;
    running.schedule("a", of_app(), due("0s")).await.unwrap();
    let mut watcher = running.watch(Message::Initial(initial())).await.unwrap();
    assert_eq!(watcher.next().await.unwrap().unwrap().name, "a");
    let folder = running.stop().await;
    assert_eq!(watcher.next().await.ok().flatten(), None);

    let running = Running::start_in(folder).await;
    let mut watcher = running.watch(Message::Initial(initial())).await.unwrap();
    assert_eq!(watcher.next().await.unwrap().unwrap().name, "a");
    running.stop().await;
}

#[tokio::test]
async fn a_receiver_that_does_not_read_holds_nobody_up() {
    let running = Running::start().await;
    let idle = running.watch(Message::Initial(initial())).await.unwrap();
    let large = || Job {
        data: Some(prost_types::Any {
            type_url: "bytes".into(),
            value: vec![7; 256 << 10],
        }),
        ..due("0s")
    };
    for n in 0..40 {
        running
            .schedule(&n.to_string(), of_app(), large())
            .await
            .unwrap();
    }
    let mut other = running.watch(Message::Initial(initial())).await.unwrap();
    let mut seen = 0;
    // What the idle one has taken is less than all.
    while seen < 20 {
        let trigger = other.next().await.unwrap().unwrap();
        other.answer(trigger.id, 0).await;
        seen += 1;
    }
    // The rest comes once its stream is gone.
    drop(idle);
    testkit::eventually(LONG, async || {
        let next = timeout(Duration::from_millis(100), other.triggers.message()).await;
        if let Ok(Ok(Some(trigger))) = next {
            other.answer(trigger.id, 0).await;
        }
        anyhow::ensure!(running.names(of_app()).await.is_empty());
        Ok(())
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn hosts_are_told_at_once_and_until_the_end() {
    let running = Running::start().await;
    let mut client = running.client.clone();
    let hosts = client.watch_hosts(WatchHostsRequest {}).await.unwrap();
    let mut hosts = hosts.into_inner();
    let first = timeout(LONG, hosts.message()).await.unwrap().unwrap();
    assert_eq!(first.unwrap().hosts[0].address, "localhost:50006");
    running.stop().await;
    assert_eq!(hosts.message().await.ok().flatten(), None);
}

#[tokio::test]
async fn callers_have_to_be_who_they_say_they_are() {
    let running = Running::start().await;
    let service = Service {
        secured: true,
        ..running.service.clone()
    };
    let mut extensions = Extensions::new();
    refused(
        service.authorize(&extensions, "default", "cart"),
        Code::Unauthenticated,
        "failed to get identity from context",
    );
    extensions.insert(Caller(Arc::new(SpiffeId::new("public", "default", "cart"))));
    assert!(service.authorize(&extensions, "default", "cart").is_ok());
    for (namespace, app_id) in [("other", "cart"), ("default", "pay")] {
        refused(
            service.authorize(&extensions, namespace, app_id),
            Code::PermissionDenied,
            "identity does not match request",
        );
    }
    drop(service);
    running.stop().await;
}
