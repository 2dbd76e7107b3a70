//! Reminders while sidecars, apps, placement and scheduler are killed: all of them fire,
//! and again only where a crash explains it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::{ActorHost, Call, Plane, Turns, quick};
use proto::dapr::common::v1 as common;
use proto::dapr::runtime::v1 as rt;
use rt::dapr_client::DaprClient;
use serde_json::json;
use testkit::{DEADLINE, Response, eventually};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

const HOSTS: [&str; 3] = ["a", "b", "c"];
const ACTORS: usize = 500;
/// Registrations under way at once.
const WRITERS: usize = 32;

struct Plan {
    reminders: usize,
    kills: usize,
    /// The time over which the reminders are spread.
    spread: Duration,
}

/// When each reminder fired.
type Fires = Arc<Mutex<HashMap<String, Vec<Instant>>>>;

/// From before a kill until all is ready again.
struct Outage(Instant, Instant);

/// Plain random numbers that can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reminder_is_lost_when_everything_is_killed_at_random() {
    let plan = Plan {
        reminders: 5_000,
        kills: 20,
        spread: Duration::from_secs(15),
    };
    Box::pin(survive(plan, seed())).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn no_reminder_is_lost_through_a_hundred_kills() {
    let plan = Plan {
        reminders: 50_000,
        kills: 100,
        spread: Duration::from_secs(100),
    };
    Box::pin(survive(plan, seed())).await;
}

/// Another one in each run, unless `REMINDER_SEED` names one.
fn seed() -> u64 {
    let given = std::env::var("REMINDER_SEED").ok();
    let given = given.and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| u64::from(std::process::id()) << 1 | 1)
}

async fn survive(plan: Plan, seed: u64) {
    let (mut plane, turns, fires) = (Plane::start().await, Turns::default(), Fires::default());
    let hosts = HOSTS.map(|name| {
        let fires = fires.clone();
        let config = json!({"entities": ["Counter"]});
        let sidecar = plane.sidecar("host");
        let method = move |call| fired(call, fires.clone());
        ActorHost::start_with(sidecar, &turns, name, config, method)
    });
    let [a, b, c] = hosts;
    let mut hosts: [ActorHost; 3] = tokio::join!(a, b, c).into();
    let clients = [&hosts[0], &hosts[1], &hosts[2]].map(|host| client(host.sidecar.grpc));
    let (acknowledged, outages) = tokio::join!(
        register(&plan, &clients),
        crash(&plan, &mut plane, &mut hosts, &fires, Random(seed))
    );
    // The last of them may not be due yet.
    eventually(plan.spread + DEADLINE * 2, async || {
        let fires = fires.lock().unwrap();
        // The cheap look first: this one is repeated.
        ensure!(
            fires.len() >= acknowledged.len(),
            "{} of {} fired",
            fires.len(),
            acknowledged.len()
        );
        let lost = acknowledged.iter().find(|name| !fires.contains_key(*name));
        ensure!(lost.is_none(), "seed {seed}: {lost:?} did not fire");
        Ok(())
    })
    .await;
    let fires = fires.lock().unwrap();
    let (mut again, mut unexplained) = (0, Vec::new());
    for (name, times) in fires.iter() {
        for pair in times.windows(2) {
            again += 1;
            let explained = outages.iter().any(|it| it.0 <= pair[1] && pair[0] <= it.1);
            if !explained {
                unexplained.push(name);
            }
        }
    }
    eprintln!(
        "seed {seed}: {} of {} reminders acknowledged, {} outages, {again} fired again",
        acknowledged.len(),
        plan.reminders,
        outages.len(),
    );
    assert!(
        unexplained.is_empty(),
        "fired again without a crash: {unexplained:?}"
    );
}

async fn fired(call: Call, fires: Fires) -> Response {
    let name = call.method.strip_prefix("remind/").map(str::to_owned);
    if let Some(name) = name {
        let mut fires = fires.lock().unwrap();
        fires.entry(name).or_default().push(Instant::now());
    }
    quick(call).await
}

fn client(port: u16) -> DaprClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"));
    DaprClient::new(endpoint.unwrap().connect_lazy())
}

/// The names of the reminders that were acknowledged.
async fn register(plan: &Plan, clients: &[DaprClient<Channel>; 3]) -> Vec<String> {
    let (start, spread, reminders) = (Instant::now(), plan.spread, plan.reminders);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let mut clients = clients.clone();
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for number in (writer..reminders).step_by(WRITERS) {
                let at = spread.mul_f64(number as f64 / reminders as f64);
                let due = (start + at).saturating_duration_since(Instant::now());
                let name = format!("r{number}");
                let reminder = rt::RegisterActorReminderRequest {
                    actor_type: "Counter".into(),
                    actor_id: (number % ACTORS).to_string(),
                    name: name.clone(),
                    due_time: format!("{}ms", due.as_millis()),
                    failure_policy: Some(for_ever()),
                    ..Default::default()
                };
                // A sidecar that was just killed says nothing, and so promises nothing.
                let client = &mut clients[number % 3];
                if client.register_actor_reminder(reminder).await.is_ok() {
                    acknowledged.push(name);
                }
            }
            acknowledged
        });
    }
    writers.join_all().await.concat()
}

/// However long an app is down, its reminders are tried again.
fn for_ever() -> common::JobFailurePolicy {
    use common::job_failure_policy::Policy;
    let interval = prost_types::Duration {
        seconds: 0,
        nanos: 200_000_000,
    };
    let constant = common::JobFailurePolicyConstant {
        interval: Some(interval),
        max_retries: None,
    };
    common::JobFailurePolicy {
        policy: Some(Policy::Constant(constant)),
    }
}

/// Kills one to three at a time, and goes on when reminders fire again.
async fn crash(
    plan: &Plan,
    plane: &mut Plane,
    hosts: &mut [ActorHost; 3],
    fires: &Fires,
    mut random: Random,
) -> Vec<Outage> {
    let (mut outages, mut kills) = (Vec::new(), 0);
    let mut killed = HashMap::<_, usize>::new();
    while kills < plan.kills {
        let (placement, scheduler) = (random.below(4) == 0, random.below(4) == 0);
        let apps = [0; 3].map(|_| random.below(5) == 0);
        let sidecars = [0; 3].map(|_| random.below(5) == 0);
        let before = fires.lock().unwrap().len();
        let start = Instant::now();
        for (host, (app, sidecar)) in hosts.iter_mut().zip(apps.into_iter().zip(sidecars)) {
            if app {
                host.kill_app();
                *killed.entry("app").or_default() += 1;
            }
            if sidecar {
                host.sidecar.kill().await.unwrap();
                *killed.entry("sidecar").or_default() += 1;
            }
        }
        if placement {
            plane.placement.kill().await;
            *killed.entry("placement").or_default() += 1;
        }
        if scheduler {
            plane.scheduler.kill().await;
            *killed.entry("scheduler").or_default() += 1;
        }
        kills = killed.values().sum();
        let Plane {
            placement: p,
            scheduler: s,
            ..
        } = plane;
        let [a, b, c] = hosts;
        tokio::join!(
            async {
                if placement {
                    p.start_again().await
                }
            },
            async {
                if scheduler {
                    s.start_again().await
                }
            },
            start_again(a, apps[0], sidecars[0]),
            start_again(b, apps[1], sidecars[1]),
            start_again(c, apps[2], sidecars[2]),
        );
        outages.push(Outage(start, Instant::now()));
        eventually(DEADLINE, async || {
            let now = fires.lock().unwrap().len();
            ensure!(
                now > before || now >= plan.reminders,
                "no reminder fires any more"
            );
            Ok(())
        })
        .await;
    }
    eprintln!("killed: {killed:?}");
    outages
}

async fn start_again(host: &mut ActorHost, app: bool, sidecar: bool) {
    if app {
        host.start_app_again().await;
    }
    if sidecar {
        host.sidecar.start_again().await;
    }
}
