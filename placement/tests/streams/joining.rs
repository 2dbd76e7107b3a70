//! Many sidecars at once.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use proto::dapr::placement::v1::{Host, HostOperation, PlacementOrder};

use crate::raw;
use crate::service::Placement;
use crate::sidecar::host;

const COUNT: usize = 1000;

fn name(n: usize) -> String {
    format!("app{n:04}")
}

fn ack(n: usize, operation: HostOperation, version: u64) -> Bytes {
    let host = Host {
        id: name(n),
        namespace: "default".into(),
        operation: operation as i32,
        version: Some(version),
        ..Host::default()
    };
    host.encode_to_vec().into()
}

#[tokio::test]
async fn a_thousand_that_join_at_once_end_with_the_same_table() {
    let placement = Placement::start(|c| c.timeout = Duration::from_secs(60)).await;
    // Ten streams share a connection.
    let channels: Vec<_> = (0..COUNT / 10).map(|_| placement.channel()).collect();
    let whole = host(&name(0), &["a"]).encoded_len() * COUNT;
    let joining = (0..COUNT).map(|n| {
        let channel = channels[n % channels.len()].clone();
        async move {
            let (requests, mut orders) = raw::open(channel).await;
            requests
                .send(host(&name(n), &["a"]).encode_to_vec().into())
                .await
                .unwrap();
            let mut version = 0;
            loop {
                let order = orders.message().await.unwrap().unwrap();
                // To decode all tables would take long: only the last is looked at.
                if order.len() > 64 {
                    requests
                        .send(ack(n, HostOperation::Update, version))
                        .await
                        .unwrap();
                    if order.len() > whole {
                        return (requests, orders, order);
                    }
                    continue;
                }
                let order = PlacementOrder::decode(order).unwrap();
                version = order.version;
                let operation = order.operation.to_uppercase();
                let operation = HostOperation::from_str_name(&operation).unwrap();
                requests.send(ack(n, operation, version)).await.unwrap();
            }
        }
    });
    let joined = futures_util::future::join_all(joining).await;
    let (_, _, table) = &joined[0];
    assert!(joined.iter().all(|(_, _, other)| other == table));
    let tables = PlacementOrder::decode(table.clone())
        .unwrap()
        .tables
        .unwrap();
    assert_eq!(tables.entries["a"].load_map.len(), COUNT);
}
