//! The loop against servers in this process, over real connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use proto::dapr::placement::v1::HostOperation;
use security::{Anchors, ControlPlane, Identity, PeerRule, Svid, TrustBundle, pem};
use testkit::pki::{Authority, Leaf};

use super::testing::{Fake, LONG, order, update};
use super::*;

/// Keeps a list of what it was told to halt, and how many actors it has.
#[derive(Default)]
struct Told {
    all: AtomicUsize,
    moved: parking_lot::Mutex<Vec<Actor>>,
    residents: Vec<Actor>,
}

#[async_trait]
impl Residents for Told {
    async fn halt(&self, which: &Halt) {
        match which {
            Halt::All => drop(self.all.fetch_add(1, Ordering::Relaxed)),
            which => {
                let moved = self.residents.iter().filter(|it| which.includes(it));
                self.moved.lock().extend(moved.cloned());
            }
        }
    }
}

fn settings(servers: &[&Fake]) -> Settings {
    Settings {
        addresses: servers.iter().map(|it| it.address.clone()).collect(),
        kubernetes: false,
        app_id: "cart".to_owned(),
        namespace: "shop".to_owned(),
        host: "a:1".to_owned(),
        disseminate_timeout: LONG,
    }
}

fn hosted(types: &[&str], drain: Duration) -> Hosted {
    Hosted {
        types: types.iter().map(|it| ((*it).into(), drain)).collect(),
        drain,
    }
}

/// A sidecar whose tasks end with it.
struct Sidecar {
    placement: Placement,
    told: Arc<Told>,
    tasks: Tasks,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

impl Sidecar {
    fn start(settings: Settings) -> Self {
        Self::with(settings, &Security::disabled(), Told::default())
    }

    fn with(settings: Settings, security: &Security, told: Told) -> Self {
        let (told, tasks) = (Arc::new(told), Tasks::new());
        let placement = Placement::start(settings, security, told.clone(), &tasks);
        Self {
            placement,
            told,
            tasks,
        }
    }

    async fn lookup(&self, kind: &str) -> Result<Claim, Error> {
        let actor = Actor::new(kind, "1");
        let found = tokio::time::timeout(LONG, self.placement.lookup(&actor));
        found.await.expect("it does not wait any more")
    }

    fn waits(&self, kind: &str) -> bool {
        let actor = Actor::new(kind, "1");
        self.placement.lookup(&actor).now_or_never().is_none()
    }

    async fn status(&self, is: impl FnMut(&Status) -> bool) {
        let mut status = self.placement.status();
        let reached = tokio::time::timeout(LONG, status.wait_for(is)).await;
        reached.expect("the status comes").unwrap();
    }
}

#[tokio::test]
async fn reports_and_acks_say_what_servers_check() {
    let mut server = Fake::start().await;
    let it = Sidecar::start(settings(&[&server]));
    assert!(server.next_stream().now_or_never().is_none());
    it.placement.report(hosted(&["dog", "cat"], LONG));
    let mut stream = server.next_stream().await;
    let report = stream.next().await;
    assert_eq!(report.operation(), HostOperation::Report);
    assert_eq!((&*report.name, &*report.id), ("a:1", "cart"));
    assert_eq!((&*report.namespace, report.version), ("shop", None));
    assert_eq!(report.entities, ["cat", "dog"]);
    assert_eq!((report.port, &*report.entities[0]), (0, "cat"));
    #[allow(deprecated)]
    let old = (report.api_level, report.load, report.pod);
    assert_eq!(old, (20, 0, String::new()));

    stream.send(order("lock", 4)).await;
    let ack = stream.next().await;
    assert_eq!(
        (ack.operation(), ack.version),
        (HostOperation::Lock, Some(4))
    );
    assert_eq!((&*ack.id, &*ack.namespace), ("cart", "shop"));
    assert!(ack.name.is_empty() && ack.entities.is_empty());
    stream.send(update(4, &[("cat", &["a:1"])])).await;
    stream.expect(HostOperation::Update, 4).await;
    assert!(it.waits("cat"));
    it.status(|it| it.connected && !it.ready).await;
    stream.send(order("unlock", 4)).await;
    stream.expect(HostOperation::Unlock, 4).await;
    it.status(|it| it.ready && it.rounds == 1).await;
    assert_eq!(it.lookup("cat").await.unwrap().owner, Owner::Local);
    let error = it.lookup("dog").await.unwrap_err();
    assert!(matches!(error, Error::NoAddress(_)), "{error}");

    it.placement.report(hosted(&[], LONG));
    let report = stream.next().await;
    assert_eq!((&*report.name, report.version), ("a:1", None));
    assert!(report.entities.is_empty());
}

#[tokio::test]
async fn actors_that_moved_are_halted_before_the_ack() {
    let mut server = Fake::start().await;
    let residents = ["cat", "dog"].map(|kind| Actor::new(kind, "1")).into();
    let told = Told {
        residents,
        ..Told::default()
    };
    let it = Sidecar::with(settings(&[&server]), &Security::disabled(), told);
    it.placement.report(hosted(&["cat", "dog"], LONG));
    let mut stream = server.next_stream().await;
    stream.next().await;
    stream
        .round(1, &[("cat", &["a:1"]), ("dog", &["a:1"])])
        .await;
    let (cat, dog) = (
        it.lookup("cat").await.unwrap(),
        it.lookup("dog").await.unwrap(),
    );
    assert!(it.told.moved.lock().is_empty());

    stream.send(order("lock", 2)).await;
    stream.expect(HostOperation::Lock, 2).await;
    stream
        .send(update(2, &[("cat", &["b:1"]), ("dog", &["a:1"])]))
        .await;
    // A second report shows that the loop goes on while the claim is held.
    it.placement.report(hosted(&["dog"], LONG));
    assert_eq!(stream.next().await.entities, ["dog"]);
    assert!(it.waits("cat") && !it.waits("dog"));
    assert!(it.told.moved.lock().is_empty());
    drop(cat);
    stream.expect(HostOperation::Update, 2).await;
    assert_eq!(*it.told.moved.lock(), [Actor::new("cat", "1")]);
    stream.send(order("unlock", 2)).await;
    let Owner::Remote(peer) = it.lookup("cat").await.unwrap().owner else {
        panic!("it moved");
    };
    assert_eq!(peer.name, "b:1");
    assert!(dog.revoked().now_or_never().is_none());
}

#[tokio::test]
async fn claims_are_revoked_at_once_when_calls_need_not_be_drained() {
    let mut server = Fake::start().await;
    let it = Sidecar::start(settings(&[&server]));
    it.placement.report(hosted(&["cat"], Duration::ZERO));
    let mut stream = server.next_stream().await;
    stream.next().await;
    stream.round(1, &[("cat", &["a:1"])]).await;
    let claim = it.lookup("cat").await.unwrap();
    stream.send(update(2, &[])).await;
    tokio::time::timeout(LONG, claim.revoked()).await.unwrap();
    drop(claim);
    stream.expect(HostOperation::Update, 1).await;
}

#[tokio::test]
async fn without_a_stream_nothing_runs_and_callers_wait_for_the_next() {
    let mut server = Fake::start().await;
    let it = Sidecar::start(settings(&[&server]));
    it.placement
        .report(hosted(&["cat"], Duration::from_millis(1)));
    let mut stream = server.next_stream().await;
    stream.next().await;
    stream.round(1, &[("cat", &["a:1"])]).await;
    let claim = it.lookup("cat").await.unwrap();
    // An update that nobody will release.
    stream.send(order("lock", 2)).await;
    stream.expect(HostOperation::Lock, 2).await;
    stream
        .send(update(2, &[("cat", &["a:1"]), ("emu", &["b:1"])]))
        .await;
    stream.expect(HostOperation::Update, 2).await;
    drop(stream);
    tokio::time::timeout(LONG, claim.revoked()).await.unwrap();
    drop(claim);

    let mut stream = server.next_stream().await;
    assert_eq!(it.told.all.load(Ordering::Relaxed), 1);
    let status = *it.placement.status().borrow();
    assert_eq!((status.ready, status.rounds), (false, 1));
    assert!(it.waits("cat") && it.waits("emu"));
    assert_eq!(stream.next().await.entities, ["cat"]);
    stream
        .round(1, &[("cat", &["a:1"]), ("emu", &["b:1"])])
        .await;
    assert_eq!(it.lookup("cat").await.unwrap().owner, Owner::Local);
    assert!(it.lookup("emu").await.is_ok());
}

#[tokio::test]
async fn whoever_does_not_lead_is_left_for_the_next() {
    let (mut follower, mut leader) = (Fake::start().await, Fake::start().await);
    follower.refuse(tonic::Status::failed_precondition(
        "node id=x is not a leader. Only the leader can serve requests",
    ));
    let it = Sidecar::start(settings(&[&follower, &leader]));
    it.placement.report(hosted(&["cat"], LONG));
    let mut stream = leader.next_stream().await;
    stream.next().await;
    stream.round(1, &[("cat", &["a:1"])]).await;
    assert!(it.lookup("cat").await.is_ok());
    stream
        .end(tonic::Status::unavailable(
            "placement server is shutting down",
        ))
        .await;
    follower.lead();
    let mut stream = follower.next_stream().await;
    assert_eq!(stream.next().await.entities, ["cat"]);
}

#[tokio::test]
async fn servers_that_are_away_are_tried_again() {
    let gone = Fake::start().await;
    let mut away = settings(&[&gone]);
    drop(gone);
    let mut server = Fake::start().await;
    away.addresses.push(server.address.clone());
    let it = Sidecar::start(away);
    it.placement.report(hosted(&["cat"], LONG));
    server.next_stream().await.next().await;
}

#[tokio::test]
async fn a_lock_without_tables_ends_the_stream() {
    let mut server = Fake::start().await;
    let it = Sidecar::start(Settings {
        disseminate_timeout: Duration::from_millis(20),
        ..settings(&[&server])
    });
    it.placement.report(hosted(&["cat"], LONG));
    let mut stream = server.next_stream().await;
    stream.next().await;
    stream.send(order("lock", 1)).await;
    stream.expect(HostOperation::Lock, 1).await;
    assert!(stream.is_over().await);
    server.next_stream().await.next().await;
}

#[tokio::test]
async fn a_sidecar_that_leaves_waits_until_the_others_know() {
    let mut server = Fake::start().await;
    let it = Sidecar::start(settings(&[&server]));
    it.placement.report(hosted(&["cat"], LONG));
    let mut stream = server.next_stream().await;
    stream.next().await;
    stream.round(1, &[("cat", &["a:1", "b:1"])]).await;
    let others = async {
        assert!(stream.next().await.entities.is_empty());
        stream.round(2, &[("cat", &["b:1"])]).await;
    };
    let both = async { tokio::join!(it.placement.leave(), others) };
    tokio::time::timeout(LONG, both).await.unwrap();
    assert!(matches!(
        it.lookup("cat").await.unwrap().owner,
        Owner::Remote(_)
    ));
    assert!(it.tasks.shutdown(LONG).await.is_empty());
    assert_eq!(it.told.all.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn calls_have_their_time_to_finish_when_the_sidecar_leaves() {
    let mut server = Fake::start().await;
    let it = Sidecar::start(settings(&[&server]));
    it.placement.report(hosted(&["cat"], LONG));
    let mut stream = server.next_stream().await;
    stream.next().await;
    stream.round(1, &[("cat", &["a:1"])]).await;
    let claim = it.lookup("cat").await.unwrap();
    let others = async {
        assert!(stream.next().await.entities.is_empty());
        stream.send(order("lock", 2)).await;
        stream.expect(HostOperation::Lock, 2).await;
        stream.send(update(2, &[])).await;
        while !it.waits("cat") {
            tokio::task::yield_now().await;
        }
        assert!(claim.revoked().now_or_never().is_none(), "the call was cut");
        drop(claim);
        stream.expect(HostOperation::Update, 2).await;
        stream.send(order("unlock", 2)).await;
        stream.expect(HostOperation::Unlock, 2).await;
    };
    let both = async { tokio::join!(it.placement.leave(), others) };
    tokio::time::timeout(LONG, both).await.unwrap();
}

#[tokio::test]
async fn without_a_server_actors_are_switched_off() {
    let it = Sidecar::start(settings(&[]));
    assert!(matches!(it.lookup("cat").await, Err(Error::NoPlacement)));
    assert!(it.tasks.running().is_empty());
}

#[tokio::test]
async fn only_placement_itself_is_believed() {
    let authority = Authority::root("test");
    let identity = |path: &str| {
        let name = format!("spiffe://localhost/ns/{path}");
        let leaf = authority.leaf(Leaf {
            name: &name,
            expired: false,
        });
        let chain = pem::certificates(leaf.chain_pem().as_bytes()).unwrap();
        let key = pem::private_key(leaf.key_pem().as_bytes()).unwrap();
        let bundle = TrustBundle::from_pem(authority.certificate_pem().as_bytes()).unwrap();
        Identity::fixed(Svid::new(chain, key).unwrap(), Anchors::fixed(bundle))
    };
    let secure = |path| identity(path).acceptor(PeerRule::Any);
    let imposter = Fake::secure(secure("default/dapr-scheduler")).await;
    let mut server = Fake::secure(secure("default/dapr-placement")).await;
    let control_plane = ControlPlane {
        trust_domain: "localhost".to_owned(),
        namespace: "default".to_owned(),
    };
    let security = Security::with(identity("shop/cart"), control_plane, true);
    let settings = settings(&[&imposter, &server]);
    let it = Sidecar::with(settings, &security, Told::default());
    it.placement.report(hosted(&["cat"], LONG));
    let mut stream = server.next_stream().await;
    assert_eq!(stream.next().await.id, "cart");
    assert!(imposter.was_left_alone());
}
