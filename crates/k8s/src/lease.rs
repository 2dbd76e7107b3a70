//! Election of a leader among processes by a Lease of the cluster.
//!
//! Clocks of members may differ: nobody believes the times in a Lease, a
//! follower measures by its own clock for how long it has not changed. A leader
//! gives up before others may think that it is gone, counted from before its
//! last renewal was sent.

mod candidate;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::{Client, Error, Kind};
use candidate::{Candidate, Step};

const SCOPE: &str = "dapr.kubernetes";
const LEASES: Kind = Kind {
    group: "coordination.k8s.io",
    version: "v1",
    plural: "leases",
};
/// How often the leader renews and the others look.
const EVERY: Duration = Duration::from_secs(1);
/// How long the leader leads without having renewed.
const DEADLINE: Duration = Duration::from_secs(4);
/// After how long without renewal others may take over, in whole seconds.
const DURATION: u32 = 6;
/// How long giving the leadership away may take.
const RELEASE: Duration = Duration::from_secs(2);

/// A process in the election; it is an ordinary follower until it wins.
#[derive(Debug)]
pub struct Election {
    client: Client,
    namespace: String,
    name: String,
    candidate: Candidate,
    /// Until when this process leads, if it does.
    until: Option<Instant>,
    /// The failure that was logged last.
    failure: Option<String>,
}

/// A Lease; what is not known here stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Lease {
    metadata: Value,
    #[serde(default)]
    spec: Spec,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<u32>,
    acquire_time: Option<String>,
    renew_time: Option<String>,
    lease_transitions: Option<u32>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Election {
    /// The election by the Lease `name`. No two processes may have the same
    /// `identity`, not even one after the other.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            candidate: Candidate::new(identity),
            until: None,
            failure: None,
        }
    }

    /// Takes part for ever. Tells whether this process leads: once it knows, and
    /// then at every change.
    pub async fn campaign(&mut self, mut changed: impl FnMut(bool)) {
        let mut told = None;
        loop {
            let done = match self.until {
                Some(until) => timeout_at(until, self.attempt())
                    .await
                    .unwrap_or(Err(Error::Late)),
                None => self.attempt().await,
            };
            let known = done.is_ok();
            self.note(done.err());
            let leads = self.leads();
            if (known || told.is_some()) && told != Some(leads) {
                told = Some(leads);
                changed(leads);
            }
            let pause = EVERY.mul_f64(rand::random_range(0.8..1.2));
            match self.until {
                Some(until) => {
                    let pause = Instant::now() + pause;
                    tokio::time::sleep_until(pause.min(until)).await;
                }
                None => sleep(pause).await,
            }
        }
    }

    /// Lets others take over at once, if this process leads.
    pub async fn release(mut self) {
        if self.leads() {
            let released = timeout(RELEASE, self.resign()).await;
            let done = released.unwrap_or(Err(Error::Late));
            self.note(done.err());
        }
    }

    /// Whether this process leads now; forgets a leadership that is over.
    fn leads(&mut self) -> bool {
        self.until = self.until.filter(|until| Instant::now() < *until);
        self.until.is_some()
    }

    /// Reads the Lease and does what follows.
    async fn attempt(&mut self) -> Result<(), Error> {
        let lease = match self.read().await {
            Ok(lease) => Some(lease),
            Err(Error::NotFound(_)) => None,
            Err(e) => return Err(e),
        };
        let began = Instant::now();
        let step = self.candidate.step(lease.as_ref().map(|l| &l.spec), began);
        let written = match (step, lease) {
            (Step::Wait, _) => {
                self.until = None;
                return Ok(());
            }
            (step, Some(mut lease)) => {
                self.candidate.write(&mut lease.spec, step, &now());
                self.replace(&lease).await
            }
            (step, None) => {
                let mut spec = Spec::default();
                self.candidate.write(&mut spec, step, &now());
                self.create(&spec).await
            }
        };
        match written {
            Ok(()) => {
                self.until = Some(began + DEADLINE);
                Ok(())
            }
            // Somebody was faster: the next look tells who.
            Err(Error::Conflict(_)) => Ok(()),
            Err(e) => Err(e),
        }
    }

    async fn resign(&self) -> Result<(), Error> {
        let mut lease = self.read().await?;
        if self.candidate.holds(&lease.spec) {
            lease.spec.holder_identity = Some(String::new());
            lease.spec.lease_duration_seconds = Some(1);
            lease.spec.renew_time = Some(now());
            self.replace(&lease).await?;
        }
        Ok(())
    }

    async fn read(&self) -> Result<Lease, Error> {
        self.client.get(LEASES, &self.namespace, &self.name).await
    }

    async fn create(&self, spec: &Spec) -> Result<(), Error> {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": spec,
        });
        let created = self.client.create(LEASES, Some(&self.namespace), &lease);
        created.await.map(|_: Value| ())
    }

    async fn replace(&self, lease: &Lease) -> Result<(), Error> {
        let (namespace, name) = (&self.namespace, &self.name);
        let replaced = self.client.replace(LEASES, namespace, name, lease);
        replaced.await.map(|_: Value| ())
    }

    /// Logs a failure that is new.
    fn note(&mut self, failure: Option<Error>) {
        let failure = failure.map(|error| match error {
            Error::Refused {
                code: 401 | 403, ..
            } => format!("{error}; the service account needs get, create and update of leases"),
            error => error.to_string(),
        });
        if let Some(text) = failure.as_ref().filter(|_| failure != self.failure) {
            let name = &self.name;
            tracing::warn!(target: SCOPE, "Failed to use lease {name}, trying again: {text}");
        }
        self.failure = failure;
    }
}

/// The time as a Lease has it.
fn now() -> String {
    format!("{:.6}", Timestamp::now())
}
