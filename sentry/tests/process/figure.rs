//! How many certificates a second of a processor buys.

use std::time::Duration;

use crate::client::{Client, request};
use crate::sentry::Sentry;

const CONNECTIONS: u32 = 8;
const CALLS: u32 = 4000;

/// The processor time that a process has used; the clock ticks 100 times a second.
fn used(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<_> = after_name.split_whitespace().collect();
    let ticks: u64 = [11, 12]
        .map(|at: usize| fields[at].parse::<u64>().unwrap())
        .iter()
        .sum();
    Duration::from_millis(ticks * 10)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure: cargo test --release -p sentry --test process figure -- --ignored --nocapture"]
async fn certificates_per_processor_second() {
    let folder = tempfile::tempdir().unwrap();
    let sentry = Sentry::start(folder.path(), &[]).await;
    let anchors = sentry.files()[0].clone();
    let before = used(sentry.process.id());
    let tasks = service::Tasks::new();
    let mut running = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = Client::new(sentry.port, &anchors);
        running.push(tasks.spawn("load", async move {
            let (mut channel, request) = (client.channel(), request("cart"));
            for _ in 0..CALLS {
                channel.sign_certificate(request.clone()).await.unwrap();
            }
        }));
    }
    for task in running {
        task.await.unwrap();
    }
    let spent = used(sentry.process.id()) - before;
    let rate = f64::from(CONNECTIONS * CALLS) / spent.as_secs_f64();
    println!("{rate:.0} certificates per processor second, {spent:?} in all");
}
