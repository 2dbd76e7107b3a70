//! Loads a scheduler: `load ADDRESS register CONNECTIONS JOBS` registers jobs one
//! after the other on each connection, and `load ADDRESS fire JOBS` has all of
//! them due in one second. It prints rates and percentiles.

use std::env;
use std::error::Error;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use jiff::Timestamp;
use proto::dapr::scheduler::v1::job_target_metadata::Type;
use proto::dapr::scheduler::v1::scheduler_client::SchedulerClient;
use proto::dapr::scheduler::v1::watch_jobs_request::WatchJobRequestType as Message;
use proto::dapr::scheduler::v1::{
    Job, JobMetadata, JobTargetMetadata, ScheduleJobRequest, TargetJob, WatchJobsRequest,
    WatchJobsRequestInitial, WatchJobsRequestResult,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;
type Client = SchedulerClient<Channel>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [address, "register", connections, jobs] => {
            register(address, connections.parse()?, jobs.parse()?).await
        }
        [address, "fire", jobs] => fire(address, jobs.parse()?).await,
        _ => Err("load ADDRESS register CONNECTIONS JOBS | load ADDRESS fire JOBS".into()),
    }
}

async fn register(address: &str, connections: usize, jobs: usize) -> Outcome<()> {
    let began = Instant::now();
    let each = jobs / connections;
    let workers = (0..connections).map(|n| async move {
        let mut client = connect(address).await?;
        let mut times = Vec::with_capacity(each);
        for job in 0..each {
            let began = Instant::now();
            let far = job_due("24h".into());
            client
                .schedule_job(request(format!("r{n}-{job}"), far))
                .await?;
            times.push(began.elapsed());
        }
        Outcome::Ok(times)
    });
    let times = try_join_all(workers).await?.concat();
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    show(&format!("registered {rate:.0}/s"), times);
    Ok(())
}

async fn fire(address: &str, jobs: usize) -> Outcome<()> {
    let mut client = connect(address).await?;
    let begin = Timestamp::now() + Duration::from_secs(10);
    let scheduling = (0..jobs).map(|n| {
        let mut client = client.clone();
        // Spread over one second.
        let due = begin + Duration::from_micros(1_000_000 * n as u64 / jobs as u64);
        async move {
            let job = job_due(due.to_string());
            client.schedule_job(request(format!("f{n}"), job)).await?;
            Outcome::Ok(due)
        }
    });
    let due = try_join_all(scheduling).await?;
    let (results, outgoing) = mpsc::channel(1024);
    let initial = WatchJobsRequestInitial {
        app_id: "load".into(),
        namespace: "default".into(),
        ..WatchJobsRequestInitial::default()
    };
    results.send(message(Message::Initial(initial))).await?;
    let stream = client.watch_jobs(ReceiverStream::new(outgoing)).await?;
    let mut triggers = stream.into_inner();
    let mut late = Vec::with_capacity(jobs);
    while late.len() < jobs
        && let Some(trigger) = triggers.message().await?
    {
        if let Some(n) = trigger.name.strip_prefix('f') {
            let late_by = Timestamp::now().duration_since(due[n.parse::<usize>()?]);
            late.push(Duration::try_from(late_by).unwrap_or_default());
        }
        let id = trigger.id;
        let result = WatchJobsRequestResult { id, status: 0 };
        results.send(message(Message::Result(result))).await?;
    }
    show("late by", late);
    // The last results have to arrive.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

async fn connect(address: &str) -> Outcome<Client> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    Ok(Client::new(endpoint.connect().await?))
}

fn job_due(due_time: String) -> Job {
    Job {
        due_time: Some(due_time),
        ..Job::default()
    }
}

fn request(name: String, job: Job) -> ScheduleJobRequest {
    ScheduleJobRequest {
        name,
        job: Some(job),
        metadata: Some(JobMetadata {
            app_id: "load".into(),
            namespace: "default".into(),
            target: Some(JobTargetMetadata {
                r#type: Some(Type::Job(TargetJob {})),
            }),
            concurrency_key: None,
        }),
        overwrite: true,
    }
}

fn message(message: Message) -> WatchJobsRequest {
    WatchJobsRequest {
        watch_job_request_type: Some(message),
    }
}

#[allow(clippy::print_stdout)] // It is what the example is for.
fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: f64| {
        times
            .get((times.len() as f64 * part) as usize)
            .or(times.last())
    };
    println!(
        "{what}: p50 {:?}, p99 {:?}, most {:?} of {}",
        at(0.5).copied().unwrap_or_default(),
        at(0.99).copied().unwrap_or_default(),
        at(1.0).copied().unwrap_or_default(),
        times.len()
    );
}
