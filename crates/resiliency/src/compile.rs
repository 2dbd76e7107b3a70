//! Resources read one after the other into one set of named policies and targets.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use resources::Resiliency;
use resources::resiliency as spec;

use crate::backoff::{Schedule, Shape};
use crate::breaker::{Settings, Trip};
use crate::builtin::Builtin;
use crate::duration;
use crate::retry::{Matching, Retry};

const RETRY_WAIT: Duration = Duration::from_secs(5);
const RETRY_MAX_INTERVAL: Duration = Duration::from_secs(60);
const RETRY_MAX_ELAPSED: Duration = Duration::from_secs(15 * 60);
/// An override of a built-in policy retries at least this often.
const LEAST_RETRIES: u64 = 3;
const OPEN_PERIOD: Duration = Duration::from_secs(60);
const APP_BREAKERS: usize = 100;
const ACTOR_BREAKERS: usize = 5000;

/// Name and namespace of a Resiliency resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
}

/// What a breaker is made from.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) settings: Settings,
    pub(crate) trip: Trip,
}

/// A target's policies by name, and how many breakers it may keep.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) policies: spec::PolicyNames,
    pub(crate) breakers: usize,
}

/// What the resources read so far say; names are not yet looked up, as a later
/// resource may define or redefine them.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) timeouts: HashMap<String, Duration>,
    pub(crate) retries: HashMap<String, Arc<Retry>>,
    pub(crate) breakers: HashMap<String, Template>,
    pub(crate) apps: HashMap<String, Named>,
    /// With whether each actor has its own breaker.
    pub(crate) actors: HashMap<String, (Named, bool)>,
    pub(crate) components: HashMap<String, spec::ComponentTarget>,
    /// The resource read last, which metrics name.
    pub(crate) last: Source,
}

impl Draft {
    /// Only the built-in policies.
    pub(crate) fn new() -> Self {
        let retries = Builtin::ALL.map(|it| (it.name().to_owned(), Arc::new(it.retry())));
        Self {
            retries: retries.into(),
            ..Self::default()
        }
    }

    /// Adds a resource. What was added before a fault stays.
    pub(crate) fn add(&mut self, object: &Resiliency) -> Result<(), String> {
        self.last = Source {
            name: object.metadata.name.clone(),
            namespace: object.metadata.namespace.clone(),
        };
        let spec::ResiliencySpec { policies, targets } = &object.spec;
        for (name, text) in &policies.timeouts {
            let timeout = read_duration(text).map_err(|e| format!("timeout {name:?}: {e}"))?;
            self.timeouts.insert(name.clone(), timeout);
        }
        for (name, retry) in &policies.retries {
            self.add_retry(name, retry)
                .map_err(|e| format!("retry {name:?}: {e}"))?;
        }
        for (name, breaker) in &policies.circuit_breakers {
            let template =
                Template::read(breaker).map_err(|e| format!("circuit breaker {name:?}: {e}"))?;
            self.breakers.insert(name.clone(), template);
        }
        for (id, target) in &targets.apps {
            let named = app(target).map_err(|e| format!("app {id:?}: {e}"))?;
            self.apps.insert(id.clone(), named);
        }
        for (actor_type, target) in &targets.actors {
            let named = actor(target).map_err(|e| format!("actor {actor_type:?}: {e}"))?;
            self.actors.insert(actor_type.clone(), named);
        }
        self.components.extend(targets.components.clone());
        Ok(())
    }

    fn add_retry(&mut self, name: &str, retry: &spec::Retry) -> Result<(), String> {
        let builtin = Builtin::from_name(name);
        if builtin.is_some_and(Builtin::is_protected) {
            tracing::warn!(
                target: "dapr.runtime",
                "Attempted to override protected policy {name} which is not allowed. Ignoring provided policy and using default."
            );
            return Ok(());
        }
        let mut retry = Retry::read(retry)?;
        let retries = &mut retry.schedule.max_retries;
        if builtin.is_some() && retries.is_none_or(|n| n < LEAST_RETRIES) {
            tracing::warn!(
                target: "dapr.runtime",
                "Attempted override of {name} did not meet minimum retry count, resetting to 3."
            );
            *retries = Some(LEAST_RETRIES);
        }
        self.retries.insert(name.to_owned(), Arc::new(retry));
        Ok(())
    }
}

impl Retry {
    fn read(retry: &spec::Retry) -> Result<Self, String> {
        let wait = duration_or(&retry.duration, RETRY_WAIT).map_err(in_field("duration"))?;
        let max_interval = duration_or(&retry.max_interval, RETRY_MAX_INTERVAL)
            .map_err(in_field("maxInterval"))?;
        let shape = match retry.policy.to_lowercase().as_str() {
            "" | "constant" => Shape::Constant(wait),
            "exponential" => Shape::Exponential {
                max_interval,
                max_elapsed: RETRY_MAX_ELAPSED,
            },
            other => {
                return Err(format!(
                    "policy {other:?} is neither constant nor exponential"
                ));
            }
        };
        let matching = retry.matching.as_ref().map(Matching::parse).transpose()?;
        Ok(Self {
            schedule: Schedule {
                shape,
                // Any number below zero means no limit.
                max_retries: retry.max_retries.and_then(|n| u64::try_from(n).ok()),
            },
            matching: matching.unwrap_or_default(),
        })
    }
}

impl Template {
    fn read(breaker: &spec::CircuitBreaker) -> Result<Self, String> {
        let max_requests = u64::try_from(breaker.max_requests.unwrap_or(0))
            .map_err(|_| "maxRequests is below zero".to_owned())?;
        let interval =
            duration_or(&breaker.interval, Duration::ZERO).map_err(in_field("interval"))?;
        let timeout = duration_or(&breaker.timeout, OPEN_PERIOD).map_err(in_field("timeout"))?;
        Ok(Self {
            settings: Settings {
                max_requests: max_requests.max(1),
                interval,
                timeout: if timeout.is_zero() {
                    OPEN_PERIOD
                } else {
                    timeout
                },
            },
            trip: Trip::parse(&breaker.trip).map_err(in_field("trip"))?,
        })
    }
}

fn app(target: &spec::AppTarget) -> Result<Named, String> {
    Ok(Named {
        policies: spec::PolicyNames {
            timeout: target.timeout.clone(),
            retry: target.retry.clone(),
            circuit_breaker: target.circuit_breaker.clone(),
        },
        breakers: cache_size(target.circuit_breaker_cache_size, APP_BREAKERS)?,
    })
}

fn actor(target: &spec::ActorTarget) -> Result<(Named, bool), String> {
    let named = Named {
        policies: spec::PolicyNames {
            timeout: target.timeout.clone(),
            retry: target.retry.clone(),
            circuit_breaker: target.circuit_breaker.clone(),
        },
        breakers: cache_size(target.circuit_breaker_cache_size, ACTOR_BREAKERS)?,
    };
    let by_id = match target.circuit_breaker_scope.as_str() {
        _ if target.circuit_breaker.is_empty() => false,
        "type" => false,
        "id" | "both" => true,
        other => {
            return Err(format!(
                "circuitBreakerScope {other:?} is none of type, id and both"
            ));
        }
    };
    Ok((named, by_id))
}

fn cache_size(size: Option<i64>, default: usize) -> Result<usize, String> {
    match size {
        None | Some(0) => Ok(default),
        Some(size) => {
            usize::try_from(size).map_err(|_| "circuitBreakerCacheSize is below zero".to_owned())
        }
    }
}

fn duration_or(text: &str, default: Duration) -> Result<Duration, String> {
    match text {
        "" => Ok(default),
        text => read_duration(text),
    }
}

fn read_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text).ok_or_else(|| {
        format!("{text:?} is not a duration; write milliseconds, or a text such as 1m30s")
    })
}

fn in_field(field: &str) -> impl Fn(String) -> String {
    move |fault| format!("{field}: {fault}")
}
