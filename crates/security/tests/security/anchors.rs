//! Trust anchors in a file that changes.

use std::path::Path;

use anyhow::ensure;
use security::{AnchorSource, Options, PeerRule, Security};
use service::Tasks;
use testkit::{DEADLINE, eventually};

use crate::authority::{Authority, HOUR};
use crate::fake_sentry::FakeSentry;
use crate::lines;

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// Waits for so many lines.
async fn told(level: &str, line: &str, times: usize) {
    eventually(DEADLINE, async || {
        let count = lines::count(level, line);
        ensure!(count == times, "{count} times: {line}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn anchors_follow_their_file_and_outlive_what_is_wrong_with_it() {
    lines::collect();
    let sentry = FakeSentry::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.crt");
    let file = format!("Trust anchors file '{}'", path.display());
    let own = sentry.state().authority.pem();
    let options = Options {
        anchors: Some(AnchorSource::File(path.clone())),
        ..sentry.options("cart")
    };
    let tasks = Tasks::new();
    let (started, ()) = tokio::join!(Security::start(options, &tasks), async {
        told("WARN", &format!("{file} not found, waiting..."), 1).await;
        replace(&path, &own);
    });
    let security = started.unwrap();
    let identity = security.identity().unwrap();
    let anchors = identity.anchors();
    assert_eq!(anchors.current().len(), 1);

    let other = Authority::new().pem();
    replace(&path, &format!("# two\n{own}\n{other}"));
    let count = async |expected: usize| {
        eventually(DEADLINE, async || {
            let count = anchors.current().len();
            ensure!(count == expected, "{count} anchors");
            Ok(())
        })
        .await;
    };
    count(2).await;

    let half = &own[..own.len() / 2];
    for (times, wrong) in (1..).zip(["", "nonsense", half]) {
        replace(&path, wrong);
        let line = format!("{file} is not usable, the present anchors stay: ");
        told("WARN", &line, times).await;
        assert_eq!(anchors.current().len(), 2);
    }
    std::fs::remove_file(&path).unwrap();
    replace(&path, &own);
    count(1).await;

    // Nothing that Sentry announces is added to a file.
    sentry.state().announced = own.clone() + &other;
    let before = identity.current().not_after();
    sentry.clock.advance(HOUR * 12);
    eventually(DEADLINE, async || {
        ensure!(identity.current().not_after() > before, "not renewed");
        Ok(())
    })
    .await;
    assert_eq!(anchors.current().len(), 1);
    let config = identity.client_config(PeerRule::Any);
    crate::handshake::meet(identity, PeerRule::Any, config)
        .await
        .unwrap();
    assert!(tasks.shutdown(DEADLINE).await.is_empty());
}
