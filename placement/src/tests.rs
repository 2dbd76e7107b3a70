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
            &["--disseminate-timeout", "0s"],
            "invalid value for disseminate-timeout: value should be positive, got 0s",
        ),
        (&["--mode", "swarm"], "invalid mode: swarm"),
        (&["--port", "65536"], "port is 65536, which is no port"),
        (
            &["--id", "other"],
            "address for node other not found in raft peers dapr-placement-0=127.0.0.1:8201",
        ),
        (
            &["--initial-cluster", "dapr-placement-0"],
            "initial-cluster has \"dapr-placement-0\"; write each member as id=host:port",
        ),
        (
            &[
                "--initial-cluster",
                "dapr-placement-0=a:1,dapr-placement-1=b:1",
            ],
            "initial-cluster has 2 members, which elect their leader in Kubernetes only; outside \
             of it run one placement service, with itself as the only member",
        ),
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
        let error = Config::read(&parsed(args), &|_| None).unwrap_err();
        assert!(error.starts_with(text), "{error}");
    }
    assert!(Config::read(&parsed(&[]), &|_| None).is_ok());
}

#[test]
fn members_elect_a_leader_only_where_there_are_several() {
    for (args, elects) in [
        (&["--mode", "kubernetes"][..], false),
        (
            &[
                "--mode",
                "kubernetes",
                "--id=a",
                "--initial-cluster",
                "a=a:8201,b=b:8201,c=c:8201",
            ],
            true,
        ),
    ] {
        let config = Config::read(&parsed(args), &|_| None).unwrap();
        assert_eq!(config.elects(), elects);
    }
}
