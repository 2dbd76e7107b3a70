//! Jobs: scheduled, read, deleted, and taken by an app over gRPC.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dapr::appcallback::{AppCallbackService, JobEventRequest, JobEventResponse, JobHandlerMethod};
use dapr::client::{JobBuilder, JobFailurePolicyBuilder, JobFailurePolicyType};
use dapr::dapr::proto::common::v1::job_failure_policy::Policy;
use dapr::dapr::proto::runtime::v1::app_callback_server::AppCallbackServer;
use prost_types::Any;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{Client, Error, text};

struct Report {
    runs: mpsc::Sender<Vec<u8>>,
    failed_once: AtomicBool,
}

#[async_trait]
impl JobHandlerMethod for Report {
    async fn handler(&self, event: JobEventRequest) -> Result<JobEventResponse, tonic::Status> {
        let data = event.data.unwrap_or_default().value;
        let sent = self.runs.send(data).await;
        sent.map_err(|_| tonic::Status::unavailable("the app is ending"))?;
        match self.failed_once.swap(true, Ordering::SeqCst) {
            false => Err(tonic::Status::internal("the first run fails")),
            true => Ok(JobEventResponse::default()),
        }
    }
}

fn bytes(text: &str) -> Any {
    Any {
        type_url: "type.googleapis.com/bytes".to_owned(),
        value: text.into(),
    }
}

pub async fn jobs(client: &mut Client) -> Result<Value, Error> {
    let (runs, mut seen) = mpsc::channel(8);
    let mut callbacks = AppCallbackService::new();
    let failed_once = AtomicBool::new(false);
    let report = Report { runs, failed_once };
    callbacks.add_job_handler("report".to_owned(), Box::new(report));
    let address = format!("127.0.0.1:{}", std::env::var("APP_PORT")?).parse()?;
    let server = tonic::transport::Server::builder()
        .add_service(AppCallbackServer::new(callbacks))
        .serve(address);
    tokio::spawn(server);

    let report = JobBuilder::new("report").with_schedule("@every 1s");
    let report = report.with_repeats(2).with_data(bytes("to ops")).build();
    client.schedule_job(report, None).await?;
    let policy = JobFailurePolicyBuilder::new(JobFailurePolicyType::Constant {})
        .with_max_retries(5)
        .with_retry_interval(Duration::from_secs(2));
    let later = JobBuilder::new("later").with_due_time("1h");
    let later = later.with_data(bytes("never"));
    let later = later.with_failure_policy(policy.build()).build();
    client.schedule_job(later, None).await?;
    let again = JobBuilder::new("later").with_due_time("2h").build();
    let again = match client.schedule_job(again, None).await {
        Ok(_) => "accepted".to_owned(),
        Err(error) if format!("{error:?}").contains("AlreadyExists") => "ALREADY_EXISTS".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    let found = client.get_job("later").await?.job.unwrap_or_default();
    client.delete_job("later").await?;
    let gone = client.get_job("later").await.is_err();
    let mut taken = Vec::new();
    for _ in 0..3 {
        let run = tokio::time::timeout(Duration::from_secs(20), seen.recv()).await?;
        taken.push(text(&run.unwrap_or_default()));
    }
    let retries = match found.failure_policy.and_then(|policy| policy.policy) {
        Some(Policy::Constant(constant)) => constant.max_retries,
        _ => None,
    };
    Ok(json!({
        "runs": taken, "again": again, "gone": gone,
        "found": {
            "name": found.name, "dueTime": found.due_time, "retries": retries,
            "data": text(&found.data.unwrap_or_default().value),
        },
    }))
}
