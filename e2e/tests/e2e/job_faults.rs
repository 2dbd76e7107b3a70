//! Jobs whose scheduler crashes while they are registered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::ensure;
use e2e::Plane;
use serde_json::json;
use testkit::{App, DEADLINE, Response, eventually};
use tokio::task::JoinSet;

const WRITERS: usize = 16;
const CRASHES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn every_job_that_was_acknowledged_fires_whenever_the_scheduler_crashes() {
    let mut plane = Plane::start().await;
    let runs = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
    let counted = runs.clone();
    let app = App::start(move |request| {
        let mut runs = counted.lock().unwrap();
        *runs.entry(request.path.clone()).or_default() += 1;
        Response::status(200)
    });
    let app = app.await.unwrap();
    let sidecar = plane.sidecar("jobs").app_port(app.port()).start();
    let sidecar = sidecar.ready().await;
    let (end, acknowledged) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (http, end, acknowledged) = (sidecar.http(), end.clone(), acknowledged.clone());
        writers.spawn(async move {
            let mut names = Vec::new();
            for number in 0.. {
                if end.load(Ordering::Relaxed) {
                    break;
                }
                let name = format!("j{writer}-{number}");
                let job = json!({"dueTime": format!("{}ms", number * 37 % 3000)});
                let reply = http.post_json(&format!("/v1.0/jobs/{name}"), &job).await;
                // One that was being written at the crash may be there or not.
                if reply.unwrap().status == 204 {
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    names.push(name);
                }
            }
            names
        });
    }
    for _ in 0..CRASHES {
        more(&acknowledged).await;
        plane.scheduler.kill().await;
        plane.scheduler.start_again().await;
    }
    more(&acknowledged).await;
    end.store(true, Ordering::Relaxed);
    let names = writers.join_all().await.concat();
    eventually(DEADLINE, async || {
        let runs = runs.lock().unwrap();
        ensure!(
            runs.len() >= names.len(),
            "{} of {} fired",
            runs.len(),
            names.len()
        );
        let lost = names
            .iter()
            .find(|name| !runs.contains_key(&format!("/job/{name}")));
        ensure!(lost.is_none(), "{lost:?} did not fire");
        Ok(())
    })
    .await;
    let (jobs, runs) = (names.len(), runs.lock().unwrap().values().sum::<usize>());
    eprintln!("{jobs} jobs acknowledged over {CRASHES} crashes, {runs} runs");
}

/// Waits until some more jobs are acknowledged.
async fn more(acknowledged: &AtomicUsize) {
    let before = acknowledged.load(Ordering::Relaxed);
    eventually(DEADLINE, async || {
        let now = acknowledged.load(Ordering::Relaxed);
        ensure!(now >= before + 200, "only {} more jobs", now - before);
        Ok(())
    })
    .await;
}
