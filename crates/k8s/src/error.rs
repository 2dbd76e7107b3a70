//! Why the API server did not do what it was asked for.

use http::StatusCode;
use serde::Deserialize;

/// The longest part of a server's own message that is passed on.
const LONGEST: usize = 1024;

/// A request that failed; no variant holds what was sent or received, except
/// for the server's own message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 404: the object, or its kind, is not there.
    #[error("{0}")]
    NotFound(String),
    /// 409: somebody else changed the object first.
    #[error("{0}")]
    Conflict(String),
    /// Any other refusal.
    #[error("{message} (status {code})")]
    Refused { code: u16, message: String },
    /// No connection, or one that broke.
    #[error("cannot reach the API server: {0}")]
    Unreachable(String),
    #[error("the API server did not answer in time")]
    Late,
    #[error("the answer of the API server is longer than {0} bytes")]
    TooLong(usize),
    #[error("the answer of the API server is malformed at line {line}, column {column}")]
    Malformed { line: usize, column: usize },
    /// A name that no path can hold.
    #[error("{0:?} is no name of an object")]
    Name(String),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
}

impl Error {
    /// The refusal that an answer with this code and body is.
    pub(crate) fn refused(code: StatusCode, body: &[u8]) -> Self {
        let status: Status = serde_json::from_slice(body).unwrap_or_default();
        let mut message = status.message;
        if message.is_empty() {
            message = code.canonical_reason().unwrap_or("no reason").to_owned();
        }
        if let Some((end, _)) = message.char_indices().nth(LONGEST) {
            message.truncate(end);
        }
        match code {
            StatusCode::NOT_FOUND => Self::NotFound(message),
            StatusCode::CONFLICT => Self::Conflict(message),
            code => Self::Refused {
                code: code.as_u16(),
                message,
            },
        }
    }

    /// A failure on the way to the server, with what lies beneath it.
    pub(crate) fn unreachable(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(source) = next {
            let cause = source.to_string();
            // Some errors print their source themselves.
            if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
            next = source.source();
        }
        Self::Unreachable(text)
    }
}

// The decoder's own text may quote what it read.
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed {
            line: error.line(),
            column: error.column(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_carry_the_servers_message() {
        let body = br#"{"kind":"Status","message":"pods \"x\" not found","code":404}"#;
        let error = Error::refused(StatusCode::NOT_FOUND, body);
        assert_eq!(error, Error::NotFound("pods \"x\" not found".into()));
        let error = Error::refused(StatusCode::INTERNAL_SERVER_ERROR, b"<html>");
        assert_eq!(error.to_string(), "Internal Server Error (status 500)");
        let long = format!(r#"{{"message":"{}"}}"#, "ä".repeat(5000));
        let error = Error::refused(StatusCode::CONFLICT, long.as_bytes());
        assert_eq!(error, Error::Conflict("ä".repeat(LONGEST)));
    }

    #[test]
    fn what_cannot_be_decoded_is_not_quoted() {
        let error = serde_json::from_str::<u8>("\"hunter2\"").unwrap_err();
        assert!(error.to_string().contains("hunter2"));
        let text = Error::from(error).to_string();
        assert_eq!(
            text,
            "the answer of the API server is malformed at line 1, column 9"
        );
    }
}
