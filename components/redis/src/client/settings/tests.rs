use component::metadata::{Properties, decode};

use super::*;

fn settings(properties: &[(&str, &str)]) -> Result<Settings> {
    let config: Config = decode(&properties.iter().copied().collect::<Properties>())?;
    let defaults = Defaults {
        min_retry_interval: Duration::from_secs(2),
    };
    Settings::new(&config, &defaults)
}

fn refusal(properties: &[(&str, &str)]) -> String {
    settings(properties)
        .err()
        .map_or_else(|| "accepted".into(), |e| e.message)
}

#[test]
fn addresses() {
    let check = |host: &str, port: &str, expected: &str| {
        let mut given = vec![("redisHost", host), ("redisType", "cluster")];
        if !port.is_empty() {
            given.push(("redisPort", port));
        }
        let got = settings(&given).map_or_else(|e| e.message, |s| s.address());
        assert_eq!(got, expected, "{host} with {port}");
    };
    check("localhost", "", "localhost:6379");
    check("localhost:7000", "", "localhost:7000");
    check("a, b:1 ,,c", "", "a:6379,b:1,c:6379");
    check("a,b:7001", "7001", "a:7001,b:7001");
    check("::1", "", "[::1]:6379");
    check("[::1]:7000,[fe80::2]", "", "[::1]:7000,[fe80::2]:6379");
    check("", "", "redisHost is empty; set metadata redisHost");
    check(" , ", "", "redisHost is empty; set metadata redisHost");
    check("a", "x", "redisPort is not a port number: x");
    check(
        "a:b",
        "",
        "redis host \"a:b\" is not an address; set redisHost to host:port",
    );
    check(
        "[::1",
        "",
        "redis host \"[::1\" is not an address; set redisHost to host:port",
    );
    check(
        "a:7000",
        "7001",
        "redis host \"a:7000\" already contains port 7000, but redisPort is set to 7001; \
         remove redisPort or make both the same",
    );
}

#[test]
fn refusals() {
    let check = |properties: &[(&str, &str)], expected: &str| {
        let mut all = vec![("redisHost", "a")];
        all.extend(properties);
        assert_eq!(refusal(&all), expected, "{properties:?}");
    };
    check(
        &[("useAzureAD", "true")],
        "useEntraID is not supported by this build; set redisUsername and redisPassword",
    );
    check(&[("useEntraID", "false")], "accepted");
    check(
        &[("failover", "true")],
        "sentinelMasterName is empty; failover needs the name of the master",
    );
    check(
        &[("maxRetryBackoff", "2s")],
        "redis store error: can't parse maxRetryBackoff field: \"2s\": invalid digit found in string",
    );
    check(
        &[("maxRetryBackoff", "2s"), ("redisMinRetryInterval", "2s")],
        "accepted",
    );
    check(
        &[("enableTLS", "yes")],
        "metadata property \"enableTLS\" is invalid: must be true or false",
    );
    assert_eq!(
        refusal(&[("redisHost", "a,b")]),
        "redisHost lists several hosts; set redisType to cluster, or failover to true"
    );
}

#[test]
fn limits() {
    let check =
        |properties: &[(&str, &str)], dial: u64, reply: Option<u64>, retry: (u32, u64, u64)| {
            let mut all = vec![("redisHost", "a")];
            all.extend(properties);
            let got = settings(&all).unwrap();
            let ms = Duration::from_millis;
            assert_eq!(got.dial_timeout, ms(dial), "{properties:?}");
            assert_eq!(got.reply_timeout, reply.map(ms), "{properties:?}");
            let (count, min, max) = retry;
            assert_eq!(
                got.retry,
                Retry {
                    count,
                    min: ms(min),
                    max: ms(max)
                },
                "{properties:?}"
            );
        };
    check(&[], 5000, Some(3000), (3, 2000, 512));
    check(
        &[("dialTimeout", "250"), ("readTimeout", "1500")],
        250,
        Some(3000),
        (3, 2000, 512),
    );
    check(
        &[("readTimeout", "1500"), ("writeTimeout", "1s")],
        5000,
        Some(1500),
        (3, 2000, 512),
    );
    check(
        &[("dialTimeout", "-1"), ("readTimeout", "-1")],
        5000,
        None,
        (3, 2000, 512),
    );
    check(
        &[("redisMaxRetries", "-1"), ("redisMinRetryInterval", "-1")],
        5000,
        Some(3000),
        (0, 0, 512),
    );
    check(
        &[("maxRetries", "5"), ("maxRetryBackoff", "8000000")],
        5000,
        Some(3000),
        (5, 8, 512),
    );
    check(
        &[("redisMaxRetries", "1"), ("maxRetries", "5")],
        5000,
        Some(3000),
        (1, 2000, 512),
    );
    check(
        &[("redisMaxRetryInterval", "3s")],
        5000,
        Some(3000),
        (3, 2000, 3000),
    );
}

#[test]
fn waits_double_up_to_the_longest() {
    let ms = Duration::from_millis;
    let retry = Retry {
        count: 9,
        min: ms(8),
        max: ms(512),
    };
    assert_eq!(
        [0, 1, 2, 7, 40].map(|n| retry.wait(n)),
        [8, 16, 32, 512, 512].map(ms)
    );
}
