//! Settings by libpq's names as the driver takes them.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use component::{Error, Result};
use tokio_postgres::config::{
    ChannelBinding, Config, LoadBalanceHosts, SslMode, TargetSessionAttrs,
};

use crate::connect::CONNECT;
use crate::dsn::Settings;

/// The driver's settings; names it does not have are the server's own, such as
/// `search_path`, and are sent as start options.
pub(crate) fn driver(settings: Settings) -> Result<Config> {
    let mut config = Config::new();
    config.connect_timeout(CONNECT).application_name("dapr");
    let mut options = Vec::new();
    for (name, value) in settings {
        let invalid = || {
            Error::config(format!(
                "{name} '{value}' of the connection is not valid; correct it"
            ))
        };
        let seconds = || {
            value
                .parse()
                .map(Duration::from_secs)
                .map_err(|_| invalid())
        };
        match name.as_str() {
            "host" => {
                for host in value.split(',') {
                    config.host(host);
                }
            }
            "hostaddr" => {
                for ip in value.split(',') {
                    config.hostaddr(IpAddr::from_str(ip).map_err(|_| invalid())?);
                }
            }
            "port" => {
                for port in value.split(',') {
                    config.port(if port.is_empty() {
                        5432
                    } else {
                        port.parse().map_err(|_| invalid())?
                    });
                }
            }
            "dbname" => _ = config.dbname(value),
            "user" => _ = config.user(value),
            "password" => _ = config.password(value),
            "application_name" => _ = config.application_name(value),
            "options" => options.push(value),
            "connect_timeout" => {
                let timeout: Duration = seconds()?;
                if !timeout.is_zero() {
                    config.connect_timeout(timeout);
                }
            }
            "keepalives" => _ = config.keepalives(value != "0"),
            "keepalives_idle" => _ = config.keepalives_idle(seconds()?),
            "keepalives_interval" => _ = config.keepalives_interval(seconds()?),
            "keepalives_count" => {
                _ = config.keepalives_retries(value.parse().map_err(|_| invalid())?)
            }
            "sslmode" => {
                _ = config.ssl_mode(match value.as_str() {
                    "disable" => SslMode::Disable,
                    "require" => SslMode::Require,
                    _ => SslMode::Prefer,
                })
            }
            "channel_binding" => {
                _ = config.channel_binding(match value.as_str() {
                    "disable" => ChannelBinding::Disable,
                    "prefer" => ChannelBinding::Prefer,
                    "require" => ChannelBinding::Require,
                    _ => return Err(invalid()),
                })
            }
            "load_balance_hosts" => {
                _ = config.load_balance_hosts(match value.as_str() {
                    "disable" => LoadBalanceHosts::Disable,
                    "random" => LoadBalanceHosts::Random,
                    _ => return Err(invalid()),
                })
            }
            "target_session_attrs" => {
                _ = config.target_session_attrs(match value.as_str() {
                    "any" | "prefer-standby" => TargetSessionAttrs::Any,
                    "read-write" | "primary" => TargetSessionAttrs::ReadWrite,
                    "read-only" | "standby" => TargetSessionAttrs::ReadOnly,
                    _ => return Err(invalid()),
                })
            }
            // Settings of libpq and of upstream's pool that have no counterpart here.
            "sslsni"
            | "sslpassword"
            | "sslnegotiation"
            | "sslcompression"
            | "passfile"
            | "service"
            | "servicefile"
            | "krbsrvname"
            | "gssencmode"
            | "client_encoding"
            | "fallback_application_name"
            | "statement_cache_capacity"
            | "description_cache_capacity" => {}
            pool if pool.starts_with("pool_") => {}
            name if !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.".contains(&b)) =>
            {
                let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
                options.push(format!("-c {name}={value}"));
            }
            _ => {
                return Err(Error::config(
                    "connectionString has a setting that is no name; correct it",
                ));
            }
        }
    }
    if !options.is_empty() {
        config.options(options.join(" "));
    }
    let (hosts, addresses, ports) = (
        config.get_hosts().len(),
        config.get_hostaddrs().len(),
        config.get_ports().len(),
    );
    if hosts > 0 && addresses > 0 && hosts != addresses {
        return Err(Error::config(
            "host and hostaddr of the connection differ in number; give one address per host",
        ));
    }
    if ports > 1 && ports != hosts.max(addresses) {
        return Err(Error::config(
            "host and port of the connection differ in number; give one port, or one per host",
        ));
    }
    Ok(config)
}
