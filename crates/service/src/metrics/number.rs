//! Numbers as Go's text encoder of Prometheus writes them.

use std::fmt::Write;

/// Appends the shortest digits that read back as the same number, with an
/// exponent from a million on and below 0.0001 (`999999`, `1e+06`, `1e-05`).
pub(super) fn push(out: &mut String, value: f64) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = if value == 0.0 || (-4..6).contains(&exponent) {
        write!(out, "{value}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs())
    };
}

#[cfg(test)]
mod tests {
    fn check(value: f64, expected: &str) {
        let mut out = String::new();
        super::push(&mut out, value);
        assert_eq!(out, expected);
    }

    #[test]
    fn numbers_have_the_form_of_go() {
        check(0.0, "0");
        check(1.0, "1");
        check(-2.5, "-2.5");
        check(0.1, "0.1");
        check(0.0001, "0.0001");
        check(0.00001, "1e-05");
        check(100000.0, "100000");
        check(999999.0, "999999");
        check(1048576.0, "1.048576e+06");
        check(4294967296.0, "4.294967296e+09");
        check(1e100, "1e+100");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
        check(f64::NAN, "NaN");
    }
}
