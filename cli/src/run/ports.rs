//! Ports: free ones for what was left open, and a check of those that were given.

use std::{collections::HashSet, net::TcpListener, ops::Range};

use anyhow::{Context, Result, bail};

const LASTING: Range<u16> = 31_000..32_768;
const TRIES: usize = 200;

/// Hands out ports, each only once.
///
/// Ports that were chosen stay bound until this is dropped, so that no two are the same.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    held: Vec<TcpListener>,
    given: HashSet<u16>,
}

impl Ports {
    /// The port that was asked for if it is free, or a free one when none was (0 or less).
    /// `name` is what an error calls it.
    pub(crate) fn take(&mut self, name: &str, asked: i64) -> Result<u16> {
        if asked <= 0 {
            return self.free();
        }
        let port = number(name, asked)?;
        if self.given.contains(&port) || TcpListener::bind(("127.0.0.1", port)).is_err() {
            bail!("invalid configuration for {name}. Port {port} is not available");
        }
        self.given.insert(port);
        Ok(port)
    }

    /// A free port for what has to come back to it: below those that systems give to outgoing
    /// connections, which would take it while nobody listens.
    pub(crate) fn lasting(&mut self) -> Result<u16> {
        for _ in 0..TRIES {
            let port = rand::random_range(LASTING);
            if !self.given.contains(&port)
                && let Ok(listener) = TcpListener::bind(("127.0.0.1", port))
            {
                self.held.push(listener);
                self.given.insert(port);
                return Ok(port);
            }
        }
        self.free()
    }

    fn free(&mut self) -> Result<u16> {
        loop {
            let listener =
                TcpListener::bind(("127.0.0.1", 0)).context("no free port on this machine")?;
            let port = listener
                .local_addr()
                .context("no free port on this machine")?
                .port();
            self.held.push(listener);
            // One that another application of the template has asked for is of no use here.
            if self.given.insert(port) {
                return Ok(port);
            }
        }
    }
}

/// A port number that was given.
pub(crate) fn number(name: &str, asked: i64) -> Result<u16> {
    u16::try_from(asked)
        .ok()
        .with_context(|| format!("invalid configuration for {name}. {asked} is not a port number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lasting_ports_differ_and_are_no_ports_of_connections() {
        let mut ports = Ports::default();
        let first = ports.lasting().expect("free");
        let second = ports.lasting().expect("free");
        assert_ne!(first, second);
        assert!(LASTING.contains(&first) && LASTING.contains(&second));
        TcpListener::bind(("127.0.0.1", first)).expect_err("held");
    }

    #[test]
    fn free_ports_differ_and_taken_ones_are_refused() {
        let mut ports = Ports::default();
        let first = ports.take("HTTPPort", -1).expect("free");
        let second = ports.take("GRPCPort", 0).expect("free");
        assert_ne!(first, second);
        let error = ports.take("MetricsPort", first.into()).expect_err("taken");
        let expected =
            format!("invalid configuration for MetricsPort. Port {first} is not available");
        assert_eq!(error.to_string(), expected);
        let elsewhere = TcpListener::bind(("127.0.0.1", 0)).expect("free");
        let port = elsewhere.local_addr().expect("bound").port();
        ports
            .take("HTTPPort", port.into())
            .expect_err("somebody listens there");
        drop(elsewhere);
        assert_eq!(
            ports.take("HTTPPort", port.into()).expect("free again"),
            port
        );
        ports.take("GRPCPort", 70_000).expect_err("not a port");
    }
}
