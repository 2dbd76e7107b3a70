//! The services that run in the background: placement and scheduler, which `dapr init` starts,
//! and those of apps under mutual TLS.

pub(crate) mod detached;
mod doors;
mod plain;
mod record;
mod secured;
mod start;
mod stop;

pub(crate) use self::{
    doors::{Choice, Door},
    plain::start,
    record::Record,
    secured::{Secured, end_orphans, start as start_secured},
    stop::stop,
};

use crate::home::Home;

/// A program of this machine that sidecars connect to.
#[derive(Debug)]
pub(crate) struct Service {
    /// Also that of its log and its record.
    pub(crate) name: &'static str,
    program: &'static str,
    /// What does not work without it.
    pub(crate) serves: &'static str,
    /// The first is where sidecars connect, the second its health.
    pub(crate) doors: &'static [Door],
}

const PLACEMENT: Service = Service {
    name: "placement",
    program: "placement",
    serves: "actors and workflows",
    doors: &doors::PLACEMENT,
};
const SCHEDULER: Service = Service {
    name: "scheduler",
    program: "scheduler",
    serves: "jobs, reminders and workflows",
    doors: &doors::SCHEDULER,
};

/// Those of `dapr init`, in the order in which they are started.
pub(crate) const PLAIN: [&Service; 2] = [&PLACEMENT, &SCHEDULER];

const SENTRY_MTLS: Service = Service {
    name: "sentry-mtls",
    program: "sentry",
    serves: "what needs placement or scheduler under mutual TLS",
    doors: &doors::SENTRY_MTLS,
};
const PLACEMENT_MTLS: Service = Service {
    name: "placement-mtls",
    doors: &doors::PLACEMENT_MTLS,
    ..PLACEMENT
};
const SCHEDULER_MTLS: Service = Service {
    name: "scheduler-mtls",
    doors: &doors::SCHEDULER_MTLS,
    ..SCHEDULER
};

/// Those of `dapr run --mtls`: whom the others get their certificates from comes first.
pub(crate) const SECURED: [&Service; 3] = [&SENTRY_MTLS, &PLACEMENT_MTLS, &SCHEDULER_MTLS];

impl Service {
    /// The port of one of its doors.
    fn port(record: &Record, door: &Door) -> u16 {
        record.ports.get(door.name).copied().unwrap_or(door.port)
    }

    /// Where sidecars connect.
    pub(crate) fn main_port(&self, record: &Record) -> u16 {
        Self::port(record, &self.doors[0])
    }

    /// Where it says whether it is well.
    pub(crate) fn health_port(&self, record: &Record) -> u16 {
        Self::port(record, &self.doors[1])
    }
}

/// The port of a door by its name: what its service was given, else the usual one; 0 when the
/// service was never started and none is usual.
///
/// # Panics
///
/// When there is no such door.
pub(crate) fn port(home: &Home, door: &str) -> u16 {
    let (service, door) = PLAIN
        .iter()
        .chain(&SECURED)
        .find_map(|service| Some((service, service.doors.iter().find(|d| d.name == door)?)))
        .expect("the name is one of this program's own");
    match Record::read(home, service) {
        Some(record) => Service::port(&record, door),
        None => door.port,
    }
}
