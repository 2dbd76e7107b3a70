//! A retry policy: its waits, and the codes it is for.

use std::ops::RangeInclusive;

use resources::resiliency as spec;

use crate::backoff::Schedule;

type Codes = RangeInclusive<i32>;

const GRPC: Codes = 0..=16;
const HTTP: Codes = 100..=599;

/// A compiled retry policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) schedule: Schedule,
    pub(crate) matching: Matching,
}

/// The codes that are retried; an empty list means all of its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Matching {
    http: Vec<Codes>,
    grpc: Vec<Codes>,
}

impl Matching {
    pub(crate) fn parse(matching: &spec::Matching) -> Result<Self, String> {
        Ok(Self {
            http: parse(&matching.http_status_codes, HTTP)
                .map_err(|e| format!("httpStatusCodes: {e}"))?,
            grpc: parse(&matching.grpc_status_codes, GRPC)
                .map_err(|e| format!("gRPCStatusCodes: {e}"))?,
        })
    }

    /// Whether a failure with this code is retried. One without a code always is.
    pub(crate) fn allows(&self, code: Option<i32>) -> bool {
        let Some(code) = code else { return true };
        let list = match code {
            code if GRPC.contains(&code) => &self.grpc,
            code if HTTP.contains(&code) => &self.http,
            _ => return false,
        };
        list.is_empty() || list.iter().any(|codes| codes.contains(&code))
    }
}

/// Reads `429,500-599`.
fn parse(text: &str, within: Codes) -> Result<Vec<Codes>, String> {
    let read = |item: &str| {
        let (start, end) = item.split_once('-').unwrap_or((item, item));
        let number = |text: &str| text.parse::<u16>().ok().map(i32::from);
        let codes = number(start)?..=number(end)?;
        let valid = !codes.is_empty() && within.contains(codes.start());
        (valid && within.contains(codes.end())).then_some(codes)
    };
    let items = text.split(',').filter(|item| !item.is_empty());
    items
        .map(|item| {
            read(item).ok_or_else(|| {
                let (least, most) = (within.start(), within.end());
                format!("invalid code or range {item:?}; write n or n-m from {least} to {most}, without blanks")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matching(http: &str, grpc: &str) -> Result<Matching, String> {
        Matching::parse(&spec::Matching {
            http_status_codes: http.into(),
            grpc_status_codes: grpc.into(),
        })
    }

    #[test]
    fn codes_are_judged_by_the_list_of_their_kind() {
        for (http, grpc, code, expected) in [
            ("", "", Some(503), true),
            ("", "", Some(14), true),
            ("", "", None, true),
            ("", "", Some(17), false),
            ("", "", Some(99), false),
            ("", "", Some(600), false),
            ("", "", Some(-1), false),
            ("429,500-599", "", Some(429), true),
            ("429,500-599", "", Some(500), true),
            ("429,500-599", "", Some(599), true),
            ("429,500-599", "", Some(404), false),
            ("429,500-599", "", Some(14), true),
            ("429,500-599", "", None, true),
            ("", "1-3,,14", Some(14), true),
            ("", "1-3,,14", Some(2), true),
            ("", "1-3,,14", Some(0), false),
            ("", "1-3,,14", Some(404), true),
            (",", "", Some(404), true),
        ] {
            let matching = matching(http, grpc).unwrap();
            assert_eq!(
                matching.allows(code),
                expected,
                "{http:?} {grpc:?} {code:?}"
            );
        }
    }

    #[test]
    fn malformed_lists_are_refused() {
        for text in [
            "500 ",
            " 500",
            "500, 501",
            "5xx",
            "99",
            "600",
            "500-",
            "-500",
            "500-502-503",
            "502-500",
            "99-200",
            "500-600",
            "99999999",
        ] {
            let e = matching(text, "").unwrap_err();
            assert!(
                e.starts_with("httpStatusCodes: invalid code or range"),
                "{e}"
            );
        }
        for text in ["17", "0-17", "-1", "OK"] {
            assert!(matching("", text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_list_is_answered(text in "[0-9,\\- ]*|\\PC*", code in any::<Option<i32>>()) {
            if let Ok(matching) = matching(&text, &text) {
                let _ = matching.allows(code);
            }
        }
    }
}
