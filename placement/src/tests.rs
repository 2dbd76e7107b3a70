use service::flags::Parsed;
use service::flags::facts::{assert_exits, assert_flags};

use super::*;

fn parsed(args: &[&str]) -> Parsed {
    let parsed = flags::flags().parse(args.iter().map(|a| (*a).into()), &|_| None);
    parsed.unwrap_or_else(|exit| panic!("{exit:?}"))
}

#[test]
fn flags_are_those_of_the_interface() {
    assert_flags(&flags::flags(), include_str!("../tests/flags.txt"));
    assert_exits(&flags::flags());
}

#[test]
fn what_cannot_work_is_refused_in_upstreams_words() {
    let refused: &[(&[&str], &str)] = &[
        (
            &["--keepalive-time", "500ms"][..],
            "invalid value for keepalive-time: value should be between 1s and 10s, got 500ms",
        ),
        (
            &["-keepalive-timeout", "11s"][..],
            "invalid value for keepalive-timeout: value should be between 1s and 10s, got 11s",
        ),
    ];
    for (args, text) in refused {
        let error = check(&parsed(args)).unwrap_err();
        assert!(error.starts_with(text), "{error}");
    }
    assert_eq!(check(&parsed(&[])), Ok(()));
}
