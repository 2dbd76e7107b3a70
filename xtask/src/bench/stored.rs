//! What a scheduler takes that keeps very many jobs, and how it starts with them.

use std::time::Duration;

use anyhow::{Context, ensure};
use proto::dapr::scheduler::v1::watch_jobs_request::WatchJobRequestType as Message;
use proto::dapr::scheduler::v1::{
    JobTargetType, WatchJobsRequest, WatchJobsRequestInitial, WatchJobsRequestResult,
    WatchJobsRequestResultStatus,
};
use testkit::DEADLINE;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::jobs::Kind;
use super::plane::Member;
use super::register::{connect, register};
use super::report::Table;
use super::{mib, millis, process};

const JOBS: u32 = 1_000_000;
/// As many as are registered by then will do.
const PATIENCE: Duration = Duration::from_secs(120);
const APP_ID: &str = "bench-stored";

pub(super) async fn measure(table: &mut Table) -> anyhow::Result<()> {
    let mut scheduler = Member::scheduler().await?;
    let (empty, _) = process::memory(scheduler.id())?;
    let cpu = process::cpu(&[scheduler.id()])?;
    let begin = Instant::now();
    let job = |number| Kind::Job.request(APP_ID, number, "240h".to_owned());
    let count = register(&scheduler.address(), JOBS, begin + PATIENCE, job).await?;
    ensure!(count > 0, "no job was registered");
    let took = begin.elapsed().as_secs_f64();
    let cpu = process::cpu(&[scheduler.id()])?.saturating_sub(cpu);
    let each = cpu.as_secs_f64() * 1e6 / f64::from(count);
    let rate = f64::from(count) / took;
    let name = format!("{count} jobs registered at the scheduler");
    table.row(&name, format!("{rate:.0}/s, {each:.0} µs CPU each"), "");
    resident(table, "after registering them", &scheduler, empty, count)?;

    scheduler.stop().await?;
    let begin = Instant::now();
    scheduler.start_again().await?;
    let healthy = begin.elapsed();
    fire(&scheduler).await?;
    let fired = begin.elapsed();
    scheduler.says("Cron is ready").await;
    let [healthy, fired, known] = [healthy, fired, begin.elapsed()].map(millis);
    let name = "start with them: healthy, first job fired, all jobs known";
    table.row(name, format!("{healthy}, {fired}, {known}"), "");
    resident(table, "after a start", &scheduler, empty, count)
}

fn resident(
    table: &mut Table,
    when: &str,
    scheduler: &Member,
    empty: u64,
    count: u32,
) -> anyhow::Result<()> {
    let (rss, _) = process::memory(scheduler.id())?;
    let each = rss.saturating_sub(empty) / u64::from(count);
    let name = format!("memory of the scheduler {when}, and per job");
    let text = format!("{}, {each} bytes", mib(rss));
    table.row(&name, text, "200 bytes");
    Ok(())
}

/// Has a job fired that is due at once.
async fn fire(scheduler: &Member) -> anyhow::Result<()> {
    let mut client = connect(&scheduler.address()).await?;
    client
        .schedule_job(Kind::Job.request(APP_ID, JOBS, "0s".to_owned()))
        .await?;
    let (requests, queue) = mpsc::channel(2);
    let initial = WatchJobsRequestInitial {
        app_id: APP_ID.to_owned(),
        namespace: "default".to_owned(),
        accept_job_types: vec![JobTargetType::Job.into()],
        ..WatchJobsRequestInitial::default()
    };
    requests.send(request(Message::Initial(initial))).await?;
    let watched = client.watch_jobs(ReceiverStream::new(queue)).await?;
    let mut triggers = watched.into_inner();
    let trigger = timeout(DEADLINE, triggers.message()).await;
    let trigger = trigger.context("no job fires")??;
    let result = WatchJobsRequestResult {
        id: trigger.context("the stream of jobs ended")?.id,
        status: WatchJobsRequestResultStatus::Success.into(),
    };
    requests.send(request(Message::Result(result))).await?;
    Ok(())
}

fn request(message: Message) -> WatchJobsRequest {
    WatchJobsRequest {
        watch_job_request_type: Some(message),
    }
}
