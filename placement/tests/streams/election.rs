//! Several members in a cluster, of which one serves.

use testkit::kubernetes::{Api, Manners};
use tonic::Code;

use crate::service::Placement;
use crate::sidecar::{Sidecar, host};

async fn member(api: &Api, number: usize) -> Placement {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = api.kubeconfig(folder.path()).unwrap();
    Placement::start(|config| {
        config.kubernetes = true;
        config.kubeconfig = kubeconfig.to_str().unwrap().into();
        config.members = (0..3).map(|n| format!("dapr-placement-{n}")).collect();
        config.id = config.members[number].clone();
    })
    .await
}

/// A sidecar of whichever member leads by now.
async fn served(placement: &Placement) -> Sidecar {
    testkit::eventually(testkit::DEADLINE, async || {
        let mut one = Sidecar::connect(placement.channel(), host("one", &["a"])).await?;
        let lock = one.next().await?;
        anyhow::ensure!(lock.operation == "lock");
        Ok(one)
    })
    .await
}

#[tokio::test]
async fn only_the_leader_serves_and_the_next_one_when_it_ends() {
    let api = Api::start().await.unwrap();
    let leader = member(&api, 0).await;
    let follower = member(&api, 1).await;
    let mut one = served(&leader).await;
    let refused = Sidecar::connect(follower.channel(), host("two", &["a"])).await;
    let status = refused.err().unwrap();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(
        status.message(),
        "node id=dapr-placement-1 is not a leader. Only the leader can serve requests"
    );
    let page = testkit::Http::port(follower.health)
        .get("/placement/state")
        .await;
    assert_eq!(page.unwrap().text(), "null");
    leader.shut_down();
    assert_eq!(one.end().await.code(), Code::Unavailable);
    served(&follower).await;
}

#[tokio::test]
async fn who_loses_leadership_closes_its_streams_and_goes_on() {
    let api = Api::start().await.unwrap();
    let leader = member(&api, 2).await;
    let mut one = served(&leader).await;
    api.behave(Manners {
        fails: true,
        ..Manners::default()
    });
    let end = one.end().await;
    assert_eq!(end.code(), Code::FailedPrecondition);
    assert_eq!(
        end.message(),
        "node id=dapr-placement-2 is not a leader. Only the leader can serve requests"
    );
    api.behave(Manners::default());
    served(&leader).await;
}
