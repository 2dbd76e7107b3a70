//! DNS names in their form on the wire, without compression. They are compared
//! byte by byte, as upstream's library does, although DNS ignores case.

const LONGEST_LABEL: usize = 63;
const LONGEST: usize = 255;

/// Labels with their lengths in front, and the empty label at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(Vec<u8>);

impl Name {
    /// From dotted text; none when it cannot be a name.
    pub(super) fn new(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut wire = Vec::with_capacity(text.len() + 2);
        for label in text.split('.') {
            let length = u8::try_from(label.len()).ok()?;
            if label.is_empty() || label.len() > LONGEST_LABEL {
                return None;
            }
            wire.push(length);
            wire.extend_from_slice(label.as_bytes());
        }
        wire.push(0);
        (wire.len() <= LONGEST).then_some(Self(wire))
    }

    /// Reads the name at `at`; also where the next field begins.
    ///
    /// A pointer must lead to before everything that was read so far, which is
    /// true of every honest packet and lets no packet lead in circles.
    pub(super) fn read(packet: &[u8], at: usize) -> Option<(Self, usize)> {
        let (mut wire, mut position, mut earliest) = (Vec::new(), at, at);
        let mut after = None;
        loop {
            let length = usize::from(*packet.get(position)?);
            match length >> 6 {
                0 => {
                    let end = position + 1 + length;
                    wire.extend_from_slice(packet.get(position..end)?);
                    if wire.len() > LONGEST {
                        return None;
                    }
                    position = end;
                    if length == 0 {
                        return Some((Self(wire), after.unwrap_or(position)));
                    }
                }
                3 => {
                    let low = usize::from(*packet.get(position + 1)?);
                    after.get_or_insert(position + 2);
                    position = (length & 0x3f) << 8 | low;
                    if position >= earliest {
                        return None;
                    }
                    earliest = position;
                }
                _ => return None,
            }
        }
    }

    pub(super) fn wire(&self) -> &[u8] {
        &self.0
    }

    /// Whether it has at least one label in front of `parent`.
    pub(super) fn is_below(&self, parent: &Self) -> bool {
        let mut rest = &self.0[..];
        while let Some((length, tail)) = rest.split_first() {
            match tail.get(usize::from(*length)..) {
                Some(tail) if *length > 0 => rest = tail,
                _ => return false,
            }
            if rest == parent.0 {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_no_names_are_refused() {
        for (text, valid) in [
            ("app.local.", true),
            ("app.local", true),
            (&"a".repeat(63), true),
            (&"a".repeat(64), false),
            ("a..b", false),
            ("", false),
            (&["a"; 127].join("."), true),
            (&["a"; 128].join("."), false),
        ] {
            assert_eq!(Name::new(text).is_some(), valid, "{text}");
        }
    }

    #[test]
    fn a_name_is_below_its_parents_only() {
        let name = |text| Name::new(text).unwrap();
        let instance = name("host:1.app.local.");
        for (parent, below) in [
            ("app.local.", true),
            ("local.", true),
            ("pp.local.", false),
            ("App.local.", false),
            ("host:1.app.local.", false),
            ("other.local.", false),
        ] {
            assert_eq!(instance.is_below(&name(parent)), below, "{parent}");
        }
    }

    #[test]
    fn pointers_lead_backwards_or_nowhere() {
        let packet = b"\x01a\x00\x01b\xc0\x00\xc0\x03\xc0\x09\xc0\x0d\xc0\x0b";
        let read = |at| Name::read(packet, at);
        assert_eq!(read(3), Some((Name::new("b.a").unwrap(), 7)));
        assert_eq!(read(7), Some((Name::new("b.a").unwrap(), 9)));
        assert_eq!(read(9), None, "to itself");
        assert_eq!(read(11), None, "forwards");
        assert_eq!(read(13), None, "in a circle");
        assert_eq!(read(14), None, "cut off");
    }
}
