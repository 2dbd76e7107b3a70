//! Sizes as Kubernetes writes them: `4Mi`, `64k`, `1.5G`, `1048576`.

/// The number of bytes, rounded up, or nothing when the text is not a quantity.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale: f64 = match &text[digits.len()..] {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let number: f64 = digits
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())?;
    let bytes = (number * scale).ceil();
    // Beyond 2^53 a float no longer counts single bytes, and no body is that large.
    #[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
    (bytes.abs() < 9e15).then_some(bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_bytes() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(parse(text), expected, "{text}");
        check("4Mi", Some(4 << 20));
        check("4Ki", Some(4096));
        check("64k", Some(64_000));
        check("1.5G", Some(1_500_000_000));
        check("100m", Some(1));
        check("1048576", Some(1_048_576));
        check("-1", Some(-1));
        check("-4Mi", Some(-(4 << 20)));
        check("", None);
        check("Mi", None);
        check("4MB", None);
        check("four", None);
        check("infinity", None);
    }
}
