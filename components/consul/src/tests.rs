//! Against a server that gives the answers of an agent's HTTP API: an agent
//! itself cannot be had from a package registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::ensure;
use component::resolution::{Instance, NameResolver, ResolveRequest};
use component::{Env, Registry, Result};
use parking_lot::Mutex;
use serde_json::{Value, json};
use testkit::{App, DEADLINE, Recorded, Response, eventually};

/// An agent whose instances of the app `web` can be changed.
struct Agent {
    app: App,
    index: Arc<AtomicU64>,
    web: Arc<Mutex<Value>>,
}

fn entry(node: &str, service: &str, meta: &Value) -> Value {
    json!({ "Node": { "Address": node }, "Service": { "Address": service, "Meta": meta }, "Checks": [] })
}

impl Agent {
    async fn start() -> Self {
        let index = Arc::new(AtomicU64::new(1));
        let web = Arc::new(Mutex::new(json!([entry(
            "10.0.0.1",
            "",
            &json!({ "DAPR_PORT": "5" })
        )])));
        let (i, w) = (index.clone(), web.clone());
        let app = App::start(move |request: &Recorded| {
            let index = i.load(Ordering::SeqCst);
            let answer =
                |value: &Value| Response::json(value).header("X-Consul-Index", &index.to_string());
            match (request.method.as_str(), request.path.as_str()) {
                // An agent that failed knows no index.
                _ if index == 0 => Response::ok("rpc error").with_status(500),
                ("GET", "/v1/agent/self" | "/v1/health/state/any") => answer(&json!({})),
                ("GET", "/v1/health/service/web") => answer(&w.lock()),
                ("GET", "/v1/health/service/v6") => answer(&json!([entry(
                    "10.0.0.1",
                    "fd00::1",
                    &json!({ "DAPR_PORT": "6" })
                )])),
                ("GET", "/v1/health/service/bare") => {
                    answer(&json!([entry("10.0.0.1", "", &Value::Null)]))
                }
                ("GET", "/v1/health/service/lost") => answer(&json!([entry(
                    "",
                    "no.such.host.invalid",
                    &json!({ "DAPR_PORT": "6" })
                )])),
                ("GET", path) if path.starts_with("/v1/health/service/") => answer(&json!([])),
                ("PUT", path) if path.starts_with("/v1/agent/service/") => answer(&Value::Null),
                _ => Response::ok("no such path").with_status(404),
            }
        });
        Self {
            app: app.await.unwrap(),
            index,
            web,
        }
    }

    async fn open(&self, mut configuration: Value) -> Arc<dyn NameResolver> {
        let address = format!("127.0.0.1:{}", self.app.port());
        configuration["client"]["Address"] = json!(address);
        open(configuration).await.unwrap()
    }

    fn put(&self, port: &str) {
        *self.web.lock() = json!([entry("10.0.0.1", "", &json!({ "DAPR_PORT": port }))]);
    }
}

async fn open(configuration: Value) -> Result<Arc<dyn NameResolver>> {
    let mut registry = Registry::default();
    crate::register(&mut registry);
    let open = registry.name_resolver("Consul", "v1").unwrap();
    let instance = Instance {
        app_id: "me".into(),
        address: "10.0.0.9".into(),
        internal_port: 50002,
        http_port: 3500,
        app_port: 8080,
        ..Instance::default()
    };
    open(configuration, Env::named("consul"), instance).await
}

async fn ask(resolver: &Arc<dyn NameResolver>, id: &str) -> String {
    let id = id.to_owned();
    let req = ResolveRequest {
        id,
        ..ResolveRequest::default()
    };
    match resolver.resolve(req).await {
        Ok(found) => found.join(","),
        Err(e) => format!("error: {e}"),
    }
}

#[tokio::test]
async fn healthy_instances_are_found_with_the_port_of_their_metadata() {
    let agent = Agent::start().await;
    let resolver = agent.open(json!({})).await;
    assert_eq!(agent.app.seen("/v1/agent/self").len(), 1);
    for (id, expected) in [
        ("web", "10.0.0.1:5"),
        ("v6", "[fd00::1]:6"),
        ("none", "error: no healthy services found with AppID 'none'"),
        ("a/b", "error: no healthy services found with AppID 'a/b'"),
        (
            "bare",
            "error: target service AppID 'bare' found but DAPR_PORT missing from meta",
        ),
        (
            "lost",
            "error: invalid ip address or unreachable hostname: no.such.host.invalid",
        ),
    ] {
        assert_eq!(ask(&resolver, id).await, expected);
    }
    assert_eq!(
        agent.app.seen("/v1/health/service/web")[0].query,
        "cached=true&passing=1"
    );
    assert_eq!(agent.app.seen("/v1/health/service/a%2Fb").len(), 1);
    agent.index.store(0, Ordering::SeqCst);
    let failed =
        "error: failed to query healthy consul services: Unexpected response code: 500 (rpc error)";
    assert_eq!(ask(&resolver, "web").await, failed);
}

#[tokio::test]
async fn options_and_credentials_go_with_the_query() {
    let agent = Agent::start().await;
    let configuration = json!({
        "client": { "token": "t1", "datacenter": "dc1", "HttpAuth": { "username": "u", "password": "p" } },
        "queryOptions": {
            "datacenter": "dc2", "useCache": true, "maxAge": 30_000_000_000_u64, "token": "t2",
            "nodeMeta": { "a": "b" }, "waitTime": "2s", "filter": "x == 1", "namespace": "left out", "allowStale": true,
        },
    });
    let resolver = agent.open(configuration).await;
    ask(&resolver, "web").await;
    let greeting = &agent.app.seen("/v1/agent/self")[0];
    assert_eq!(
        (greeting.query.as_str(), greeting.header("x-consul-token")),
        ("dc=dc1", "t1")
    );
    let query = &agent.app.seen("/v1/health/service/web")[0];
    assert_eq!(
        query.query,
        "dc=dc2&filter=x+%3D%3D+1&node-meta=a%3Ab&stale=true&cached=true&wait=2000ms&passing=1"
    );
    assert_eq!(query.header("x-consul-token"), "t2");
    assert_eq!(query.header("cache-control"), "max-age=30");
    assert_eq!(query.header("authorization"), "Basic dTpw");
}

#[tokio::test]
async fn an_app_is_registered_and_taken_back() {
    let agent = Agent::start().await;
    let resolver = agent
        .open(json!({ "selfRegister": true, "selfDeregister": true }))
        .await;
    let sent = agent.app.seen("/v1/agent/service/register");
    let body: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(body["ID"], "me-10.0.0.9-3500");
    assert_eq!(body["Meta"]["DAPR_PORT"], "50002");
    assert!(agent.app.seen("/v1/agent/self").is_empty());
    resolver.close().await;
    let path = "/v1/agent/service/deregister/me-10.0.0.9-3500";
    assert_eq!(agent.app.seen(path).len(), 1);

    let kept = agent.open(json!({ "selfRegister": true })).await;
    kept.close().await;
    assert_eq!(
        agent.app.seen(path).len(),
        1,
        "it stays unless selfDeregister is set"
    );
}

#[tokio::test]
async fn kept_answers_follow_the_agent() {
    let agent = Agent::start().await;
    let resolver = agent.open(json!({ "useCache": true })).await;
    let asked = || agent.app.seen("/v1/health/service/web").len();
    assert_eq!(ask(&resolver, "web").await, "10.0.0.1:5");
    eventually(DEADLINE, async || {
        let before = asked();
        ask(&resolver, "web").await;
        ensure!(asked() == before, "not yet kept");
        Ok(())
    })
    .await;
    let watched = &agent.app.seen("/v1/health/state/any")[0].query;
    assert!(
        watched.starts_with("filter=ServiceName+%3D%3D+%22web%22"),
        "{watched}"
    );

    agent.put("7");
    agent.index.store(2, Ordering::SeqCst);
    eventually(DEADLINE, async || {
        let found = ask(&resolver, "web").await;
        ensure!(found == "10.0.0.1:7", "{found}");
        Ok(())
    })
    .await;

    agent.index.store(0, Ordering::SeqCst);
    eventually(DEADLINE, async || {
        let found = ask(&resolver, "web").await;
        ensure!(
            found.starts_with("error: failed to query"),
            "still kept: {found}"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_cannot_be_used_is_named() {
    let port = testkit::free_port();
    for (client, expected) in [
        (
            json!({ "address": format!("127.0.0.1:{port}") }),
            format!(
                "failed check on consul agent: couldn't reach consul at http://127.0.0.1:{port}: "
            ),
        ),
        (
            json!({ "address": "::" }),
            "consul address \"::\" is not valid".into(),
        ),
        (
            json!({ "address": "https://x", "tlsConfig": { "caFile": "/none" } }),
            "couldn't read /none".into(),
        ),
        (
            json!({ "address": "https://x", "TLSConfig": { "certFile": "/none" } }),
            "couldn't read /none".into(),
        ),
    ] {
        let error = open(json!({ "client": client }))
            .await
            .map(|_| ())
            .unwrap_err();
        assert!(error.message.starts_with(&expected), "{error}");
    }
}
