//! Trust anchors in a file that changes.

use std::path::Path;

use anyhow::ensure;
use security::{AnchorSource, Options, PeerRule, Security};
use service::Tasks;
use testkit::{DEADLINE, eventually};

use crate::authority::{Authority, HOUR};
use crate::fake_sentry::FakeSentry;

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}

#[tokio::test]
async fn anchors_follow_their_file_and_outlive_what_is_wrong_with_it() {
    let sentry = FakeSentry::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.crt");
    let own = sentry.state().authority.pem();
    let options = Options {
        anchors: Some(AnchorSource::File(path.clone())),
        ..sentry.options("cart")
    };
    let tasks = Tasks::new();
    let (started, ()) = tokio::join!(Security::start(options, &tasks), async {
        // The start waits for the file.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
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

    // What is wrong changes nothing; a later good text shows that it was read.
    let half = &own[..own.len() / 2];
    for wrong in ["", "nonsense", half] {
        std::fs::write(&path, wrong).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
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
