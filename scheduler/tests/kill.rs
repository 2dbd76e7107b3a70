//! What was acknowledged outlives kill -9 at any moment.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use futures_util::future::join_all;
use parking_lot::Mutex;
use prost_types::Any;
use proto::dapr::scheduler::v1::job_target_metadata::Type;
use proto::dapr::scheduler::v1::scheduler_client::SchedulerClient;
use proto::dapr::scheduler::v1::{
    DeleteByNamePrefixRequest, DeleteJobRequest, Job, JobMetadata, JobTargetMetadata,
    ListJobsRequest, ScheduleJobRequest, TargetJob,
};
use testkit::{DEADLINE, Process, eventually, free_ports};
use tonic::Status;
use tonic::transport::Channel;

const KILLS: usize = 20;
/// As many clients write at once.
const WRITERS: usize = 8;
/// Every so many rounds jobs are so large that the log runs over.
const LARGE_ROUND: usize = 7;
const LARGE: usize = 256 << 10;

type Client = SchedulerClient<Channel>;

/// What must be there and what must not.
#[derive(Default)]
struct Known {
    /// Writes that were answered.
    there: BTreeSet<String>,
    /// Whatever was asked for and not answered: nobody knows.
    open: BTreeSet<String>,
    /// How many were answered in this round.
    answers: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_that_was_acknowledged_is_there_after_each_of_twenty_kills() {
    let folder = tempfile::tempdir().unwrap();
    let known = Arc::new(Mutex::new(Known::default()));
    for round in 0..KILLS {
        let (mut process, client) = start(folder.path()).await;
        check(&client, &known).await;
        // The end comes after another number of answers each time.
        let least = 20 + round * 97 % 300;
        let large = round % LARGE_ROUND == 1;
        let write = |writer| {
            let begin = format!("{}-{round}-{writer}", if large { "large" } else { "small" });
            let data = if large { LARGE } else { 8 };
            write(client.clone(), known.clone(), begin, data)
        };
        let writing = join_all((0..WRITERS).map(write));
        let killing = async {
            eventually(DEADLINE, async || {
                let answers = known.lock().answers;
                anyhow::ensure!(answers >= least, "only {answers} answers");
                Ok(())
            })
            .await;
            process.kill().await.unwrap();
        };
        tokio::join!(writing, killing);
    }
    let (mut process, client) = start(folder.path()).await;
    check(&client, &known).await;
    assert_eq!(process.stop(DEADLINE).await.unwrap(), 0);
    // And after an orderly end as well.
    let (_process, client) = start(folder.path()).await;
    check(&client, &known).await;
}

async fn start(folder: &Path) -> (Process, Client) {
    let [port, health, tools] = free_ports();
    let process = Process::builder(env!("CARGO_BIN_EXE_scheduler"))
        .args(["--listen-address=127.0.0.1", "--enable-metrics=false"])
        .arg(format!("--port={port}"))
        .arg(format!("--healthz-port={health}"))
        .arg(format!("--etcd-client-port={tools}"))
        .arg(format!("--etcd-data-dir={}", folder.display()))
        .start()
        .expect("it starts");
    process.wait_line("Running gRPC server", DEADLINE).await;
    let client = eventually(DEADLINE, async || {
        let client = Client::connect(format!("http://127.0.0.1:{port}")).await;
        client.context("it does not listen")
    });
    (process, client.await.max_decoding_message_size(usize::MAX))
}

/// Writes jobs, and deletes some of them, until the scheduler is gone.
async fn write(mut client: Client, known: Arc<Mutex<Known>>, begin: String, data: usize) {
    for n in 0.. {
        let name = format!("{begin}-{n}");
        known.lock().open.insert(name.clone());
        if schedule(&mut client, &name, data).await.is_err() {
            return;
        }
        answered(&known, &name, true);
        if n % 5 == 4 {
            {
                let mut known = known.lock();
                known.there.remove(&name);
                known.open.insert(name.clone());
            }
            let request = DeleteJobRequest {
                name: name.clone(),
                metadata: Some(metadata()),
            };
            if client.delete_job(request).await.is_err() {
                return;
            }
            answered(&known, &name, false);
        }
    }
}

fn answered(known: &Mutex<Known>, name: &str, there: bool) {
    let mut known = known.lock();
    known.open.remove(name);
    if there {
        known.there.insert(name.to_owned());
    }
    known.answers += 1;
}

/// Compares what is stored with what was answered, and what is neither is known then.
async fn check(client: &Client, known: &Mutex<Known>) {
    let mut client = client.clone();
    let request = ListJobsRequest {
        metadata: Some(metadata()),
    };
    let listed = client.list_jobs(request).await.expect("they are read");
    let listed = listed.into_inner();
    let stored: BTreeSet<String> = listed.jobs.into_iter().map(|job| job.name).collect();
    let large = DeleteByNamePrefixRequest {
        name_prefix: "large".into(),
        metadata: Some(metadata()),
    };
    let deleted = client.delete_by_name_prefix(large).await;
    deleted.expect("they are deleted");
    let mut known = known.lock();
    let lost: Vec<_> = known.there.difference(&stored).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let found = stored.iter().filter(|name| !known.there.contains(*name));
    let risen: Vec<_> = found.filter(|name| !known.open.contains(*name)).collect();
    assert!(risen.is_empty(), "deleted and there again: {risen:?}");
    let small = stored.into_iter().filter(|name| name.starts_with("small"));
    *known = Known {
        there: small.collect(),
        ..Known::default()
    };
}

async fn schedule(client: &mut Client, name: &str, data: usize) -> Result<(), Status> {
    let request = ScheduleJobRequest {
        name: name.to_owned(),
        job: Some(Job {
            due_time: Some("24h".into()),
            data: Some(Any {
                type_url: "bytes".into(),
                value: vec![7; data],
            }),
            ..Job::default()
        }),
        metadata: Some(metadata()),
        overwrite: false,
    };
    client.schedule_job(request).await.map(drop)
}

fn metadata() -> JobMetadata {
    JobMetadata {
        app_id: "cart".into(),
        namespace: "default".into(),
        target: Some(JobTargetMetadata {
            r#type: Some(Type::Job(TargetJob {})),
        }),
        concurrency_key: None,
    }
}
