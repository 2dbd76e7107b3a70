//! Actors of other sidecars: calling them, and being called for ours.

use std::future::Future;

use actors::Error;
use actors::call::{Fire, Fired, Invoke, Reply};
use actors::placement::Peer;
use actors::router::Peers;
use async_trait::async_trait;
use proto::dapr::internals::v1 as internals;
use proto::dapr::internals::v1::service_invocation_client::ServiceInvocationClient;
use tonic::Status;

use super::{Actors, Runtime, wire};
use crate::api::errors::actors as errors;
use crate::api::metrics::Measured;
use crate::peer::{self, Line, Pool};

/// The connections of service invocation, for calls of actors.
pub(super) struct Remote {
    pub(super) pool: Pool,
    /// Bytes.
    pub(super) max_message: usize,
}

impl Remote {
    async fn client(&self, peer: &Peer) -> Result<ServiceInvocationClient<Measured<Line>>, Status> {
        let line = self.pool.line(peer::Peer {
            address: &peer.name,
            app_id: &peer.app_id,
            namespace: &peer.namespace,
        });
        Ok(ServiceInvocationClient::new(line.await?)
            .max_decoding_message_size(self.max_message)
            .max_encoding_message_size(self.max_message))
    }
}

#[async_trait]
impl Peers for Remote {
    async fn invoke(&self, peer: &Peer, call: &Invoke) -> Result<Reply, Status> {
        let mut client = self.client(peer).await?;
        let answer = client.call_actor(wire::invoke(call)).await?;
        wire::replied(answer.into_inner())
    }

    async fn fire(&self, peer: &Peer, fire: &Fire) -> Result<(), Status> {
        let mut client = self.client(peer).await?;
        client.call_actor_reminder(wire::reminder(fire)).await?;
        Ok(())
    }
}

impl Actors {
    /// A call of another sidecar for an actor that should live here.
    pub(crate) async fn called(
        &self,
        request: internals::InternalInvokeRequest,
    ) -> Result<internals::InternalInvokeResponse, Status> {
        let call = wire::invoked(request)?;
        let reply = async {
            let runtime = self.ready().await?;
            runtime.unless_left(runtime.router.receive(&call)).await
        };
        let reply = reply.await.map_err(|e| errors::invoke_status(&e))?;
        Ok(wire::reply(reply))
    }

    /// A reminder or a timer from another sidecar.
    pub(crate) async fn reminded(&self, reminder: internals::Reminder) -> Result<(), Status> {
        let fire = wire::reminded(reminder);
        let fired = async {
            let runtime = self.ready().await?;
            let fired = runtime.router.receive_fire(&fire);
            runtime.unless_left(fired).await
        };
        match fired.await {
            Ok(Fired::Done) => Ok(()),
            Ok(Fired::Canceled) => Err(Status::unknown(Error::ReminderCanceled.to_string())),
            Err(e) => Err(errors::invoke_status(&e)),
        }
    }
}

impl Runtime {
    /// A call of another sidecar that waits for tables would wait for ever once the
    /// actors have left: they live elsewhere, and the caller looks there.
    async fn unless_left<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.unless_ended(work).await.unwrap_or(Err(Error::Moved))
    }
}
