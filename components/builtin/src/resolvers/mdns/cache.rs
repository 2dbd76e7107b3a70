//! The instances of the apps that somebody here asked for. No sockets.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use super::name::Name;
use super::packet::{Data, Message, Record};
use super::registration::service;

/// How long an answer holds.
const LIFETIME: Duration = Duration::from_secs(60);
/// An app that was asked for stays known this long without an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Callers that wait for the same app send one query together.
const PAUSE: Duration = Duration::from_millis(400);
const APPS: usize = 4096;
const INSTANCES: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Cache {
    apps: HashMap<String, App>,
}

#[derive(Debug)]
struct App {
    service: Name,
    instances: BTreeMap<Name, Found>,
    turn: usize,
    asked: Instant,
    /// Whether the first answer was asked for again, to find the others.
    refreshed: bool,
}

#[derive(Debug)]
struct Found {
    v4: Option<SocketAddr>,
    v6: Option<SocketAddr>,
    until: Instant,
}

impl Cache {
    /// The next address of an app, IPv4 if there is any; and a query to send.
    pub(super) fn pick(&mut self, id: &str, now: Instant) -> Option<(SocketAddr, Option<Name>)> {
        let app = self.apps.get_mut(id)?;
        let live = || app.instances.values().filter(|found| found.until > now);
        let mut addresses: Vec<_> = live().filter_map(|found| found.v4).collect();
        if addresses.is_empty() {
            addresses = live().filter_map(|found| found.v6).collect();
        }
        let address = *addresses.get(app.turn % addresses.len().max(1))?;
        app.turn = app.turn.wrapping_add(1);
        let refresh = !std::mem::replace(&mut app.refreshed, true);
        Some((address, refresh.then(|| app.service.clone())))
    }

    /// Makes an app known; the query to send, unless one was sent just now.
    /// Nothing comes of an id that cannot be in a DNS name.
    pub(super) fn ask(&mut self, id: &str, now: Instant) -> Option<Name> {
        if let Some(app) = self.apps.get_mut(id) {
            let again = now.duration_since(app.asked) >= PAUSE;
            if again {
                app.asked = now;
            }
            return again.then(|| app.service.clone());
        }
        if self.apps.len() >= APPS {
            return None;
        }
        let service = service(id)?;
        let app = App {
            service: service.clone(),
            instances: BTreeMap::new(),
            turn: 0,
            asked: now,
            refreshed: false,
        };
        self.apps.insert(id.to_owned(), app);
        Some(service)
    }

    /// Takes what a response says of known apps; whether it said anything.
    /// An instance counts when its port, text and address are in one packet.
    pub(super) fn learn(&mut self, message: &Message, now: Instant) -> bool {
        if !message.response || self.apps.is_empty() {
            return false;
        }
        let mut learned = false;
        for record in message.records() {
            let Data::Srv { port, target } = &record.data else {
                continue;
            };
            let text = message.records().find_map(|r| match &r.data {
                Data::Txt(text) if r.name == record.name => Some(text),
                _ => None,
            });
            let app = text
                .and_then(|text| std::str::from_utf8(text).ok())
                .and_then(|id| self.apps.get_mut(id))
                .filter(|app| record.name.is_below(&app.service));
            if let Some(app) = app {
                let addresses = addresses(message, target);
                learned |= app.learn(record, *port, addresses, now);
            }
        }
        learned
    }

    /// Drops what is too old; the queries that keep the rest fresh.
    pub(super) fn sweep(&mut self, now: Instant) -> Vec<Name> {
        for app in self.apps.values_mut() {
            app.instances.retain(|_, found| found.until > now);
        }
        self.apps
            .retain(|_, app| !app.instances.is_empty() || app.asked + PATIENCE > now);
        self.apps.values().map(|app| app.service.clone()).collect()
    }
}

impl App {
    fn learn(
        &mut self,
        srv: &Record,
        port: u16,
        addresses: impl Iterator<Item = IpAddr>,
        now: Instant,
    ) -> bool {
        if srv.ttl == 0 {
            return self.instances.remove(&srv.name).is_some();
        }
        let (mut v4, mut v6) = (None, None);
        for ip in addresses {
            let first = if ip.is_ipv4() { &mut v4 } else { &mut v6 };
            first.get_or_insert(SocketAddr::new(ip, port));
        }
        let known = self.instances.contains_key(&srv.name);
        if (v4.is_none() && v6.is_none()) || (!known && self.instances.len() >= INSTANCES) {
            return false;
        }
        let until = now + LIFETIME;
        let found = Found { v4, v6, until };
        self.instances.insert(srv.name.clone(), found);
        true
    }
}

fn addresses(message: &Message, host: &Name) -> impl Iterator<Item = IpAddr> {
    message
        .records()
        .filter_map(move |record| match record.data {
            Data::Address(ip) if record.name == *host && !ip.is_unspecified() => Some(ip),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::super::registration::Registration;
    use super::*;

    fn instance(app: &str, pid: u32, address: &str) -> Registration {
        let address = address.parse().unwrap();
        Registration::new(app, &format!("host{pid}"), pid, address, 5000).unwrap()
    }

    fn known(id: &str) -> (Cache, Instant) {
        let (mut cache, now) = (Cache::default(), Instant::now());
        assert!(cache.ask(id, now).is_some());
        (cache, now)
    }

    fn picked(cache: &mut Cache, now: Instant) -> Option<String> {
        cache
            .pick("app", now)
            .map(|(address, _)| address.to_string())
    }

    #[test]
    fn instances_take_turns_and_ipv4_goes_first() {
        let (mut cache, now) = known("app");
        assert_eq!(picked(&mut cache, now), None);
        assert!(cache.learn(&instance("app", 1, "fd00::1").announcement(), now));
        assert_eq!(picked(&mut cache, now).unwrap(), "[fd00::1]:5000");
        for pid in [2, 3] {
            let address = format!("10.0.0.{pid}");
            assert!(cache.learn(&instance("app", pid, &address).announcement(), now));
        }
        let mut turns: Vec<_> = (0..4).filter_map(|_| picked(&mut cache, now)).collect();
        turns.sort();
        let expected = [
            "10.0.0.2:5000",
            "10.0.0.2:5000",
            "10.0.0.3:5000",
            "10.0.0.3:5000",
        ];
        assert_eq!(turns, expected);
    }

    #[test]
    fn an_answer_to_a_query_counts_as_an_announcement_does() {
        let (mut cache, now) = known("app");
        let query = Message::query(service("app").unwrap());
        let (answer, _) = instance("app", 1, "10.0.0.1").answer(&query).unwrap();
        assert!(cache.learn(&answer, now));
        assert_eq!(picked(&mut cache, now).unwrap(), "10.0.0.1:5000");
    }

    #[test]
    fn incomplete_and_foreign_answers_do_not_count() {
        let (mut cache, now) = known("app");
        assert!(!cache.learn(&instance("other", 1, "10.0.0.1").announcement(), now));
        let whole = || instance("app", 1, "10.0.0.1").announcement();
        for missing in 0..5 {
            // The two pointers are not needed.
            let mut message = whole();
            message.answers.remove(missing);
            let counts = matches!(missing, 2 | 3);
            assert_eq!(
                cache.learn(&message, now),
                counts,
                "without record {missing}"
            );
        }
        let mut request = whole();
        request.response = false;
        assert!(!cache.learn(&request, now));
        let mut lie = instance("app2", 1, "10.0.0.1").announcement();
        lie.answers[1].data = Data::Txt(b"app".to_vec());
        assert!(!cache.learn(&lie, now), "the text of another service");
    }

    #[test]
    fn instances_that_left_or_grew_old_are_not_given_out() {
        let (mut cache, now) = known("app");
        let one = instance("app", 1, "10.0.0.1");
        cache.learn(&one.announcement(), now);
        assert!(cache.learn(&one.goodbye(), now));
        assert_eq!(picked(&mut cache, now), None);
        cache.learn(&one.announcement(), now);
        let later = now + LIFETIME;
        assert!(picked(&mut cache, later - Duration::from_millis(1)).is_some());
        assert_eq!(picked(&mut cache, later), None);
        assert_eq!(cache.sweep(later - Duration::from_millis(1)).len(), 1);
        assert_eq!(cache.sweep(later), []);
    }

    #[test]
    fn queries_are_shared_and_the_first_hit_asks_for_the_others() {
        let (mut cache, now) = known("app");
        assert_eq!(cache.ask("app", now), None);
        assert!(cache.ask("app", now + PAUSE).is_some());
        cache.learn(&instance("app", 1, "10.0.0.1").announcement(), now);
        assert!(cache.pick("app", now).unwrap().1.is_some());
        assert!(cache.pick("app", now).unwrap().1.is_none());
        assert_eq!(cache.ask(&"a".repeat(64), now), None);
    }

    #[test]
    fn the_number_of_apps_and_instances_is_bounded() {
        let (mut cache, now) = known("app");
        for pid in 0..300 {
            cache.learn(&instance("app", pid, "10.0.0.1").announcement(), now);
        }
        assert_eq!(cache.apps["app"].instances.len(), INSTANCES);
        for n in 0..APPS {
            cache.ask(&n.to_string(), now);
        }
        assert_eq!(cache.apps.len(), APPS);
        assert_eq!(
            cache.sweep(now + PATIENCE).len(),
            1,
            "only the one with answers"
        );
    }
}
