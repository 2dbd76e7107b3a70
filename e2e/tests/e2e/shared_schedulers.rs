//! Two schedulers that share a real etcd, one of which crashes; and restarts of the control
//! plane: jobs and reminders that are due meanwhile all arrive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::{ActorHost, Call, Member, Sidecar, SidecarBuilder, Turns, metric_at, quick};
use serde_json::{Value, json};
use testkit::etcd::{self, Etcd};
use testkit::{App, DEADLINE, Http, Response, eventually};
use tokio::task::JoinSet;

/// Jobs that run once, and as many reminders.
const ONCE: usize = 300;
/// The time over which they are due.
const SPREAD: Duration = Duration::from_secs(12);
/// Jobs that run again and again, and as many reminders.
const AGAIN: usize = 20;
/// How often these run, once a second.
const TICKS: usize = 12;
const WRITERS: usize = 16;
/// Until etcd gives the place of a scheduler that crashed to another.
const LEASE: Duration = Duration::from_secs(20);

/// When each job and each reminder fired.
#[derive(Clone, Default)]
struct Fires(Arc<Mutex<HashMap<String, Vec<Instant>>>>);

impl Fires {
    fn add(&self, name: &str) {
        let mut fires = self.0.lock().unwrap();
        fires
            .entry(name.to_owned())
            .or_default()
            .push(Instant::now());
    }

    fn of(&self, name: &str) -> Vec<Instant> {
        let fires = self.0.lock().unwrap();
        fires.get(name).cloned().unwrap_or_default()
    }

    fn total(&self) -> usize {
        self.0.lock().unwrap().values().map(Vec::len).sum()
    }

    /// Waits until there were so many runs.
    async fn reach(&self, least: usize) {
        eventually(DEADLINE + LEASE, async || {
            let total = self.total();
            ensure!(total >= least, "{total} of {least} fired");
            Ok(())
        })
        .await;
    }
}

/// What was registered, and how often each shall fire.
type Expected = Vec<(String, usize)>;

/// What fired more often than it should.
#[derive(Debug, PartialEq)]
struct Again {
    name: String,
    /// How often it should.
    times: usize,
    runs: Vec<Instant>,
}

impl Again {
    /// Whether triggers explain it that were open when its scheduler changed, which it did at
    /// most so often in this time.
    fn is_explained(&self, begin: Instant, end: Instant, changes: usize) -> bool {
        let (first, last) = (self.runs.first(), self.runs.last());
        self.runs.len() <= self.times + changes
            && first.is_some_and(|run| *run < end)
            && last.is_some_and(|run| begin < *run)
    }
}

/// A control plane over a real etcd, two hosts of actors and an app that has jobs.
struct Fleet {
    placement: Member,
    schedulers: [Member; 2],
    hosts: [ActorHost; 2],
    jobs: Sidecar,
    fires: Fires,
    _app: App,
    _etcd: Etcd,
}

impl Fleet {
    /// Ready; nothing when there is no etcd.
    async fn start() -> Option<Self> {
        if !etcd::is_installed() {
            testkit::skip("etcd is not installed");
            return None;
        }
        let etcd = Etcd::start(&[]).unwrap();
        let raft = testkit::free_port();
        let cluster = format!("--initial-cluster=p0=127.0.0.1:{raft}");
        let placement = Member::start("placement", &["--id=p0".to_owned(), cluster]).await;
        let scheduler = async |id: &str| {
            let args = [
                format!("--id={id}"),
                "--etcd-embed=false".to_owned(),
                format!("--etcd-client-endpoints=http://{}", etcd.address()),
            ];
            Member::start("scheduler", &args).await
        };
        let schedulers: [Member; 2] = tokio::join!(scheduler("s0"), scheduler("s1")).into();
        let [a, b] = schedulers.each_ref().map(|member| member.port);
        let connect = |sidecar: SidecarBuilder| {
            sidecar
                .args(["--placement-host-address".to_owned()])
                .args([format!("127.0.0.1:{}", placement.port)])
                .args(["--scheduler-host-address".to_owned()])
                .args([format!("127.0.0.1:{a},127.0.0.1:{b}")])
        };
        let (turns, fires) = (Turns::default(), Fires::default());
        let host = |name| {
            let fires = fires.clone();
            let method = move |call: Call| {
                fires.add(&call.method);
                quick(call)
            };
            let config = json!({"entities": ["Counter"]});
            ActorHost::start_with(
                connect(Sidecar::builder("host")),
                &turns,
                name,
                config,
                method,
            )
        };
        let hosts = tokio::join!(host("a"), host("b")).into();
        let counted = fires.clone();
        let app = App::start(move |request| {
            counted.add(request.path.trim_start_matches('/'));
            Response::status(200)
        });
        let app = app.await.unwrap();
        let jobs = connect(Sidecar::builder("jobs")).app_port(app.port());
        Some(Self {
            placement,
            schedulers,
            hosts,
            jobs: jobs.start().ready().await,
            fires,
            _app: app,
            _etcd: etcd,
        })
    }

    /// Registers jobs and reminders whose names begin so, due over the time of the test.
    async fn register(&self, begin: &str) -> Expected {
        let start = Instant::now();
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (jobs, host) = (self.jobs.http(), self.hosts[writer % 2].sidecar.http());
            let begin = begin.to_owned();
            writers.spawn(async move {
                let mut expected = Expected::new();
                for number in (writer..ONCE + AGAIN).step_by(WRITERS) {
                    let name = format!("{begin}{number}");
                    let (mut due, mut times) = (json!({}), TICKS);
                    if let Some(number) = number.checked_sub(AGAIN) {
                        let at = SPREAD.mul_f64(number as f64 / ONCE as f64);
                        let left = at.saturating_sub(start.elapsed()).as_millis();
                        (due, times) = (json!({"dueTime": format!("{left}ms")}), 1);
                    }
                    let path = format!("jobs/{name}");
                    if schedule(&jobs, &path, &due).await {
                        expected.push((format!("job/{name}"), times));
                    }
                    let path = format!("actors/Counter/{number}/reminders/{name}");
                    if schedule(&host, &path, &due).await {
                        expected.push((format!("remind/{name}"), times));
                    }
                }
                expected
            });
        }
        let expected = writers.join_all().await.concat();
        assert!(expected.len() > ONCE, "few were acknowledged");
        expected
    }

    /// Waits until all have fired; then those that fired more often than they should.
    async fn all(&self, expected: &Expected) -> Vec<Again> {
        eventually(SPREAD + LEASE + DEADLINE, async || {
            let late = expected
                .iter()
                .filter(|(name, times)| self.fires.of(name).len() < *times);
            let late: Vec<_> = late.map(|(name, _)| name).collect();
            ensure!(
                late.is_empty(),
                "{} of {} are missing, {} is one",
                late.len(),
                expected.len(),
                late[0]
            );
            Ok(())
        })
        .await;
        expected
            .iter()
            .map(|(name, times)| Again {
                name: name.clone(),
                times: *times,
                runs: self.fires.of(name),
            })
            .filter(|again| again.runs.len() > again.times)
            .collect()
    }

    /// How many jobs this scheduler has fired since it was started.
    async fn fired_by(&self, scheduler: usize) -> anyhow::Result<f64> {
        let name = "dapr_scheduler_jobs_triggered_total";
        metric_at(self.schedulers[scheduler].metrics, name, &[]).await
    }

    async fn both_fire(&self) {
        eventually(DEADLINE + LEASE, async || {
            let (a, b) = (self.fired_by(0).await?, self.fired_by(1).await?);
            ensure!(a > 0.0 && b > 0.0, "s0 has fired {a} jobs, s1 {b}");
            Ok(())
        })
        .await;
    }
}

/// Registers a job or a reminder: what is due at no moment is due again and again. Whether that
/// was acknowledged; if not, it may be there or not.
async fn schedule(http: &Http, path: &str, due: &Value) -> bool {
    let body = match (due.get("dueTime"), path.starts_with("jobs/")) {
        (Some(_), _) => due.clone(),
        (None, true) => json!({"schedule": "@every 1s", "repeats": TICKS}),
        (None, false) => json!({"dueTime": "1s", "period": format!("R{TICKS}/PT1S")}),
    };
    let reply = http.post_json(&format!("/v1.0/{path}"), &body).await;
    reply.is_ok_and(|reply| reply.status == 204)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_around_the_crash_of_one_of_two_schedulers_arrives() {
    let Some(mut fleet) = Box::pin(Fleet::start()).await else {
        return;
    };
    let expected = fleet.register("x").await;
    fleet.fires.reach(ONCE / 3).await;
    fleet.both_fire().await;
    let crash = Instant::now();
    fleet.schedulers[1].kill().await;
    let again = fleet.all(&expected).await;
    let (runs, end) = (fleet.fires.total(), Instant::now());
    eprintln!(
        "{} jobs and reminders, {runs} runs, all {:?} after the crash; {} ran once more",
        expected.len(),
        end - crash,
        again.len(),
    );
    // Only what was open when the scheduler crashed, or when the other took its jobs over.
    let unexplained = again.iter().find(|it| !it.is_explained(crash, end, 1));
    assert_eq!(unexplained, None, "{crash:?}");
    // The other one takes part again, and has its share.
    fleet.schedulers[1].start_again().await;
    let expected = fleet.register("y").await;
    assert_eq!(fleet.all(&expected).await, []);
    fleet.both_fire().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_while_the_control_plane_is_restarted_arrives() {
    let Some(mut fleet) = Box::pin(Fleet::start()).await else {
        return;
    };
    let begin = Instant::now();
    let expected = fleet.register("x").await;
    for index in 0..3 {
        fleet.fires.reach(ONCE / 6 * (index + 1)).await;
        let member = match index {
            2 => &mut fleet.placement,
            index => &mut fleet.schedulers[index],
        };
        member.stop().await;
        member.start_again().await;
    }
    let end = Instant::now();
    let again = fleet.all(&expected).await;
    eprintln!(
        "{} jobs and reminders, {} ran again",
        expected.len(),
        again.len()
    );
    // What an app takes longer for than a scheduler waits; the jobs are shared anew when one
    // goes and when it is back.
    let unexplained = again.iter().find(|it| !it.is_explained(begin, end, 4));
    assert_eq!(unexplained, None, "{begin:?} to {end:?}");
}
