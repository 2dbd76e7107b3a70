//! Whom a job is for, and the keys that follow from it.

use std::fmt;

use prost_types::Any;
use proto::dapr::scheduler::v1::JobMetadata;
use proto::dapr::scheduler::v1::job_target_metadata::Type;

const BETWEEN: &str = "||";
const APP: &str = "app";
const ACTOR: &str = "actorreminder";

/// Whose streams a job's triggers go to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Target {
    App { namespace: String, app_id: String },
    Actor { namespace: String, kind: String },
}

/// A job's target is none that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown job type: <nil>")]
pub(crate) struct NoTarget;

impl Target {
    pub(crate) fn of(metadata: &JobMetadata) -> Result<Self, NoTarget> {
        let namespace = metadata.namespace.clone();
        Ok(match kind(metadata)? {
            Type::Job(_) => Self::App {
                namespace,
                app_id: metadata.app_id.clone(),
            },
            Type::Actor(actor) => Self::Actor {
                namespace,
                kind: actor.r#type.clone(),
            },
        })
    }

    pub(crate) fn is_actor(&self) -> bool {
        matches!(self, Self::Actor { .. })
    }
}

/// What the keys of the target's jobs begin with.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App { namespace, app_id } => {
                write!(f, "{APP}{BETWEEN}{namespace}{BETWEEN}{app_id}{BETWEEN}")
            }
            Self::Actor { namespace, kind } => {
                write!(f, "{ACTOR}{BETWEEN}{namespace}{BETWEEN}{kind}{BETWEEN}")
            }
        }
    }
}

/// The beginning of every key that the metadata tells, up to the job's name.
pub(crate) fn prefix(metadata: &JobMetadata) -> Result<String, NoTarget> {
    let target = Target::of(metadata)?;
    Ok(match kind(metadata)? {
        Type::Job(_) => target.to_string(),
        Type::Actor(actor) => format!("{target}{}{BETWEEN}", actor.id),
    })
}

/// The beginning of the keys of all jobs of an app, of an actor, or of an actor
/// type when no id is given. An id may be only the beginning of one.
pub(crate) fn prefix_of_all(metadata: &JobMetadata, begins: bool) -> Result<String, NoTarget> {
    Ok(match kind(metadata)? {
        Type::Actor(actor) if actor.id.is_empty() => Target::of(metadata)?.to_string(),
        Type::Actor(actor) if begins => format!("{}{}", Target::of(metadata)?, actor.id),
        _ => prefix(metadata)?,
    })
}

/// The beginnings of the keys of all jobs of a namespace.
pub(crate) fn prefixes_of_namespace(name: &str) -> [String; 2] {
    [APP, ACTOR].map(|kind| format!("{kind}{BETWEEN}{name}{BETWEEN}"))
}

/// The value of the label `type` for what a request says.
pub(crate) fn label(metadata: Option<&JobMetadata>) -> &'static str {
    match metadata.map(kind) {
        Some(Ok(Type::Job(_))) => "job",
        Some(Ok(Type::Actor(_))) => "actor",
        _ => "unknown",
    }
}

/// The metadata that a job is stored with.
pub(crate) fn metadata(stored: Option<&Any>) -> Result<JobMetadata, prost::DecodeError> {
    stored.map_or_else(|| Ok(JobMetadata::default()), Any::to_msg)
}

fn kind(metadata: &JobMetadata) -> Result<&Type, NoTarget> {
    let target = metadata.target.as_ref();
    target.and_then(|t| t.r#type.as_ref()).ok_or(NoTarget)
}

#[cfg(test)]
mod tests {
    use proto::dapr::scheduler::v1::{JobTargetMetadata, TargetActorReminder, TargetJob};

    use super::*;

    fn about(target: Option<Type>) -> JobMetadata {
        JobMetadata {
            app_id: "cart".into(),
            namespace: "default".into(),
            target: Some(JobTargetMetadata { r#type: target }),
            concurrency_key: None,
        }
    }

    #[test]
    fn keys_begin_with_whom_they_are_for() {
        let job = about(Some(Type::Job(TargetJob {})));
        assert_eq!(prefix(&job).unwrap(), "app||default||cart||");
        let actor = about(Some(Type::Actor(TargetActorReminder {
            id: "a||1".into(),
            r#type: "kind".into(),
        })));
        let prefix_of_actor = prefix(&actor).unwrap();
        assert_eq!(prefix_of_actor, "actorreminder||default||kind||a||1||");
        for (begins, expected) in [
            (true, "actorreminder||default||kind||a||1"),
            (false, "actorreminder||default||kind||a||1||"),
        ] {
            assert_eq!(prefix_of_all(&actor, begins).unwrap(), expected);
            assert_eq!(prefix_of_all(&job, begins).unwrap(), "app||default||cart||");
        }
        let target = Target::of(&actor).unwrap();
        assert_eq!(target.to_string(), "actorreminder||default||kind||");
        assert_eq!(prefix(&about(None)), Err(NoTarget));
        let labels = [Some(&job), Some(&actor), Some(&about(None)), None].map(label);
        assert_eq!(labels, ["job", "actor", "unknown", "unknown"]);
    }
}
