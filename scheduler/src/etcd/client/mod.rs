//! A client of an etcd cluster: every call goes to the member that answered last,
//! then to the others, then again after a wait.

mod endpoints;
mod error;
mod kv;
mod lease;
mod login;
mod waits;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use prost::Message;
use tokio::time::{Instant, sleep, timeout};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::wire::etcdserverpb::{AuthenticateRequest, AuthenticateResponse};
use endpoints::Endpoints;
use error::{Verdict, judge};
use login::{Login, Token};

pub use error::Error;
pub use kv::{Page, Pages};
pub use waits::Waits;
pub use watch::{Lost, Watch};

/// How long one attempt may take; etcd itself gives up after seven seconds.
const ATTEMPT: Duration = Duration::from_secs(8);
/// No attempt begins later than this after the call did.
const PATIENCE: Duration = Duration::from_secs(60);
/// The largest answer that is taken, in bytes.
pub const LARGEST_ANSWER: usize = 64 << 20;
/// A token that is refused again and again is not worth another.
const MOST_LOGINS: u32 = 3;

const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

/// How a cluster is reached.
#[derive(Clone, Default)]
pub struct Options {
    /// `host:port` or `http://host:port`, at least one.
    pub endpoints: Vec<String>,
    /// Empty for an etcd without authentication.
    pub username: String,
    pub password: String,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Options");
        text.field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

/// A handle to a cluster; clones share connections and token.
#[derive(Clone, Debug)]
pub struct Client {
    cluster: Arc<Cluster>,
}

#[derive(Debug)]
struct Cluster {
    endpoints: Endpoints,
    login: Option<Login>,
}

impl Client {
    /// Connects nothing yet. Must be called inside a runtime.
    ///
    /// # Errors
    /// [`Error::Options`] when an endpoint is not an address.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let Options {
            endpoints,
            username,
            password,
        } = options;
        let login = match (username.is_empty(), password.is_empty()) {
            (true, true) => None,
            (false, _) => Some(Login::new(username.clone(), password.clone())),
            (true, false) => {
                let text = "an etcd password needs --etcd-client-username";
                return Err(Error::Options(text.into()));
            }
        };
        let cluster = Cluster {
            endpoints: Endpoints::new(endpoints)?,
            login,
        };
        Ok(Self {
            cluster: Arc::new(cluster),
        })
    }

    /// Calls `method` until a member answers or there is no point in going on.
    async fn call<Q, A>(&self, method: &'static str, request: Q) -> Result<A, Error>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let end = Instant::now() + PATIENCE;
        let mut waits = Waits::default();
        let (mut failures, mut logins) = (0, 0);
        loop {
            let (place, token) = (self.cluster.endpoints.now().0, self.token());
            let status = match self.attempt(method, request.clone(), &token).await {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            match judge(&status) {
                Verdict::Final(error) => return Err(error),
                Verdict::Login if logins < MOST_LOGINS && self.cluster.login.is_some() => {
                    logins += 1;
                    match self.authenticate(token.number).await {
                        Ok(()) => continue,
                        Err(Verdict::Final(error)) => return Err(error),
                        Err(_) => {}
                    }
                }
                Verdict::Login => return Err(Error::Refused(status.message().into())),
                Verdict::Again => {}
            }
            self.cluster.endpoints.leave(place);
            failures += 1;
            // The other members come at once, then all of them wait.
            if failures % self.cluster.endpoints.len() == 0 {
                let wait = waits.next(rand::random());
                if Instant::now() + wait >= end {
                    return Err(Error::Unavailable(status.message().into()));
                }
                tracing::debug!(
                    target: "dapr.scheduler.etcd",
                    "{method} is tried again in {wait:?}: {}", status.message()
                );
                sleep(wait).await;
            }
        }
    }

    /// One attempt at the present member.
    async fn attempt<Q, A>(
        &self,
        method: &'static str,
        request: Q,
        token: &Token,
    ) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc();
        let mut request = Request::new(request);
        sign(request.metadata_mut(), token);
        let answer = async {
            grpc.ready()
                .await
                .map_err(|e| Status::from_error(e.into()))?;
            let path = PathAndQuery::from_static(method);
            grpc.unary(request, path, ProstCodec::<Q, A>::default())
                .await
        };
        let answer = timeout(ATTEMPT, answer).await;
        let late = |_| Status::deadline_exceeded(format!("no answer within {ATTEMPT:?}"));
        Ok(answer.map_err(late)??.into_inner())
    }

    /// Opens a stream at the present member, in one attempt; the requests keep it
    /// open. A member without a leader ends it.
    async fn stream<Q, A>(
        &self,
        method: &'static str,
        requests: impl Stream<Item = Q> + Send + 'static,
    ) -> Result<Streaming<A>, Verdict>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (place, token) = (self.cluster.endpoints.now().0, self.token());
        let mut grpc = self.grpc();
        let mut request = Request::new(requests);
        sign(request.metadata_mut(), &token);
        let value = AsciiMetadataValue::from_static("true");
        request.metadata_mut().insert("hasleader", value);
        let answers = async {
            grpc.ready()
                .await
                .map_err(|e| Status::from_error(e.into()))?;
            let path = PathAndQuery::from_static(method);
            grpc.streaming(request, path, ProstCodec::<Q, A>::default())
                .await
        };
        let late = |_| Status::deadline_exceeded(format!("no answer within {ATTEMPT:?}"));
        match timeout(ATTEMPT, answers).await.map_err(late).flatten() {
            Ok(answers) => Ok(answers.into_inner()),
            Err(status) => Err(self.stumble(place, &token, &status).await),
        }
    }

    /// What a stream that failed means; afterwards another member or another token
    /// is there for the next.
    async fn stumble(&self, place: usize, token: &Token, status: &Status) -> Verdict {
        let verdict = judge(status);
        match verdict {
            Verdict::Again => self.cluster.endpoints.leave(place),
            Verdict::Login if self.cluster.login.is_some() => {
                if let Err(verdict) = self.authenticate(token.number).await {
                    return verdict;
                }
            }
            Verdict::Login => {
                return Verdict::Final(Error::Refused(status.message().into()));
            }
            Verdict::Final(_) => {}
        }
        verdict
    }

    /// Leaves the present member, which ended a stream.
    fn leave_now(&self) {
        let endpoints = &self.cluster.endpoints;
        endpoints.leave(endpoints.now().0);
    }

    fn grpc(&self) -> tonic::client::Grpc<tonic::transport::Channel> {
        tonic::client::Grpc::new(self.cluster.endpoints.now().1)
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    fn token(&self) -> Token {
        let login = self.cluster.login.as_ref();
        login.map(Login::token).unwrap_or_default()
    }

    /// Gets a token after the one with this number, once for all who need it.
    async fn authenticate(&self, number: u64) -> Result<(), Verdict> {
        let Some(login) = &self.cluster.login else {
            return Ok(());
        };
        // The semaphore is never closed.
        let _asking = login.asking.acquire().await.ok();
        if login.token().number > number {
            return Ok(());
        }
        let request = AuthenticateRequest {
            name: login.user.clone(),
            password: login.password.clone(),
        };
        let answer: Result<AuthenticateResponse, _> =
            self.attempt(AUTHENTICATE, request, &Token::default()).await;
        match answer {
            Ok(answer) => {
                let value = AsciiMetadataValue::try_from(answer.token);
                let refused = |_| Error::Refused("its token is no metadata".into());
                login.keep(Some(value.map_err(refused).map_err(Verdict::Final)?));
                Ok(())
            }
            // It asks for no password: calls go without a token.
            Err(status) if status.code() == Code::FailedPrecondition => {
                login.keep(None);
                Ok(())
            }
            Err(status) => match judge(&status) {
                Verdict::Login => Err(Verdict::Final(Error::Refused(status.message().into()))),
                verdict => Err(verdict),
            },
        }
    }
}

fn sign(metadata: &mut MetadataMap, token: &Token) {
    if let Some(value) = &token.value {
        metadata.insert("token", value.clone());
    }
}

#[cfg(test)]
mod tests;
