//! Apps that stall, break off or overdo it, and sidecars that die: callers are
//! told, and nothing is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use e2e::{Mesh, Sidecar};
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt;
use testkit::server::{Body, BodySender, channel, full};
use testkit::{Connection, DEADLINE, Http, Server, eventually};
use tokio::sync::Mutex;

/// Two sidecars, the app behind one of them, and the mesh that they are in.
struct Pair {
    caller: Sidecar,
    callee: Sidecar,
    _mesh: Mesh,
}

impl Pair {
    async fn start(app: &Server, resiliency: Option<&str>) -> Self {
        let mesh = Mesh::start().await;
        let callee = mesh.sidecar("callee").app_port(app.port());
        let mut caller = mesh.sidecar("caller");
        if let Some(resiliency) = resiliency {
            caller = caller.file("resiliency.yaml", resiliency);
        }
        Self {
            callee: callee.start().ready().await,
            caller: caller.start().ready().await,
            _mesh: mesh,
        }
    }

    async fn call(&self, method: &str) -> testkit::Reply {
        let path = format!("/v1.0/invoke/callee/method/{method}");
        self.caller.http().get(&path).await.unwrap()
    }

    /// A call of another method is answered as ever.
    async fn works(&self) {
        let reply = self.call("fine").await.expect_status(200);
        assert_eq!(reply.text(), "fine");
    }
}

fn not_found() -> Response<Body> {
    Response::builder().status(404).body(full("")).unwrap()
}

/// Counts up as long as it lives.
struct Present(Arc<AtomicUsize>);

impl Present {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Never answers `/silence`; the count says how many wait for it.
async fn silent(waiting: &Arc<AtomicUsize>) -> Server {
    let waiting = waiting.clone();
    Server::start(move |request| {
        let waiting = waiting.clone();
        async move {
            match request.uri().path() {
                "/silence" => {
                    let _present = Present::new(&waiting);
                    std::future::pending().await
                }
                "/fine" => Response::new(full("fine")),
                _ => not_found(),
            }
        }
    })
    .await
    .unwrap()
}

async fn becomes(count: &AtomicUsize, wanted: usize) {
    eventually(DEADLINE, async || {
        let count = count.load(Ordering::Relaxed);
        ensure!(count == wanted, "{count} wait, not {wanted}");
        Ok(())
    })
    .await;
}

const TIMEOUT: &str = "
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: impatient}
spec:
  policies:
    timeouts: {short: 500ms}
  targets:
    apps:
      callee: {timeout: short}
";

#[tokio::test]
async fn a_timeout_ends_a_call_that_the_app_never_answers() {
    let waiting = Arc::default();
    let app = silent(&waiting).await;
    let pair = Pair::start(&app, Some(TIMEOUT)).await;
    let message = pair
        .call("silence")
        .await
        .expect_error(500, "ERR_DIRECT_INVOKE");
    assert!(message.contains("context deadline exceeded"), "{message}");
    becomes(&waiting, 0).await;
    pair.works().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_frees_everything_behind_it() {
    let waiting = Arc::default();
    let app = silent(&waiting).await;
    let pair = Pair::start(&app, None).await;
    pair.works().await;
    let files = |sidecar: &Sidecar| {
        let open = format!("/proc/{}/fd", sidecar.id());
        std::fs::read_dir(open).unwrap().count()
    };
    let before = [files(&pair.caller), files(&pair.callee)];
    let mut connections = Vec::new();
    for _ in 0..50 {
        let mut connection = Box::pin(Connection::open(pair.caller.http).await.unwrap());
        let request = async move {
            let silence = "/v1.0/invoke/callee/method/silence";
            connection.get(silence).await.map(|_| ())
        };
        connections.push(request);
    }
    let calls = tokio::task::JoinSet::from_iter(connections);
    becomes(&waiting, 50).await;
    // Ends the calls and closes their connections.
    drop(calls);
    becomes(&waiting, 0).await;
    eventually(DEADLINE, async || {
        let now = [files(&pair.caller), files(&pair.callee)];
        // Warm connections to the peer and to the app may stay.
        let few = now.iter().zip(before).all(|(now, old)| *now <= old + 5);
        ensure!(few, "{now:?} files are open, {before:?} before");
        Ok(())
    })
    .await;
    pair.works().await;
}

/// Sends the start of a body and breaks off: with a length, or in chunks.
async fn breaking() -> Server {
    Server::start(|request| async move {
        let broken = || {
            let (sender, body) = channel();
            tokio::task::spawn_blocking(move || {
                let start = Frame::data(Bytes::from_static(b"the beginning"));
                let _ = sender.blocking_send(Ok(start));
                let _ = sender.blocking_send(Err("enough".into()));
            });
            Response::builder().body(body).unwrap()
        };
        match request.uri().path() {
            "/length" => {
                let mut response = broken();
                let headers = response.headers_mut();
                headers.insert("content-length", http::HeaderValue::from_static("1000"));
                response
            }
            "/chunks" => broken(),
            "/fine" => Response::new(full("fine")),
            _ => not_found(),
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let app = breaking().await;
    let pair = Pair::start(&app, None).await;
    for method in ["length", "chunks"] {
        let mut connection = Connection::open(pair.caller.http).await.unwrap();
        let path = format!("/v1.0/invoke/callee/method/{method}");
        // The break may come before the head has left, and is an error then.
        let Ok(response) = connection.get(&path).await else {
            continue;
        };
        let success = response.status().is_success();
        let body = tokio::time::timeout(DEADLINE, response.into_body().collect()).await;
        let body = body.expect("the body ends");
        assert!(
            !success || body.is_err(),
            "{method}: a whole body: {body:?}"
        );
    }
    pair.works().await;
}

#[tokio::test]
async fn a_bomb_of_headers_hurts_nobody_but_its_own_call() {
    let app = Server::start(|request| async move {
        let mut response = Response::new(full("fine"));
        let headers = response.headers_mut();
        match request.uri().path() {
            "/many" => {
                for n in 0..2000_u32 {
                    let name = http::HeaderName::try_from(format!("x-bomb-{n}")).unwrap();
                    headers.insert(name, "boom".parse().unwrap());
                }
            }
            "/large" => {
                headers.insert("x-bomb", "b".repeat(1 << 20).parse().unwrap());
            }
            "/fine" => {}
            _ => return not_found(),
        }
        response
    })
    .await
    .unwrap();
    let pair = Pair::start(&app, None).await;
    for method in ["many", "large"] {
        let reply = pair.call(method).await;
        let message = reply.expect_error(500, "ERR_DIRECT_INVOKE");
        assert!(message.len() < 1000, "{method}: {message}");
    }
    pair.works().await;
}

#[tokio::test]
async fn the_end_of_the_peer_breaks_the_stream_off() {
    let streams = Arc::<Mutex<Vec<BodySender>>>::default();
    let kept = streams.clone();
    let app = Server::start(move |request| {
        let kept = kept.clone();
        async move {
            if request.uri().path() != "/stream" {
                return not_found();
            }
            let (sender, body) = channel();
            kept.lock().await.push(sender);
            Response::new(body)
        }
    })
    .await
    .unwrap();
    let mut pair = Pair::start(&app, None).await;
    let mut connection = Connection::open(pair.caller.http).await.unwrap();
    let calling = connection.get("/v1.0/invoke/callee/method/stream");
    let sending = async {
        eventually(DEADLINE, async || {
            let streams = streams.lock().await;
            let sender = streams.first().ok_or_else(|| anyhow::anyhow!("no call"))?;
            sender.send(Ok(Frame::data(Bytes::from("first")))).await?;
            Ok(())
        })
        .await;
    };
    let (response, ()) = tokio::join!(calling, sending);
    let mut body = response.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first");
    pair.callee.kill().await.unwrap();
    let next = tokio::time::timeout(DEADLINE, body.frame()).await;
    let next = next.expect("the caller is told");
    assert!(
        next.as_ref().is_some_and(Result::is_err),
        "a body that looks whole: {next:?}"
    );
    let client: Http = pair.caller.http().within(Duration::from_secs(20));
    let reply = client.get("/v1.0/invoke/callee/method/fine").await;
    reply.unwrap().expect_error(500, "ERR_DIRECT_INVOKE");
}
