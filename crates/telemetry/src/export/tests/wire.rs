//! Reads protobuf by field numbers, without any generated code.

/// A field of a protobuf message, read without any generated code.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Field {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(Vec<u8>),
}

fn varint(data: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = data.split_first().unwrap();
        *data = rest;
        value |= u64::from(byte & 127) << shift;
        shift += 7;
        if *byte < 128 {
            return value;
        }
    }
}

pub(super) fn fields(mut data: &[u8]) -> Vec<(u64, Field)> {
    let mut out = Vec::new();
    while !data.is_empty() {
        let key = varint(&mut data);
        let mut take = |n: usize| {
            let (head, rest) = data.split_at(n);
            data = rest;
            head.to_vec()
        };
        let field = match key & 7 {
            1 => Field::Fixed64(u64::from_le_bytes(take(8).try_into().unwrap())),
            5 => Field::Fixed32(u32::from_le_bytes(take(4).try_into().unwrap())),
            0 => Field::Varint(varint(&mut data)),
            2 => {
                let length = varint(&mut data) as usize;
                let (head, rest) = data.split_at(length);
                data = rest;
                Field::Bytes(head.to_vec())
            }
            wire => panic!("wire type {wire}"),
        };
        out.push((key >> 3, field));
    }
    out
}

/// All embedded messages and texts with this number.
pub(super) fn all(message: &[u8], number: u64) -> Vec<Vec<u8>> {
    let found = fields(message).into_iter().filter(|(n, _)| *n == number);
    found
        .map(|(_, field)| match field {
            Field::Bytes(bytes) => bytes,
            other => panic!("field {number} is {other:?}"),
        })
        .collect()
}

pub(super) fn one(message: &[u8], number: u64) -> Vec<u8> {
    let mut found = all(message, number);
    assert_eq!(found.len(), 1, "field {number}");
    found.remove(0)
}

pub(super) fn text(message: &[u8], number: u64) -> String {
    String::from_utf8(one(message, number)).unwrap()
}

pub(super) fn attributes(message: &[u8], number: u64) -> Vec<(String, String)> {
    let items = all(message, number).into_iter();
    items
        .map(|item| (text(&item, 1), text(&one(&item, 2), 1)))
        .collect()
}
