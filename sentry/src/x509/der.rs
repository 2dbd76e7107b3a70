//! The few DER forms that a certificate is made of.

use jiff::Timestamp;
use jiff::tz::Offset;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// A value of the tag whose content is the parts one after the other.
pub(crate) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(len + 6);
    out.push(tag);
    let bytes = len.to_be_bytes();
    match len {
        0..=0x7f => out.push(bytes[bytes.len() - 1]),
        _ => {
            let significant = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
            let length = &bytes[significant..];
            out.push(0x80 | u8::try_from(length.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(length);
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(SEQUENCE, parts)
}

/// A bit string without unused bits.
pub(crate) fn bits(content: &[u8]) -> Vec<u8> {
    value(BIT_STRING, &[&[0], content])
}

/// An integer that is not negative, from its bytes in network order.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    match &bytes[start..] {
        [] => value(INTEGER, &[&[0]]),
        [first, ..] if *first >= 0x80 => value(INTEGER, &[&[0], &bytes[start..]]),
        rest => value(INTEGER, &[rest]),
    }
}

/// A moment in seconds since the epoch: two digits for the year until 2049, as
/// RFC 5280 wants it. `None` beyond the year 9999.
pub(crate) fn time(seconds: i64) -> Option<Vec<u8>> {
    let moment = Timestamp::from_second(seconds).ok()?;
    let t = Offset::UTC.to_datetime(moment);
    let rest = format!(
        "{:02}{:02}{:02}{:02}{:02}Z",
        t.month(),
        t.day(),
        t.hour(),
        t.minute(),
        t.second()
    );
    match t.year() {
        year @ 1950..=2049 => {
            let text = format!("{:02}{rest}", year % 100);
            Some(value(UTC_TIME, &[text.as_bytes()]))
        }
        year @ 0..=9999 => {
            let text = format!("{year:04}{rest}");
            Some(value(GENERALIZED_TIME, &[text.as_bytes()]))
        }
        _ => None,
    }
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
            let out = value(OCTET_STRING, &[&vec![7; len]]);
            assert!(out.starts_with(head), "{len}");
            assert_eq!(out.len(), head.len() + len);
        }
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
            assert_eq!(integer(bytes), expected);
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
