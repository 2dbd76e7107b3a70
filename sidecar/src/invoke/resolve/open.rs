//! The name resolver that the Configuration chooses.

use component::Env;
use component::resolution::Instance;
use resources::configuration::NameResolution;

use super::{Registry, Resolver};
use crate::SCOPE;

const DEFAULT: &str = "mdns";

/// Opens it. Without one the sidecar still serves its app, as upstream's does, and
/// says of each call why nobody is found.
///
/// The file registry is kept only beside the default, mDNS: both find what is near
/// without any set-up, and the file is found at once.
pub(crate) async fn open(
    settings: &NameResolution,
    types: &component::Registry,
    neighbours: Registry,
    env: Env,
    instance: Instance,
) -> Resolver {
    let name = match settings.component.as_str() {
        "" => DEFAULT,
        name => name,
    };
    let version = match settings.version.as_str() {
        "" => "v1",
        version => version,
    };
    let port = instance.internal_port;
    let about = format!("initialization error occurred for {name} (nr/{version})");
    let opened = match types.name_resolver(name, version) {
        Some(open) => open(settings.configuration.clone(), env, instance)
            .await
            .map_err(|e| format!("[INIT_COMPONENT_FAILURE]: {about}: {e}")),
        None => Err(format!(
            "[CREATE_COMPONENT_FAILURE]: {about}: couldn't find name resolver {name}/{version}"
        )),
    };
    let component = match opened {
        Ok(component) => {
            tracing::info!(target: SCOPE, "Initialized name resolution to {name}");
            Some(component)
        }
        Err(text) => {
            tracing::error!(target: SCOPE, "{text}");
            None
        }
    };
    let near = name.eq_ignore_ascii_case(DEFAULT);
    Resolver::new(near.then_some(neighbours), component, port)
}
