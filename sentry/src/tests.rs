use service::flags::Parsed;

use super::*;

fn parsed(args: &[&str]) -> Parsed {
    let args = args.iter().map(|a| (*a).into());
    match flags::flags().parse(args, &|_| None) {
        Ok(parsed) => parsed,
        Err(exit) => panic!("{exit:?}"),
    }
}

/// Name, type and default of every flag, as the interface has them.
#[test]
fn flags_are_those_of_the_interface() {
    let set = flags::flags();
    let own = set
        .iter()
        .filter(|f| !["version", "build-info"].contains(&f.name()));
    let got: Vec<String> = own
        .map(|f| {
            format!("{} {} {}", f.name(), f.type_name(), f.default_value())
                .trim()
                .to_owned()
        })
        .collect();
    let home = std::env::var("HOME").unwrap_or_default();
    let temporary = std::env::temp_dir().display().to_string();
    let facts = include_str!("../tests/flags.txt")
        .replace("$HOME", &home)
        .replace("$TMP", &temporary);
    assert_eq!(got, facts.lines().collect::<Vec<_>>());
}

#[test]
fn what_cannot_work_is_refused_in_upstreams_words() {
    let refused: &[(&[&str], &str)] = &[
        (&["--mode", "x"][..], "Invalid options: invalid mode: x"),
        (
            &["--oidc-server-tls-key-file", "k"][..],
            "both OIDC TLS certificate and key must be provided if one is specified",
        ),
    ];
    for (args, text) in refused {
        let error = check(&parsed(args)).unwrap_err();
        assert!(error.starts_with(text), "{error}");
    }
    assert_eq!(check(&parsed(&[])), Ok(()));
}

#[test]
fn unknown_flags_help_and_version_end_with_their_codes() {
    for (arg, code) in [("--no-such-flag", 2), ("--help", 0), ("--version", 0)] {
        let exit = flags::flags()
            .parse([arg.into()].into_iter(), &|_| None)
            .err()
            .unwrap();
        assert_eq!(exit.code, code, "{arg}");
    }
}
