use tokio::net::TcpListener;

use super::*;

#[tokio::test]
async fn the_list_of_hosts_is_followed() {
    let fake = Fake::start().await;
    let it = running(&[&fake.address], 0);
    wait_for_hosts(&it.client, &[&fake.address]).await;
    assert!(it.health.is_ready());
    fake.name_hosts(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:1"]);
    wait_for_hosts(&it.client, &["127.0.0.1:1", "127.0.0.1:2"]).await;
}

#[tokio::test]
async fn a_scheduler_that_names_no_hosts_is_taken_as_configured() {
    let fake = Fake::silent().await;
    let it = running(&[&fake.address], 0);
    wait_for_hosts(&it.client, &[&fake.address]).await;
    assert!(it.health.is_ready());
}

#[tokio::test]
async fn the_client_is_ready_only_when_a_scheduler_is_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let it = running(&[&address], 0);
    assert!(!it.health.is_ready());
    let fake = Fake::on(TcpListener::bind(&address).await.unwrap());
    fake.name_hosts(&[&address]);
    wait_for_hosts(&it.client, &[&address]).await;
    assert!(it.health.is_ready());
}

#[tokio::test]
async fn garbage_in_a_list_does_no_harm() {
    let mut fake = Fake::start().await;
    let it = running(&[&fake.address], 1);
    it.app.accept();
    let mut stream = fake.next_stream().await;
    fake.name_hosts(&["no address at all", "", "::::", "http://x/y"]);
    stream.send_job(1, "good").await;
    assert_eq!(stream.result().await, (1, true));
    fake.name_hosts(&[&fake.address]);
    wait_for_hosts(&it.client, &[&fake.address]).await;
}

#[tokio::test]
async fn without_an_address_nothing_is_started() {
    let it = running(&[], 0);
    assert!(it.health.is_ready());
    assert!(it.tasks.running().is_empty());
    assert_eq!(it.client.connected_addresses(), Vec::<String>::new());
    let called = it.client.get("a".into(), Target::App).await;
    assert_eq!(
        called.unwrap_err().to_string(),
        "scheduler clients are disabled"
    );
}
