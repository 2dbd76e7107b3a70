//! How a user names jobs, and how the scheduler does.
//!
//! A user writes `app/orders/nightly` or `actor/Cart/7/expire`; the scheduler keeps
//! `app||default||orders||nightly` and `actorreminder||default||Cart||7||expire`. Workflows and
//! their activities are actors of types that name their application.

use anyhow::{Result, bail};
use clap::ValueEnum;
use proto::dapr::scheduler::v1::{JobMetadata, job_target_metadata::Type as Target};

/// The reminder that has an activity run.
const RUN_ACTIVITY: &str = "run-activity";

const FORMS: &str = "app/APP/JOB, actor/TYPE/ID/NAME, workflow/APP/INSTANCE/NAME or \
                     activity/APP/ID";
const GROUPS: &str = "all, app, app/APP, actor/TYPE, actor/TYPE/ID, workflow, workflow/APP or \
                      workflow/APP/INSTANCE";

/// What kind of thing a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    App,
    Actor,
    Workflow,
    Activity,
}

/// The stored name of the job that a user names.
pub(crate) fn job(argument: &str, namespace: &str) -> Result<String> {
    let actor =
        |kind: &str, id: &str, name: &str| format!("{}{kind}||{id}||{name}", actors(namespace));
    let parts: Vec<&str> = argument.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        bail!("{argument:?} names no job; write {FORMS}");
    }
    Ok(match parts[..] {
        ["app", app, name] => format!("{}{app}||{name}", apps(namespace)),
        ["actor", kind, id, name] => actor(kind, id, name),
        ["workflow", app, id, name] => actor(&workflow(namespace, app), id, name),
        ["activity", app, id] => actor(&activity(namespace, app), id, RUN_ACTIVITY),
        _ => bail!("{argument:?} names no job; write {FORMS}"),
    })
}

/// The beginnings of the stored names of all jobs that a user means.
pub(crate) fn group(argument: &str, namespace: &str) -> Result<Vec<String>> {
    let parts: Vec<&str> = argument.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        bail!("{argument:?} names no jobs; write {GROUPS}");
    }
    let actors = actors(namespace);
    Ok(match parts[..] {
        ["all"] => vec![apps(namespace), actors],
        ["app"] => vec![apps(namespace)],
        ["app", app] => vec![format!("{}{app}||", apps(namespace))],
        ["actor", kind] => vec![format!("{actors}{kind}||")],
        ["actor", kind, id] => vec![format!("{actors}{kind}||{id}||")],
        ["workflow"] => vec![format!("{actors}{}", internal(namespace))],
        ["workflow", app] => vec![
            format!("{actors}{}||", workflow(namespace, app)),
            format!("{actors}{}||", activity(namespace, app)),
        ],
        ["workflow", app, id] => vec![
            format!("{actors}{}||{id}||", workflow(namespace, app)),
            // An activity's id begins with that of its workflow.
            format!("{actors}{}||{id}::", activity(namespace, app)),
        ],
        _ => bail!("{argument:?} names no jobs; write {GROUPS}"),
    })
}

/// The beginnings of the stored names among which all jobs of a kind are, or those of any.
pub(crate) fn of_kind(kind: Option<Kind>, namespace: &str) -> Vec<String> {
    match kind {
        None => vec![apps(namespace), actors(namespace)],
        Some(Kind::App) => vec![apps(namespace)],
        Some(Kind::Actor) => vec![actors(namespace)],
        Some(Kind::Workflow | Kind::Activity) => {
            vec![format!("{}{}", actors(namespace), internal(namespace))]
        }
    }
}

/// A job as a user names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Named {
    /// Reads a stored name. Its parts may contain what separates them, so the job's own
    /// description is needed to tell where each ends; nothing when the two do not fit.
    pub(crate) fn new(stored: &str, metadata: &JobMetadata) -> Option<Self> {
        let namespace = &metadata.namespace;
        let (kind, name) = match metadata.target.as_ref()?.r#type.as_ref()? {
            Target::Job(_) => {
                let app = &metadata.app_id;
                let name = stored.strip_prefix(&format!("{}{app}||", apps(namespace)))?;
                (Kind::App, format!("app/{app}/{name}"))
            }
            Target::Actor(actor) => {
                let (kind, id) = (actor.r#type.as_str(), actor.id.as_str());
                let prefix = format!("{}{kind}||{id}||", actors(namespace));
                let name = stored.strip_prefix(&prefix)?;
                let internal = kind.strip_prefix(&internal(namespace));
                let app = |role| internal.and_then(|rest| rest.strip_suffix(role));
                if let Some(app) = app(".workflow") {
                    (Kind::Workflow, format!("workflow/{app}/{id}/{name}"))
                } else if let Some(app) = app(".activity").filter(|_| name == RUN_ACTIVITY) {
                    (Kind::Activity, format!("activity/{app}/{id}"))
                } else {
                    (Kind::Actor, format!("actor/{kind}/{id}/{name}"))
                }
            }
        };
        Some(Self {
            kind,
            namespace: namespace.clone(),
            name,
        })
    }
}

fn apps(namespace: &str) -> String {
    format!("app||{namespace}||")
}

fn actors(namespace: &str) -> String {
    format!("actorreminder||{namespace}||")
}

/// How the actor types of workflows begin.
fn internal(namespace: &str) -> String {
    format!("dapr.internal.{namespace}.")
}

fn workflow(namespace: &str, app: &str) -> String {
    format!("{}{app}.workflow", internal(namespace))
}

fn activity(namespace: &str, app: &str) -> String {
    format!("{}{app}.activity", internal(namespace))
}

#[cfg(test)]
mod tests {
    use proto::dapr::scheduler::v1::{JobTargetMetadata, TargetActorReminder, TargetJob};

    use super::*;

    fn metadata(app: &str, actor: Option<(&str, &str)>) -> JobMetadata {
        let target = match actor {
            None => Target::Job(TargetJob {}),
            Some((kind, id)) => Target::Actor(TargetActorReminder {
                r#type: kind.to_owned(),
                id: id.to_owned(),
            }),
        };
        JobMetadata {
            app_id: app.to_owned(),
            namespace: "ns".to_owned(),
            target: Some(JobTargetMetadata {
                r#type: Some(target),
            }),
            concurrency_key: None,
        }
    }

    #[test]
    fn what_a_user_names_is_found_and_named_the_same() {
        let check = |argument: &str, stored: &str, actor: Option<(&str, &str)>| {
            assert_eq!(job(argument, "ns").expect(argument), stored);
            let named = Named::new(stored, &metadata("a", actor)).expect("fits");
            assert_eq!(named.name, argument);
            assert_eq!(named.namespace, "ns");
        };
        check("app/a/job", "app||ns||a||job", None);
        check("app/a/job||x", "app||ns||a||job||x", None);
        check(
            "actor/T/7||8/wake up",
            "actorreminder||ns||T||7||8||wake up",
            Some(("T", "7||8")),
        );
        let workflow = "dapr.internal.ns.a.b.workflow";
        check(
            "workflow/a.b/i1/timer-0",
            &format!("actorreminder||ns||{workflow}||i1||timer-0"),
            Some((workflow, "i1")),
        );
        let activity = "dapr.internal.ns.a.activity";
        check(
            "activity/a/i1::0::1",
            &format!("actorreminder||ns||{activity}||i1::0::1||run-activity"),
            Some((activity, "i1::0::1")),
        );
        // Another reminder of an activity has no short form.
        check(
            &format!("actor/{activity}/i1/other"),
            &format!("actorreminder||ns||{activity}||i1||other"),
            Some((activity, "i1")),
        );
    }

    #[test]
    fn a_description_of_another_job_fits_no_name() {
        let check = |stored: &str, metadata: &JobMetadata| {
            assert_eq!(Named::new(stored, metadata), None, "{stored}");
        };
        check("app||ns||b||job", &metadata("a", None));
        check("app||other||a||job", &metadata("a", None));
        check("app||ns||a||job", &metadata("a", Some(("T", "7"))));
        check("app||ns||a||job", &JobMetadata::default());
    }

    #[test]
    fn what_names_no_job_is_refused_with_the_forms() {
        for argument in [
            "",
            "app",
            "app/a",
            "app/a/b/c",
            "actor/T/7",
            "x/a/b",
            "app//b",
        ] {
            let error = job(argument, "ns").expect_err(argument);
            assert!(error.to_string().contains("actor/TYPE/ID/NAME"), "{error}");
        }
        for argument in ["", "all/a", "app/a/b", "actor", "actor/", "activity/a", "x"] {
            let error = group(argument, "ns").expect_err(argument);
            assert!(
                error.to_string().contains("workflow/APP/INSTANCE"),
                "{error}"
            );
        }
    }

    #[test]
    fn groups_are_beginnings_of_stored_names() {
        let check = |argument: &str, expected: &[&str]| {
            assert_eq!(group(argument, "ns").expect(argument), expected);
        };
        check("all", &["app||ns||", "actorreminder||ns||"]);
        check("app", &["app||ns||"]);
        check("app/a", &["app||ns||a||"]);
        check("actor/T", &["actorreminder||ns||T||"]);
        check("actor/T/7", &["actorreminder||ns||T||7||"]);
        check("workflow", &["actorreminder||ns||dapr.internal.ns."]);
        check(
            "workflow/a",
            &[
                "actorreminder||ns||dapr.internal.ns.a.workflow||",
                "actorreminder||ns||dapr.internal.ns.a.activity||",
            ],
        );
        check(
            "workflow/a/i",
            &[
                "actorreminder||ns||dapr.internal.ns.a.workflow||i||",
                "actorreminder||ns||dapr.internal.ns.a.activity||i::",
            ],
        );
    }
}
