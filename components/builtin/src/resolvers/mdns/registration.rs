//! What this sidecar tells of itself, and what it answers. No sockets.

use std::net::IpAddr;

use super::name::Name;
use super::packet::{ANY, Data, Message, PTR, Question, Record, SRV, TXT};

const TTL: u32 = 3200;
const ADDRESS_TTL: u32 = 120;

/// One instance of one service, in upstream's layout: the bare app id is the
/// name of the service, without the `_x._tcp` that DNS-SD asks for.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    service: Name,
    instance: Name,
    host: Name,
    all_services: Name,
    app_id: String,
    address: IpAddr,
    port: u16,
}

impl Registration {
    /// None when the app id or the host's name cannot be in a DNS name.
    pub(super) fn new(
        app_id: &str,
        hostname: &str,
        pid: u32,
        address: IpAddr,
        port: u16,
    ) -> Option<Self> {
        Some(Self {
            service: service(app_id)?,
            instance: Name::new(&format!("{hostname}:{pid}.{app_id}.local."))?,
            host: Name::new(&format!("{hostname}.local."))?,
            all_services: Name::new("_services._dns-sd._udp.local.")?,
            app_id: app_id.to_owned(),
            address,
            port,
        })
    }

    /// Asks whether somebody else has the instance's name.
    pub(super) fn probe(&self) -> Message {
        Message {
            questions: vec![Question {
                name: self.instance.clone(),
                kind: ANY,
                unicast: false,
            }],
            authorities: vec![self.srv(TTL, false), self.txt(TTL, false)],
            ..Message::default()
        }
    }

    pub(super) fn announcement(&self) -> Message {
        Message {
            response: true,
            answers: self.everything(TTL, ADDRESS_TTL, true),
            ..Message::default()
        }
    }

    /// The same records, not valid any more.
    pub(super) fn goodbye(&self) -> Message {
        Message {
            response: true,
            answers: self.everything(0, 0, true),
            ..Message::default()
        }
    }

    /// The answer to a query, and whether it goes to its sender only.
    pub(super) fn answer(&self, query: &Message) -> Option<(Message, bool)> {
        // Queries with authority records are probes of others.
        if query.response || !query.authorities.is_empty() {
            return None;
        }
        let mut answer = Message {
            response: true,
            ..Message::default()
        };
        let mut unicast = true;
        for question in &query.questions {
            let asks = |kind| question.kind == kind || question.kind == ANY;
            if question.name == self.service && asks(PTR) && !self.is_known(query) {
                answer.answers.push(self.ptr(TTL));
                let details = [self.srv(TTL, false), self.txt(TTL, false)];
                answer.additionals.extend(details);
                answer.additionals.push(self.ip(ADDRESS_TTL, false));
            } else if question.name == self.all_services && asks(PTR) {
                answer.answers.push(self.enumeration(TTL));
            } else if question.name == self.instance && (asks(SRV) || asks(TXT) || asks(PTR)) {
                let all = self.everything(TTL, ADDRESS_TTL, false);
                answer.answers.extend(all);
            } else {
                continue;
            }
            unicast &= question.unicast;
        }
        if answer.answers.is_empty() {
            return None;
        }
        // Only a unicast answer is matched with its query.
        answer.id = if unicast { query.id } else { 0 };
        Some((answer, unicast))
    }

    /// Whether the asker has our answer already, for at least half its time.
    fn is_known(&self, query: &Message) -> bool {
        query.answers.iter().any(|known| {
            known.name == self.service
                && known.data == Data::Ptr(self.instance.clone())
                && known.ttl >= TTL / 2
        })
    }

    fn everything(&self, ttl: u32, address_ttl: u32, flush: bool) -> Vec<Record> {
        vec![
            self.srv(ttl, flush),
            self.txt(ttl, flush),
            self.ptr(ttl),
            self.enumeration(ttl),
            self.ip(address_ttl, flush),
        ]
    }

    fn srv(&self, ttl: u32, flush: bool) -> Record {
        let (port, target) = (self.port, self.host.clone());
        record(&self.instance, ttl, flush, Data::Srv { port, target })
    }

    fn txt(&self, ttl: u32, flush: bool) -> Record {
        let text = self.app_id.clone().into_bytes();
        record(&self.instance, ttl, flush, Data::Txt(text))
    }

    /// Others have records of this name too, so they are never flushed.
    fn ptr(&self, ttl: u32) -> Record {
        record(&self.service, ttl, false, Data::Ptr(self.instance.clone()))
    }

    fn enumeration(&self, ttl: u32) -> Record {
        record(
            &self.all_services,
            ttl,
            false,
            Data::Ptr(self.service.clone()),
        )
    }

    fn ip(&self, ttl: u32, flush: bool) -> Record {
        record(&self.host, ttl, flush, Data::Address(self.address))
    }
}

fn record(name: &Name, ttl: u32, flush: bool, data: Data) -> Record {
    Record {
        name: name.clone(),
        flush,
        ttl,
        data,
    }
}

/// The name under which the instances of an app are.
pub(super) fn service(app_id: &str) -> Option<Name> {
    Name::new(&format!("{app_id}.local."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration() -> Registration {
        let address = "10.0.0.1".parse().unwrap();
        Registration::new("app", "host", 7, address, 50002).unwrap()
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn query(text: &str, kind: u16, unicast: bool) -> Message {
        let name = name(text);
        Message {
            id: 9,
            questions: vec![Question {
                name,
                kind,
                unicast,
            }],
            ..Message::default()
        }
    }

    /// `answers+additionals`, `u` when unicast; `-` for no answer.
    #[track_caller]
    fn check(query: &Message, expected: &str) {
        let got = registration().answer(query).map(|(answer, unicast)| {
            let (a, b) = (answer.answers.len(), answer.additionals.len());
            assert_eq!(answer.id, if unicast { 9 } else { 0 });
            format!("{a}+{b}{}", if unicast { "u" } else { "" })
        });
        assert_eq!(got.as_deref().unwrap_or("-"), expected, "{query:?}");
    }

    #[test]
    fn questions_for_the_instance_are_answered_and_no_others() {
        check(&query("app.local.", PTR, false), "1+3");
        check(&query("app.local.", ANY, false), "1+3");
        check(&query("app.local.", PTR, true), "1+3u");
        check(&query("App.local.", PTR, false), "-");
        check(&query("app.local.", SRV, false), "-");
        check(&query("other.local.", PTR, false), "-");
        check(&query("host:7.app.local.", SRV, false), "5+0");
        check(&query("host:7.app.local.", TXT, true), "5+0u");
        check(&query("host:8.app.local.", SRV, false), "-");
        check(&query("_services._dns-sd._udp.local.", PTR, false), "1+0");
    }

    #[test]
    fn probes_responses_and_known_answers_are_left_alone() {
        let ask = || query("app.local.", PTR, false);
        check(&registration().probe(), "-");
        check(
            &Message {
                response: true,
                ..ask()
            },
            "-",
        );
        let known = |ttl| Message {
            answers: vec![registration().ptr(ttl)],
            ..ask()
        };
        check(&known(TTL / 2), "-");
        check(&known(TTL / 2 - 1), "1+3");
    }

    #[test]
    fn records_are_laid_out_as_other_sidecars_expect_them() {
        let [srv, txt, ptr, all, ip] = &registration().announcement().answers[..] else {
            panic!("five records");
        };
        assert_eq!(srv.name, name("host:7.app.local."));
        let target = name("host.local.");
        assert_eq!(
            srv.data,
            Data::Srv {
                port: 50002,
                target
            }
        );
        assert_eq!(txt.data, Data::Txt(b"app".to_vec()));
        assert_eq!((ptr.name.clone(), ptr.flush), (name("app.local."), false));
        assert_eq!(all.data, Data::Ptr(name("app.local.")));
        assert_eq!((ip.name.clone(), ip.ttl), (name("host.local."), 120));
        assert!(srv.flush && txt.flush && ip.flush && srv.ttl == 3200);
        assert!(registration().goodbye().records().all(|r| r.ttl == 0));
    }
}
