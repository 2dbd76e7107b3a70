//! From connection properties to a pool of connections.

use std::time::Duration;

use component::{Error, Result};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::Connection;
use crate::driver::driver;
use crate::dsn::Settings;
use crate::settings::{address, settings, verification};
use crate::tls;

/// How long one connection may take until it is signed in.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept, as upstream's pool does.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// How statements reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Each connection keeps its statements prepared.
    Prepared,
    /// Nothing is kept in the server, which poolers in transaction mode need.
    Unnamed,
}

/// Connections to one database. None is open before the first is used.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) pool: Pool,
    /// Host and port, for messages.
    pub(crate) address: String,
    pub(crate) mode: Mode,
    /// Unused connections are closed after this time.
    pub(crate) idle: Duration,
}

impl Connections {
    pub(crate) fn new(connection: &Connection) -> Result<Self> {
        let mut settings = settings(connection, |name| std::env::var(name).ok())?;
        let address = address(&settings);
        let mode = mode(connection, &mut settings)?;
        let most = size(connection, &mut settings);
        let idle = connection
            .connection_max_idle_time
            .map(|t| t.0)
            .filter(|t| !t.is_zero());
        let (verify, files) = verification(&mut settings)?;
        let config = driver(settings)?;
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = if config.get_ssl_mode() == SslMode::Disable {
            Manager::from_config(config, NoTls, recycling)
        } else {
            Manager::from_config(
                config,
                MakeRustlsConnect::new(tls::client(verify, &files)?),
                recycling,
            )
        };
        let pool = Pool::builder(manager)
            .max_size(most)
            .create_timeout(Some(CONNECT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| Error::config(format!("cannot make a pool of connections: {e}")))?;
        Ok(Self {
            pool,
            address,
            mode,
            idle: idle.unwrap_or(IDLE),
        })
    }
}

fn mode(connection: &Connection, settings: &mut Settings) -> Result<Mode> {
    let from_string = settings.remove("default_query_exec_mode");
    match connection
        .query_exec_mode
        .as_ref()
        .or(from_string.as_ref())
        .map_or("", |m| m.as_str())
    {
        "" | "cache_statement" => Ok(Mode::Prepared),
        "cache_describe" | "describe_exec" | "exec" | "simple_protocol" => Ok(Mode::Unnamed),
        other => Err(Error::config(format!(
            "invalid queryExecMode '{other}'; use cache_statement, cache_describe, describe_exec, exec or simple_protocol"
        ))),
    }
}

/// At least two, because the migration needs a second one beside its lock.
fn size(connection: &Connection, settings: &mut Settings) -> usize {
    let from_string = settings
        .remove("pool_max_conns")
        .and_then(|n| n.parse().ok());
    let given = connection.max_conns.or(from_string).filter(|n| *n > 1);
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    given
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(processors.max(4))
}

#[cfg(test)]
mod tests {
    use component::metadata::{Properties, decode};

    use super::*;
    use crate::dsn;

    fn connection(properties: &[(&str, &str)]) -> Connection {
        let properties: Properties = properties.iter().map(|(k, v)| (*k, *v)).collect();
        decode(&properties).unwrap()
    }

    #[test]
    fn modes_and_sizes() {
        let mode_of = |given: &str, text: &str| {
            let connection = connection(&[("queryExecMode", given), ("connectionString", text)]);
            mode(&connection, &mut dsn::parse(text).unwrap()).map_err(|e| e.message)
        };
        assert_eq!(mode_of("", "host=h"), Ok(Mode::Prepared));
        assert_eq!(
            mode_of("exec", "host=h default_query_exec_mode=cache_statement"),
            Ok(Mode::Unnamed)
        );
        assert_eq!(
            mode_of("", "host=h default_query_exec_mode=simple_protocol"),
            Ok(Mode::Unnamed)
        );
        assert!(
            mode_of("fast", "host=h")
                .unwrap_err()
                .starts_with("invalid queryExecMode 'fast'")
        );
        let size_of = |given: &str, text: &str| {
            size(
                &connection(&[("maxConns", given), ("connectionString", text)]),
                &mut dsn::parse(text).unwrap(),
            )
        };
        assert_eq!(size_of("3", "host=h"), 3);
        assert_eq!(size_of("", "host=h pool_max_conns=5"), 5);
        assert!(size_of("1", "host=h") >= 4);
    }
}
