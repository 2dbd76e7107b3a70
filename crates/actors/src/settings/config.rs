//! The settings of an app as it gives them: JSON over HTTP, or the start of its stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use proto::dapr::runtime::v1 as wire;
use schedule::go;
use serde::Deserialize;

use crate::settings::{DRAIN, IDLE_TIMEOUT, Registration, TypeSettings};

const SCOPE: &str = "dapr.runtime.actor";
const CONFIG_SCOPE: &str = "dapr.runtime.actor.config";

const STACK_DEPTH: u32 = 32;

/// Why an app's settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The answer of the app is not what it should be.
    #[error("failed to read the actor configuration of the app: {0}")]
    Json(#[from] serde_json::Error),
    #[error("failed to parse drain ongoing call timeout: {0}")]
    Drain(go::Error),
    #[error("failed to parse default actor idle timeout: {0}")]
    Idle(go::Error),
}

impl Registration {
    /// Reads the app's answer to `GET /dapr/config`. Times to drain stay below
    /// `disseminate_timeout`. What is wrong with single types is logged, and they get the
    /// defaults.
    pub fn from_json(json: &[u8], disseminate_timeout: Duration) -> Result<Self, Error> {
        let config: Config = serde_json::from_slice(json)?;
        config.register(disseminate_timeout)
    }

    /// Reads the first message of an app's callback stream, like [`Self::from_json`].
    pub fn from_stream(
        initial: &wire::SubscribeActorEventsRequestInitialAlpha1,
        disseminate_timeout: Duration,
    ) -> Result<Self, Error> {
        let each = |entry: &wire::ActorEntityConfig| EntityConfig {
            entities: Some(entry.entities.clone()),
            actor_idle_timeout: entry.actor_idle_timeout.as_ref().map(Asked::from),
            drain_ongoing_call_timeout: (entry.drain_ongoing_call_timeout.as_ref())
                .map(Asked::from),
            reentrancy: entry.reentrancy.as_ref().map(Reentrancy::from),
        };
        let config = Config {
            entities: Some(initial.entities.clone()),
            actor_idle_timeout: initial.actor_idle_timeout.as_ref().map(Asked::from),
            drain_ongoing_call_timeout: (initial.drain_ongoing_call_timeout.as_ref())
                .map(Asked::from),
            drain_rebalanced_actors: initial.drain_rebalanced_actors,
            reentrancy: initial.reentrancy.as_ref().map(Reentrancy::from),
            entities_config: Some(initial.entities_config.iter().map(each).collect()),
        };
        config.register(disseminate_timeout)
    }
}

/// The settings as an app gives them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    entities: Option<Vec<String>>,
    actor_idle_timeout: Option<Asked>,
    drain_ongoing_call_timeout: Option<Asked>,
    drain_rebalanced_actors: Option<bool>,
    reentrancy: Option<Reentrancy>,
    entities_config: Option<Vec<EntityConfig>>,
}

/// Settings of some types. Only the global `drainRebalancedActors` has an effect.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntityConfig {
    entities: Option<Vec<String>>,
    actor_idle_timeout: Option<Asked>,
    drain_ongoing_call_timeout: Option<Asked>,
    reentrancy: Option<Reentrancy>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reentrancy {
    #[serde(default)]
    enabled: bool,
    max_stack_depth: Option<i64>,
}

impl From<&wire::ActorReentrancyConfig> for Reentrancy {
    fn from(config: &wire::ActorReentrancyConfig) -> Self {
        Self {
            enabled: config.enabled,
            max_stack_depth: config.max_stack_depth.map(i64::from),
        }
    }
}

impl Reentrancy {
    /// A depth below zero lets nobody in, as zero does.
    fn depth(self) -> Option<u32> {
        let depth = self.max_stack_depth;
        let depth = depth.map_or(STACK_DEPTH, |n| u32::try_from(n.max(0)).unwrap_or(u32::MAX));
        self.enabled.then_some(depth)
    }
}

/// A duration as it was given, and what it means. One below zero means zero.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
struct Asked {
    text: String,
    value: Result<Duration, go::Error>,
}

impl From<String> for Asked {
    fn from(text: String) -> Self {
        let value = go::parse(&text).map(|d| Duration::try_from(d).unwrap_or_default());
        Self { text, value }
    }
}

impl From<&prost_types::Duration> for Asked {
    fn from(duration: &prost_types::Duration) -> Self {
        let fraction = SignedDuration::from_nanos(duration.nanos.into());
        let value = SignedDuration::from_secs(duration.seconds).saturating_add(fraction);
        Self {
            text: go::format(value),
            value: Ok(Duration::try_from(value).unwrap_or_default()),
        }
    }
}

impl Asked {
    /// The value, or else the default, with a line in the log.
    fn or_default(asked: Option<Self>, what: &str, default: Duration) -> Duration {
        let Some(Self { text, value }) = given(asked) else {
            return default;
        };
        value.unwrap_or_else(|_| {
            let used = service::duration::format(default);
            tracing::warn!(target: CONFIG_SCOPE, "Invalid {what} value {text}, using default value {used}");
            default
        })
    }
}

/// An empty text is as good as none.
fn given(asked: Option<Asked>) -> Option<Asked> {
    asked.filter(|asked| !asked.text.is_empty())
}

impl Config {
    fn register(self, disseminate_timeout: Duration) -> Result<Registration, Error> {
        let drain = given(self.drain_ongoing_call_timeout).map_or(Ok(DRAIN), |d| d.value);
        let drain = drain.map_err(Error::Drain)?;
        let drain = clamped(drain, "all actor types", disseminate_timeout);
        let idle = given(self.actor_idle_timeout).map_or(Ok(IDLE_TIMEOUT), |d| d.value);
        let global = TypeSettings {
            idle_timeout: idle.map_err(Error::Idle)?,
            drain_ongoing: drain,
            drain_rebalanced: self.drain_rebalanced_actors.unwrap_or(true),
            reentrancy: self.reentrancy.and_then(Reentrancy::depth),
        };
        let entities = self.entities.unwrap_or_default().into_iter();
        let mut types: BTreeMap<Arc<str>, TypeSettings> =
            entities.map(|name| (name.into(), global.clone())).collect();
        for entry in self.entities_config.unwrap_or_default() {
            let idle = entry.actor_idle_timeout;
            let own_drain = given(entry.drain_ongoing_call_timeout)
                .map(|asked| Asked::or_default(Some(asked), "drain ongoing call timeout", DRAIN));
            let settings = TypeSettings {
                idle_timeout: Asked::or_default(idle, "actor idle timeout", IDLE_TIMEOUT),
                reentrancy: entry.reentrancy.and_then(Reentrancy::depth),
                ..global.clone()
            };
            for name in entry.entities.unwrap_or_default() {
                let Some(hosted) = types.get_mut(name.as_str()) else {
                    tracing::warn!(target: SCOPE, "Configuration specified for non-hosted actor type: {name}");
                    continue;
                };
                let drain = own_drain.map(|d| clamped(d, &name, disseminate_timeout));
                *hosted = settings.clone();
                hosted.drain_ongoing = drain.unwrap_or(global.drain_ongoing);
            }
        }
        Ok(Registration {
            types,
            drain: Some(global.drain()),
        })
    }
}

/// Calls that drain longer than a dissemination may take would make it fail.
fn clamped(drain: Duration, what: &str, disseminate_timeout: Duration) -> Duration {
    if drain < disseminate_timeout {
        return drain;
    }
    let clamped = (disseminate_timeout * 4 / 5).max(DRAIN);
    let [asked, timeout, used] =
        [drain, disseminate_timeout, clamped].map(service::duration::format);
    tracing::warn!(
        target: CONFIG_SCOPE,
        "drainOngoingCallTimeout ({asked}) for {what} meets or exceeds the dissemination timeout ({timeout}); clamping to {used} to avoid blocking placement dissemination"
    );
    clamped
}

#[cfg(test)]
mod tests;
