use service::flags::facts::{assert_exits, assert_flags};

use super::*;

#[test]
fn flags_are_those_of_the_interface() {
    assert_flags(&flags::flags(), include_str!("../tests/flags.txt"));
    assert_exits(&flags::flags());
}

#[test]
fn image_and_namespace_must_be_set() {
    let check = |set: &[&str], expected: Result<(), &str>| {
        let env = |name: &str| set.contains(&name).then(|| "x".to_owned());
        assert_eq!(required(&env), expected.map_err(str::to_owned), "{set:?}");
    };
    check(
        &["NAMESPACE"],
        Err("Error getting config: required key SIDECAR_IMAGE missing value"),
    );
    check(
        &["SIDECAR_IMAGE"],
        Err("Error getting config: required key NAMESPACE missing value"),
    );
    check(&["SIDECAR_IMAGE", "NAMESPACE"], Ok(()));
}
