//! What the parser accepts, how it complains, and the help text.

use std::ffi::OsString;
use std::time::Duration;

use expect_test::expect;
use proptest::prelude::*;

use super::*;

fn set(dashes: Dashes) -> FlagSet {
    FlagSet::new("demo", "A program to show flags with.")
        .dashes(dashes)
        .group("Application")
        .flag(Flag::string("app-id", "", "identity of the app").env("DEMO_APP_ID"))
        .flag(Flag::int("limit", -1, "most calls at once"))
        .flag(Flag::uint32("workers", 4, "workers"))
        .flag(Flag::bool("fast", true, "be fast"))
        .flag(Flag::tristate(
            "log-calls",
            "log calls, whatever the Configuration says",
        ))
        .flag(Flag::duration(
            "pause",
            "1m30s",
            "time between two calls; this help is long enough to need a second line",
        ))
        .flag(Flag::strings("hosts", "a,b", "hosts").env("DEMO_HOSTS"))
        .flag(Flag::string(
            "a-name-that-leaves-no-room-for-help",
            "",
            "its help starts on a line of its own",
        ))
        .group("Old")
        .flag(Flag::string("old", "", "gone").deprecated("use --app-id"))
        .flag(Flag::string("secret", "", "not shown").hidden())
        .flag(Flag::int("level", 1, "level").ignored())
        .versioned()
        .example("Start it", "demo --app-id me")
}

fn parse(dashes: Dashes, args: &[&str]) -> Result<Parsed, Exit> {
    set(dashes).parse(args.iter().map(OsString::from), &|_| None)
}

/// The first line of the complaint, or the values that differ from the start.
fn outcome(dashes: Dashes, args: &[&str]) -> String {
    match parse(dashes, args) {
        Err(exit) if exit.code == 2 => exit.stderr.lines().next().unwrap().to_owned(),
        Err(exit) => format!("exit {} {}", exit.code, exit.stdout)
            .trim_end()
            .to_owned(),
        Ok(p) => {
            let defaults = Parsed::defaults(&set(dashes));
            let changed = p
                .values
                .iter()
                .filter(|(name, entry)| entry.value != defaults.values[*name].value);
            changed
                .map(|(name, entry)| format!("{name}={:?}", entry.value))
                .collect::<Vec<_>>()
                .join(" ")
        }
    }
}

#[test]
fn values_are_taken_as_pflag_takes_them() {
    let check = |args: &[&str], expected: &str| {
        assert_eq!(outcome(Dashes::Doubling, args), expected, "{args:?}")
    };
    check(&[], "");
    check(&["--app-id", "x"], r#"app-id=Text("x")"#);
    check(&["--app-id=x=y"], r#"app-id=Text("x=y")"#);
    check(&["-app-id", "x"], r#"app-id=Text("x")"#);
    check(&["-app-id=x"], r#"app-id=Text("x")"#);
    check(&["--app-id", "-xy"], r#"app-id=Text("--xy")"#);
    check(&["--app-id", "-x"], r#"app-id=Text("-x")"#);
    check(&["--limit", "-5"], "limit=Int(-5)");
    check(
        &["--limit", "-10"],
        r#"invalid argument "--10" for "--limit" flag: strconv.ParseInt: parsing "--10": invalid syntax"#,
    );
    check(&["--fast=false"], "fast=Bool(Some(false))");
    check(&["--fast", "false"], "");
    check(&["--log-calls"], "log-calls=Bool(Some(true))");
    check(&["--log-calls=F"], "log-calls=Bool(Some(false))");
    check(&["--pause", "500ms"], "pause=Nanos(500000000)");
    check(
        &["--hosts", "x,y", "--hosts", "\"1,2\""],
        r#"hosts=List(["x", "y", "1,2"])"#,
    );
    check(&["--hosts="], "hosts=List([])");
    check(&["word", "--limit", "3", "-", "more"], "limit=Int(3)");
    check(&["--", "--limit", "3"], "");
    check(&["--limit", "1", "--limit", "2"], "limit=Int(2)");
}

#[test]
fn complaints_are_those_of_pflag() {
    let check = |args: &[&str], expected: &str| {
        assert_eq!(outcome(Dashes::Doubling, args), expected, "{args:?}")
    };
    check(&["--no-such-flag"], "unknown flag: --no-such-flag");
    check(&["-no-such-flag=3"], "unknown flag: --no-such-flag");
    check(&["-x"], "unknown shorthand flag: 'x' in -x");
    check(&["-é"], "unknown flag: --é");
    check(&["--app-id"], "flag needs an argument: --app-id");
    check(&["--=x"], "bad flag syntax: --=x");
    check(&["---x"], "bad flag syntax: ---x");
    check(
        &["--fast=maybe"],
        r#"invalid argument "maybe" for "--fast" flag: strconv.ParseBool: parsing "maybe": invalid syntax"#,
    );
    check(
        &["--workers", "4294967296"],
        r#"invalid argument "4294967296" for "--workers" flag: strconv.ParseUint: parsing "4294967296": value out of range"#,
    );
    check(
        &["--pause", "5"],
        r#"invalid argument "5" for "--pause" flag: time: missing unit in duration "5""#,
    );
    check(
        &["--hosts", "a\"b"],
        r#"invalid argument "a\"b" for "--hosts" flag: parse error on line 1, column 2: bare " in non-quoted-field"#,
    );
}

#[test]
fn strict_dashes_take_one_dash_for_letters() {
    let check = |args: &[&str], expected: &str| {
        assert_eq!(outcome(Dashes::Strict, args), expected, "{args:?}")
    };
    check(&["-limit", "3"], "unknown shorthand flag: 'l' in -limit");
    check(&["-é"], "unknown shorthand flag: 'Ã' in -é");
    check(&["--limit", "-10"], "limit=Int(-10)");
    check(&["-hx"], "exit 0");
}

#[test]
fn go_dashes_are_all_the_same_and_end_at_the_first_word() {
    let check =
        |args: &[&str], expected: &str| assert_eq!(outcome(Dashes::Go, args), expected, "{args:?}");
    check(
        &["-limit", "3", "--workers=2"],
        "limit=Int(3) workers=Uint(2)",
    );
    check(&["-limit", "-10"], "limit=Int(-10)");
    check(&["word", "-no-such-flag"], "");
    check(&["-", "-no-such-flag"], "");
    check(
        &["--no-such-flag"],
        "flag provided but not defined: -no-such-flag",
    );
    check(&["-limit"], "flag needs an argument: -limit");
    check(&["---x"], "bad flag syntax: ---x");
    check(
        &["-limit", "x"],
        r#"invalid value "x" for flag -limit: parse error"#,
    );
    check(
        &["-workers", "4294967296"],
        r#"invalid value "4294967296" for flag -workers: value out of range"#,
    );
    check(
        &["-fast=maybe"],
        r#"invalid boolean value "maybe" for -fast: parse error"#,
    );
    check(&["-h"], "exit 0");
    check(&["--help"], "exit 0");
}

#[test]
fn help_and_version_end_with_zero() {
    for args in [["--help"], ["-help"], ["-h"]] {
        let exit = parse(Dashes::Doubling, &args).unwrap_err();
        assert!(
            exit.code == 0 && exit.stdout.is_empty() && exit.stderr.contains("Usage:"),
            "{args:?}"
        );
    }
    assert_eq!(
        outcome(Dashes::Doubling, &["--version"]),
        format!("exit 0 {}", crate::VERSION)
    );
    assert!(outcome(Dashes::Doubling, &["--build-info"]).starts_with("exit 0 Version: "));
    assert_eq!(outcome(Dashes::Doubling, &["--version=false"]), "");
}

#[test]
fn an_error_stands_first_and_last_with_a_hint() {
    let exit = parse(Dashes::Doubling, &["--ap-id", "x"]).unwrap_err();
    assert!(
        exit.stderr.starts_with("unknown flag: --ap-id\n"),
        "{}",
        exit.stderr
    );
    assert!(
        exit.stderr
            .ends_with("\n\nunknown flag: --ap-id\ndid you mean --app-id?\n"),
        "{}",
        exit.stderr
    );
    assert!(exit.stdout.is_empty());
}

#[test]
fn the_environment_answers_for_flags_that_are_not_given() {
    let env = |name: &str| match name {
        "DEMO_APP_ID" => Some("from-env".to_owned()),
        "DEMO_HOSTS" => Some("x,y".to_owned()),
        _ => None,
    };
    let parsed = |args: &[&str]| {
        set(Dashes::Doubling)
            .parse(args.iter().map(OsString::from), &env)
            .unwrap()
    };
    let p = parsed(&[]);
    assert_eq!((p.string("app-id"), p.given("app-id")), ("from-env", false));
    assert_eq!(p.strings("hosts"), ["x", "y"]);
    let p = parsed(&["--app-id", "given", "--hosts", "z"]);
    assert_eq!((p.string("app-id"), p.given("app-id")), ("given", true));
    assert_eq!(p.strings("hosts"), ["z"]);
    let empty = set(Dashes::Doubling)
        .parse(std::iter::empty(), &|_| Some(String::new()))
        .unwrap();
    assert_eq!(empty.strings("hosts"), ["a", "b"]);
}

#[test]
fn deprecated_flags_work_and_say_so_once() {
    let p = parse(Dashes::Doubling, &["--old", "a", "--old", "b"]).unwrap();
    assert_eq!(p.string("old"), "b");
    assert_eq!(
        p.notices(),
        ["Flag --old has been deprecated, use --app-id"]
    );
}

#[test]
fn durations_below_zero_read_as_zero_but_keep_their_sign() {
    let p = parse(Dashes::Doubling, &["--pause=-2s"]).unwrap();
    assert_eq!(
        (p.duration("pause"), p.nanos("pause")),
        (Duration::ZERO, -2_000_000_000)
    );
}

#[test]
#[should_panic(expected = "no flag is called nothing")]
fn asking_for_a_flag_that_is_not_there_is_a_mistake() {
    parse(Dashes::Go, &[]).unwrap().string("nothing");
}

#[test]
fn help_is_grouped_aligned_and_wrapped() {
    expect![[r#"
        A program to show flags with.

        Usage:
          demo [flags]

        Application:
          --app-id string                   identity of the app [$DEMO_APP_ID]
          --limit int                       most calls at once (default -1)
          --workers uint32                  workers (default 4)
          --fast                            be fast (default true)
          --log-calls                       log calls, whatever the Configuration says
          --pause duration                  time between two calls; this help is long
                                            enough to need a second line (default 1m30s)
          --hosts strings                   hosts [$DEMO_HOSTS] (default a,b)
          --a-name-that-leaves-no-room-for-help string
                                            its help starts on a line of its own

        Old:
          --level int                       level (accepted for compatibility, has no
                                            effect) (default 1)
          --version                         print the version and exit
          --build-info                      print what this binary was built from and exit

        Examples:
          # Start it
          demo --app-id me
    "#]]
    .assert_eq(&set(Dashes::Doubling).usage(82));
}

#[test]
fn the_environment_means_yes_in_many_ways() {
    for yes in ["y", "YES", " true ", "T", "on", "1"] {
        assert!(truthy(yes), "{yes:?}");
    }
    for no in ["", "n", "false", "2", "yess"] {
        assert!(!truthy(no), "{no:?}");
    }
}

#[cfg(unix)]
#[test]
fn arguments_that_are_no_text_are_refused() {
    use std::os::unix::ffi::OsStringExt;
    let args = [OsString::from_vec(b"--app-id=\xff".to_vec())];
    let exit = set(Dashes::Doubling)
        .parse(args.into_iter(), &|_| None)
        .unwrap_err();
    assert!(
        exit.stderr
            .starts_with("argument \"--app-id=\u{fffd}\" is not UTF-8 text\n"),
        "{}",
        exit.stderr
    );
}

fn argument() -> impl Strategy<Value = OsString> {
    use std::os::unix::ffi::OsStringExt;
    let flag = "(-|--|---)?(app-id|limit|workers|fast|pause|hosts|old|x|h)?(=.{0,8})?";
    prop_oneof![
        flag.prop_map(OsString::from),
        any::<String>().prop_map(OsString::from),
        any::<Vec<u8>>().prop_map(OsString::from_vec),
    ]
}

proptest! {
    #[test]
    fn no_command_line_panics(args in prop::collection::vec(argument(), 0..6), env in any::<String>()) {
        for dashes in [Dashes::Doubling, Dashes::Strict, Dashes::Go] {
            let parsed = set(dashes).parse(args.clone().into_iter(), &|_| Some(env.clone()));
            prop_assert!(parsed.is_ok() || parsed.is_err_and(|exit| exit.code == 0 || exit.code == 2));
        }
    }
}
