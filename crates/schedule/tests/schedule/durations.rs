//! Go's durations.

use jiff::SignedDuration;
use proptest::prelude::*;
use schedule::go;

#[test]
fn durations_are_read_and_refused_as_go_does() {
    let invalid = |text: &str| format!("time: invalid duration \"{text}\"");
    let missing = |text: &str| format!("time: missing unit in duration \"{text}\"");
    for (text, expected) in [
        ("0", Ok(0)),
        ("-0", Ok(0)),
        ("5s", Ok(5_000_000_000)),
        ("1h30m", Ok(5_400_000_000_000)),
        ("1.5h", Ok(5_400_000_000_000)),
        ("300ms", Ok(300_000_000)),
        (".5us", Ok(500)),
        ("3\u{b5}s", Ok(3_000)),
        ("3\u{3bc}s", Ok(3_000)),
        ("1.s", Ok(1_000_000_000)),
        ("-1.5s", Ok(-1_500_000_000)),
        ("+2ns", Ok(2)),
        ("1.9ns", Ok(1)),
        ("0.000000000000000000000000001h", Ok(0)),
        ("0.1234567890123h", Ok(444_444_440_444)),
        ("9223372036854775807ns", Ok(i64::MAX)),
        ("-9223372036854775808ns", Ok(i64::MIN)),
        (
            "9223372036854775808ns",
            Err(invalid("9223372036854775808ns")),
        ),
        (
            "-9223372036854775809ns",
            Err(invalid("-9223372036854775809ns")),
        ),
        ("2562048h", Err(invalid("2562048h"))),
        (
            "99999999999999999999999h",
            Err(invalid("99999999999999999999999h")),
        ),
        ("", Err(invalid(""))),
        ("-", Err(invalid("-"))),
        (".s", Err(invalid(".s"))),
        ("--1s", Err(invalid("--1s"))),
        (" 1s", Err(invalid(" 1s"))),
        ("5", Err(missing("5"))),
        ("1.2.3s", Err(missing("1.2.3s"))),
        (
            "1d",
            Err("time: unknown unit \"d\" in duration \"1d\"".into()),
        ),
        (
            "5 s",
            Err("time: unknown unit \" s\" in duration \"5 s\"".into()),
        ),
        (
            "1S",
            Err("time: unknown unit \"S\" in duration \"1S\"".into()),
        ),
        (
            "1\u{e9}\"",
            Err("time: unknown unit \"\\xc3\\xa9\\\"\" in duration \"1\\xc3\\xa9\\\"\"".into()),
        ),
    ] {
        let read = go::parse(text).map_err(|error| error.to_string());
        let expected = expected.map(SignedDuration::from_nanos);
        assert_eq!(read, expected, "{text:?}");
    }
}

#[test]
fn the_shortest_form_is_written() {
    for (nanos, expected) in [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1\u{b5}s"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (60_000_000_000, "1m0s"),
        (90_000_000_000, "1m30s"),
        (3_600_000_000_000, "1h0m0s"),
        (-500_000_000, "-500ms"),
        (i64::MIN, "-2562047h47m16.854775808s"),
    ] {
        assert_eq!(go::format(SignedDuration::from_nanos(nanos)), expected);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(nanos in any::<i64>(), shift in 0..64u32) {
        let duration = SignedDuration::from_nanos(nanos >> shift);
        prop_assert_eq!(go::parse(&go::format(duration)), Ok(duration));
    }

    #[test]
    fn any_text_is_answered(text in "[-+0-9.a-z\u{b5}]{0,40}|\\PC{0,40}") {
        let _ = go::parse(&text);
    }
}
