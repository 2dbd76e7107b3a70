//! Calls between sidecars: the messages of a stream, and the bodies in them.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use prost::Message;
use proto::dapr::common::v1::StreamPayload;
use proto::dapr::internals::v1 as wire;
use sidecar::fuzzing::{self, Call};

use crate::at_once;

/// What concerns one connection and must not reach another.
const HOP_BY_HOP: [&str; 5] = [
    "connection",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// gRPC messages, each behind its flag and length; and whether there is a part
/// of one after them.
fn framed(mut data: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut found = Vec::new();
    while data.len() >= 5 {
        let (prefix, rest) = data.split_at(5);
        let length = prefix[1..]
            .iter()
            .fold(0, |n, byte| n << 8 | u64::from(*byte));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > rest.len() {
            return (found, true);
        }
        found.push(&rest[..length]);
        data = &rest[length..];
    }
    (found, false)
}

/// What a caller's sidecar sends.
pub fn calls(data: &[u8]) {
    let (messages, cut) = framed(data);
    let expected = messages.len() + usize::from(cut);
    assert_eq!(fuzzing::messages(data), expected, "messages are miscounted");

    let messages = messages.into_iter();
    let messages = messages.map_while(|m| wire::InternalInvokeRequestStream::decode(m).ok());
    let mut payloads = Vec::new();
    for message in messages {
        if let Some(head) = message.request {
            call(head);
        }
        payloads.extend(message.payload);
    }
    body(payloads);
}

/// What an app's sidecar answers.
pub fn answers(data: &[u8]) {
    let messages = framed(data).0.into_iter();
    let messages = messages.map_while(|m| wire::InternalInvokeResponseStream::decode(m).ok());
    let mut payloads = Vec::new();
    for message in messages {
        if let Some(Ok(answer)) = message.response.map(fuzzing::answer) {
            let again = fuzzing::answer(answer.clone());
            assert_eq!(again.as_ref(), Ok(&answer), "written and read back");
        }
        payloads.extend(message.payload);
    }
    body(payloads);
}

fn call(head: wire::InternalInvokeRequest) {
    let Ok(call) = Call::read(head) else {
        return;
    };
    let again = Call::read(call.wire.clone()).expect("what was taken is taken again");
    assert_eq!(again.wire, call.wire, "written and read back");

    let method = &call.method;
    let forbidden = |c: char| matches!(c, '\0'..'\u{20}' | '\u{7f}' | '#' | '?');
    assert!(!method.contains(forbidden), "{method:?}");
    let odd = |part| matches!(part, "" | "." | "..");
    assert!(
        method.is_empty() || !method.split('/').any(odd),
        "{method:?}"
    );

    if let Ok(request) = call.http {
        let path: Vec<u8> = percent_decode_str(request.uri().path()).collect();
        let judged = format!("/{method}");
        assert_eq!(path, judged.as_bytes(), "the app gets what was judged");
        assert!(request.uri().authority().is_none());
        let names = request.headers().keys();
        let mut names = names.filter(|name| HOP_BY_HOP.contains(&name.as_str()));
        assert_eq!(names.next(), None, "it concerns the other connection");
    }
}

/// Chunks make up a body when each comes in its turn.
fn body(payloads: Vec<StreamPayload>) {
    let in_turn = (0..)
        .zip(&payloads)
        .all(|(seq, payload)| payload.seq == seq);
    let data: Vec<u8> = payloads.iter().flat_map(|p| p.data.to_vec()).collect();
    let joined = at_once(fuzzing::joined(payloads));
    assert_eq!(joined.is_ok(), in_turn);
    assert!(joined.is_err() || joined.is_ok_and(|joined| joined == data));
}

/// A body that is sent in chunks.
pub fn chunks(data: &[u8]) {
    let sent = at_once(fuzzing::chunks(Bytes::copy_from_slice(data)));
    assert!((0..).zip(&sent).all(|(seq, payload)| payload.seq == seq));
    assert!(sent.iter().all(|p| (1..=65536).contains(&p.data.len())));
    let total: usize = sent.iter().map(|payload| payload.data.len()).sum();
    assert_eq!(total, data.len());
    assert!(at_once(fuzzing::joined(sent)).is_ok_and(|joined| joined == data));
}
