//! Bodies on the internal streams: numbered chunks.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http_body_util::BodyExt;
use proto::dapr::common::v1::StreamPayload;

/// Largest chunk that is sent. Upstream sends 2 KiB and takes any size up to the
/// message limit; larger chunks save most of the cost of a large body.
pub(crate) const CHUNK: usize = 64 * 1024;

/// The chunks of a body, from sequence number 0.
pub(crate) fn chunks(
    body: Body,
) -> impl Stream<Item = Result<StreamPayload, axum::Error>> + Send + 'static {
    let state = (body, Bytes::new(), 0_u64);
    stream::unfold(Some(state), |state| async move {
        let (mut body, mut left, seq) = state?;
        while left.is_empty() {
            match body.frame().await {
                None => return None,
                Some(Ok(frame)) => left = frame.into_data().unwrap_or_default(),
                Some(Err(e)) => return Some((Err(e), None)),
            }
        }
        let data = left.split_to(left.len().min(CHUNK));
        Some((Ok(StreamPayload { data, seq }), Some((body, left, seq + 1))))
    })
}

/// Checks the order of chunks that arrive.
#[derive(Default)]
pub(crate) struct Incoming {
    next: u64,
}

impl Incoming {
    /// The data of the next chunk.
    pub(crate) fn accept(&mut self, payload: StreamPayload) -> Result<Bytes, String> {
        if payload.seq != self.next {
            return Err(format!(
                "invalid sequence number received: {} (expected: {})",
                payload.seq, self.next
            ));
        }
        self.next += 1;
        Ok(payload.data)
    }

    /// A body of the chunks that `messages` brings, after an optional first one.
    pub(crate) fn body<S>(mut self, first: Option<StreamPayload>, messages: S) -> Body
    where
        S: Stream<Item = Result<Option<StreamPayload>, String>> + Send + 'static,
    {
        let first = stream::iter(first.map(|payload| Ok(Some(payload))));
        let data = first.chain(messages).filter_map(move |message| {
            let data = match message {
                Ok(None) => None,
                Ok(Some(payload)) => Some(self.accept(payload).map_err(std::io::Error::other)),
                Err(e) => Some(Err(std::io::Error::other(e))),
            };
            std::future::ready(data)
        });
        Body::from_stream(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_goes_through_in_numbered_chunks() {
        for size in [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let data = Bytes::from(vec![7; size]);
            let sent: Vec<StreamPayload> = chunks(Body::from(data.clone()))
                .map(Result::unwrap)
                .collect()
                .await;
            assert_eq!(sent.len(), size.div_ceil(CHUNK));
            assert!(sent.iter().enumerate().all(|(i, p)| p.seq == i as u64));
            let messages = stream::iter(sent).map(|p| Ok(Some(p)));
            let body = Incoming::default()
                .body(None, messages)
                .collect()
                .await
                .unwrap()
                .to_bytes();
            assert_eq!(body, data);
        }
    }

    #[tokio::test]
    async fn a_chunk_out_of_order_breaks_the_body() {
        let payload = |seq| StreamPayload {
            data: Bytes::from_static(b"x"),
            seq,
        };
        let messages = stream::iter([Ok(None), Ok(Some(payload(2)))]);
        let error = Incoming::default()
            .body(Some(payload(0)), messages)
            .collect()
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("invalid sequence number received: 2 (expected: 1)"),
            "{error}"
        );
    }
}
