use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;

const IDLE: Duration = Duration::from_secs(60);

/// An app whose methods say what they do: `hold` waits for the gate, `cancel` answers
/// the signal to cancel, others answer at once.
#[derive(Default)]
struct Fake {
    log: Mutex<Vec<String>>,
    gate: Option<Semaphore>,
    running: AtomicUsize,
    most: AtomicUsize,
    refuses: bool,
}

struct Count<'a>(&'a AtomicUsize);

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fake {
    fn gated() -> Self {
        Self {
            gate: Some(Semaphore::new(0)),
            ..Self::default()
        }
    }

    fn open(&self, calls: usize) {
        self.gate.as_ref().unwrap().add_permits(calls);
    }

    fn note(&self, line: String) {
        self.log.lock().push(line);
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    async fn pass(&self) {
        let running = 1 + self.running.fetch_add(1, Ordering::SeqCst);
        let _count = Count(&self.running);
        self.most.fetch_max(running, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
    }
}

#[async_trait]
impl App for Fake {
    async fn invoke(&self, call: &Invoke) -> Result<Reply, Error> {
        self.note(format!("begin {}", call.method));
        if call.method.starts_with("hold") {
            self.pass().await;
        }
        self.note(format!("end {}", call.method));
        let mut headers = http::HeaderMap::new();
        if let Some(chain) = call.headers.get(REENTRANCY_HEADER) {
            headers.insert(REENTRANCY_HEADER, chain.clone());
        }
        if call.method == "cancel" {
            headers.insert("X-Daprremindercancel", HeaderValue::from_static("true"));
        }
        Ok(Reply {
            headers,
            body: call.body.clone(),
            ..Reply::default()
        })
    }

    async fn reminder(&self, fire: &Fire) -> Result<Fired, Error> {
        self.note(format!("reminder {}", fire.name));
        Ok(Fired::Done)
    }

    async fn timer(&self, fire: &Fire) -> Result<Fired, Error> {
        self.note(format!("timer {}", fire.name));
        Ok(Fired::Canceled)
    }

    async fn deactivate(&self, actor: &Actor) -> Result<(), Error> {
        self.pass().await;
        self.note(format!("gone {actor}"));
        match self.refuses {
            true => Err(Error::HostNotConnected),
            false => Ok(()),
        }
    }
}

#[derive(Default)]
struct Counts(Mutex<BTreeMap<String, i64>>);

impl Counts {
    fn add(&self, name: impl Into<String>, change: i64) {
        *self.0.lock().entry(name.into()).or_default() += change;
    }

    fn of(&self, name: &str) -> i64 {
        self.0.lock().get(name).copied().unwrap_or_default()
    }
}

impl Observer for Counts {
    fn pending(&self, kind: &str, change: i64) {
        self.add(format!("pending {kind}"), change);
    }
    fn halted(&self, kind: &str) {
        self.add(format!("halted {kind}"), 1);
    }
    fn deactivated(&self, kind: &str, success: bool) {
        self.add(format!("deactivated {kind} {success}"), 1);
    }
    fn reminder_fired(&self, kind: &str, success: bool) {
        self.add(format!("reminder {kind} {success}"), 1);
    }
    fn timer_fired(&self, kind: &str, success: bool) {
        self.add(format!("timer {kind} {success}"), 1);
    }
    fn timers(&self, _: &str, _: usize) {}
}

struct Stage {
    host: Host,
    app: Arc<Fake>,
    counts: Arc<Counts>,
    tasks: Tasks,
}

/// A host of the type `cat`.
fn stage(app: Fake, reentrancy: Option<u32>) -> Stage {
    let (tasks, app, counts) = (Tasks::new(), Arc::new(app), Arc::<Counts>::default());
    let host = Host::start(counts.clone(), &tasks);
    let settings = TypeSettings {
        idle_timeout: IDLE,
        reentrancy,
        ..TypeSettings::default()
    };
    let served: Arc<dyn App> = app.clone();
    let registration = Registration {
        types: [("cat".into(), settings)].into(),
        drain: None,
    };
    host.register(&registration, &served);
    Stage {
        host,
        app,
        counts,
        tasks,
    }
}

impl Stage {
    /// A call under way in a task of its own.
    fn call(&self, id: &str, method: &str) -> JoinHandle<Result<Reply, Error>> {
        self.call_in(id, method, None)
    }

    fn call_in(
        &self,
        id: &str,
        method: &str,
        chain: Option<&'static str>,
    ) -> JoinHandle<Result<Reply, Error>> {
        let mut call = Invoke::new(Actor::new("cat", id), method);
        if let Some(chain) = chain {
            let chain = HeaderValue::from_static(chain);
            call.headers.insert(REENTRANCY_HEADER, chain);
        }
        let host = self.host.clone();
        let call = async move { host.call(&call).await };
        self.tasks.spawn("call", call)
    }

    fn let_go(&self, id: &'static str) -> JoinHandle<()> {
        let host = self.host.clone();
        let halt = async move { host.let_go(|actor| &*actor.id == id).await };
        self.tasks.spawn("halt", halt)
    }

    /// Lets everybody do what can be done without time passing.
    async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    fn fire(&self, is_timer: bool, skip_lock: bool) -> JoinHandle<Result<Fired, Error>> {
        let fire = Fire {
            actor: Actor::new("cat", "1"),
            name: "wake".into(),
            data: None,
            due_time: String::new(),
            period: String::new(),
            callback: String::new(),
            is_timer,
            skip_lock,
        };
        let host = self.host.clone();
        let fire = async move { host.fire(&fire).await };
        self.tasks.spawn("fire", fire)
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_takes_one_call_after_the_other_and_others_go_on() {
    let stage = stage(Fake::gated(), None);
    let calls = ["hold a", "hold b", "hold c"].map(|method| stage.call("1", method));
    stage.settle().await;
    stage.call("2", "other").await.unwrap().unwrap();
    assert_eq!(stage.counts.of("pending cat"), 2);
    stage.app.open(3);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(
        stage.app.log(),
        [
            "begin hold a",
            "begin other",
            "end other",
            "end hold a",
            "begin hold b",
            "end hold b",
            "begin hold c",
            "end hold c",
        ]
    );
    assert_eq!(stage.counts.of("pending cat"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_gives_the_turn_to_the_next() {
    let stage = stage(Fake::gated(), None);
    let calls = ["hold a", "b", "c"].map(|method| stage.call("1", method));
    stage.settle().await;
    let [running, waiting, last] = calls;
    waiting.abort();
    stage.settle().await;
    assert_eq!(stage.app.log(), ["begin hold a"]);
    running.abort();
    last.await.unwrap().unwrap();
    assert_eq!(stage.app.log(), ["begin hold a", "begin c", "end c"]);
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_calls_reenters_up_to_its_depth() {
    let stage = stage(Fake::gated(), Some(2));
    let first = stage.call_in("1", "hold", Some("one"));
    stage.settle().await;
    let other = stage.call_in("1", "other", Some("two"));
    let nested = stage.call_in("1", "hold nested", Some("one"));
    stage.settle().await;
    let deep = stage.call_in("1", "deep", Some("one")).await.unwrap();
    assert!(matches!(deep, Err(Error::StackDepth)), "{deep:?}");
    assert_eq!(stage.app.log(), ["begin hold", "begin hold nested"]);
    stage.app.open(2);
    for call in [first, nested, other] {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_chain_gets_a_name_only_where_calls_may_reenter() {
    for (reentrancy, named) in [(None, false), (Some(32), true)] {
        let stage = stage(Fake::default(), reentrancy);
        let reply = stage.call("1", "get").await.unwrap().unwrap();
        let chain = reply.headers.get(REENTRANCY_HEADER);
        assert_eq!(chain.is_some_and(|v| v.len() == 36), named);
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_without_turns_is_let_go_after_its_idle_timeout() {
    let stage = stage(Fake::default(), None);
    let actor = Actor::new("cat", "1");
    stage.call("1", "get").await.unwrap().unwrap();
    tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
    stage.call("1", "get").await.unwrap().unwrap();
    tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
    assert!(stage.host.active(&actor));
    assert_eq!(stage.host.active_counts(), [("cat".into(), 1)].into());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!stage.host.active(&actor));
    assert_eq!(stage.host.active_counts(), [("cat".into(), 0)].into());
    assert_eq!(stage.app.log().last().unwrap(), "gone cat||1");
    assert_eq!(stage.counts.of("deactivated cat true"), 1);
    assert_eq!(stage.counts.of("halted cat"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_turn_longer_than_the_idle_timeout_is_not_cut() {
    let stage = stage(Fake::gated(), None);
    let call = stage.call("1", "hold");
    tokio::time::sleep(IDLE * 5 / 2).await;
    assert!(!call.is_finished());
    stage.app.open(2);
    call.await.unwrap().unwrap();
    assert!(stage.host.active(&Actor::new("cat", "1")));
    tokio::time::sleep(IDLE).await;
    assert_eq!(stage.app.log(), ["begin hold", "end hold", "gone cat||1"]);
}

#[tokio::test(start_paused = true)]
async fn letting_go_ends_the_running_fails_the_waiting_and_tells_the_app() {
    let stage = stage(Fake::gated(), None);
    let running = stage.call("1", "hold");
    let waiting = stage.call("1", "get");
    stage.call("2", "get").await.unwrap().unwrap();
    let halt = stage.let_go("1");
    stage.settle().await;
    stage.app.open(1);
    halt.await.unwrap();
    let running = running.await.unwrap();
    assert!(matches!(running, Err(Error::Interrupted)), "{running:?}");
    let waiting = waiting.await.unwrap().unwrap_err();
    assert_eq!(waiting.to_string(), "actor is closed, cannot handle get");
    assert!(waiting.is_gone());
    assert!(stage.host.active(&Actor::new("cat", "2")));
    assert_eq!(stage.app.log().last().unwrap(), "gone cat||1");
    assert_eq!(stage.host.state.idle.lock().len(), 1);
    stage.call("1", "again").await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_on_with_a_new_instance_while_the_app_hears_of_the_old_one() {
    let stage = stage(Fake::gated(), None);
    stage.call("1", "get").await.unwrap().unwrap();
    let halt = stage.let_go("1");
    stage.settle().await;
    assert!(!stage.host.active(&Actor::new("cat", "1")));
    stage.call("1", "again").await.unwrap().unwrap();
    assert!(!halt.is_finished());
    halt.abort();
    stage.app.open(1);
    stage.settle().await;
    assert_eq!(stage.app.log().last().unwrap(), "gone cat||1");
}

#[tokio::test(start_paused = true)]
async fn a_type_that_is_withdrawn_has_no_actors_and_no_address() {
    let stage = stage(
        Fake {
            refuses: true,
            ..Fake::default()
        },
        None,
    );
    stage.call("1", "get").await.unwrap().unwrap();
    stage.host.withdraw(&BTreeSet::from(["cat".into()])).await;
    let refused = stage.call("1", "get").await.unwrap().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "did not find address for actor 'cat/1'"
    );
    assert!(!stage.host.hosts("cat") && stage.host.hosted().types.is_empty());
    assert_eq!(stage.counts.of("deactivated cat false"), 1);
    stage.host.close().await;
    let refused = stage.call("1", "get").await.unwrap();
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn reminders_and_timers_take_turns_unless_they_skip_the_lock() {
    let stage = stage(Fake::gated(), None);
    let call = stage.call("1", "hold");
    stage.settle().await;
    let timer = stage.fire(true, false);
    let reminder = stage.fire(false, false);
    assert_eq!(stage.fire(false, true).await.unwrap().unwrap(), Fired::Done);
    assert_eq!(stage.app.log(), ["begin hold", "reminder wake"]);
    stage.app.open(1);
    call.await.unwrap().unwrap();
    assert_eq!(timer.await.unwrap().unwrap(), Fired::Canceled);
    assert_eq!(reminder.await.unwrap().unwrap(), Fired::Done);
    assert_eq!(
        stage.app.log()[2..],
        ["end hold", "timer wake", "reminder wake"]
    );
    assert_eq!(stage.counts.of("reminder cat true"), 2);
    assert_eq!(stage.counts.of("timer cat true"), 1);
}

#[tokio::test]
async fn the_signal_to_cancel_a_reminder_makes_a_plain_call_fail() {
    let stage = stage(Fake::default(), None);
    let result = stage.call("1", "cancel").await.unwrap();
    assert!(matches!(result, Err(Error::ReminderCanceled)), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_idle_actors_go_so_many_at_once() {
    const ACTORS: usize = 100_000;
    let stage = stage(Fake::gated(), None);
    for id in 0..ACTORS {
        let mut call = Invoke::new(Actor::new("cat", id.to_string()), "get");
        call.body = Bytes::from_static(b"x");
        stage.host.call(&call).await.unwrap();
    }
    tokio::time::sleep(IDLE).await;
    stage.settle().await;
    let told = stage.app.running.load(Ordering::SeqCst);
    assert!((1..=200).contains(&told), "{told}");
    stage.app.open(ACTORS);
    while stage.counts.of("deactivated cat true") < ACTORS as i64 {
        tokio::task::yield_now().await;
    }
    assert!(stage.app.most.load(Ordering::SeqCst) <= 200);
    assert_eq!(stage.host.active_counts()["cat"], 0);
}
