//! The ports of the services, and how a user chooses others.

use std::{collections::BTreeMap, str::FromStr};

use anyhow::{Result, anyhow, bail};

use crate::run::ports::Ports;

use super::{PLAIN, Record, Service};

/// One port of a service.
#[derive(Debug)]
pub(crate) struct Door {
    /// What `dapr init --port` calls it.
    pub(crate) name: &'static str,
    /// The flag of the service.
    pub(crate) flag: &'static str,
    /// The usual port; 0 where any free one will do.
    pub(crate) port: u16,
}

pub(super) const PLACEMENT: [Door; 3] = [
    door("placement", "port", 50005),
    door("placement-health", "healthz-port", 58080),
    door("placement-metrics", "metrics-port", 59090),
];
pub(super) const SCHEDULER: [Door; 4] = [
    door("scheduler", "port", 50006),
    door("scheduler-health", "healthz-port", 58081),
    door("scheduler-metrics", "metrics-port", 59091),
    door("scheduler-etcd", "etcd-client-port", 2379),
];

pub(super) const SENTRY_MTLS: [Door; 2] = [
    door("sentry-mtls", "port", 0),
    door("sentry-mtls-health", "healthz-port", 0),
];
pub(super) const PLACEMENT_MTLS: [Door; 3] = [
    door("placement-mtls", "port", 0),
    door("placement-mtls-health", "healthz-port", 0),
    door("placement-mtls-metrics", "metrics-port", 0),
];
pub(super) const SCHEDULER_MTLS: [Door; 4] = [
    door("scheduler-mtls", "port", 0),
    door("scheduler-mtls-health", "healthz-port", 0),
    door("scheduler-mtls-metrics", "metrics-port", 0),
    door("scheduler-mtls-etcd", "etcd-client-port", 0),
];

const fn door(name: &'static str, flag: &'static str, port: u16) -> Door {
    Door { name, flag, port }
}

/// A port that a user has chosen: `NAME=PORT`, where 0 is any free one.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(super) door: &'static str,
    pub(super) port: u16,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = PLAIN.iter().flat_map(|service| service.doors);
        let names: Vec<&'static str> = all.map(|door| door.name).collect();
        let (name, port) = text.split_once('=').unwrap_or((text, ""));
        let Some(&door) = names.iter().find(|known| **known == name) else {
            return Err(format!(
                "write NAME=PORT, where NAME is one of {}",
                names.join(", ")
            ));
        };
        match port.parse() {
            Ok(port) => Ok(Self { door, port }),
            Err(_) => Err(format!(
                "{port:?} is not a port; write {door}=50105 for one, {door}=0 for any free one"
            )),
        }
    }
}

/// The ports of a service that is to be started, by the names of their doors: the chosen ones,
/// else those of the last time, else the usual ones. A port that is taken is an error where one
/// is usual.
pub(super) fn assign(
    service: &Service,
    choices: &[Choice],
    last: Option<&Record>,
    ports: &mut Ports,
) -> Result<BTreeMap<String, u16>> {
    let mut assigned = BTreeMap::new();
    for door in service.doors {
        let usual = || last.map_or(door.port, |record| Service::port(record, door));
        let asked = chosen(door, choices).unwrap_or_else(usual);
        let port = match asked {
            // It is the service's after a restart as well.
            0 => ports.lasting()?,
            asked => match ports.take(door.name, asked.into()) {
                Ok(port) => port,
                // Nobody was told that it is this one.
                Err(_) if door.port == 0 => ports.lasting()?,
                Err(_) => return Err(taken(door, asked)),
            },
        };
        assigned.insert(door.name.to_owned(), port);
    }
    Ok(assigned)
}

/// The last choice for a door, as flags that are repeated go.
pub(super) fn chosen(door: &Door, choices: &[Choice]) -> Option<u16> {
    let mut fitting = choices.iter().filter(|choice| choice.door == door.name);
    fitting.next_back().map(|choice| choice.port)
}

fn taken(door: &Door, port: u16) -> anyhow::Error {
    let name = door.name;
    anyhow!(
        "port {port} ({name}) is not available; end what listens there, or give another with \
         `--port {name}=PORT`, or --slim to start no services (those of another installation \
         serve as well)"
    )
}

/// Refuses choices that a service which runs already does not meet.
pub(super) fn check_running(service: &Service, record: &Record, choices: &[Choice]) -> Result<()> {
    for door in service.doors {
        let (has, wanted) = (Service::port(record, door), chosen(door, choices));
        if wanted.is_some_and(|wanted| wanted != 0 && wanted != has) {
            bail!(
                "{} runs already, with port {has} for {}; `dapr uninstall` ends it, then init \
                 again",
                service.name,
                door.name
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::SECURED;
    use super::*;

    fn choices(texts: &[&str]) -> Vec<Choice> {
        let parsed = texts.iter().map(|text| text.parse().expect("a choice"));
        parsed.collect()
    }

    #[test]
    fn a_choice_names_a_door_and_a_port() {
        let check = |text: &str, expected: Result<(&str, u16), &str>| {
            let parsed = text.parse::<Choice>();
            match expected {
                Ok(expected) => {
                    let choice = parsed.expect(text);
                    assert_eq!((choice.door, choice.port), expected, "{text}");
                }
                Err(part) => {
                    let error = parsed.expect_err(text);
                    assert!(error.contains(part), "{text}: {error}");
                }
            }
        };
        check("placement=1234", Ok(("placement", 1234)));
        check("scheduler-etcd=0", Ok(("scheduler-etcd", 0)));
        check("sentry=1", Err("placement-health, placement-metrics"));
        check("placement", Err("\"\" is not a port"));
        check("placement=70000", Err("\"70000\" is not a port"));
        check("=", Err("NAME=PORT"));
    }

    #[test]
    fn the_chosen_port_goes_before_the_last_one_and_that_before_the_usual_one() {
        let [free, other] = [testkit::free_port(), testkit::free_port()];
        let all = ["placement=0", "placement-health=0", "placement-metrics=0"];
        let assign = |more: &[&str], last: Option<&Record>| {
            let choices = choices(&[all.as_slice(), more].concat());
            assign(PLAIN[0], &choices, last, &mut Ports::default()).expect("free")
        };
        let first = assign(&[&format!("placement={free}")], None);
        assert_eq!(first["placement"], free);
        assert_ne!(first["placement-health"], 58080);
        let record = Record::for_tests(&[("placement", other)]);
        let choices = choices(&all[1..]);
        let mut ports = Ports::default();
        let second = super::assign(PLAIN[0], &choices, Some(&record), &mut ports).expect("free");
        assert_eq!(second["placement"], other);
    }

    #[test]
    fn a_taken_port_is_an_error_with_the_remedy() {
        let holder = TcpListener::bind(("127.0.0.1", 0)).expect("free");
        let port = holder.local_addr().expect("bound").port();
        let choices = choices(&[&format!("placement={port}")]);
        let error = assign(PLAIN[0], &choices, None, &mut Ports::default()).expect_err("taken");
        let text = error.to_string();
        assert!(text.starts_with(&format!("port {port} (placement) is not available")));
        assert!(text.contains("`--port placement=PORT`"), "{text}");
    }

    #[test]
    fn a_service_without_usual_ports_has_those_of_the_last_time_as_long_as_they_are_free() {
        let assign = |last: &Record| {
            assign(SECURED[0], &[], Some(last), &mut Ports::default()).expect("free")
        };
        let free = testkit::free_port();
        let assigned = assign(&Record::for_tests(&[("sentry-mtls", free)]));
        assert_eq!(assigned["sentry-mtls"], free);
        assert_ne!(assigned["sentry-mtls-health"], 0);
        let holder = TcpListener::bind(("127.0.0.1", 0)).expect("free");
        let held = holder.local_addr().expect("bound").port();
        let assigned = assign(&Record::for_tests(&[("sentry-mtls", held)]));
        assert!(![0, held].contains(&assigned["sentry-mtls"]));
    }

    #[test]
    fn a_running_service_keeps_its_ports() {
        let record = Record::for_tests(&[("placement", 7)]);
        let check = |text: &str| check_running(PLAIN[0], &record, &choices(&[text]));
        check("placement=7").expect("the same");
        check("placement=0").expect("any");
        check("placement-health=58080").expect("the usual one");
        let error = check("placement=8").expect_err("another");
        assert!(error.to_string().contains("with port 7 for placement"));
    }
}
