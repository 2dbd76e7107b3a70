//! The few DER forms that a certificate is made of.

use jiff::Timestamp;
use jiff::tz::Offset;

pub(crate) const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// Values one behind and in the other, in one buffer.
pub(crate) struct Der(Vec<u8>);

impl Der {
    /// What is written.
    pub(crate) fn of(write: impl FnOnce(&mut Self)) -> Vec<u8> {
        // A leaf is smaller as a rule.
        let mut der = Self(Vec::with_capacity(512));
        write(&mut der);
        der.0
    }

    /// Something that is encoded already.
    pub(crate) fn raw(&mut self, encoded: &[u8]) {
        self.0.extend_from_slice(encoded);
    }

    /// A value of the tag around what is written.
    pub(crate) fn value(&mut self, tag: u8, write: impl FnOnce(&mut Self)) {
        self.0.extend_from_slice(&[tag, 0]);
        let start = self.0.len();
        write(self);
        self.set_length(start);
    }

    pub(crate) fn sequence(&mut self, write: impl FnOnce(&mut Self)) {
        self.value(SEQUENCE, write);
    }

    /// A value of the tag with this content.
    pub(crate) fn bytes(&mut self, tag: u8, content: &[u8]) {
        self.value(tag, |der| der.raw(content));
    }

    /// An object identifier of this content.
    pub(crate) fn oid(&mut self, content: &[u8]) {
        self.bytes(OBJECT_IDENTIFIER, content);
    }

    /// A bit string without unused bits.
    pub(crate) fn bits(&mut self, content: &[u8]) {
        self.value(BIT_STRING, |der| {
            der.raw(&[0]);
            der.raw(content);
        });
    }

    /// An integer that is not negative, from its bytes in network order.
    pub(crate) fn integer(&mut self, bytes: &[u8]) {
        let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
        let digits = &bytes[start..];
        self.value(INTEGER, |der| {
            if digits.first().is_none_or(|first| *first >= 0x80) {
                der.raw(&[0]);
            }
            der.raw(digits);
        });
    }

    /// Writes the length of the content that begins there, before it.
    fn set_length(&mut self, start: usize) {
        let bytes = (self.0.len() - start).to_be_bytes();
        let significant = bytes.iter().position(|b| *b != 0);
        let length = &bytes[significant.unwrap_or(bytes.len() - 1)..];
        match length {
            [short @ 0..=0x7f] => self.0[start - 1] = *short,
            _ => {
                self.0[start - 1] = 0x80 | u8::try_from(length.len()).unwrap_or(u8::MAX);
                self.0.splice(start..start, length.iter().copied());
            }
        }
    }
}

/// A moment in seconds since the epoch: two digits for the year until 2049, as
/// RFC 5280 wants it. `None` beyond the year 9999.
pub(crate) fn time(seconds: i64) -> Option<Vec<u8>> {
    let moment = Timestamp::from_second(seconds).ok()?;
    let t = Offset::UTC.to_datetime(moment);
    let (tag, century) = match t.year() {
        1950..=2049 => (UTC_TIME, None),
        year @ 0..=9999 => (GENERALIZED_TIME, Some(year / 100)),
        _ => return None,
    };
    let two_digits = |number: i16| [number / 10, number % 10];
    let rest = [t.month(), t.day(), t.hour(), t.minute(), t.second()].map(i16::from);
    let pairs = century.into_iter().chain([t.year() % 100]).chain(rest);
    // No digit is more than nine.
    let digits = pairs
        .flat_map(two_digits)
        .filter_map(|d| u8::try_from(d).ok());
    let text: Vec<u8> = digits.map(|d| b'0' + d).chain([b'Z']).collect();
    Some(Der::of(|der| der.bytes(tag, &text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        for (len, head) in [
            (0, &[0x04, 0x00][..]),
            (127, &[0x04, 0x7f]),
            (128, &[0x04, 0x81, 0x80]),
            (256, &[0x04, 0x82, 0x01, 0x00]),
            (70_000, &[0x04, 0x83, 0x01, 0x11, 0x70]),
        ] {
            let out = Der::of(|der| der.bytes(OCTET_STRING, &vec![7; len]));
            assert!(out.starts_with(head), "{len}");
            assert_eq!(out.len(), head.len() + len);
        }
    }

    #[test]
    fn values_are_one_in_the_other() {
        let out = Der::of(|der| {
            der.sequence(|der| {
                der.value(SET, |der| der.oid(&[0x2a]));
                der.bits(&[7; 200]);
            });
        });
        let begin = [0x30, 0x81, 0xd1, 0x31, 3, 6, 1, 0x2a, 3, 0x81, 0xc9, 0, 7];
        assert!(out.starts_with(&begin), "{out:x?}");
        assert_eq!(out.len(), 3 + 0xd1);
    }

    #[test]
    fn integers_are_the_shortest_that_are_not_negative() {
        for (bytes, expected) in [
            (&[][..], &[2, 1, 0][..]),
            (&[0, 0], &[2, 1, 0]),
            (&[0, 5], &[2, 1, 5]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[0x7f, 1], &[2, 2, 0x7f, 1]),
        ] {
            assert_eq!(Der::of(|der| der.integer(bytes)), expected);
        }
    }

    #[test]
    fn years_from_2050_have_four_digits() {
        let text = |seconds| time(seconds).map(|t| String::from_utf8(t[2..].to_vec()).unwrap());
        assert_eq!(text(0).as_deref(), Some("700101000000Z"));
        assert_eq!(text(2_524_607_999).as_deref(), Some("491231235959Z"));
        assert_eq!(text(2_524_608_000).as_deref(), Some("20500101000000Z"));
        assert_eq!(text(i64::MAX), None);
    }
}
