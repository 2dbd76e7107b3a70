//! Registers jobs at the scheduler itself, many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proto::dapr::scheduler::v1::ScheduleJobRequest;
use proto::dapr::scheduler::v1::scheduler_client::SchedulerClient;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

const CONNECTIONS: u32 = 4;
/// Under way at once, on each connection.
const CALLS: u32 = 128;

pub(super) async fn connect(address: &str) -> anyhow::Result<SchedulerClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(SchedulerClient::new(endpoint.connect().await?))
}

/// Registers as many of the jobs 0 to `count` as it can until then, and answers
/// how many.
pub(super) async fn register(
    address: &str,
    count: u32,
    until: Instant,
    job: impl Fn(u32) -> ScheduleJobRequest + Send + Sync + 'static,
) -> anyhow::Result<u32> {
    let next = Arc::new(AtomicU32::new(0));
    let job = Arc::new(job);
    let mut callers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let client = connect(address).await?;
        for _ in 0..CALLS {
            let (mut client, next, job) = (client.clone(), next.clone(), job.clone());
            callers.spawn(async move {
                let mut done = 0;
                while Instant::now() < until {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    client.schedule_job(job(number)).await?;
                    done += 1;
                }
                anyhow::Ok(done)
            });
        }
    }
    let mut done = 0;
    while let Some(caller) = callers.join_next().await {
        done += caller??;
    }
    Ok(done)
}
