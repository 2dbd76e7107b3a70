//! What tools ask the scheduler's store, as if it were an etcd.

use bytes::Bytes;
use prost::Message;
use scheduler::etcd::wire::etcdserverpb::request_op::Request;
use scheduler::etcd::wire::etcdserverpb::response_op::Response;
use scheduler::etcd::wire::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest};
use scheduler::fuzzing::Tool;
use service::Tasks;

/// A transaction: what it answers and leaves behind is in order.
pub fn etcd(data: &[u8]) {
    let Ok(request) = TxnRequest::decode(data) else {
        return;
    };
    if request == TxnRequest::default() {
        return;
    }
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    runtime.block_on(async {
        let tasks = Tasks::new();
        let tool = Tool::open(folder.path(), &tasks).await.expect("a store");
        transact(&tool, request).await;
        tasks.shutdown(std::time::Duration::from_secs(60)).await;
    });
}

async fn transact(tool: &Tool, request: TxnRequest) {
    let everything = RangeRequest {
        key: Bytes::from_static(b"\0"),
        range_end: Bytes::from_static(b"\0"),
        ..RangeRequest::default()
    };
    let done = tool.transact(request.clone()).await;
    let left = tool.read(everything.clone()).await.expect("it is read");
    check(&everything, &left);
    for pair in &left.kvs {
        let known = [&b"dapr/jobs/"[..], b"dapr/counters/", b"dapr/leadership/"];
        let found = known.iter().any(|prefix| pair.key.starts_with(prefix));
        assert!(found, "{:?} was written", pair.key);
    }
    let Ok(answer) = done else { return };
    let operations = match answer.succeeded {
        true => request.success,
        false => request.failure,
    };
    assert_eq!(answer.responses.len(), operations.len());
    let pairs = operations.iter().zip(&answer.responses);
    for (asked, answered) in pairs {
        if let (Some(Request::RequestRange(asked)), Some(Response::ResponseRange(answered))) =
            (&asked.request, &answered.response)
        {
            check(asked, answered);
        }
    }
    if let Some(Request::RequestPut(put)) = operations.last().and_then(|o| o.request.as_ref()) {
        let there = left.kvs.iter().any(|pair| pair.key == put.key);
        assert!(there, "{:?} was put and is not there", put.key);
    }
}

/// The pairs of an answer are inside of what was asked for, and in order.
fn check(asked: &RangeRequest, answered: &RangeResponse) {
    let inside = |key: &Bytes| match &*asked.range_end {
        b"" => *key == asked.key,
        b"\0" => *key >= asked.key,
        _ => *key >= asked.key && *key < asked.range_end,
    };
    assert!(answered.kvs.iter().all(|pair| inside(&pair.key)));
    let keys: Vec<_> = answered.kvs.iter().map(|pair| &pair.key).collect();
    let rises = keys.is_sorted_by(|one, next| one < next);
    assert!(
        rises || keys.is_sorted_by(|one, next| one > next),
        "{keys:?}"
    );
    let most = usize::try_from(asked.limit).ok().filter(|limit| *limit > 0);
    assert!(most.is_none_or(|most| keys.len() <= most));
    assert!(answered.count >= keys.len() as i64);
}
