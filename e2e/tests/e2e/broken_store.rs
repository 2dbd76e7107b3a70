//! A state store that is gone: its policy tries again, then stops asking.

use e2e::{Sidecar, metric};
use serde_json::json;
use testkit::redis::{self, Redis};

const POLICY: &str = "
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: patient}
spec:
  policies:
    timeouts: {short: 2s}
    retries:
      thrice: {policy: constant, duration: 10ms, maxRetries: 3}
    circuitBreakers:
      fuse: {maxRequests: 1, timeout: 10m, trip: consecutiveFailures > 5}
  targets:
    components:
      store:
        outbound: {timeout: short, retry: thrice, circuitBreaker: fuse}
";

#[tokio::test]
async fn a_store_that_fails_is_tried_again_until_the_breaker_opens() {
    if !redis::is_installed() {
        testkit::skip("redis-server is not installed");
        return;
    }
    let mut server = Redis::start(&[]).unwrap();
    let address = server.address();
    let metadata = [("redisHost", address.as_str()), ("maxRetries", "0")];
    let sidecar = Sidecar::builder("broken-store")
        .component("store", "state.redis", &metadata)
        .file("resiliency.yaml", POLICY)
        .start()
        .ready()
        .await;
    let http = sidecar.http();
    let save = json!([{"key": "k", "value": 1}]);
    let reply = http.post_json("/v1.0/state/store", &save).await.unwrap();
    reply.expect_status(204);
    let activations = async |policy: &str| {
        let name = "dapr_resiliency_activations_total";
        metric(&sidecar, name, &[policy]).await.unwrap()
    };
    let retry = r#"policy="retry""#;
    assert_eq!(activations(retry).await, 0.0);

    server.kill();
    // One call and three retries, then the rest of what the breaker takes.
    let reply = http.get("/v1.0/state/store/k").await.unwrap();
    reply.expect_error(500, "ERR_STATE_GET");
    assert!(activations(retry).await >= 1.0, "{}", sidecar.output());
    let reply = http.get("/v1.0/state/store/k").await.unwrap();
    let message = reply.expect_error(500, "ERR_STATE_GET");
    assert!(message.contains("circuit breaker is open"), "{message}");
    let labels = [r#"policy="circuitbreaker""#, r#"status="open""#];
    let name = "dapr_resiliency_cb_state";
    assert_eq!(metric(&sidecar, name, &labels).await.unwrap(), 1.0);
    assert!(activations(r#"policy="circuitbreaker""#).await >= 1.0);
    let runs = metric(&sidecar, "dapr_resiliency_count", &[retry]).await;
    assert!(runs.unwrap() >= 3.0);

    // It does not ask the store, even though that is back.
    server.restart().unwrap();
    let reply = http.get("/v1.0/state/store/k").await.unwrap();
    let message = reply.expect_error(500, "ERR_STATE_GET");
    assert!(message.contains("circuit breaker is open"), "{message}");
}
