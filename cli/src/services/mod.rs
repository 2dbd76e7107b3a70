//! The services that `dapr init` leaves running in the background: placement and scheduler.

pub(crate) mod detached;
mod doors;
mod record;
mod start;
mod stop;

pub(crate) use self::{
    doors::{Choice, Door},
    record::Record,
    start::start,
    stop::stop,
};

use crate::home::Home;

/// A program of this machine that sidecars connect to.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    /// What does not work without it.
    pub(crate) serves: &'static str,
    /// The first is where sidecars connect, the second its health.
    pub(crate) doors: &'static [Door],
}

const PLACEMENT: Service = Service {
    name: "placement",
    serves: "actors and workflows",
    doors: &doors::PLACEMENT,
};
const SCHEDULER: Service = Service {
    name: "scheduler",
    serves: "jobs, reminders and workflows",
    doors: &doors::SCHEDULER,
};

/// All of them, in the order in which they are started.
pub(crate) const ALL: [&Service; 2] = [&PLACEMENT, &SCHEDULER];

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

/// The port of a door by its name: what `dapr init` gave it, else the usual one.
///
/// # Panics
///
/// When there is no such door.
pub(crate) fn port(home: &Home, door: &str) -> u16 {
    let (service, door) = ALL
        .iter()
        .find_map(|service| Some((service, service.doors.iter().find(|d| d.name == door)?)))
        .expect("the name is one of this program's own");
    match Record::read(home, service) {
        Some(record) => Service::port(&record, door),
        None => door.port,
    }
}
