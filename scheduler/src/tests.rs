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

#[test]
fn jobs_lie_where_upstream_has_its_etcd() {
    for (args, expected) in [
        (&[][..], "./data/default-dapr-scheduler-server-0/dapr-0.1"),
        (
            &["--etcd-data-dir", "/d", "--id", "me"],
            "/d/default-me/dapr-0.1",
        ),
        (
            &["--etcd-data-dir", "/d", "--mode", "kubernetes"],
            "/d/dapr-0.1",
        ),
    ] {
        let config = Config::read(&parsed(args), &|_| None).unwrap();
        let Place::Embedded { folder, .. } = config.store else {
            panic!("{args:?}");
        };
        assert_eq!(folder.to_str(), Some(expected));
    }
}

#[test]
fn sidecars_are_told_an_address_that_they_can_reach() {
    let own = std::net::IpAddr::from([10, 0, 0, 7]);
    for (args, expected) in [
        (&[][..], "10.0.0.7:50006"),
        (&["--listen-address", "0.0.0.0"], "10.0.0.7:50006"),
        (&["--listen-address", "127.0.0.1"], "127.0.0.1:50006"),
        (&["--listen-address", "localhost"], "localhost:50006"),
        (&["--listen-address", "::1"], "[::1]:50006"),
        (&["--override-broadcast-host-port", "me:1"], "me:1"),
    ] {
        let config = Config::read(&parsed(args), &|_| None).unwrap();
        assert_eq!(config.broadcast(50006, own), expected);
    }
}

#[test]
fn an_identity_is_wanted_with_tls_and_in_a_cluster() {
    let tls = |args: &[&str]| Config::read(&parsed(args), &|_| None).unwrap().tls;
    assert!(tls(&[]).is_none());
    assert!(tls(&["--mode", "kubernetes"]).is_some());
    let tls_of_flags = tls(&["--tls-enabled", "--trust-anchors-file", "/ca"]).unwrap();
    assert_eq!(tls_of_flags.anchors, Some("/ca".into()));
    assert_eq!(tls(&["--tls-enabled"]).unwrap().anchors, None);
}
