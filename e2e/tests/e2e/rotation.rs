//! Certificates that are renewed every two seconds, a Sentry that dies, and an
//! authority that changes: calls between sidecars notice nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use e2e::{Mesh, Sidecar, metric};
use http::Response;
use testkit::pki::Authority;
use testkit::server::full;
use testkit::{Connection, DEADLINE, Server, eventually};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// More calls at a time than share one connection, so that some need another.
const CROWD: usize = 150;
const WORKERS: u64 = 8;
/// Eight workers at this pace make 500 calls a second, if the machine can.
const PACE: Duration = Duration::from_millis(16);
/// Half of the whole is over two seconds after a certificate has come; the last
/// of the first authority end before the test does.
const LIVES: (&str, &str) = ("20s", "16s");

/// Calls without pause until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    workers: JoinSet<(usize, Vec<String>)>,
}

impl Load {
    fn start(sidecar: &Sidecar) -> Self {
        let (stop, mut workers) = (Arc::<AtomicBool>::default(), JoinSet::new());
        for _ in 0..WORKERS {
            workers.spawn(work(sidecar.http, stop.clone()));
        }
        Self { stop, workers }
    }

    /// How many calls were made, and what those said that failed.
    async fn stop(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut calls, mut failures) = (0, Vec::new());
        for (more, failed) in self.workers.join_all().await {
            calls += more;
            failures.extend(failed);
        }
        (calls, failures)
    }
}

async fn work(port: u16, stop: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut connection = Connection::open(port).await.unwrap();
    let (mut calls, mut failures) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        calls += 1;
        if let Err(e) = ping(&mut connection, "callee").await {
            failures.push(format!("call {calls}: {e:#}"));
            connection = Connection::open(port).await.unwrap();
        }
    }
    (calls, failures)
}

async fn ping(connection: &mut Connection, id: &str) -> anyhow::Result<()> {
    let path = format!("/v1.0/invoke/{id}/method/ping");
    let response = connection.get(&path).await?;
    let status = response.status();
    let body = http_body_util::BodyExt::collect(response.into_body()).await?;
    let body = body.to_bytes();
    let text = String::from_utf8_lossy(&body);
    ensure!(status == 200 && text == "pong", "{status} {text}");
    Ok(())
}

/// Answers `/ping` at once, and `/crowd` when everybody has come.
async fn app() -> Server {
    let crowd = Arc::new(Barrier::new(CROWD));
    Server::start(move |request| {
        let crowd = crowd.clone();
        async move {
            match request.uri().path() {
                "/ping" => Response::new(full("pong")),
                "/crowd" => {
                    crowd.wait().await;
                    Response::new(full(""))
                }
                _ => Response::builder().status(404).body(full("")).unwrap(),
            }
        }
    })
    .await
    .unwrap()
}

/// Both sidecars have certificates that were asked for after this moment.
async fn renewed(sidecars: [&Sidecar; 2]) {
    let rotated = async |sidecar| {
        let name = "dapr_runtime_mtls_workload_cert_rotated_total";
        metric(sidecar, name, &[]).await
    };
    for sidecar in sidecars {
        // A renewal may be under way, with an answer from before.
        let wanted = rotated(sidecar).await.unwrap() + 2.0;
        eventually(DEADLINE, async || {
            let count = rotated(sidecar).await?;
            ensure!(count >= wanted, "{count} renewals, not {wanted}");
            Ok(())
        })
        .await;
    }
}

/// Needs new connections, and so handshakes with the certificates of now.
async fn crowd(sidecar: &Sidecar) {
    let mut calls = JoinSet::new();
    for _ in 0..CROWD {
        let http = sidecar.http();
        calls.spawn(async move { http.get("/v1.0/invoke/callee/method/crowd").await });
    }
    for reply in calls.join_all().await {
        reply.unwrap().expect_status(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_fails_while_sentry_dies_and_the_authority_is_replaced() {
    let mut mesh = Mesh::with_lives(LIVES.0, LIVES.1).await;
    let app = app().await;
    let port = app.port();
    let callee = mesh.sidecar("callee").app_port(port).start().ready().await;
    let caller = mesh.sidecar("caller").start().ready().await;
    let both = [&caller, &callee];
    let load = Load::start(&caller);

    mesh.restart_sentry().await;
    renewed(both).await;
    let root = Authority::root("second root");
    mesh.add_root(&root).await;
    // The sidecars learn of the root before anybody depends on it.
    renewed(both).await;
    mesh.replace_issuer(root.intermediate("second issuer"))
        .await;
    renewed(both).await;
    crowd(&caller).await;
    // Nothing of the old authority is known to this one.
    let late = mesh
        .sidecar_trusting("late", &root.certificate_pem())
        .app_port(port)
        .start()
        .ready()
        .await;
    for (from, to) in [(&late, "callee"), (&caller, "late")] {
        let mut connection = Connection::open(from.http).await.unwrap();
        ping(&mut connection, to).await.unwrap();
    }

    let (calls, failures) = load.stop().await;
    assert!(
        failures.is_empty(),
        "{} of {calls}: {failures:#?}\n{}",
        failures.len(),
        caller.output()
    );
    assert!(calls > 1000, "{calls} calls are no load");
}
