//! What the apps of one run that want mutual TLS need beside their sidecars.

use anyhow::Result;

use crate::{
    home::Home,
    output::Report,
    services::{self, Secured},
};

use super::{ports::Ports, sentry::Sentry, spec::Spec};

/// The address by which users mean the services of this machine.
const LOCAL: &str = "localhost";

#[derive(Debug)]
pub(crate) struct Mtls {
    pub(crate) sentry: Sentry,
    pub(super) services: Secured,
}

impl Mtls {
    /// Decides what is started and starts the services in the background where an app is to
    /// reach them; nothing when no app wants mutual TLS.
    pub(super) async fn prepare(
        apps: &[Spec],
        home: &Home,
        ports: &mut Ports,
        log_level: &str,
        report: Report,
    ) -> Result<Option<Self>> {
        let mut secured = apps.iter().filter(|app| app.mtls).peekable();
        if secured.peek().is_none() {
            return Ok(None);
        }
        services::end_orphans(home, report).await?;
        // Before the services, for it makes the certificates when there are none.
        let sentry = Sentry::prepare(home, ports, log_level, report.json()).await?;
        let local = secured.any(|app| {
            [&app.placement_host_address, &app.scheduler_host_address].contains(&&LOCAL.to_owned())
        });
        let services = match local {
            true => services::start_secured(home, report).await?,
            false => Secured::default(),
        };
        Ok(Some(Self { sentry, services }))
    }

    /// Where placement is, for an app that was given this address.
    pub(super) fn placement<'a>(&'a self, given: &'a str) -> &'a str {
        choose(given, &self.services.placement)
    }

    /// Where the scheduler is, for an app that was given this address.
    pub(super) fn scheduler<'a>(&'a self, given: &'a str) -> &'a str {
        choose(given, &self.services.scheduler)
    }
}

fn choose<'a>(given: &'a str, local: &'a str) -> &'a str {
    if given == LOCAL { local } else { given }
}
