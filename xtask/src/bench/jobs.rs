//! Jobs and reminders: how fast they are registered, and how late they fire.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use proto::dapr::scheduler::v1::job_target_metadata::Type;
use proto::dapr::scheduler::v1::{
    Job, JobMetadata, JobTargetMetadata, ScheduleJobRequest, TargetActorReminder, TargetJob,
};
use testkit::free_port;

use super::call::Call;
use super::lateness;
use super::load::{self, Load};
use super::plane::Plane;
use super::report::Table;
use super::servers::{self, ACTOR_TYPE};
use super::sidecar::{Setup, Stores};
use super::{mib, process};

const CALLERS: u32 = 32;
/// Whose they are.
const ACTORS: u32 = 1000;

/// What is due at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Job,
    Reminder,
}

pub(super) async fn measure(table: &mut Table, span: Duration, kind: Kind) -> anyhow::Result<()> {
    registrations(table, span, kind).await?;
    for (count, budget) in [(5000, kind.lateness()), (20_000, "")] {
        lateness::measure(table, kind, count, budget).await?;
    }
    Ok(())
}

/// Registers as fast as the answers come.
async fn registrations(table: &mut Table, span: Duration, kind: Kind) -> anyhow::Result<()> {
    let plane = Plane::start().await?;
    let app_port = free_port();
    let _app = servers::actors(app_port)?;
    let app_id = kind.app_id();
    let sidecar = Setup {
        app_id: &app_id,
        stores: Stores::Actors,
        redis: None,
        app: Some((app_port, "http")),
        sentry: None,
        plane: Some(&plane),
    };
    let sidecar = sidecar.start()?;
    sidecar.ready().await?;
    let call = kind.registration(sidecar.http_port);
    call.works().await;
    let pids = [sidecar.id(), plane.scheduler.id()];
    let before = process::cpu(&pids)?;
    let before_scheduler = process::cpu(&pids[1..])?;
    let figures = load::measure_from(CALLERS, &call, Load::Maximum, span, &pids).await?;
    let name = format!("{} registered", kind.name());
    table.block(&name, CALLERS, figures, kind.registered());
    let whole = process::cpu(&pids)?.saturating_sub(before);
    let scheduler = process::cpu(&pids[1..])?.saturating_sub(before_scheduler);
    let share = 100.0 * scheduler.as_secs_f64() / whole.as_secs_f64();
    let name = format!("of the CPU of a {} the scheduler's", kind.name());
    table.row(&name, format!("{share:.0} %"), "");
    for (whose, pid) in [("sidecar", pids[0]), ("scheduler", pids[1])] {
        let (rss, _) = process::memory(pid)?;
        let name = format!("memory of the {whose} after registering {}s", kind.name());
        table.row(&name, mib(rss), "");
    }
    Ok(())
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Reminder => "reminder",
        }
    }

    /// Of the sidecar that registers and takes them.
    pub(super) fn app_id(self) -> String {
        format!("bench-{}s-{}", self.name(), std::process::id())
    }

    fn registered(self) -> &'static str {
        match self {
            Self::Job => "12,000/s, p99 8000 µs, 100 µs CPU",
            Self::Reminder => "10,000/s, p99 8000 µs",
        }
    }

    fn lateness(self) -> &'static str {
        match self {
            Self::Job => "p99 150 ms",
            Self::Reminder => "p99 200 ms",
        }
    }

    /// Each under another name, due in a day.
    fn registration(self, port: u16) -> Call {
        let count = Cell::new(0);
        let next = move || {
            let number = count.get();
            count.set(number + 1);
            let path = match self {
                Self::Job => format!("/v1.0/jobs/{number}"),
                Self::Reminder => {
                    let id = number % ACTORS;
                    format!("/v1.0/actors/{ACTOR_TYPE}/{id}/reminders/{number}")
                }
            };
            Call::http_post(port, path, r#"{"dueTime":"24h","data":"x"}"#.to_owned())
        };
        Call::Series(port, Rc::new(next))
    }

    /// The same as the sidecar of this app asks the scheduler for it.
    pub(super) fn request(self, app_id: &str, name: u32, due_time: String) -> ScheduleJobRequest {
        let target = match self {
            Self::Job => Type::Job(TargetJob {}),
            Self::Reminder => Type::Actor(TargetActorReminder {
                id: (name % ACTORS).to_string(),
                r#type: ACTOR_TYPE.to_owned(),
            }),
        };
        let job = Job {
            due_time: Some(due_time),
            ..Job::default()
        };
        let metadata = JobMetadata {
            app_id: app_id.to_owned(),
            namespace: "default".to_owned(),
            target: Some(JobTargetMetadata {
                r#type: Some(target),
            }),
            concurrency_key: None,
        };
        ScheduleJobRequest {
            name: name.to_string(),
            job: Some(job),
            metadata: Some(metadata),
            overwrite: false,
        }
    }
}
