use service::flags::Parsed;
use service::flags::facts::{assert_exits, assert_flags};

use super::options::check;
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
        (&["--mode", "x"][..], "Invalid options: invalid mode: x"),
        (
            &["--jwt-issuer", "i"][..],
            "Invalid options: jwt-issuer cannot be set when jwt-enabled is false",
        ),
        (
            &["--oidc-enabled"][..],
            "Invalid options: oidc-server-tls-cert-file is required when OIDC HTTP server is \
             enabled (unless oidc-server-tls-enabled is false)",
        ),
        (
            &["--oidc-server-tls-key-file", "k"][..],
            "both OIDC TLS certificate and key must be provided if one is specified",
        ),
    ];
    for (args, text) in refused {
        let error = check(&parsed(args)).unwrap_err();
        assert!(error.starts_with(text), "{error}");
    }
    for args in [
        &[][..],
        &["--jwt-issuer", "i", "--jwt-enabled"],
        &["--oidc-enabled", "--oidc-server-tls-enabled=false"],
    ] {
        assert_eq!(check(&parsed(args)), Ok(()), "{args:?}");
    }
}
