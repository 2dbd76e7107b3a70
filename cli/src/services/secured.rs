//! The services of apps that run with `--mtls`: placement and scheduler under TLS, and the Sentry
//! that certifies them.
//!
//! A server speaks TLS or does not, so those of `dapr init` cannot serve both kinds of apps. These
//! are a second pair, started by the first `dapr run --mtls` that needs them, for few machines
//! do. All runs share them, as apps of different runs call each other's actors; hence they go on
//! until `dapr uninstall`, and have a Sentry that no run takes with it. The jobs are theirs alone:
//! a scheduler hands each job to one sidecar, and must not choose one that it cannot speak to.

use std::ffi::OsString;

use anyhow::Result;

use crate::{
    authority::{self, NAMESPACE, Store, TRUST_DOMAIN},
    home::Home,
    lock::Lock,
    output::Report,
};

use super::{
    PLACEMENT_MTLS, SCHEDULER_MTLS, SECURED, SENTRY_MTLS, Service,
    start::{self, Assigned, Group, HOST, Up, flag},
    stop,
};

/// Where they are; empty for one that is not installed.
#[derive(Debug, Default)]
pub(crate) struct Secured {
    pub(crate) placement: String,
    pub(crate) scheduler: String,
}

/// Sees to it that they run and are well. The authority of the folder is there already.
pub(crate) async fn start(home: &Home, report: Report) -> Result<Secured> {
    let _lock = Lock::take(home.root(), report).await?;
    let (sentry, others) = SECURED.split_at(1);
    // The others do not start without a certificate.
    let sentry = up(home, sentry, "", report).await?;
    let Some(sentry) = address(&sentry, &SENTRY_MTLS) else {
        return Ok(Secured::default());
    };
    let others = up(home, others, &sentry, report).await?;
    Ok(Secured {
        placement: address(&others, &PLACEMENT_MTLS).unwrap_or_default(),
        scheduler: address(&others, &SCHEDULER_MTLS).unwrap_or_default(),
    })
}

/// Ends those that run when the authority of the folder is gone: the next one that is made is
/// none that they trust.
pub(crate) async fn end_orphans(home: &Home, report: Report) -> Result<()> {
    let _lock = Lock::take(home.root(), report).await?;
    match Store::new(home.certs()).load()? {
        Some(_) => Ok(()),
        None => stop::stop_all(home, &SECURED, report).await,
    }
}

async fn up(
    home: &Home,
    services: &[&'static Service],
    sentry: &str,
    report: Report,
) -> Result<Vec<Up>> {
    let group = Group {
        services,
        choices: &[],
        arguments: &|service, ports| arguments(home, service, ports, sentry),
        // Their identities do not depend on who starts them.
        variables: &[("NAMESPACE", NAMESPACE)],
    };
    let up = start::start(home, &group, report).await?;
    for service in up.iter().filter(|up| up.new) {
        service.tell(report);
    }
    Ok(up)
}

fn address(up: &[Up], service: &Service) -> Option<String> {
    let up = up.iter().find(|up| up.service.name == service.name)?;
    Some(format!("{HOST}:{}", service.main_port(&up.record)))
}

fn arguments(home: &Home, service: &Service, ports: &Assigned, sentry: &str) -> Vec<OsString> {
    if service.name == SENTRY_MTLS.name {
        return authority::sentry_arguments(home);
    }
    let mut arguments = vec!["--tls-enabled".into()];
    arguments.extend(flag("trust-domain", TRUST_DOMAIN));
    arguments.extend(flag("trust-anchors-file", home.certs().join("ca.crt")));
    arguments.extend(flag("sentry-address", sentry));
    if service.name == SCHEDULER_MTLS.name {
        let broadcast = format!("{HOST}:{}", ports[service.name]);
        arguments.extend(flag("override-broadcast-host-port", broadcast));
        let data = home.data().join(service.name);
        arguments.extend(flag("etcd-data-dir", data));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, path::Path};

    use super::*;

    #[test]
    fn each_is_told_whose_certificates_count_and_the_scheduler_has_jobs_of_its_own() {
        let home = Home::below(Path::new("/home/ann")).expect("usable");
        let check = |service: &Service, expected: &str| {
            let ports = [(service.name.to_owned(), 7)].into();
            let arguments = arguments(&home, service, &ports, "127.0.0.1:9");
            assert_eq!(
                arguments.join(OsStr::new(" ")),
                expected,
                "{}",
                service.name
            );
        };
        let certs = "/home/ann/.dapr/certs";
        check(
            &SENTRY_MTLS,
            &format!(
                "--enable-metrics=false --trust-domain localhost --issuer-credentials {certs} \
                 --config /home/ann/.dapr/config.yaml"
            ),
        );
        let tls = format!(
            "--tls-enabled --trust-domain localhost --trust-anchors-file {certs}/ca.crt \
             --sentry-address 127.0.0.1:9"
        );
        check(&PLACEMENT_MTLS, &tls);
        check(
            &SCHEDULER_MTLS,
            &format!(
                "{tls} --override-broadcast-host-port 127.0.0.1:7 \
                 --etcd-data-dir /home/ann/.dapr/data/scheduler-mtls"
            ),
        );
    }
}
