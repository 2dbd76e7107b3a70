//! DNS messages, as far as service discovery needs them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::name::Name;

/// The largest packet of multicast DNS.
pub(super) const LARGEST: usize = 9000;
/// More records than any sidecar sends.
const RECORDS: usize = 512;

pub(super) const A: u16 = 1;
pub(super) const PTR: u16 = 12;
pub(super) const TXT: u16 = 16;
pub(super) const AAAA: u16 = 28;
pub(super) const SRV: u16 = 33;
pub(super) const ANY: u16 = 255;

const INTERNET: u16 = 1;
/// Of a question: a unicast answer is wanted; of a record: flush older ones.
const TOP_BIT: u16 = 0x8000;
const RESPONSE: u16 = 0x8000;
const AUTHORITATIVE: u16 = 0x0400;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: u16,
    pub(super) response: bool,
    pub(super) questions: Vec<Question>,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    pub(super) additionals: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) kind: u16,
    pub(super) unicast: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: Name,
    pub(super) flush: bool,
    pub(super) ttl: u32,
    pub(super) data: Data,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    Address(IpAddr),
    Ptr(Name),
    Srv {
        port: u16,
        target: Name,
    },
    /// The first string of the record.
    Txt(Vec<u8>),
    /// Of no use here.
    Other,
}

impl Message {
    /// Asks for the instances of a service.
    pub(super) fn query(name: Name) -> Self {
        Self {
            questions: vec![Question {
                name,
                kind: PTR,
                unicast: false,
            }],
            ..Self::default()
        }
    }

    /// Every record, whatever its section.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        let rest = self.authorities.iter().chain(&self.additionals);
        self.answers.iter().chain(rest)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        let flags = if self.response {
            RESPONSE | AUTHORITATIVE
        } else {
            0
        };
        let sections = [&self.answers, &self.authorities, &self.additionals];
        let counts = [self.questions.len()].into_iter();
        let counts = counts.chain(sections.iter().map(|s| s.len()));
        put16(&mut out, self.id);
        put16(&mut out, flags);
        for count in counts {
            put16(&mut out, u16::try_from(count).unwrap_or(u16::MAX));
        }
        for question in &self.questions {
            out.extend_from_slice(question.name.wire());
            put16(&mut out, question.kind);
            put16(&mut out, class(question.unicast));
        }
        for record in sections.into_iter().flatten() {
            record.encode(&mut out);
        }
        out
    }

    /// None when the packet is not a whole message, or an unreasonable one.
    pub(super) fn decode(packet: &[u8]) -> Option<Self> {
        if packet.len() > LARGEST {
            return None;
        }
        let mut input = Input { packet, at: 0 };
        let (id, flags) = (input.u16()?, input.u16()?);
        let [questions, answers, authorities, additionals] =
            [input.u16()?, input.u16()?, input.u16()?, input.u16()?].map(usize::from);
        if questions + answers + authorities + additionals > RECORDS {
            return None;
        }
        Some(Self {
            id,
            response: flags & RESPONSE != 0,
            questions: (0..questions)
                .map(|_| input.question())
                .collect::<Option<_>>()?,
            answers: input.records(answers)?,
            authorities: input.records(authorities)?,
            additionals: input.records(additionals)?,
        })
    }
}

impl Record {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut data = Vec::new();
        let kind = match &self.data {
            Data::Address(IpAddr::V4(ip)) => {
                data.extend_from_slice(&ip.octets());
                A
            }
            Data::Address(IpAddr::V6(ip)) => {
                data.extend_from_slice(&ip.octets());
                AAAA
            }
            Data::Ptr(name) => {
                data.extend_from_slice(name.wire());
                PTR
            }
            Data::Srv { port, target } => {
                // Priority and weight.
                data.extend_from_slice(&[0; 4]);
                put16(&mut data, *port);
                data.extend_from_slice(target.wire());
                SRV
            }
            Data::Txt(text) => {
                let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
                data.push(length);
                data.extend_from_slice(&text[..usize::from(length)]);
                TXT
            }
            Data::Other => 0,
        };
        out.extend_from_slice(self.name.wire());
        put16(out, kind);
        put16(out, class(self.flush));
        out.extend_from_slice(&self.ttl.to_be_bytes());
        put16(out, u16::try_from(data.len()).unwrap_or(u16::MAX));
        out.extend_from_slice(&data);
    }
}

fn class(top_bit: bool) -> u16 {
    if top_bit {
        INTERNET | TOP_BIT
    } else {
        INTERNET
    }
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

struct Input<'a> {
    packet: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.packet.get(self.at..self.at + N)?;
        self.at += N;
        bytes.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn name(&mut self) -> Option<Name> {
        let (name, at) = Name::read(self.packet, self.at)?;
        self.at = at;
        Some(name)
    }

    fn question(&mut self) -> Option<Question> {
        let (name, kind, class) = (self.name()?, self.u16()?, self.u16()?);
        Some(Question {
            name,
            kind,
            unicast: class & TOP_BIT != 0,
        })
    }

    fn records(&mut self, count: usize) -> Option<Vec<Record>> {
        (0..count).map(|_| self.record()).collect()
    }

    fn record(&mut self) -> Option<Record> {
        let (name, kind, class) = (self.name()?, self.u16()?, self.u16()?);
        let ttl = self.array().map(u32::from_be_bytes)?;
        let end = usize::from(self.u16()?) + self.at;
        self.packet.get(self.at..end)?;
        let data = match (class & !TOP_BIT, kind) {
            (INTERNET, A) => Data::Address(Ipv4Addr::from(self.array::<4>()?).into()),
            (INTERNET, AAAA) => Data::Address(Ipv6Addr::from(self.array::<16>()?).into()),
            (INTERNET, PTR) => Data::Ptr(self.name()?),
            (INTERNET, SRV) => {
                self.array::<4>()?;
                Data::Srv {
                    port: self.u16()?,
                    target: self.name()?,
                }
            }
            (INTERNET, TXT) if self.at < end => {
                let [length] = self.array::<1>()?;
                let text = self.packet.get(self.at..self.at + usize::from(length))?;
                self.at += text.len();
                Data::Txt(text.to_vec())
            }
            _ => Data::Other,
        };
        if self.at > end {
            return None;
        }
        self.at = end;
        Some(Record {
            name,
            flush: class & TOP_BIT != 0,
            ttl,
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        let name = || "[a-z:]{1,9}(\\.[a-z]{1,9}){0,2}".prop_map(|t| Name::new(&t).unwrap());
        let data = prop_oneof![
            any::<IpAddr>().prop_map(Data::Address),
            name().prop_map(Data::Ptr),
            (any::<u16>(), name()).prop_map(|(port, target)| Data::Srv { port, target }),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Data::Txt),
        ];
        (name(), any::<bool>(), any::<u32>(), data).prop_map(|(name, flush, ttl, data)| Record {
            name,
            flush,
            ttl,
            data,
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(
            answers in prop::collection::vec(record(), 0..5),
            additionals in prop::collection::vec(record(), 0..5),
            id in any::<u16>(),
            response in any::<bool>(),
        ) {
            let message = Message { id, response, answers, additionals, ..Message::query(Name::new("app.local.").unwrap()) };
            prop_assert_eq!(Message::decode(&message.encode()), Some(message));
        }

        #[test]
        fn any_packet_decodes_or_is_refused(packet in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = Message::decode(&packet);
        }

        #[test]
        fn a_damaged_packet_decodes_or_is_refused(
            answers in prop::collection::vec(record(), 1..4),
            hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            kept in any::<prop::sample::Index>(),
        ) {
            let mut packet = Message { answers, ..Message::default() }.encode();
            for (place, byte) in hits {
                let place = place.index(packet.len());
                packet[place] = byte;
            }
            let _ = Message::decode(&packet);
            let _ = Message::decode(&packet[..kept.index(packet.len())]);
        }
    }

    #[test]
    fn compressed_names_of_other_implementations_are_read() {
        let packet = [
            &b"\0\0\x84\0\0\0\0\x01\0\0\0\0"[..],
            b"\x03app\x05local\0\0\x0c\0\x01\0\0\x0c\x80\0\x07",
            b"\x04h:12\xc0\x0c",
        ]
        .concat();
        let message = Message::decode(&packet).unwrap();
        let [answer] = &message.answers[..] else {
            panic!("{message:?}");
        };
        assert_eq!(answer.ttl, 3200);
        assert_eq!(
            answer.data,
            Data::Ptr(Name::new("h:12.app.local.").unwrap())
        );
    }

    #[test]
    fn unreasonable_packets_are_refused() {
        assert_eq!(Message::decode(&[0; LARGEST + 1]), None);
        let mut many = Message::query(Name::new("a").unwrap()).encode();
        many[4..6].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(Message::decode(&many), None);
    }
}
