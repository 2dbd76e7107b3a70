//! The client against a real etcd.

use std::time::Duration;

use bytes::Bytes;

use testkit::etcd::{Etcd, is_installed};

use super::*;
use crate::etcd::keys::end_of;
use crate::etcd::wire::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::etcd::wire::etcdserverpb::request_op::Request as Op;
use crate::etcd::wire::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, TxnResponse,
};
use crate::etcd::wire::mvccpb::event::EventType;

/// A server, or none on a machine without it.
fn etcd(args: &[&str]) -> Option<Etcd> {
    if !is_installed() {
        testkit::skip("etcd is not installed");
        return None;
    }
    Some(Etcd::start(args).unwrap())
}

fn client(endpoints: &[&str]) -> Client {
    let options = Options {
        endpoints: endpoints.iter().map(|e| (*e).to_owned()).collect(),
        ..Options::default()
    };
    Client::new(&options).unwrap()
}

fn put(key: &str, value: &str, lease: i64) -> RequestOp {
    let put = PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        lease,
        ..PutRequest::default()
    };
    RequestOp {
        request: Some(Op::RequestPut(put)),
    }
}

fn delete(key: &str) -> RequestOp {
    let delete = DeleteRangeRequest {
        key: key.to_owned().into(),
        ..DeleteRangeRequest::default()
    };
    RequestOp {
        request: Some(Op::RequestDeleteRange(delete)),
    }
}

async fn does(client: &Client, operations: Vec<RequestOp>) -> TxnResponse {
    let request = TxnRequest {
        success: operations,
        ..TxnRequest::default()
    };
    client.txn(request).await.unwrap()
}

fn revision(answer: &TxnResponse) -> i64 {
    answer.header.as_ref().unwrap().revision
}

async fn value(client: &Client, key: &str) -> Option<String> {
    let request = RangeRequest {
        key: key.to_owned().into(),
        ..RangeRequest::default()
    };
    let answer = client.range(request).await.unwrap();
    let pair = answer.kvs.into_iter().next();
    pair.map(|pair| String::from_utf8(pair.value.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_holds_only_while_its_revision_does() {
    let Some(etcd) = etcd(&[]) else { return };
    let client = client(&[&etcd.address()]);
    let first = revision(&does(&client, vec![put("a", "1", 0)]).await);
    let conditional = |expected: i64| TxnRequest {
        compare: vec![Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Mod.into(),
            key: "a".into(),
            target_union: Some(TargetUnion::ModRevision(expected)),
            ..Compare::default()
        }],
        success: vec![put("a", "2", 0)],
        failure: vec![put("b", "lost", 0)],
    };
    assert!(client.txn(conditional(first)).await.unwrap().succeeded);
    assert!(!client.txn(conditional(first)).await.unwrap().succeeded);
    assert_eq!(value(&client, "a").await.as_deref(), Some("2"));
    assert_eq!(value(&client, "b").await.as_deref(), Some("lost"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_show_one_revision_and_every_key_of_the_prefix_once() {
    let Some(etcd) = etcd(&[]) else { return };
    let client = client(&[&etcd.address()]);
    does(
        &client,
        (0..25).map(|i| put(&format!("p/{i:02}"), "", 0)).collect(),
    )
    .await;
    does(&client, vec![put("p0", "", 0), put("o", "", 0)]).await;
    let mut pages = client.pages("p/", end_of(b"p/"), 10, 0);
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        assert!(page.pairs.len() <= 10);
        seen.extend(page.pairs.into_iter().map(|pair| pair.key));
        // What is written meanwhile is of a later revision.
        does(&client, vec![put("p/zz", "", 0)]).await;
    }
    let expected: Vec<_> = (0..25).map(|i| format!("p/{i:02}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_member_answers_when_the_first_is_gone() {
    let Some(etcd) = etcd(&[]) else { return };
    let gone = format!("127.0.0.1:{}", testkit::free_port());
    let client = client(&[&gone, &etcd.address()]);
    let begin = Instant::now();
    does(&client, vec![put("a", "1", 0)]).await;
    // The first wait would have been longer.
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_for_a_server_that_comes_back() {
    let Some(mut etcd) = etcd(&[]) else { return };
    let client = client(&[&etcd.address()]);
    does(&client, vec![put("a", "1", 0)]).await;
    etcd.kill();
    let reading = value(&client, "a");
    let restarting = async {
        tokio::task::block_in_place(|| etcd.restart().unwrap());
    };
    let (value, ()) = tokio::join!(reading, restarting);
    assert_eq!(value.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_lasts_as_long_as_its_lease_is_renewed() {
    let Some(etcd) = etcd(&[]) else { return };
    let client = client(&[&etcd.address()]);
    let lease = client.grant(Duration::from_secs(2)).await.unwrap();
    does(&client, vec![put("a", "1", lease)]).await;
    client.keep_alive(lease).await.unwrap();
    assert!(value(&client, "a").await.is_some());
    client.revoke(lease).await.unwrap();
    assert_eq!(value(&client, "a").await, None);
    assert_eq!(client.keep_alive(lease).await, Err(Error::LeaseGone));
    assert_eq!(client.revoke(lease).await, Err(Error::LeaseGone));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_every_change_with_what_was_before() {
    let Some(etcd) = etcd(&[]) else { return };
    let client = client(&[&etcd.address()]);
    let start = revision(&does(&client, vec![put("w/a", "1", 0)]).await);
    let mut watch = client.watch("w/", end_of(b"w/"), start + 1);
    does(&client, vec![put("w/a", "2", 0), put("x", "", 0)]).await;
    does(&client, vec![delete("w/a")]).await;
    let mut events = Vec::new();
    while events.len() < 2 {
        events.extend(watch.next().await.unwrap());
    }
    let texts: Vec<_> = events
        .iter()
        .map(|event| {
            let before = event.prev_kv.as_ref().unwrap().value.clone();
            let now = event.kv.as_ref().unwrap().value.clone();
            (event.r#type(), before, now)
        })
        .collect();
    assert_eq!(
        texts,
        [
            (EventType::Put, "1".into(), "2".into()),
            (EventType::Delete, "2".into(), "".into()),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_after_a_crash_of_the_server() {
    let Some(mut etcd) = etcd(&[]) else { return };
    let client = client(&[&etcd.address()]);
    let start = revision(&does(&client, vec![put("w/a", "1", 0)]).await);
    let mut watch = client.watch("w/", end_of(b"w/"), start + 1);
    does(&client, vec![put("w/b", "1", 0)]).await;
    assert_eq!(watch.next().await.unwrap().len(), 1);
    tokio::task::block_in_place(|| etcd.restart().unwrap());
    does(&client, vec![put("w/c", "1", 0)]).await;
    let event = watch.next().await.unwrap().remove(0);
    assert_eq!(event.kv.unwrap().key, "w/c");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_what_is_compacted_is_lost() {
    let Some(etcd) = etcd(&[]) else { return };
    let client = client(&[&etcd.address()]);
    for _ in 0..3 {
        does(&client, vec![put("w/a", "1", 0)]).await;
    }
    let last = revision(&does(&client, vec![put("w/a", "2", 0)]).await);
    etcd.ctl(&["compact", &last.to_string()]).unwrap();
    let mut watch = client.watch("w/", end_of(b"w/"), 2);
    let lost = watch.next().await.unwrap_err();
    assert!(lost.to_string().contains("compacted"), "{lost}");
    let mut pages = client.pages("w/", end_of(b"w/"), 10, 2);
    assert_eq!(pages.next().await.unwrap_err(), Error::Compacted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_let_in_and_gets_another_token_when_the_first_is_no_longer_good() {
    let Some(mut etcd) = etcd(&[]) else { return };
    etcd.ctl(&["user", "add", "root:secret"]).unwrap();
    etcd.ctl(&["auth", "enable"]).unwrap();
    let user = |password: &str| {
        let options = Options {
            endpoints: vec![etcd.address()],
            username: "root".into(),
            password: password.into(),
        };
        Client::new(&options).unwrap()
    };
    let (good, bad) = (user("secret"), user("wrong"));
    does(&good, vec![put("a", "1", 0)]).await;
    let mut watch = good.watch("a", Bytes::default(), 1);
    assert_eq!(watch.next().await.unwrap().len(), 1);
    let request = RangeRequest {
        key: "a".into(),
        ..RangeRequest::default()
    };
    let refused = bad.range(request.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(_)), "{refused}");
    let nobody = client(&[&etcd.address()]).range(request).await.unwrap_err();
    assert!(matches!(nobody, Error::Refused(_)), "{nobody}");
    // The tokens of an etcd do not survive it.
    tokio::task::block_in_place(|| etcd.restart().unwrap());
    assert_eq!(value(&good, "a").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_not_needed_where_none_is_asked_for() {
    let Some(etcd) = etcd(&[]) else { return };
    let options = Options {
        endpoints: vec![etcd.address()],
        username: "root".into(),
        password: "secret".into(),
    };
    let client = Client::new(&options).unwrap();
    does(&client, vec![put("a", "1", 0)]).await;
    assert!(!format!("{options:?} {client:?}").contains("secret"));
}
