//! Leases: keys that are written under one vanish with it.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::{Client, Error, Verdict};
use crate::etcd::wire::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseRevokeRequest, LeaseRevokeResponse,
};

/// A member that does not renew a lease this fast may cost the lease.
const RENEWAL: Duration = Duration::from_secs(3);

impl Client {
    /// Asks for a lease of this length and answers its id.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn grant(&self, length: Duration) -> Result<i64, Error> {
        let request = LeaseGrantRequest {
            ttl: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
            id: 0,
        };
        let answer: LeaseGrantResponse =
            self.call("/etcdserverpb.Lease/LeaseGrant", request).await?;
        match answer.error.is_empty() {
            true => Ok(answer.id),
            false => Err(Error::Refused(answer.error)),
        }
    }

    /// Makes a lease last for its whole length again, in one attempt: whoever holds
    /// it knows best when to try again.
    ///
    /// # Errors
    /// [`Error::LeaseGone`] when it has ended; else as [`Error`] says.
    pub async fn keep_alive(&self, id: i64) -> Result<(), Error> {
        // The half that stays open keeps the answer coming.
        let requests = stream::once(async move { LeaseKeepAliveRequest { id } });
        let requests = requests.chain(stream::pending());
        let renewal = async {
            let opened = self.stream("/etcdserverpb.Lease/LeaseKeepAlive", requests);
            match opened.await {
                Ok(mut answers) => answers.message().await.ok().flatten().ok_or(None),
                Err(Verdict::Final(error)) => Err(Some(error)),
                Err(_) => Err(None),
            }
        };
        match timeout(RENEWAL, renewal).await.unwrap_or(Err(None)) {
            Ok(LeaseKeepAliveResponse { ttl: 1.., .. }) => Ok(()),
            Ok(_) => Err(Error::LeaseGone),
            Err(Some(error)) => Err(error),
            Err(None) => {
                self.leave_now();
                let text = "the lease could not be renewed";
                Err(Error::Unavailable(text.into()))
            }
        }
    }

    /// Ends a lease and removes its keys.
    ///
    /// # Errors
    /// [`Error::LeaseGone`] when it had ended before; else as [`Error`] says.
    pub async fn revoke(&self, id: i64) -> Result<(), Error> {
        let request = LeaseRevokeRequest { id };
        let _: LeaseRevokeResponse = self
            .call("/etcdserverpb.Lease/LeaseRevoke", request)
            .await?;
        Ok(())
    }
}
