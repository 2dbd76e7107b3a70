//! Who a call belongs to: the ids of W3C's `traceparent` and of the binary
//! `grpc-trace-bin`.

use std::fmt;

use crate::TraceState;

const SAMPLED: u8 = 1;
/// Sampled, and "the trace id is random"; further bits are not ours to hand on.
const KNOWN_FLAGS: u8 = 3;
/// The length of `traceparent` in version 00.
const TEXT: usize = 55;
const BINARY: usize = 29;
const TRACE_ID: usize = 16;
const SPAN_ID: usize = 8;

/// A place in a trace: a span as others refer to it. Both ids are never zero.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: [u8; TRACE_ID],
    pub span_id: [u8; SPAN_ID],
    pub flags: u8,
    pub state: Option<TraceState>,
}

impl TraceContext {
    fn new(trace_id: [u8; TRACE_ID], span_id: [u8; SPAN_ID], flags: u8) -> Option<Self> {
        let valid = trace_id != [0; TRACE_ID] && span_id != [0; SPAN_ID];
        valid.then_some(Self {
            trace_id,
            span_id,
            flags: flags & KNOWN_FLAGS,
            state: None,
        })
    }

    /// Whether the spans of this trace are recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    pub(crate) fn set_sampled(&mut self, sampled: bool) {
        self.flags = (self.flags & !SAMPLED) | if sampled { SAMPLED } else { 0 };
    }

    /// Reads the text of `traceparent`.
    ///
    /// A version after 00 may have more at its end, which is left out; version
    /// ff is not valid.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().as_bytes();
        let (head, tail) = text.split_at_checked(TEXT)?;
        let dashes = [2, 35, 52].iter().all(|at| head[*at] == b'-');
        if !dashes || head.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        let [version] = unhex(&head[..2])?;
        let ends = match version {
            0 => tail.is_empty(),
            0xff => false,
            _ => tail.is_empty() || tail[0] == b'-',
        };
        let [flags] = unhex(&head[53..])?;
        ends.then_some(())?;
        Self::new(unhex(&head[3..35])?, unhex(&head[36..52])?, flags)
    }

    /// Reads the bytes of `grpc-trace-bin`: a version and numbered fields in a
    /// fixed order. Without a flags field the trace is not sampled.
    pub fn from_binary(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[0, 0])?;
        let (trace_id, rest) = rest.split_first_chunk()?;
        let (span_id, rest) = rest.strip_prefix(&[1])?.split_first_chunk()?;
        let flags = match rest.strip_prefix(&[2]) {
            Some(flags) => *flags.first()?,
            None => 0,
        };
        Self::new(*trace_id, *span_id, flags)
    }

    /// The bytes of `grpc-trace-bin`.
    pub fn to_binary(&self) -> [u8; BINARY] {
        let mut out = [0; BINARY];
        out[2..18].copy_from_slice(&self.trace_id);
        out[18] = 1;
        out[19..27].copy_from_slice(&self.span_id);
        out[27] = 2;
        out[28] = self.flags;
        out
    }

    pub(crate) fn text(&self) -> [u8; TEXT] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        // The lengths are constants that fit.
        let _ = hex::encode_to_slice(self.trace_id, &mut text[3..35]);
        let _ = hex::encode_to_slice(self.span_id, &mut text[36..52]);
        let _ = hex::encode_to_slice([self.flags], &mut text[53..]);
        text
    }

    /// The text of `traceparent`.
    pub fn traceparent(&self) -> String {
        self.to_string()
    }
}

/// The text of `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match &self.state {
            Some(state) => write!(f, " {}", state.as_str()),
            None => Ok(()),
        }
    }
}

fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    hex::decode_to_slice(text, &mut out).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn traceparent_follows_the_rules_of_its_version() {
        let good = format!("{TRACE}-{SPAN}");
        for (text, flags) in [
            (format!("00-{good}-01"), Some(1)),
            (format!("00-{good}-00"), Some(0)),
            (format!(" 00-{good}-01 "), Some(1)),
            // Unknown flags are neither an error nor handed on.
            (format!("00-{good}-ff"), Some(3)),
            (format!("01-{good}-01"), Some(1)),
            (format!("fe-{good}-01-more-of-it"), Some(1)),
            (format!("01-{good}-01-"), Some(1)),
            (format!("01-{good}-01x"), None),
            (format!("00-{good}-01-"), None),
            (format!("00-{good}-01-what"), None),
            (format!("ff-{good}-01"), None),
            (format!("0-{good}-01"), None),
            (format!("0g-{good}-01"), None),
            (format!("00-{good}"), None),
            (format!("00-{good}-1"), None),
            (format!("00-{good}-0x"), None),
            (format!("00_{good}-01"), None),
            (format!("00-{good}_01"), None),
            (format!("00-{TRACE}_{SPAN}-01"), None),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            (format!("00-{TRACE}0-{SPAN}-01"), None),
            (String::new(), None),
            ("00-ü".repeat(20), None),
        ] {
            let parsed = TraceContext::parse(&text);
            assert_eq!(parsed.as_ref().map(|c| c.flags), flags, "{text}");
            if let Some(context) = parsed {
                assert_eq!(hex::encode(context.trace_id), TRACE);
                assert_eq!(hex::encode(context.span_id), SPAN);
                assert!(context.traceparent().starts_with(&format!("00-{good}-0")));
            }
        }
    }

    #[test]
    fn the_binary_form_has_29_bytes_in_the_documented_order() {
        let context = TraceContext::parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        let expected = format!("0000{TRACE}01{SPAN}0201");
        assert_eq!(hex::encode(context.to_binary()), expected);
        assert_eq!(
            TraceContext::from_binary(&context.to_binary()),
            Some(context)
        );
    }

    #[test]
    fn binary_contexts_that_are_cut_or_out_of_order_are_none() {
        for (bytes, flags) in [
            (format!("0000{TRACE}01{SPAN}0201"), Some(1)),
            (format!("0000{TRACE}01{SPAN}0200"), Some(0)),
            (format!("0000{TRACE}01{SPAN}"), Some(0)),
            (format!("0000{TRACE}01{SPAN}02"), None),
            (format!("0100{TRACE}01{SPAN}0201"), None),
            (format!("0001{TRACE}01{SPAN}0201"), None),
            (format!("0000{TRACE}"), None),
            (format!("0000{TRACE}02{SPAN}0201"), None),
            (format!("0000{}01{SPAN}0201", "0".repeat(32)), None),
            (String::new(), None),
        ] {
            let parsed = TraceContext::from_binary(&hex::decode(&bytes).unwrap());
            assert_eq!(parsed.map(|c| c.flags), flags, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = TraceContext::parse(&text);
        }

        #[test]
        fn no_text_that_looks_right_panics(text in "[0-9a-f-]{50,60}") {
            let _ = TraceContext::parse(&text);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = TraceContext::from_binary(&bytes);
        }

        #[test]
        fn both_forms_survive_a_round_trip(trace in 1u128.., span in 1u64.., flags in 0..=KNOWN_FLAGS) {
            let context = TraceContext::new(trace.to_be_bytes(), span.to_be_bytes(), flags).unwrap();
            prop_assert_eq!(TraceContext::parse(&context.traceparent()), Some(context.clone()));
            prop_assert_eq!(TraceContext::from_binary(&context.to_binary()), Some(context));
        }
    }
}
