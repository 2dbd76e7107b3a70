//! Orders as they go out: encoded once, shared by every stream that gets them.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes};
use prost::Message;
use prost::encoding::{self, WireType};
use proto::dapr::placement::v1::{Host, PlacementOrder};

use crate::rounds::{Order, Phase, Report};

/// What gRPC puts before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The gRPC frame of an order. Only updates carry `hosts`; of two with one name
/// the later counts.
pub(crate) fn frame<'a>(
    order: Order,
    hosts: impl Iterator<Item = &'a Report>,
    replication: i64,
) -> Bytes {
    let mut frame = vec![0; PREFIX];
    let operation = match order.operation {
        Phase::Lock => "lock",
        Phase::Update => {
            let tables = tables(hosts, order.version, replication);
            delimited(1, tables.len(), &mut frame);
            frame.put_slice(&tables);
            "update"
        }
        Phase::Unlock | Phase::Report => "unlock",
    };
    let rest = PlacementOrder {
        tables: None,
        operation: operation.into(),
        version: order.version,
    };
    frame.put_slice(&rest.encode_to_vec());
    // Tables are far below four gigabytes: streams and their reports are bounded.
    let length = u32::try_from(frame.len() - PREFIX).unwrap_or(u32::MAX);
    frame[1..PREFIX].copy_from_slice(&length.to_be_bytes());
    frame.into()
}

/// `PlacementTables`, written without copying any host into a message of it.
fn tables<'a>(hosts: impl Iterator<Item = &'a Report>, version: u64, replication: i64) -> Vec<u8> {
    let mut types = BTreeMap::<&str, BTreeMap<&str, &Host>>::new();
    for host in hosts.map(Report::host) {
        for entity in &host.entities {
            types.entry(entity).or_default().insert(&host.name, host);
        }
    }
    let (mut tables, mut load_map) = (Vec::new(), Vec::new());
    for (entity, hosts) in types {
        load_map.clear();
        for (name, host) in hosts {
            entry(3, name, host.encoded_len(), &mut load_map);
            // A vector has room for everything.
            host.encode_raw(&mut load_map);
        }
        entry(1, entity, load_map.len(), &mut tables);
        tables.put_slice(&load_map);
    }
    // Older peers read the version from here.
    encoding::string::encode(2, &version.to_string(), &mut tables);
    encoding::int64::encode(4, &replication, &mut tables);
    tables
}

/// Begins an entry of the map `field`, whose value of `length` bytes follows.
fn entry(field: u32, key: &str, length: usize, out: &mut Vec<u8>) {
    let key_length = match key {
        // As every default it is left out.
        "" => 0,
        key => encoding::string::encoded_len(1, &key.to_owned()),
    };
    let value_length = 1 + encoding::encoded_len_varint(length as u64) + length;
    delimited(field, key_length + value_length, out);
    if !key.is_empty() {
        delimited(1, key.len(), out);
        out.put_slice(key.as_bytes());
    }
    delimited(2, length, out);
}

fn delimited(field: u32, length: usize, out: &mut Vec<u8>) {
    encoding::encode_key(field, WireType::LengthDelimited, out);
    encoding::encode_varint(length as u64, out);
}
