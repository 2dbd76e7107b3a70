//! The little of gRPC that one unary call needs.

use http::StatusCode;

use super::Failure;
use super::client::Answer;

const STATUS: &str = "grpc-status";
/// A flag and a length.
const PREFIX: usize = 5;

const CANCELLED: u32 = 1;
const DEADLINE_EXCEEDED: u32 = 4;
const ABORTED: u32 = 10;
const OUT_OF_RANGE: u32 = 11;
const UNAVAILABLE: u32 = 14;
const DATA_LOSS: u32 = 15;

/// One uncompressed message.
pub(super) fn frame(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX + message.len());
    out.push(0);
    // A batch is far shorter than 4 GiB.
    out.extend_from_slice(&(message.len() as u32).to_be_bytes());
    out.extend_from_slice(message);
    out
}

/// The message of a successful answer, empty when there is none to read.
pub(super) fn message(answer: &Answer) -> Result<&[u8], Failure> {
    if answer.status != StatusCode::OK {
        answer.success()?;
    }
    // An answer without a message has its status in the headers.
    let found = answer
        .trailers
        .get(STATUS)
        .or_else(|| answer.headers.get(STATUS));
    let code = found.and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    if code != Some(0) {
        let retry = matches!(
            code,
            Some(CANCELLED | DEADLINE_EXCEEDED | ABORTED | OUT_OF_RANGE | UNAVAILABLE | DATA_LOSS)
        );
        return Err(Failure {
            reason: code.map_or_else(
                || "it answers without a gRPC status".to_owned(),
                |code| format!("it answers gRPC status {code}"),
            ),
            retry: retry.then_some(None),
        });
    }
    let plain = answer.body.first() == Some(&0);
    Ok(answer.body.get(PREFIX..).filter(|_| plain).unwrap_or(&[]))
}
