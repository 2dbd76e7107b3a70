use proto::dapr::scheduler::v1 as wire;
use proto::dapr::scheduler::v1::JobTargetType;
use tokio::net::TcpListener;
use tonic::Status;

use super::super::testing::{job_target, trigger};
use super::*;

fn reminder() -> Option<wire::job_target_metadata::Type> {
    let (id, r#type) = ("1".to_owned(), "cat".to_owned());
    let actor = wire::TargetActorReminder { id, r#type };
    Some(wire::job_target_metadata::Type::Actor(actor))
}

#[tokio::test]
async fn triggers_are_answered_with_what_became_of_them() {
    let mut fake = Fake::start().await;
    let it = running(&[&fake.address], 100);
    it.client.set_actor_types(types(&["cat"]));
    it.app.accept();
    let mut stream = loop {
        // The first may come before the app is accepted.
        let stream = fake.next_stream().await;
        if stream.initial.accept_job_types.len() == 2 && !stream.initial.actor_types.is_empty() {
            break stream;
        }
    };
    let initial = &stream.initial;
    assert_eq!(
        (initial.app_id.as_str(), initial.namespace.as_str()),
        ("app", "default")
    );
    assert_eq!(initial.actor_types, ["cat"]);
    let accepted: Vec<_> = initial.accept_job_types().collect();
    assert_eq!(accepted, [JobTargetType::Job, JobTargetType::ActorReminder]);
    for (id, name, target, success) in [
        (1, "good", Some(job_target()), true),
        (2, "bad", Some(job_target()), false),
        (3, "good", reminder(), true),
        (4, "bad", reminder(), false),
        (5, "good", None, false),
    ] {
        stream.send(trigger(id, name, target)).await;
        assert_eq!(stream.result().await, (id, success), "{name}");
    }
    stream.send(wire::WatchJobsResponse::default()).await;
    assert_eq!(stream.result().await, (0, false));
}

#[tokio::test]
async fn there_is_no_stream_while_there_is_nothing_to_take() {
    let mut fake = Fake::start().await;
    let it = running(&[&fake.address], 0);
    wait_for_hosts(&it.client, &[&fake.address]).await;
    assert!(fake.was_left_alone());
    it.client.set_actor_types(types(&["cat"]));
    let mut stream = fake.next_stream().await;
    let accepted: Vec<_> = stream.initial.accept_job_types().collect();
    assert_eq!(accepted, [JobTargetType::ActorReminder]);
    it.client.set_actor_types(types(&["cat"]));
    it.client.set_actor_types(types(&[]));
    assert!(stream.is_over().await);
    it.app.accept();
    let stream = fake.next_stream().await;
    let accepted: Vec<_> = stream.initial.accept_job_types().collect();
    assert_eq!(accepted, [JobTargetType::Job]);
    assert!(fake.was_left_alone());
}

#[tokio::test]
async fn a_stream_that_breaks_is_opened_again() {
    let mut fake = Fake::start().await;
    let it = running(&[&fake.address], 1);
    it.app.accept();
    fake.next_stream().await.end(Status::internal("boom")).await;
    drop(fake.next_stream().await);
    let address = fake.kill().await;
    let mut fake = Fake::on(TcpListener::bind(&address).await.unwrap());
    fake.name_hosts(&[&address]);
    let mut stream = fake.next_stream().await;
    stream.send_job(1, "good").await;
    assert_eq!(stream.result().await, (1, true));
}

#[tokio::test]
async fn only_so_many_triggers_run_at_once() {
    let mut fake = Fake::start().await;
    let it = running(&[&fake.address], 0);
    it.app.accept();
    let mut stream = fake.next_stream().await;
    let large = prost_types::Any {
        type_url: String::new(),
        value: vec![0; 1 << 20],
    };
    let sending = async {
        for id in 0..100 {
            let trigger = trigger(id, "good", Some(job_target()));
            let data = Some(large.clone());
            stream
                .send(wire::WatchJobsResponse { data, ..trigger })
                .await;
        }
    };
    let taking = async {
        it.wait_for_running(64).await;
        it.taker.permits.add_permits(100);
    };
    tokio::join!(sending, taking);
    let mut results = Vec::new();
    while results.len() < 100 {
        results.push(stream.result().await.0);
    }
    results.sort_unstable();
    assert_eq!(results, (0..100).collect::<Vec<_>>());
    assert_eq!(it.taker.peak.load(Ordering::SeqCst), 64);
}

#[tokio::test]
async fn triggers_that_run_are_finished_before_a_stream_is_replaced() {
    let mut fake = Fake::start().await;
    let it = running(&[&fake.address], 0);
    it.app.accept();
    let mut old = fake.next_stream().await;
    old.send_job(7, "good").await;
    old.send_job(8, "bad").await;
    it.wait_for_running(2).await;
    it.client.set_actor_types(types(&["cat"]));
    let new = fake.next_stream().await;
    assert_eq!(new.initial.actor_types, ["cat"]);
    it.taker.permits.add_permits(2);
    let mut both = [old.result().await, old.result().await];
    both.sort_unstable();
    assert_eq!(both, [(7, true), (8, false)]);
    assert!(old.is_over().await);
}

#[tokio::test]
async fn every_scheduler_has_streams() {
    let (mut one, mut two) = (Fake::start().await, Fake::start().await);
    one.name_hosts(&[&one.address, &two.address]);
    let it = running(&[&one.address], 0);
    it.app.accept();
    let mut of_one = one.next_stream().await;
    let mut of_two = two.next_stream().await;
    one.name_hosts(&[&one.address]);
    assert!(of_two.is_over().await, "it is no scheduler any more");
    one.name_hosts(&[&one.address, &two.address]);
    let mut of_two = two.next_stream().await;
    assert!(one.was_left_alone(), "a stream that works is kept");
    it.taker.permits.add_permits(2);
    of_one.send_job(1, "good").await;
    of_two.send_job(1, "good").await;
    assert_eq!(of_one.result().await, (1, true));
    assert_eq!(of_two.result().await, (1, true));
}

#[tokio::test]
async fn the_end_of_the_sidecar_waits_for_triggers_that_run() {
    let mut fake = Fake::start().await;
    let it = running(&[&fake.address], 0);
    it.app.accept();
    let mut stream = fake.next_stream().await;
    stream.send_job(1, "good").await;
    stream.send_job(2, "good").await;
    it.wait_for_running(2).await;
    let ending = it.tasks.shutdown(DEADLINE);
    let (left, mut both) = tokio::join!(ending, async {
        it.taker.permits.add_permits(2);
        let both = [stream.result().await, stream.result().await];
        assert!(stream.is_over().await);
        drop(stream);
        both
    });
    both.sort_unstable();
    assert_eq!((left, both), (vec![], [(1, true), (2, true)]));
}
