//! The sidecars that run on this machine: found among its processes, described by their
//! command line and their metadata API.
//!
//! The process list is what upstream's tool goes by too, so each sees what the other started.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, bail};
use http::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};
use tokio::task::JoinSet;

use crate::{age, api::Sidecar, flags::Flags, run::quantity};

/// A sidecar that does not describe itself in this time is listed without its metadata.
const DEADLINE: Duration = Duration::from_secs(2);

/// A running sidecar; the serialized fields are what `dapr list -o json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Instance {
    pub(crate) app_id: String,
    pub(crate) http_port: i64,
    pub(crate) grpc_port: i64,
    pub(crate) app_port: i64,
    pub(crate) metrics_enabled: bool,
    pub(crate) command: String,
    pub(crate) age: String,
    pub(crate) created: String,
    pub(crate) daprd_pid: i32,
    pub(crate) cli_pid: i32,
    pub(crate) app_pid: i32,
    pub(crate) max_request_body_size: i64,
    pub(crate) http_read_buffer_size: i64,
    pub(crate) run_template_path: String,
    pub(crate) app_log_path: String,
    pub(crate) daprd_log_path: String,
    pub(crate) run_template_name: String,
    /// The actor types that it hosts; ours, and only where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) actors: Vec<Actors>,
    /// Whether it speaks mutual TLS.
    #[serde(skip)]
    pub(crate) mtls: bool,
    #[serde(skip)]
    pub(crate) api: Sidecar,
    /// The configuration files it was started with.
    #[serde(skip)]
    pub(crate) config: Vec<String>,
    /// What it has loaded; empty when it did not answer.
    #[serde(skip)]
    pub(crate) components: Vec<Loaded>,
}

/// A component as the metadata API describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Loaded {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) version: String,
    pub(crate) capabilities: Vec<String>,
}

/// An actor type, and how many of its actors are active.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Actors {
    #[serde(rename = "type")]
    kind: String,
    count: u32,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ActorRuntime {
    active_actors: Vec<Actors>,
}

/// The part of `GET /v1.0/metadata` that is of interest here.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    actor_runtime: ActorRuntime,
    components: Vec<Loaded>,
    extended: HashMap<String, String>,
}

/// All sidecars with an app id, ordered by it.
pub(crate) async fn all() -> Result<Vec<Instance>> {
    let mut asked = JoinSet::new();
    for process in scan()? {
        asked.spawn(describe(process));
    }
    let mut instances: Vec<Instance> = asked.join_all().await;
    instances.sort_by(|a, b| (&a.app_id, a.daprd_pid).cmp(&(&b.app_id, b.daprd_pid)));
    Ok(instances)
}

/// The sidecar of one application, or an error that says how to find the right id.
pub(crate) async fn of_app(app_id: &str) -> Result<Instance> {
    match all()
        .await?
        .into_iter()
        .find(|instance| instance.app_id == app_id)
    {
        Some(instance) => Ok(instance),
        None => bail!("app ID {app_id} not found; `dapr list` shows what runs"),
    }
}

struct Daprd {
    pid: i32,
    started: Timestamp,
    flags: Flags,
}

fn scan() -> Result<Vec<Daprd>> {
    let mut system = System::new().context("cannot look at the processes of this machine")?;
    let wanted = ProcessRefreshKind::nothing()
        .with_cmd(UpdateKind::Always)
        .without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, wanted);
    let found = system
        .processes()
        .values()
        .filter(|process| process.name() == "daprd" && process.thread_kind().is_none())
        .filter_map(|process| {
            let arguments: Vec<String> = process
                .cmd()
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect();
            let flags = Flags::parse(&arguments);
            if flags.text("app-id").is_empty() {
                return None;
            }
            Some(Daprd {
                pid: process.pid().as_u32().cast_signed(),
                started: Timestamp::from_second(process.start_time().cast_signed()).ok()?,
                flags,
            })
        })
        .collect();
    Ok(found)
}

async fn describe(daprd: Daprd) -> Instance {
    let flags = &daprd.flags;
    let app_id = flags.text("app-id").to_owned();
    let http_port = flags.number("dapr-http-port", 3500);
    let api = Sidecar::new(
        &app_id,
        u16::try_from(http_port).unwrap_or_default(),
        flags.text("dapr-listen-addresses"),
        flags.text("unix-domain-socket"),
    );
    // A sidecar that is starting, ending or wedged is listed with what its command line says.
    let metadata = metadata(&api).await.unwrap_or_default();
    let extended = |key: &str| metadata.extended.get(key).cloned().unwrap_or_default();
    let pid = |key: &str| extended(key).parse().unwrap_or_default();
    Instance {
        http_port,
        grpc_port: flags.number("dapr-grpc-port", 50001),
        app_port: flags.number("app-port", 0),
        metrics_enabled: flags.is_on("enable-metrics", true),
        command: extended("appCommand"),
        age: age::age(daprd.started, Timestamp::now()),
        created: age::created(daprd.started),
        daprd_pid: daprd.pid,
        cli_pid: pid("cliPID"),
        app_pid: pid("appPID"),
        max_request_body_size: size(flags.text("max-body-size"), 4 << 20),
        http_read_buffer_size: size(flags.text("read-buffer-size"), 4 << 10),
        run_template_path: extended("runTemplatePath"),
        app_log_path: extended("appLogPath"),
        daprd_log_path: extended("daprdLogPath"),
        run_template_name: extended("runTemplateName"),
        actors: metadata.actor_runtime.active_actors,
        mtls: flags.is_on("enable-mtls", false),
        config: flags.all("config").to_vec(),
        components: metadata.components,
        app_id,
        api,
    }
}

async fn metadata(api: &Sidecar) -> Result<Metadata> {
    let answer = api
        .call(Method::GET, "/v1.0/metadata", None, "", DEADLINE)
        .await?;
    Ok(serde_json::from_slice(&answer.body)?)
}

fn size(text: &str, default: i64) -> i64 {
    quantity::parse(text).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_actors_of_a_sidecar_are_those_of_its_metadata() {
        let answer = r#"{"id":"shop","actorRuntime":{"runtimeStatus":"RUNNING",
            "activeActors":[{"type":"Cart","count":2},{"type":"Till"}]},"components":[]}"#;
        let metadata: Metadata = serde_json::from_str(answer).unwrap();
        let found = metadata.actor_runtime.active_actors.iter();
        let found: Vec<_> = found.map(|a| (a.kind.as_str(), a.count)).collect();
        assert_eq!(found, [("Cart", 2), ("Till", 0)]);
        let none: Metadata = serde_json::from_str("{}").unwrap();
        assert!(none.actor_runtime.active_actors.is_empty());
    }
}
