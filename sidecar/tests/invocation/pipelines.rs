//! Middleware around the API and around the app.

use e2e::component;

use crate::support::{Mesh, Server, echo, serve};

struct Pipeline {
    name: &'static str,
    kind: &'static str,
    metadata: &'static [(&'static str, &'static str)],
}

async fn sidecar(mesh: &Mesh, app: &Server, place: &str, pipeline: &Pipeline) -> e2e::Sidecar {
    let Pipeline {
        name,
        kind,
        metadata,
    } = *pipeline;
    let kind = format!("middleware.http.{kind}");
    let config = mesh.apps.path().join("config.yaml");
    let text = format!(
        "apiVersion: dapr.io/v1alpha1\n\
         kind: Configuration\n\
         metadata:\n  name: config\n\
         spec:\n  {place}:\n    handlers:\n    - name: {name}\n      type: {kind}\n"
    );
    std::fs::write(&config, text).unwrap();
    let builder = mesh.builder("app").app_port(app.port);
    let builder = builder.args(["--config".as_ref(), config.as_os_str()]);
    let yaml = component(name, &kind, metadata);
    builder.file("middleware.yaml", yaml).start().ready().await
}

const CALL: &str = "/v1.0/invoke/app/method/orders";

#[tokio::test]
async fn uppercase_changes_bodies_both_ways_in_both_places() {
    let both = Pipeline {
        name: "up",
        kind: "uppercase",
        metadata: &[("direction", "both")],
    };
    for place in ["httpPipeline", "appHttpPipeline"] {
        let (mesh, app) = (Mesh::new(), serve(echo(), false).await);
        let sidecar = sidecar(&mesh, &app, place, &both).await;
        let reply = sidecar.http().post(CALL, "text").await.unwrap();
        let text = reply.expect_status(200).text();
        assert!(text.contains(r#""BODY":"TEXT""#), "{place}: {text}");
    }
}

#[tokio::test]
async fn an_alias_leads_to_an_api_route() {
    let alias = Pipeline {
        name: "alias",
        kind: "routeralias",
        metadata: &[("/orders/{id}", "/v1.0/invoke/app/method/by-id")],
    };
    let (mesh, app) = (Mesh::new(), serve(echo(), false).await);
    let sidecar = sidecar(&mesh, &app, "httpPipeline", &alias).await;
    let reply = sidecar.http().get("/orders/7").await.unwrap();
    assert_eq!(reply.expect_status(200).json()["uri"], "/by-id?id=7");
}

#[tokio::test]
async fn a_checker_refuses_addresses_in_both_places() {
    let checker = Pipeline {
        name: "checker",
        kind: "routerchecker",
        metadata: &[("rule", "/(orders|healthz)$")],
    };
    for place in ["httpPipeline", "appHttpPipeline"] {
        let (mesh, app) = (Mesh::new(), serve(echo(), false).await);
        let sidecar = sidecar(&mesh, &app, place, &checker).await;
        let http = sidecar.http();
        http.get(CALL).await.unwrap().expect_status(200);
        let reply = http.get("/v1.0/invoke/app/method/other").await.unwrap();
        assert_eq!(reply.expect_status(400).text(), "invalid router", "{place}");
    }
}

#[tokio::test]
async fn calls_over_the_rate_are_refused() {
    let limit = Pipeline {
        name: "limit",
        kind: "ratelimit",
        metadata: &[("maxRequestsPerSecond", "1")],
    };
    let (mesh, app) = (Mesh::new(), serve(echo(), false).await);
    let sidecar = sidecar(&mesh, &app, "httpPipeline", &limit).await;
    let http = sidecar.http();
    // Health is limited too, so that the rate must let a few of its probes through.
    let replies = futures_util::future::join_all((0..20).map(|_| http.get(CALL))).await;
    let mut counts = (0, 0);
    for reply in replies {
        let reply = reply.unwrap();
        if reply.status == 200 {
            counts.0 += 1;
        } else {
            counts.1 += 1;
            let text = reply.expect_status(429).text();
            assert_eq!(text, "You have reached maximum request limit.");
        }
    }
    assert!(counts.0 > 0 && counts.1 > 0, "{counts:?}");
}
