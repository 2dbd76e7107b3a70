//! The one member of the cluster that is shown.

use bytes::Bytes;
use prost::Message;
use proto::dapr::scheduler::v1::Host;
use tonic::{Request, Response, Status};

use super::Face;
use super::span::Section;
use crate::etcd::wire::etcdserverpb::cluster_server::Cluster;
use crate::etcd::wire::etcdserverpb::maintenance_server::Maintenance;
use crate::etcd::wire::etcdserverpb::{
    Member as Shown, MemberListRequest, MemberListResponse, StatusRequest, StatusResponse,
};
use crate::etcd::wire::mvccpb::KeyValue;
use crate::records::cron::stored::Leadership;

/// The id of the member, and of the cluster.
pub(super) const ID: u64 = 1;
pub(super) const TERM: u64 = 1;
/// Of the lease that a scheduler's key has in etcd; here it has no end.
const LEASE: i64 = 1;
/// The version of the API that is spoken.
const VERSION: &str = "3.5.0";

/// This scheduler, as etcd would tell.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: String,
    uid: u64,
    address: String,
    client_url: String,
}

impl Member {
    pub(super) fn new(id: &str, address: &str, client_url: String) -> Self {
        Self {
            id: id.to_owned(),
            uid: rand::random(),
            address: address.to_owned(),
            client_url,
        }
    }

    /// The key by which a scheduler tells that it shares the jobs, with nobody here.
    pub(super) fn leadership(&self) -> KeyValue {
        let host = Host {
            address: self.address.clone(),
        };
        let value = Leadership {
            total: 1,
            uid: self.uid,
            replica_data: prost_types::Any::from_msg(&host).ok(),
        };
        KeyValue {
            key: Section::Leadership.key(&self.id),
            value: Bytes::from(value.encode_to_vec()),
            create_revision: 1,
            mod_revision: 1,
            version: 1,
            lease: LEASE,
        }
    }
}

#[tonic::async_trait]
impl Maintenance for Face {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let header = self.header().await?;
        let size = self.store.size().await?.cast_signed();
        let index = header.revision.cast_unsigned();
        Ok(Response::new(StatusResponse {
            header: Some(header),
            version: VERSION.into(),
            db_size: size,
            db_size_in_use: size,
            leader: ID,
            raft_index: index,
            raft_applied_index: index,
            raft_term: TERM,
            errors: Vec::new(),
            is_learner: false,
        }))
    }
}

#[tonic::async_trait]
impl Cluster for Face {
    async fn member_list(
        &self,
        _: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        let member = Shown {
            id: ID,
            name: self.member.id.clone(),
            // Nobody else can join.
            peer_urls: Vec::new(),
            client_urls: vec![self.member.client_url.clone()],
            is_learner: false,
        };
        Ok(Response::new(MemberListResponse {
            header: Some(self.header().await?),
            members: vec![member],
        }))
    }
}
