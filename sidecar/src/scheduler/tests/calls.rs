use proto::dapr::scheduler::v1 as wire;
use tokio::net::TcpListener;
use tonic::{Code, Status};

use super::*;

#[tokio::test]
async fn schedulers_take_turns() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    one.name_hosts(&[&one.address, &two.address]);
    let it = running(&[&one.address], 0);
    for _ in 0..10 {
        it.client.delete("a".into(), Target::App).await.unwrap();
    }
    assert_eq!((one.calls(), two.calls()), (5, 5));
}

#[tokio::test]
async fn a_call_that_the_scheduler_gave_up_is_made_again() {
    let fake = Fake::start().await;
    let it = running(&[&fake.address], 0);
    fake.fail_next(Status::cancelled("shutting down"));
    it.client.delete("a".into(), Target::App).await.unwrap();
    assert_eq!(fake.calls(), 2);
    for code in [Code::Unknown, Code::Unavailable, Code::DeadlineExceeded] {
        fake.fail_next(Status::new(code, "no"));
        let failed = it.client.delete("a".into(), Target::App).await;
        assert_eq!(failed.unwrap_err().code(), code);
    }
    assert_eq!(fake.calls(), 5, "anything else is an answer");
}

#[tokio::test]
async fn a_call_goes_to_the_scheduler_that_can_be_reached() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    one.name_hosts(&[&one.address, &two.address]);
    let it = running(&[&one.address], 0);
    let all = [one.address.clone(), two.address.clone()];
    let mut all: Vec<_> = all.iter().map(String::as_str).collect();
    all.sort_unstable();
    wait_for_hosts(&it.client, &all).await;
    two.kill().await;
    for _ in 0..4 {
        let job = wire::Job::default();
        let scheduled = it.client.schedule("a".into(), job, Target::App, true);
        scheduled.await.unwrap();
        it.client.list(Target::App).await.unwrap();
    }
}

#[tokio::test]
async fn some_calls_wait_for_a_scheduler_and_some_do_not() {
    let fake = Fake::start().await;
    let it = running(&[&fake.address], 0);
    wait_for_hosts(&it.client, &[&fake.address]).await;
    let address = fake.kill().await;
    let listed = it.client.list(Target::App).await;
    assert_eq!(listed.unwrap_err().code(), Code::Unavailable);
    let waiting = it.client.get("a".into(), Target::App);
    let (got, _fake) = tokio::join!(waiting, async {
        let fake = Fake::on(TcpListener::bind(&address).await.unwrap());
        fake.name_hosts(&[&address]);
        fake
    });
    assert_eq!(got.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_any_scheduler_ends_after_its_time() {
    let client = client(&["127.0.0.1:1"]);
    let failed = client.get("a".into(), Target::App).await.unwrap_err();
    assert_eq!(failed.code(), Code::DeadlineExceeded);
    assert_eq!(
        failed.to_string(),
        "rpc error: code = DeadlineExceeded desc = context deadline exceeded"
    );
}
