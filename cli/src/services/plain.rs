//! The services of `dapr init`, on ports that are known, without TLS.

use std::ffi::OsString;

use anyhow::Result;

use crate::{home::Home, output::Report};

use super::{
    Choice, PLAIN, SCHEDULER, Service,
    start::{self, Assigned, Group, flag},
};

/// Sees to it that they run and are well. `broadcast` is where sidecars are told to find the
/// scheduler; by default on this machine.
pub(crate) async fn start(
    home: &Home,
    choices: &[Choice],
    broadcast: Option<&str>,
    report: Report,
) -> Result<()> {
    let group = Group {
        services: &PLAIN,
        choices,
        arguments: &|service, ports| arguments(home, service, ports, broadcast),
        variables: &[],
    };
    for up in start::start(home, &group, report).await? {
        up.tell(report);
    }
    Ok(())
}

fn arguments(
    home: &Home,
    service: &Service,
    ports: &Assigned,
    broadcast: Option<&str>,
) -> Vec<OsString> {
    if service.name != SCHEDULER.name {
        return Vec::new();
    }
    let local = || format!("localhost:{}", ports[service.name]);
    let broadcast = broadcast.map_or_else(local, str::to_owned);
    [
        flag("override-broadcast-host-port", broadcast),
        flag("etcd-data-dir", home.scheduler_data()),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, path::Path};

    use super::*;

    #[test]
    fn the_scheduler_is_told_where_its_data_is_and_where_sidecars_find_it() {
        let home = Home::below(Path::new("/home/ann")).expect("usable");
        let check = |service: &Service, broadcast: Option<&str>, expected: &str| {
            let ports = service.doors.iter();
            let ports = ports
                .map(|door| (door.name.to_owned(), door.port))
                .collect();
            let arguments = arguments(&home, service, &ports, broadcast);
            assert_eq!(arguments.join(OsStr::new(" ")), expected);
        };
        check(PLAIN[0], None, "");
        let told = "--override-broadcast-host-port";
        let data = "--etcd-data-dir /home/ann/.dapr/data/scheduler";
        check(PLAIN[1], None, &format!("{told} localhost:50006 {data}"));
        let elsewhere = format!("{told} 10.0.0.1:9 {data}");
        check(PLAIN[1], Some("10.0.0.1:9"), &elsewhere);
    }
}
