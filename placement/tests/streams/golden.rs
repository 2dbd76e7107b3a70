//! The protocol in bytes, as upstream's sidecars and services exchange them.

use bytes::Bytes;

use crate::raw;
use crate::service::Placement;

/// `name` 10.0.0.1:50002, `entities` cart and bag, `id` shop, `api_level` 20,
/// `namespace` default, `operation` REPORT.
const REPORT: &str = concat!(
    "0a0e31302e302e302e313a3530303032",
    "220463617274",
    "2203626167",
    "2a0473686f70",
    "3814",
    "420764656661756c74",
    "4801",
);
/// The same with sorted entities, as it is in tables.
const HOST: &str = concat!(
    "0a0e31302e302e302e313a3530303032",
    "2203626167",
    "220463617274",
    "2a0473686f70",
    "3814",
    "420764656661756c74",
    "4801",
);

/// An acknowledgement: `id`, `namespace`, `operation`, `version` 1.
fn ack(operation: &str) -> String {
    format!("2a0473686f70420764656661756c7448{operation}5001")
}

/// `entries` of `tables`: the type, and a `load_map` of one host.
fn entry(kind: &str) -> String {
    let named = format!("0a0e31302e302e302e313a353030303212{}", delimited(HOST));
    let load_map = format!("1a{}", delimited(&named));
    format!(
        "0a{}12{}",
        delimited(&hex(kind.as_bytes())),
        delimited(&load_map)
    )
}

/// Hex with its length before it; none here is longer than 127.
fn delimited(hex: &str) -> String {
    assert!(hex.len() / 2 < 128);
    format!("{:02x}{hex}", hex.len() / 2)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Bytes {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

#[tokio::test]
async fn a_round_is_to_the_byte_what_the_protocol_says() {
    let placement = Placement::start(|_| {}).await;
    let (requests, mut orders) = raw::open(placement.channel()).await;
    let say = async |hex: &str| requests.send(bytes(hex)).await.unwrap();
    say(REPORT).await;

    // `operation` lock, `version` 1
    assert_eq!(
        hex(&orders.message().await.unwrap().unwrap()),
        "12046c6f636b1801"
    );
    say(&ack("02")).await;

    // `tables` with two entries, `version` "1" and `replication_factor` 100
    let entries = [entry("bag"), entry("cart")].map(|entry| {
        let length = entry.len() / 2;
        assert!(length < 128);
        format!("0a{length:02x}{entry}")
    });
    let tables = format!("{}{}1201312064", entries[0], entries[1]);
    let length = tables.len() / 2;
    assert!((128..1 << 14).contains(&length));
    let length = format!("{:02x}{:02x}", length % 128 + 128, length / 128);
    let update = format!("0a{length}{tables}12067570646174651801");
    assert_eq!(hex(&orders.message().await.unwrap().unwrap()), update);
    say(&ack("03")).await;

    assert_eq!(
        hex(&orders.message().await.unwrap().unwrap()),
        "1206756e6c6f636b1801"
    );
    say(&ack("04")).await;
}
