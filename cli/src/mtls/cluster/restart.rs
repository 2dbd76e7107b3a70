//! Has the control plane start anew, pod by pod, as `kubectl rollout restart` does.

use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::{Timestamp, Unit};
use k8s::{Client, Error, Kind};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::output::Report;

use super::remedy::Deed;

const DEPLOYMENTS: Kind = Kind {
    group: "apps",
    version: "v1",
    plural: "deployments",
};
const STATEFUL_SETS: Kind = Kind {
    group: "apps",
    version: "v1",
    plural: "statefulsets",
};
/// Those that upstream's tool restarts; Sentry first, for the others ask it for certificates.
const ALL: [(Kind, &str, &str); 4] = [
    (DEPLOYMENTS, "Deployment", "dapr-sentry"),
    (DEPLOYMENTS, "Deployment", "dapr-sidecar-injector"),
    (DEPLOYMENTS, "Deployment", "dapr-operator"),
    (STATEFUL_SETS, "StatefulSet", "dapr-placement-server"),
];
/// Changing it makes the cluster replace the pods.
const MARK: &str = "kubectl.kubernetes.io/restartedAt";
/// The cluster itself writes to these objects now and then.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// Restarts all that are installed.
pub(super) async fn all(client: &Client, namespace: &str, report: Report) -> Result<()> {
    let now = Timestamp::now().round(Unit::Second)?.to_string();
    let place = format!("namespace {namespace}");
    let mut restarted = 0;
    for (kind, word, name) in ALL {
        match restart(client, kind, namespace, name, &now).await {
            Ok(()) => {
                report.info(format_args!("Restarting {name}"));
                restarted += 1;
            }
            Err(Error::NotFound(_)) => {
                report.info(format_args!("{word} {name} is not installed"));
            }
            Err(error) => {
                let what = format!("{word} {name}");
                let why = Deed::new("update", &what, &place).failed(&error);
                return Err(why.context("the certificates are renewed, but not all is restarted"));
            }
        }
    }
    ensure!(
        restarted > 0,
        "the certificates are renewed, but there is nothing in {place} to restart"
    );
    Ok(())
}

async fn restart(
    client: &Client,
    kind: Kind,
    namespace: &str,
    name: &str,
    now: &str,
) -> Result<(), Error> {
    let mut left = TRIES;
    loop {
        left -= 1;
        let mut object: Value = client.get(kind, namespace, name).await?;
        mark(&mut object, now);
        let written: Result<Value, Error> = client.replace(kind, namespace, name, &object).await;
        match written {
            Ok(_) => return Ok(()),
            Err(Error::Conflict(_)) if left > 0 => sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

/// Writes the mark into the annotations of the pods to be.
fn mark(object: &mut Value, now: &str) {
    let mut place = object;
    for key in ["spec", "template", "metadata", "annotations"] {
        let Some(fields) = place.as_object_mut() else {
            return;
        };
        place = fields.entry(key).or_insert_with(|| json!({}));
        if place.is_null() {
            *place = json!({});
        }
    }
    if let Some(annotations) = place.as_object_mut() {
        annotations.insert(MARK.to_owned(), now.into());
    }
}
