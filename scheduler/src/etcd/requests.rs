//! The parts of transactions.

use bytes::Bytes;

use super::keys::end_of;
use super::wire::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use super::wire::etcdserverpb::request_op::Request;
use super::wire::etcdserverpb::{Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp};

/// The key was written last at this revision; 0 means that it is not there.
pub(super) fn is_of(key: impl Into<Bytes>, revision: i64) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: key.into(),
        target_union: Some(TargetUnion::ModRevision(revision)),
        ..Compare::default()
    }
}

pub(super) fn put(key: impl Into<Bytes>, value: Vec<u8>) -> RequestOp {
    put_under(key, value, 0)
}

/// Writes a key that ends with its lease.
pub(super) fn put_under(key: impl Into<Bytes>, value: Vec<u8>, lease: i64) -> RequestOp {
    let put = PutRequest {
        key: key.into(),
        value: value.into(),
        lease,
        ..PutRequest::default()
    };
    operation(Request::RequestPut(put))
}

pub(super) fn get(key: impl Into<Bytes>) -> RequestOp {
    let range = RangeRequest {
        key: key.into(),
        ..RangeRequest::default()
    };
    operation(Request::RequestRange(range))
}

pub(super) fn delete(key: impl Into<Bytes>) -> RequestOp {
    let delete = DeleteRangeRequest {
        key: key.into(),
        ..DeleteRangeRequest::default()
    };
    operation(Request::RequestDeleteRange(delete))
}

/// Removes every key that begins with `prefix`.
pub(super) fn delete_prefix(prefix: impl Into<Bytes>) -> RequestOp {
    let key = prefix.into();
    let delete = DeleteRangeRequest {
        range_end: end_of(&key),
        key,
        ..DeleteRangeRequest::default()
    };
    operation(Request::RequestDeleteRange(delete))
}

fn operation(request: Request) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}
