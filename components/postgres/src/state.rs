//! `state.postgresql` in both versions: the same store outside.

use async_trait::async_trait;
use bytes::Bytes;
use component::metadata::Join;
use component::state::{
    BulkItem, DeleteRequest, Features, GetRequest, Item, KeysPage, KeysRequest, Metadata,
    Operation, QueryPage, SetRequest, StateStore,
};
use component::{Component, Env, Error, Result};

use crate::config::{ConfigV1, ConfigV2, Connection};
use crate::layout::v1::V1;
use crate::layout::v2::V2;
use crate::store::Store;

/// `state.postgresql` version 1.
pub struct PostgresV1(pub(crate) Store<V1>);
/// `state.postgresql` version 2.
pub struct PostgresV2(pub(crate) Store<V2>);

const FEATURES: Features = Features::ETAG
    .and(Features::TRANSACTIONAL)
    .and(Features::TTL)
    .and(Features::KEYS_LIKE);

macro_rules! state_store {
    ($name:ident, $config:ident, $features:expr) => {
        impl Component for $name {
            type Config = Join<$config, Connection>;

            async fn open(Join(config, connection): Self::Config, env: Env) -> Result<Self> {
                Store::open(config.tables()?, &connection, env)
                    .await
                    .map(Self)
            }
        }

        #[async_trait]
        impl StateStore for $name {
            fn features(&self) -> Features {
                $features
            }

            async fn get(&self, req: GetRequest) -> Result<Option<Item>> {
                self.0.get(req).await
            }

            async fn bulk_get(
                &self,
                reqs: Vec<GetRequest>,
                _parallelism: usize,
            ) -> Result<Vec<BulkItem>> {
                self.0.bulk_get(reqs).await
            }

            async fn set(&self, req: SetRequest) -> Result<()> {
                self.0.write(vec![Operation::Set(req)]).await
            }

            async fn delete(&self, req: DeleteRequest) -> Result<()> {
                self.0.write(vec![Operation::Delete(req)]).await
            }

            async fn transact(&self, ops: Vec<Operation>, _metadata: Metadata) -> Result<()> {
                self.0.write(ops).await
            }

            async fn query(&self, query: Bytes, _metadata: Metadata) -> Result<QueryPage> {
                if !self.features().has(Features::QUERY_API) {
                    return Err(Error::unsupported("a query"));
                }
                self.0.search(&query).await
            }

            async fn keys_like(&self, req: KeysRequest) -> Result<KeysPage> {
                self.0.keys(req).await
            }

            async fn ping(&self) -> Result<()> {
                self.0.ping().await
            }

            async fn close(&self) {
                self.0.close();
            }
        }
    };
}

state_store!(PostgresV1, ConfigV1, FEATURES.and(Features::QUERY_API));
state_store!(PostgresV2, ConfigV2, FEATURES);
