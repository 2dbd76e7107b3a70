use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::settings::Registration;

/// Hands every tick over and waits for the gate.
struct Handed {
    ticks: mpsc::UnboundedSender<Arc<str>>,
    gate: Semaphore,
}

#[async_trait]
impl Ticks for Handed {
    async fn tick(&self, fire: &Fire) -> Result<Fired, Error> {
        let _ = self
            .ticks
            .send(format!("{} {}", fire.actor.id, fire.name).into());
        self.gate.acquire().await.unwrap().forget();
        match fire.name.starts_with("bad") {
            true => Err(Error::HostNotConnected),
            false => Ok(Fired::Done),
        }
    }
}

#[derive(Default)]
struct Gauge(Mutex<BTreeMap<String, usize>>);

impl Observer for Gauge {
    fn pending(&self, _: &str, _: i64) {}
    fn halted(&self, _: &str) {}
    fn deactivated(&self, _: &str, _: bool) {}
    fn reminder_fired(&self, _: &str, _: bool) {}
    fn timer_fired(&self, _: &str, _: bool) {}
    fn timers(&self, kind: &str, count: usize) {
        self.0.lock().insert(kind.to_owned(), count);
    }
}

struct Nobody;

#[async_trait]
impl crate::call::App for Nobody {
    async fn invoke(&self, _: &crate::call::Invoke) -> Result<crate::call::Reply, Error> {
        Err(Error::HostNotConnected)
    }
    async fn reminder(&self, _: &Fire) -> Result<Fired, Error> {
        Err(Error::HostNotConnected)
    }
    async fn timer(&self, _: &Fire) -> Result<Fired, Error> {
        Err(Error::HostNotConnected)
    }
    async fn deactivate(&self, _: &Actor) -> Result<(), Error> {
        Ok(())
    }
}

struct Stage {
    timers: Timers,
    clock: Clock,
    handed: Arc<Handed>,
    ticks: mpsc::UnboundedReceiver<Arc<str>>,
    gauge: Arc<Gauge>,
    tasks: Tasks,
}

fn stage(open: usize) -> Stage {
    let (tasks, clock, gauge) = (Tasks::new(), Clock::default(), Arc::<Gauge>::default());
    let host = Host::start(Arc::new(()), &tasks);
    let registration = Registration {
        types: [("cat".into(), Default::default())].into(),
        drain: None,
    };
    let app: Arc<dyn crate::call::App> = Arc::new(Nobody);
    host.register(&registration, &app);
    let (sender, ticks) = mpsc::unbounded_channel();
    let handed = Arc::new(Handed {
        ticks: sender,
        gate: Semaphore::new(open),
    });
    let timers = Timers::start(&host, handed.clone(), gauge.clone(), clock.clone(), &tasks);
    Stage {
        timers,
        clock,
        handed,
        ticks,
        gauge,
        tasks,
    }
}

fn timer(id: &str, name: &str, due_time: &str, period: &str) -> NewTimer {
    NewTimer {
        actor: Actor::new("cat", id),
        name: name.to_owned(),
        due_time: due_time.to_owned(),
        period: period.to_owned(),
        ttl: String::new(),
        callback: "back".to_owned(),
        data: None,
    }
}

impl Stage {
    fn create(&self, id: &str, name: &str, due_time: &str, period: &str) {
        self.timers
            .create(timer(id, name, due_time, period))
            .unwrap();
    }

    async fn tick(&mut self) -> Arc<str> {
        let tick = tokio::time::timeout(Duration::from_secs(30), self.ticks.recv());
        tick.await.expect("a tick in time").unwrap()
    }

    async fn count(&self, expected: usize) {
        let count = || self.gauge.0.lock().get("cat").copied();
        let reached = async {
            while count() != Some(expected) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(30), reached).await;
        assert!(reached.is_ok(), "{:?} instead of {expected}", count());
    }
}

#[tokio::test]
async fn a_timer_ticks_again_and_again_though_it_fails_and_ends_with_its_repetitions() {
    let mut stage = stage(10);
    stage.create("1", "bad", "10s", "R3/PT10S");
    stage.count(1).await;
    for _ in 0..3 {
        assert!(stage.ticks.try_recv().is_err());
        stage.clock.advance(Duration::from_secs(10));
        assert_eq!(&*stage.tick().await, "1 bad");
    }
    stage.count(0).await;
}

#[tokio::test]
async fn a_slow_tick_holds_up_its_own_actor_only() {
    let mut stage = stage(0);
    stage.create("1", "a", "", "");
    assert_eq!(&*stage.tick().await, "1 a");
    stage.create("1", "b", "", "");
    stage.create("1", "c", "", "");
    stage.create("2", "d", "", "");
    assert_eq!(&*stage.tick().await, "2 d");
    stage.timers.delete(&Actor::new("cat", "1"), "b");
    stage.handed.gate.add_permits(2);
    assert_eq!(&*stage.tick().await, "1 c");
    stage.handed.gate.add_permits(1);
    stage.count(0).await;
    assert!(stage.ticks.try_recv().is_err());
}

#[tokio::test]
async fn a_timer_that_is_due_earlier_than_the_others_is_not_late() {
    let mut stage = stage(10);
    stage.create("1", "late", "1h", "");
    stage.create("1", "soon", "1m", "");
    stage.clock.advance(Duration::from_secs(60));
    assert_eq!(&*stage.tick().await, "1 soon");
    stage.clock.advance(Duration::from_secs(3600));
    assert_eq!(&*stage.tick().await, "1 late");
}

#[tokio::test]
async fn timers_of_foreign_types_and_without_sense_are_refused() {
    let stage = stage(0);
    let mut foreign = timer("1", "a", "", "");
    foreign.actor = Actor::new("dog", "1");
    let refused = stage.timers.create(foreign).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "can't create timer for actor dog||1: actor type not registered"
    );
    let refused = stage
        .timers
        .create(timer("1", "a", "soon", ""))
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "error parsing timer due time: unsupported time/duration format: soon"
    );
}

#[tokio::test]
async fn ticks_end_with_the_sidecar() {
    let mut stage = stage(0);
    stage.create("1", "a", "", "1s");
    stage.tick().await;
    let left = stage.tasks.shutdown(Duration::from_secs(30)).await;
    assert!(left.is_empty(), "{left:?}");
}
