//! Lays what an application says over what is common, and that over the defaults.

use std::path::PathBuf;

use crate::run::{
    default_spec,
    spec::{Origin, Spec},
};

use super::keys::{Own, Shared};

/// The specification of one application. Paths are absolute.
pub(super) fn merge(
    own: Own,
    shared: Shared,
    common: &Shared,
    app_dir: PathBuf,
    origin: Origin,
) -> Spec {
    let common = common.clone();
    let base = default_spec();
    let beside = |name: &str| Some(app_dir.join(".dapr").join(name));
    let resources_path = if !shared.resources_paths.is_empty() {
        shared.resources_paths
    } else if let Some(folder) = beside("resources").filter(|folder| folder.is_dir()) {
        vec![folder]
    } else {
        common.resources_paths
    };
    let mut env = common.env;
    env.extend(shared.env);
    Spec {
        app_id: if own.app_id.is_empty() {
            app_dir
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default()
        } else {
            own.app_id
        },
        app_port: own.app_port.unwrap_or(base.app_port),
        config: shared
            .config_file_path
            .or_else(|| beside("config.yaml").filter(|file| file.is_file()))
            .or(common.config_file_path),
        dapr_http_port: own.http_port.unwrap_or(base.dapr_http_port),
        dapr_grpc_port: own.grpc_port.unwrap_or(base.dapr_grpc_port),
        dapr_internal_grpc_port: own
            .internal_grpc_port
            .unwrap_or(base.dapr_internal_grpc_port),
        metrics_port: own.metrics_port.unwrap_or(base.metrics_port),
        enable_profiling: shared
            .enable_profiling
            .or(common.enable_profiling)
            .unwrap_or(base.enable_profiling),
        profile_port: own.profile_port.unwrap_or(base.profile_port),
        log_level: shared.log_level.or(common.log_level).unwrap_or_default(),
        app_max_concurrency: shared
            .app_max_concurrency
            .or(common.app_max_concurrency)
            .unwrap_or(base.app_max_concurrency),
        app_protocol: shared
            .app_protocol
            .or(common.app_protocol)
            .unwrap_or(base.app_protocol),
        components_path: None,
        resources_path,
        placement_host_address: shared
            .placement_host_address
            .or(common.placement_host_address)
            .unwrap_or(base.placement_host_address),
        // In a template an empty scheduler address means the default one.
        scheduler_host_address: shared
            .scheduler_host_address
            .or(common.scheduler_host_address)
            .filter(|address| !address.is_empty())
            .unwrap_or(base.scheduler_host_address),
        app_ssl: shared.app_ssl.or(common.app_ssl).unwrap_or(base.app_ssl),
        max_body_size: shared
            .max_body_size
            .or(common.max_body_size)
            .unwrap_or(base.max_body_size),
        read_buffer_size: shared
            .read_buffer_size
            .or(common.read_buffer_size)
            .unwrap_or(base.read_buffer_size),
        unix_domain_socket: own.unix_domain_socket.unwrap_or_default(),
        enable_app_health_check: shared
            .enable_app_health_check
            .or(common.enable_app_health_check)
            .unwrap_or(base.enable_app_health_check),
        app_health_check_path: shared
            .app_health_check_path
            .or(common.app_health_check_path)
            .unwrap_or_default(),
        app_health_probe_interval: shared
            .app_health_probe_interval
            .or(common.app_health_probe_interval)
            .unwrap_or_default(),
        app_health_probe_timeout: shared
            .app_health_probe_timeout
            .or(common.app_health_probe_timeout)
            .unwrap_or_default(),
        app_health_threshold: shared
            .app_health_threshold
            .or(common.app_health_threshold)
            .unwrap_or_default(),
        enable_api_logging: shared
            .enable_api_logging
            .or(common.enable_api_logging)
            .unwrap_or(base.enable_api_logging),
        mtls: shared.mtls.or(common.mtls).unwrap_or(base.mtls),
        dapr_listen_addresses: shared
            .api_listen_addresses
            .or(common.api_listen_addresses)
            .unwrap_or_default(),
        app_channel_address: own.app_channel_address.unwrap_or(base.app_channel_address),
        command: own.command,
        env,
        app_dir: Some(app_dir),
        runtime_path: shared.runtime_path.or(common.runtime_path),
        template: Some(origin),
    }
}
