//! How late the app is called of whom many jobs are due in one second.

use std::time::Duration;

use anyhow::{Context, ensure};
use jiff::{SignedDuration, Timestamp};
use testkit::{App, DEADLINE, Recorded, Response};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout};

use super::jobs::Kind;
use super::plane::Plane;
use super::register::register;
use super::report::Table;
use super::servers::WISHES;
use super::sidecar::{Setup, Stores};

/// Jobs that are surely registered in a second, so that none is due before all are.
const REGISTERED: u32 = 1000;

pub(super) async fn measure(
    table: &mut Table,
    kind: Kind,
    count: u32,
    budget: &str,
) -> anyhow::Result<()> {
    let plane = Plane::start().await?;
    let (app, mut calls) = app().await?;
    let app_id = kind.app_id();
    let sidecar = Setup {
        app_id: &app_id,
        stores: Stores::Actors,
        redis: None,
        app: Some((app.port(), "http")),
        sentry: None,
        plane: Some(&plane),
    };
    let sidecar = sidecar.start()?;
    sidecar.ready().await?;
    let address = plane.scheduler.address();
    let soon = Instant::now() + DEADLINE;
    // What is due at once comes when the sidecar takes what is due.
    let owner = app_id.clone();
    let first = move |_| kind.request(&owner, count, "0s".to_owned());
    register(&address, 1, soon, first).await?;
    next(&mut calls).await?;

    let begin = Timestamp::now() + Duration::from_secs(u64::from(count / REGISTERED + 1));
    let due = move |number| begin + Duration::from_secs(1) * number / count;
    let job = move |number| kind.request(&app_id, number, due(number).to_string());
    register(&address, count, soon, job).await?;
    ensure!(
        Timestamp::now() < begin,
        "the first was due before the last was registered"
    );
    let mut late = vec![None; count as usize];
    let mut missing = count;
    while missing > 0 {
        let (number, at) = next(&mut calls).await?;
        // What comes twice was late the first time.
        let place = late.get_mut(number as usize).filter(|late| late.is_none());
        if let Some(place) = place {
            *place = Some(at.duration_since(due(number)));
            missing -= 1;
        }
    }
    let mut late: Vec<_> = late.into_iter().flatten().collect();
    late.sort();
    let name = format!("lateness, {count} {}s due in one second", kind.name());
    let [p50, p99, most] = [50, 99, 100].map(|share| millis(late[(late.len() - 1) * share / 100]));
    let text = format!("p50 {p50}, p99 {p99}, most {most}");
    table.row(&name, text, budget);
    Ok(())
}

/// Which was called when.
type Call = (u32, Timestamp);

/// An app that tells of each call of a job or a reminder.
async fn app() -> anyhow::Result<(App, UnboundedReceiver<Call>)> {
    let (sender, calls) = unbounded_channel();
    let app = App::start(move |request: &Recorded| {
        if request.path == "/dapr/config" {
            return Response::ok(WISHES).header("content-type", "application/json");
        }
        let last = request.path.rsplit('/').next();
        if let Some(number) = last.and_then(|name| name.parse().ok()) {
            // Nobody listens when the measurement has failed.
            let _ = sender.send((number, Timestamp::now()));
        }
        Response::ok("")
    });
    Ok((app.await?, calls))
}

async fn next(calls: &mut UnboundedReceiver<Call>) -> anyhow::Result<Call> {
    let call = timeout(DEADLINE, calls.recv()).await;
    let call = call.context("a job that is due does not come")?;
    call.context("the app has ended")
}

fn millis(span: SignedDuration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1e3)
}
