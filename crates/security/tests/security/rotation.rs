//! Renewals: ten generations, a Sentry that is away, roots that change.

use std::sync::Arc;

use anyhow::ensure;
use security::{Identity, Options, PeerRule, Security};
use service::Tasks;
use service::metrics::Registry;
use testkit::{DEADLINE, eventually};

use crate::authority::{Authority, HOUR};
use crate::fake_sentry::FakeSentry;
use crate::handshake::meet;
use crate::lines;

async fn app(sentry: &FakeSentry, app_id: &str) -> Identity {
    let options = sentry.options(app_id);
    let security = Security::start(options, &Tasks::new()).await.unwrap();
    security.identity().unwrap().clone()
}

/// Waits for a certificate that ends later than the present one, after `act`.
async fn renewed(identity: &Identity, act: impl FnOnce()) {
    let old = identity.current().not_after();
    act();
    eventually(DEADLINE, async || {
        ensure!(identity.current().not_after() > old, "not renewed");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn ten_generations_follow_each_other_without_a_failed_handshake() {
    let sentry = FakeSentry::start().await;
    let (cart, shop) = (app(&sentry, "cart").await, app(&sentry, "shop").await);
    let config = shop.client_config(PeerRule::Path {
        namespace: "default".into(),
        app_id: "cart".into(),
    });
    for generation in 0..10 {
        let half = sentry.clock.now() + HOUR * 12;
        assert!(half < cart.current().not_after());
        let shop_before = shop.current().not_after();
        renewed(&cart, || sentry.clock.advance(HOUR * 12)).await;
        let met = meet(&cart, PeerRule::Any, config.clone()).await;
        met.unwrap_or_else(|e| panic!("generation {generation}: {e}"));
        eventually(DEADLINE, async || {
            ensure!(shop.current().not_after() > shop_before, "shop not renewed");
            Ok(())
        })
        .await;
        let met = meet(&cart, PeerRule::Any, config.clone()).await;
        met.unwrap_or_else(|e| panic!("generation {generation}: {e}"));
    }
    let requests = sentry.state().requests.clone();
    let mut keys: Vec<_> = requests
        .iter()
        .map(|r| &r.certificate_signing_request)
        .collect();
    keys.sort();
    keys.dedup();
    assert_eq!(
        keys.len(),
        requests.len(),
        "each request has a key of its own"
    );
    assert_eq!(requests.len(), 22);
}

#[tokio::test]
async fn nothing_is_renewed_before_nearly_half_of_the_validity() {
    let sentry = FakeSentry::start().await;
    let cart = app(&sentry, "cart").await;
    let first = cart.current().not_after();
    // Half is at 11:52:30; a twentieth of that may be taken off.
    sentry.clock.advance(HOUR * 11);
    let shop = app(&sentry, "shop").await;
    assert_eq!(shop.current().id().app_id, "shop");
    assert_eq!(cart.current().not_after(), first);
    assert_eq!(sentry.state().requests.len(), 2);
}

#[tokio::test]
async fn an_identity_outlives_the_absence_of_sentry_until_its_end() {
    lines::collect();
    let sentry = FakeSentry::start().await;
    let registry = Registry::new(&[]);
    let options = Options {
        metrics: Some(registry.clone()),
        ..sentry.options("cart")
    };
    let security = Security::start(options, &Tasks::new()).await.unwrap();
    let cart = security.identity().unwrap();
    let first = cart.current().not_after();
    let ends = first.strftime("cert expires on: %Y-%m-%d %H:%M:%S +0000 UTC");
    assert_eq!(lines::count("INFO", "Fetching initial identity"), 1);
    assert_eq!(
        lines::count("INFO", "Security is initialized successfully"),
        1
    );
    sentry.state().away = true;
    sentry.clock.advance(HOUR * 12);
    failures(&registry, &sentry, 2).await;
    let config = cart.client_config(PeerRule::Any);
    meet(cart, PeerRule::Any, config.clone()).await.unwrap();
    assert_eq!(cart.current().not_after(), first);
    let end = format!("{:e}", first.as_second() as f64);
    let digits = end.split('e').next().unwrap().to_owned();
    let line = format!("workload_cert_expiry_timestamp{{app_id=\"cart\"}} {digits}");
    assert!(registry.render().contains(&line), "{line}");

    let stays = format!("Workload identity stays in use until it expires; {ends}");
    assert_eq!(lines::count("WARN", &stays), 1);
    let failed = "Error renewing identity, trying again in 10 seconds: error establishing";
    assert!(lines::count("ERROR", failed) >= 2);

    sentry.clock.advance(HOUR * 13);
    assert!(meet(cart, PeerRule::Any, config.clone()).await.is_err());
    failures(&registry, &sentry, 5).await;
    assert_eq!(lines::count("ERROR", "Workload identity has expired"), 1);
    sentry.state().away = false;
    eventually(DEADLINE, async || {
        sentry.clock.advance(std::time::Duration::from_secs(10));
        ensure!(cart.current().not_after() > first, "not renewed");
        Ok(())
    })
    .await;
    meet(cart, PeerRule::Any, config).await.unwrap();
    let text = registry.render();
    let line = "dapr_runtime_mtls_workload_cert_rotated_total{app_id=\"cart\"} 1";
    assert!(text.contains(line), "{text}");
    let starting = format!("Starting workload identity expiry watcher; {ends}, renewal at: ");
    for line in [
        &*starting,
        &format!("Renewing workload identity; {ends}"),
        "Successfully renewed workload identity; cert expires on: ",
    ] {
        assert_eq!(lines::count("INFO", line), 1, "{line}");
    }
}

/// Moves the clock by the pauses between tries until so many requests have failed.
async fn failures(registry: &Registry, sentry: &FakeSentry, at_least: u32) {
    let line = "workload_cert_rotated_fail_total{app_id=\"cart\",reason=\"sentry_conn\"} ";
    eventually(DEADLINE, async || {
        sentry.clock.advance(std::time::Duration::from_secs(1));
        let text = registry.render();
        let (_, count) = text.split_once(line).unwrap_or(("", "0"));
        let count: u32 = count.lines().next().unwrap_or("0").parse()?;
        ensure!(count >= at_least, "{count} failures");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn roots_change_in_two_steps_without_a_failed_handshake() {
    let sentry = FakeSentry::start().await;
    let (cart, shop) = (app(&sentry, "cart").await, app(&sentry, "shop").await);
    let config = shop.client_config(PeerRule::Any);
    let (old, new) = (sentry.state().authority.clone(), Arc::new(Authority::new()));

    // The new root is announced beside the old one, which still signs.
    sentry.state().announced = old.pem() + &new.pem();
    renew_both(&sentry, &cart, &shop).await;
    assert_eq!(cart.anchors().current().len(), 2);
    meet(&cart, PeerRule::Any, config.clone()).await.unwrap();

    // Then the new one signs, Sentry's own certificate included; one of the two
    // apps may have its new certificate before the other.
    sentry.state().authority = new.clone();
    sentry.clock.advance(HOUR * 12);
    eventually(DEADLINE, async || {
        meet(&cart, PeerRule::Any, config.clone()).await.unwrap();
        let chains = [cart.current(), shop.current()];
        let now = sentry.clock.now();
        let both = chains
            .iter()
            .all(|svid| security::verify_chain(&new.bundle(), svid.chain(), now).is_ok());
        ensure!(both, "not renewed");
        Ok(())
    })
    .await;

    // The old root is announced no more, but it is configured and stays.
    sentry.state().announced = new.pem();
    renew_both(&sentry, &cart, &shop).await;
    assert_eq!(cart.anchors().current().len(), 2);
    meet(&cart, PeerRule::Any, config).await.unwrap();
}

#[tokio::test]
async fn a_root_that_nobody_present_vouches_for_is_not_learned() {
    let sentry = FakeSentry::start().await;
    let registry = Registry::new(&[]);
    let options = Options {
        metrics: Some(registry.clone()),
        ..sentry.options("cart")
    };
    let security = Security::start(options, &Tasks::new()).await.unwrap();
    let cart = security.identity().unwrap();
    let first = cart.current().not_after();
    let stranger = Arc::new(Authority::new());
    sentry.state().announced = stranger.pem();
    sentry.state().authority = stranger;
    sentry.clock.advance(HOUR * 12);
    failures(&registry, &sentry, 1).await;
    assert_eq!(cart.current().not_after(), first);
    assert_eq!(cart.anchors().current().len(), 1);
}

#[tokio::test]
async fn announced_garbage_is_passed_over() {
    let sentry = FakeSentry::start().await;
    sentry.state().announced = "-----BEGIN CERTIFICATE-----\nxx".into();
    let cart = app(&sentry, "cart").await;
    assert_eq!(cart.anchors().current().len(), 1);
}

async fn renew_both(sentry: &FakeSentry, cart: &Identity, shop: &Identity) {
    let before = shop.current().not_after();
    renewed(cart, || sentry.clock.advance(HOUR * 12)).await;
    eventually(DEADLINE, async || {
        ensure!(shop.current().not_after() > before, "shop not renewed");
        Ok(())
    })
    .await;
}
