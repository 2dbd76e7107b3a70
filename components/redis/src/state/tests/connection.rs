//! Connecting, staying connected, and saying why not.

use std::time::Duration;

use component::state::Consistency;
use futures_util::future::join_all;
use testkit::redis::Secure;
use testkit::{DEADLINE, eventually};

use super::*;

#[tokio::test]
async fn a_password_is_used_and_never_shown() {
    let Some(redis) = server(&["--requirepass", "s3cret-pw"]) else {
        return;
    };
    let address = redis.address();
    let host = ("redisHost", address.as_str());
    let store = open(&[host, ("redisPassword", "s3cret-pw")]).await.unwrap();
    smoke(&store).await;
    let start = format!("redis store: error connecting to redis at {address}: ");
    for (properties, cause) in [
        (vec![host], "NOAUTH"),
        (vec![host, ("redisPassword", "wrong-pw")], "redisPassword"),
        (
            vec![
                host,
                ("redisUsername", "ann"),
                ("redisPassword", "wrong-pw"),
            ],
            "redisPassword",
        ),
    ] {
        let error = refusal(&properties).await;
        let text = format!("{error} {error:?}");
        assert!(error.message.starts_with(&start), "{text}");
        assert!(error.message.contains(cause), "{text}");
        assert!(!text.contains("wrong-pw"), "{text}");
        assert_eq!(error.kind, ErrorKind::Unauthorized, "{text}");
    }
}

#[tokio::test]
async fn a_user_with_few_rights_is_enough() {
    let rights = "ann on >ann-pw ~* +@read +@write +@transaction +@scripting +ping +select";
    let args: Vec<_> = ["--user"].into_iter().chain(rights.split(' ')).collect();
    let Some(redis) = server(&args) else { return };
    let address = redis.address();
    let properties = [
        ("redisHost", address.as_str()),
        ("redisUsername", "ann"),
        ("redisPassword", "ann-pw"),
        ("redisDB", "2"),
    ];
    // JSON and INFO are refused by their right, which does not hinder.
    smoke(&open(&properties).await.unwrap()).await;
    let found = redis.cli(&["-n", "2", "EXISTS", "smoke-a"]).unwrap();
    assert_eq!(found, "1\n");
}

#[tokio::test]
async fn tls_needs_the_right_certificates_on_both_sides() {
    if testkit::program("openssl").is_none() {
        return testkit::skip("openssl is not installed");
    }
    let Some(secure) = installed(Secure::start) else {
        return;
    };
    let address = secure.server.address();
    let start = format!("redis store: error connecting to redis at {address}: ");
    let host = ("redisHost", address.as_str());
    let cert = ("clientCert", secure.client_cert.as_str());
    let key = ("clientKey", secure.client_key.as_str());
    let (tls, blind) = (("enableTLS", "true"), ("insecureSkipTLSVerify", "true"));
    let never = ("redisMaxRetries", "-1");
    smoke(&open(&[host, tls, blind, cert, key]).await.unwrap()).await;
    for (properties, why) in [
        (
            vec![host, tls, cert, key, never],
            "the server's certificate is unknown",
        ),
        (
            vec![host, tls, blind, never],
            "the server demands a certificate",
        ),
        (vec![host, never], "the server speaks TLS only"),
    ] {
        let error = refusal(&properties).await;
        assert!(error.message.starts_with(&start), "{why}: {error}");
    }
    let error = refusal(&[host, tls, cert, ("clientKey", "no-key-text")]).await;
    assert!(!error.message.contains("no-key-text"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let port = testkit::free_port();
    let host = format!("127.0.0.1:{port}");
    let error = refusal(&[("redisHost", &host), ("redisMaxRetries", "-1")]).await;
    let start = format!("redis store: error connecting to redis at {host}: ");
    assert!(error.message.starts_with(&start), "{error}");
    assert_eq!(error.kind, ErrorKind::Unavailable);
}

/// A listener that takes connections and never answers.
fn mute() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let (_listener, host) = mute();
    let limits = [
        ("redisHost", host.as_str()),
        ("dialTimeout", "100"),
        ("readTimeout", "100"),
        ("writeTimeout", "100"),
    ];
    for topology in [vec![], vec![("redisType", "cluster")]] {
        let properties = [&limits[..], &topology].concat();
        let error = tokio::time::timeout(DEADLINE, refusal(&properties)).await;
        let error = error.expect("opening ends");
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert!(error.message.contains(&host), "{error}");
    }
}

#[tokio::test]
async fn opening_ends_when_the_component_is_closed() {
    let (_listener, host) = mute();
    let env = Env::named("s");
    let shutdown = env.shutdown.clone();
    let properties = [("redisHost", host.as_str()), ("readTimeout", "-1")];
    let opening = open_in(env, &properties);
    let (result, ()) = tokio::join!(tokio::time::timeout(DEADLINE, opening), async {
        shutdown.cancel();
    });
    let error = result.expect("opening ends").err().unwrap();
    assert!(
        error.message.ends_with("the component is closed"),
        "{error}"
    );
}

#[tokio::test]
async fn a_restarted_server_is_used_again() {
    let Some(mut redis) = server(&[]) else { return };
    let address = redis.address();
    let properties = [
        ("redisHost", address.as_str()),
        ("redisMinRetryInterval", "20ms"),
    ];
    let store = open(&properties).await.unwrap();
    store.set(item("k", "1")).await.unwrap();
    redis.kill();
    for call in 0..3 {
        let error = store.set(item("k", "1")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "call {call}: {error}");
        assert!(error.message.contains(&address), "call {call}: {error}");
        let error = store.delete(delete_of("k", Some("1"))).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "call {call}: {error}");
    }
    redis.restart().unwrap();
    store.set(item("k", "1")).await.unwrap();
    assert_eq!(shown(&store, "k").await, "1@1");
}

/// Between the calls the server is gone and back: nothing of it is seen.
#[tokio::test]
async fn a_restart_between_calls_is_not_seen() {
    let Some(mut redis) = server(&[]) else { return };
    let store = open(&[("redisHost", &redis.address())]).await.unwrap();
    for _ in 0..2 {
        redis.restart().unwrap();
        // The server is empty and has forgotten the scripts.
        store.set(item("k", "1")).await.unwrap();
        assert_eq!(shown(&store, "k").await, "1@1");
    }
}

#[tokio::test]
async fn a_short_outage_is_waited_out() {
    let Some(mut redis) = server(&[]) else { return };
    let address = redis.address();
    let properties = [
        ("redisHost", address.as_str()),
        ("redisMaxRetries", "100"),
        ("redisMinRetryInterval", "20ms"),
    ];
    let store = open(&properties).await.unwrap();
    redis.kill();
    let mut set = std::pin::pin!(store.set(item("k", "1")));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut set).await;
    assert!(early.is_err(), "{early:?}");
    redis.restart().unwrap();
    set.await.unwrap();
}

#[tokio::test]
async fn forgotten_scripts_are_sent_again() {
    let Some(redis) = server(&[]) else { return };
    let store = open(&[("redisHost", &redis.address())]).await.unwrap();
    store.set(item("k", "1")).await.unwrap();
    redis.cli(&["SCRIPT", "FLUSH"]).unwrap();
    store.set(item("k", "2")).await.unwrap();
    redis.cli(&["SCRIPT", "FLUSH"]).unwrap();
    store.delete(delete_of("k", Some("2"))).await.unwrap();
    let ops = vec![
        Operation::Set(item("k", "3")),
        Operation::Set(item("l", "3")),
    ];
    redis.cli(&["SCRIPT", "FLUSH"]).unwrap();
    store.transact(ops, Metadata::new()).await.unwrap();
    assert_eq!(shown(&store, "l").await, "3@1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_one_connection() {
    let Some(redis) = server(&[]) else { return };
    let store = open(&[("redisHost", &redis.address())]).await.unwrap();
    let calls = (0..500).map(|i| {
        let mut req = item(&format!("k{i}"), "v");
        // Without replicas there is nothing to wait for.
        req.consistency = Consistency::Strong;
        store.set(req)
    });
    for result in join_all(calls).await {
        result.unwrap();
    }
    let clients = redis.cli(&["CLIENT", "LIST", "TYPE", "normal"]).unwrap();
    // The second is the one that asks.
    assert_eq!(clients.trim().lines().count(), 2, "{clients}");
    store.close().await;
    let error = store.set(item("k", "v")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    eventually(DEADLINE, async || {
        let clients = redis.cli(&["CLIENT", "LIST", "TYPE", "normal"])?;
        anyhow::ensure!(clients.trim().lines().count() == 1, "{clients}");
        Ok(())
    })
    .await;
}
