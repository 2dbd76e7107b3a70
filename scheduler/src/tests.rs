use service::flags::Parsed;
use service::flags::facts::{assert_exits, assert_flags};

use super::*;
use crate::config::Place;

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
            &["--etcd-client-endpoints", "a:1"][..],
            "cannot use --etcd-client-endpoints with --etcd-embed",
        ),
        (
            &["--etcd-embed=false"][..],
            "must specify --etcd-client-endpoints when not using embedded etcd",
        ),
        (
            &["--kubeconfig", "x"][..],
            "kubeconfig flag is only valid in --mode=kubernetes",
        ),
    ];
    for (args, text) in refused {
        let error = Config::read(&parsed(args), &|_| None).unwrap_err();
        assert!(error.starts_with(text), "{error}");
    }
    let other = parsed(&["--etcd-embed=false", "--etcd-client-endpoints", "a:1,b:2"]);
    let config = Config::read(&other, &|_| None).unwrap();
    assert!(matches!(config.store, Place::Etcd { endpoints, .. } if endpoints == ["a:1", "b:2"]));
}
