//! Several resolvers in one process, over the machine's real interfaces.

use anyhow::ensure;
use testkit::{DEADLINE, eventually};

use super::*;

fn instance(app_id: &str, internal_port: u16) -> Instance {
    Instance {
        app_id: app_id.into(),
        address: "127.0.0.1".into(),
        internal_port,
        ..Instance::default()
    }
}

async fn open(instance: Instance) -> Result<Mdns> {
    Mdns::open(Config {}, Env::named("mdns"), instance).await
}

async fn ask(resolver: &Mdns, id: &str) -> Result<Vec<String>> {
    let id = id.to_owned();
    let req = ResolveRequest {
        id,
        ..ResolveRequest::default()
    };
    resolver.resolve(req).await
}

/// A name that no other run on this network uses at the same time.
fn unique(name: &str) -> String {
    format!(
        "{name}-{}",
        &uuid::Uuid::new_v4().simple().to_string()[..12]
    )
}

#[tokio::test]
async fn sidecars_find_each_other_until_they_leave() {
    let (a, b) = (unique("a"), unique("b"));
    let first = open(instance(&a, 4001)).await.unwrap();
    if !first.shared.joined.load(Ordering::Relaxed) {
        return testkit::skip("no network interface takes part in multicast");
    }
    let second = open(instance(&b, 4002)).await.unwrap();
    // Another process may have to read its packets first.
    eventually(DEADLINE, async || {
        ensure!(ask(&first, &b).await? == ["127.0.0.1:4002"]);
        ensure!(ask(&second, &a).await? == ["127.0.0.1:4001"]);
        Ok(())
    })
    .await;
    let none = ask(&first, &unique("none")).await.unwrap_err();
    assert!(
        none.message.starts_with("couldn't find service: none-"),
        "{none}"
    );

    second.close().await;
    eventually(DEADLINE, async || {
        ensure!(ask(&first, &b).await.is_err(), "its goodbye was not heard");
        Ok(())
    })
    .await;
    first.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_id_that_cannot_be_a_name_is_not_waited_for() {
    let resolver = open(instance(&unique("a"), 4003)).await.unwrap();
    let start = Time::now();
    for id in ["", "a..b", &"x".repeat(70)] {
        let error = ask(&resolver, id).await.unwrap_err();
        assert_eq!(error.message, format!("couldn't find service: {id}"));
    }
    assert!(start.elapsed() < AGAIN, "it waited for an answer");
}

#[tokio::test]
async fn an_instance_that_cannot_be_registered_is_refused() {
    let refused = async |change: fn(&mut Instance)| {
        let mut instance = instance("refused", 4004);
        change(&mut instance);
        open(instance).await.map(|_| ()).unwrap_err().message
    };
    assert_eq!(refused(|i| i.app_id.clear()).await, "name is missing");
    assert_eq!(refused(|i| i.address.clear()).await, "address is missing");
    let port = refused(|i| i.internal_port = 0).await;
    assert_eq!(port, "port is missing or invalid");
    let literal = refused(|i| i.address = "localhost".into()).await;
    assert!(
        literal.contains("\"localhost\" is not an IP address"),
        "{literal}"
    );
    let long = refused(|i| i.app_id = "x".repeat(64)).await;
    assert!(long.contains("cannot be a DNS name"), "{long}");
}

#[tokio::test]
async fn an_app_is_registered_once_until_it_is_closed() {
    let id = unique("once");
    let first = open(instance(&id, 4005)).await.unwrap();
    let again = open(instance(&id, 4005)).await.map(|_| ()).unwrap_err();
    let expected = format!("app id {id} already registered for port 4005");
    assert_eq!(again.message, expected);
    first.close().await;
    open(instance(&id, 4005)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_multicast_nobody_is_found_at_once() {
    let resolver = open(instance(&unique("a"), 4006)).await.unwrap();
    resolver.shared.joined.store(false, Ordering::Relaxed);
    let start = Time::now();
    assert!(ask(&resolver, "other").await.is_err());
    assert!(start.elapsed() < AGAIN, "it waited for an answer");
}
