//! The face of an etcd over the embedded store, for the tools that look into the
//! scheduler's: reading as etcd reads, and the writes of upstream's command line tool.

mod connections;
pub(crate) mod fuzzing;
mod member;
mod range;
mod span;
mod write;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use service::Tasks;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::codegen::http;
use tonic::service::Routes;
use tonic::{Extensions, Request, Response, Status};

use super::wire::etcdserverpb::cluster_server::ClusterServer;
use super::wire::etcdserverpb::kv_server::{Kv, KvServer};
use super::wire::etcdserverpb::maintenance_server::MaintenanceServer;
use super::wire::etcdserverpb::request_op::Request as Operation;
use super::wire::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, ResponseHeader as Header, TxnRequest, TxnResponse,
};
use crate::store::Embedded;
use connections::Peer;
use member::{ID, Member, TERM};

/// The largest request, in bytes.
const MOST_BYTES: usize = 16 << 20;
/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// As many ranges are read at once; each may be large.
const MOST_WALKS: usize = 2;

/// Serves etcd's KV, Cluster and Maintenance; clones are the same.
#[derive(Clone)]
struct Face {
    store: Embedded,
    member: Arc<Member>,
    walks: Arc<Semaphore>,
}

/// Serves until the tasks are told to end: the scheduler `id`, which sidecars reach at
/// `address`, with the jobs of `store`.
///
/// # Errors
/// When the listener has no address.
pub fn serve(
    listener: TcpListener,
    store: Embedded,
    id: &str,
    address: &str,
    tasks: &Tasks,
) -> std::io::Result<()> {
    let url = format!("http://{}", listener.local_addr()?);
    let face = Face::new(store, id, address, url);
    connections::serve(listener, face.into_routes(), tasks);
    Ok(())
}

impl Face {
    fn new(store: Embedded, id: &str, address: &str, url: String) -> Self {
        Self {
            store,
            member: Arc::new(Member::new(id, address, url)),
            walks: Arc::new(Semaphore::new(MOST_WALKS)),
        }
    }

    fn into_routes(self) -> Routes {
        let kv = KvServer::new(self.clone())
            .max_decoding_message_size(MOST_BYTES)
            .max_encoding_message_size(usize::MAX);
        let routes = Routes::new(kv)
            .add_service(ClusterServer::new(self.clone()))
            .add_service(MaintenanceServer::new(self));
        routes.into_axum_router().fallback(absent).into()
    }

    async fn revision(&self) -> Result<i64, Status> {
        // An etcd without any key has the revision 1.
        Ok(self.store.revision().await?.max(1).cast_signed())
    }

    async fn header(&self) -> Result<Header, Status> {
        Ok(Header {
            cluster_id: ID,
            member_id: ID,
            revision: self.revision().await?,
            raft_term: TERM,
        })
    }
}

/// What etcd has and this does not.
async fn absent() -> http::Response<tonic::body::Body> {
    let text = "the scheduler's store answers KV, Cluster/MemberList and Maintenance/Status only";
    Status::unimplemented(text).into_http()
}

/// Only whoever is on this machine may write: nobody is asked who he is.
fn may_write(extensions: &Extensions) -> Result<(), Status> {
    let peer = extensions.get::<Peer>();
    let local = |peer: &Peer| match peer.0 {
        SocketAddr::V4(peer) => peer.ip().is_loopback(),
        SocketAddr::V6(peer) => peer.ip().to_canonical().is_loopback(),
    };
    match peer.is_some_and(local) {
        true => Ok(()),
        false => Err(Status::permission_denied(
            "jobs are written here from the scheduler's own machine only",
        )),
    }
}

type Answer<T> = Result<Response<T>, Status>;

/// Nothing that a call asks for takes for ever.
async fn bounded<T>(work: impl Future<Output = Result<T, Status>>) -> Answer<T> {
    let late = |_| Status::deadline_exceeded(format!("not done within {PATIENCE:?}"));
    timeout(PATIENCE, work)
        .await
        .map_err(late)?
        .map(Response::new)
}

#[tonic::async_trait]
impl Kv for Face {
    async fn range(&self, request: Request<RangeRequest>) -> Answer<RangeResponse> {
        bounded(self.read(request.into_inner())).await
    }

    async fn put(&self, request: Request<PutRequest>) -> Answer<PutResponse> {
        may_write(request.extensions())?;
        bounded(self.put_one(request.into_inner())).await
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Answer<DeleteRangeResponse> {
        may_write(request.extensions())?;
        bounded(self.remove(request.into_inner())).await
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Answer<TxnResponse> {
        let (_, extensions, request) = request.into_parts();
        let mut operations = request.success.iter().chain(&request.failure);
        let reads =
            |operation: &Option<Operation>| matches!(operation, Some(Operation::RequestRange(_)));
        if !operations.all(|operation| reads(&operation.request)) {
            may_write(&extensions)?;
        }
        bounded(self.transact(request)).await
    }

    async fn compact(&self, _: Request<CompactionRequest>) -> Answer<CompactionResponse> {
        Err(Status::unimplemented(
            "there is nothing to compact: only the last revision is kept",
        ))
    }
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
