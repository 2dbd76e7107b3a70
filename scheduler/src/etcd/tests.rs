//! Whole schedulers on one real etcd, called as sidecars call them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use parking_lot::Mutex;
use proto::dapr::scheduler::v1::job_target_metadata::Type;
use proto::dapr::scheduler::v1::scheduler_client::SchedulerClient;
use proto::dapr::scheduler::v1::watch_jobs_request::WatchJobRequestType;
use proto::dapr::scheduler::v1::{
    Job, JobMetadata, JobTargetMetadata, ScheduleJobRequest, TargetJob, WatchHostsRequest,
    WatchJobsRequest, WatchJobsRequestInitial, WatchJobsRequestResult,
};
use service::Tasks;
use testkit::etcd::{Etcd, is_installed};
use testkit::{DEADLINE, eventually, free_port};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::{Config, flags};

/// How often each job was delivered.
type Delivered = Arc<Mutex<BTreeMap<String, usize>>>;

struct Scheduler {
    client: SchedulerClient<Channel>,
    tasks: Tasks,
}

impl Scheduler {
    async fn start(etcd: &Etcd, id: &str) -> Self {
        let port = free_port();
        let args = [
            format!("--id={id}"),
            format!("--port={port}"),
            format!("--healthz-port={}", free_port()),
            "--listen-address=127.0.0.1".into(),
            "--enable-metrics=false".into(),
            "--etcd-embed=false".into(),
            format!("--etcd-client-endpoints={}", etcd.address()),
        ];
        let parsed = flags::flags().parse(args.into_iter().map(Into::into), &|_| None);
        let config = Config::read(&parsed.unwrap(), &|_| None).unwrap();
        let tasks = Tasks::new();
        let end = tasks.token();
        tasks.spawn("scheduler", async move { crate::run(&config, end).await });
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        let client = SchedulerClient::new(endpoint.connect_lazy());
        Self { client, tasks }
    }

    /// Waits until sidecars are told of so many schedulers.
    async fn knows(&self, count: usize) {
        eventually(2 * DEADLINE, async || {
            let mut client = self.client.clone();
            let mut hosts = client.watch_hosts(WatchHostsRequest {}).await?.into_inner();
            let hosts = hosts
                .message()
                .await?
                .context("the stream has ended")?
                .hosts;
            ensure!(hosts.len() == count, "{hosts:?}");
            Ok(())
        })
        .await;
    }

    /// Takes the jobs of the app, and succeeds.
    async fn deliver(&self, delivered: &Delivered) {
        let (requests, receiver) = mpsc::channel(64);
        let initial = WatchJobsRequestInitial {
            app_id: "app".into(),
            namespace: "ns".into(),
            ..WatchJobsRequestInitial::default()
        };
        let send = |request| WatchJobsRequest {
            watch_job_request_type: Some(request),
        };
        let initial = send(WatchJobRequestType::Initial(initial));
        requests.send(initial).await.unwrap();
        let mut client = self.client.clone();
        let opened = client.watch_jobs(ReceiverStream::new(receiver)).await;
        let (mut triggers, delivered) = (opened.unwrap().into_inner(), delivered.clone());
        self.tasks.spawn("app", async move {
            while let Some(Ok(trigger)) = triggers.next().await {
                *delivered.lock().entry(trigger.name).or_default() += 1;
                let result = WatchJobsRequestResult {
                    id: trigger.id,
                    status: 0,
                };
                let result = send(WatchJobRequestType::Result(result));
                let _ = requests.send(result).await;
            }
        });
    }

    async fn schedule(&self, name: String) {
        let request = ScheduleJobRequest {
            name,
            job: Some(Job {
                due_time: Some("0s".into()),
                ..Job::default()
            }),
            metadata: Some(JobMetadata {
                app_id: "app".into(),
                namespace: "ns".into(),
                target: Some(JobTargetMetadata {
                    r#type: Some(Type::Job(TargetJob {})),
                }),
                concurrency_key: None,
            }),
            overwrite: false,
        };
        self.client.clone().schedule_job(request).await.unwrap();
    }
}

async fn all_delivered(delivered: &Delivered, count: usize) {
    eventually(2 * DEADLINE, async || {
        let delivered = delivered.lock();
        ensure!(delivered.len() == count, "{delivered:?}");
        Ok(())
    })
    .await;
    let delivered = delivered.lock();
    assert!(delivered.values().all(|times| *times == 1), "{delivered:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schedulers_fire_each_job_once_wherever_it_was_scheduled() {
    if !is_installed() {
        testkit::skip("etcd is not installed");
        return;
    }
    let etcd = Etcd::start(&[]).unwrap();
    let delivered = Delivered::default();
    let one = Scheduler::start(&etcd, "one").await;
    one.knows(1).await;
    let two = Scheduler::start(&etcd, "two").await;
    for scheduler in [&one, &two] {
        scheduler.knows(2).await;
        scheduler.deliver(&delivered).await;
    }
    for id in 0..20 {
        let scheduler = if id % 3 == 0 { &one } else { &two };
        scheduler.schedule(format!("job{id}")).await;
    }
    all_delivered(&delivered, 20).await;
    eventually(DEADLINE, async || {
        let left = etcd.ctl(&["get", "--prefix", "dapr/jobs/"])?;
        ensure!(left.is_empty(), "a job that was fired once is over: {left}");
        Ok(())
    })
    .await;
    // Whoever stays fires everything at once: the other gave its lease back.
    one.tasks.shutdown(DEADLINE).await;
    two.knows(1).await;
    for id in 20..30 {
        two.schedule(format!("job{id}")).await;
    }
    all_delivered(&delivered, 30).await;
    two.tasks.shutdown(DEADLINE).await;
}
