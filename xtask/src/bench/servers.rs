//! What this program serves itself, each in a process of its own, so that its
//! CPU is counted apart: `xtask bench echo PORT` and the like.

use testkit::{Process, ProcessBuilder};

use super::{echo, hops};
use crate::sentry::Sentry;

#[derive(clap::Subcommand)]
pub(super) enum Server {
    /// What everything is compared with, and the app that is called.
    #[command(hide = true)]
    Echo { port: u16 },
    /// The same as an app that hosts actors.
    #[command(hide = true)]
    Actors { port: u16 },
    /// The hop that an app calls; it calls the other hop.
    #[command(hide = true)]
    Near { port: u16, far: u16 },
    /// The hop that calls the app.
    #[command(hide = true)]
    Far { port: u16, app: u16 },
    /// The only hop before an app.
    #[command(hide = true)]
    Hop { port: u16, app: u16 },
}

impl Server {
    pub(super) async fn serve(&self) -> anyhow::Result<()> {
        match *self {
            Self::Echo { port } => echo::serve(port, None).await,
            Self::Actors { port } => echo::serve(port, Some(WISHES)).await,
            Self::Near { port, far } => hops::near(port, far).await,
            Self::Far { port, app } => hops::far(port, app).await,
            Self::Hop { port, app } => hops::plain(port, app).await,
        }
    }
}

/// The type of the actors that the app hosts, and how it says so.
pub(super) const ACTOR_TYPE: &str = "bench";
pub(super) const WISHES: &str = r#"{"entities":["bench"]}"#;

pub(super) fn echo(port: u16) -> anyhow::Result<Process> {
    this("echo", [port])?.start()
}

pub(super) fn actors(port: u16) -> anyhow::Result<Process> {
    this("actors", [port])?.start()
}

/// A hop to the app.
pub(super) fn hop(port: u16, app: u16) -> anyhow::Result<Process> {
    this("hop", [port, app])?.start()
}

/// Two hops with identities from this Sentry, and what they say about it.
pub(super) fn hops(
    sentry: &Sentry,
    [near, far, app]: [u16; 3],
) -> anyhow::Result<(Process, Process)> {
    let start = |builder: ProcessBuilder| {
        builder
            .env("DAPR_TRUST_ANCHORS", sentry.anchors())
            .env(hops::SENTRY, sentry.address())
            .start()
    };
    Ok((
        start(this("near", [near, far])?)?,
        start(this("far", [far, app])?)?,
    ))
}

fn this<const N: usize>(server: &str, ports: [u16; N]) -> anyhow::Result<ProcessBuilder> {
    let builder = Process::builder(std::env::current_exe()?).args(["bench", server]);
    Ok(builder.args(ports.map(|port| port.to_string())))
}
