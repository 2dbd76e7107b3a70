//! An etcd that keeps its pairs in memory.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use super::super::wire::{
    etcdserverpb::{
        DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest,
        RangeResponse, ResponseOp, TxnRequest, TxnResponse,
        kv_server::{Kv, KvServer},
        request_op, response_op,
    },
    mvccpb::KeyValue,
};

/// Ends with the value.
pub(super) struct Etcd {
    kept: Kept,
    port: u16,
    _server: JoinSet<()>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Good,
    /// Every page is the first one.
    SameAgain,
    Unimplemented,
    Away,
    Refuses,
    /// Transactions say nothing of what they did.
    Silent,
}

#[derive(Default)]
struct State {
    pairs: BTreeMap<Bytes, Bytes>,
    mood: Mood,
    largest_answer: usize,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<State>>);

impl Etcd {
    pub(super) async fn start() -> Self {
        let kept = Kept::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("free");
        let port = listener.local_addr().expect("bound").port();
        let service = KvServer::new(kept.clone());
        let mut server = JoinSet::new();
        server.spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            let served = Server::builder().add_service(service);
            served.serve_with_incoming(incoming).await.expect("serves");
        });
        Self {
            kept,
            port,
            _server: server,
        }
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn set(&self, key: &str, value: Bytes) {
        self.kept.state().pairs.insert(key.to_owned().into(), value);
    }

    pub(super) fn behave(&self, mood: Mood) {
        self.kept.state().mood = mood;
    }

    pub(super) fn content(&self) -> BTreeMap<Bytes, Bytes> {
        self.kept.state().pairs.clone()
    }

    pub(super) fn keys(&self) -> Vec<String> {
        let text = |key| String::from_utf8_lossy(key).into_owned();
        self.content().keys().map(|key| text(key)).collect()
    }

    /// In pairs.
    pub(super) fn largest_answer(&self) -> usize {
        self.kept.state().largest_answer
    }
}

impl Kept {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds it")
    }
}

impl State {
    fn keys(&self, from: &Bytes, end: &Bytes) -> Vec<Bytes> {
        if end.is_empty() {
            return self
                .pairs
                .contains_key(from)
                .then(|| from.clone())
                .into_iter()
                .collect();
        }
        let range = (Bound::Included(from.clone()), Bound::Excluded(end.clone()));
        self.pairs
            .range(range)
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn put(&mut self, put: PutRequest) -> PutResponse {
        self.pairs.insert(put.key, put.value);
        PutResponse {}
    }

    fn delete(&mut self, delete: &DeleteRangeRequest) -> DeleteRangeResponse {
        let keys = self.keys(&delete.key, &delete.range_end);
        for key in &keys {
            self.pairs.remove(key);
        }
        DeleteRangeResponse {
            deleted: i64::try_from(keys.len()).expect("few"),
        }
    }
}

#[tonic::async_trait]
impl Kv for Kept {
    async fn range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RangeResponse>, Status> {
        let mut state = self.state();
        let request = request.into_inner();
        let mut from = request.key;
        let mut limit = usize::try_from(request.limit).expect("not negative");
        match state.mood {
            Mood::Unimplemented => return Err(Status::unimplemented("no such service")),
            Mood::Away => return Err(Status::unavailable("shutting down")),
            Mood::SameAgain => (from, limit) = ("dapr/".into(), 1),
            _ => {}
        }
        let mut keys = state.keys(&from, &request.range_end);
        let more = limit != 0 && keys.len() > limit;
        if more {
            keys.truncate(limit);
        }
        state.largest_answer = state.largest_answer.max(keys.len());
        let pair = |key: Bytes| KeyValue {
            value: state.pairs[&key].clone(),
            key,
        };
        Ok(Response::new(RangeResponse {
            kvs: keys.into_iter().map(pair).collect(),
            more,
        }))
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        use request_op::Request as Op;
        use response_op::Response as Done;
        let mut state = self.state();
        match state.mood {
            Mood::Refuses => return Err(Status::permission_denied("writes come from elsewhere")),
            Mood::Silent => return Ok(Response::new(TxnResponse::default())),
            _ => {}
        }
        let mut responses = Vec::new();
        for operation in request.into_inner().success {
            let response = match operation.request.expect("an operation") {
                Op::RequestPut(put) => Done::ResponsePut(state.put(put)),
                Op::RequestDeleteRange(delete) => Done::ResponseDeleteRange(state.delete(&delete)),
            };
            responses.push(ResponseOp {
                response: Some(response),
            });
        }
        Ok(Response::new(TxnResponse { responses }))
    }
}
