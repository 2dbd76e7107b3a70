//! What an error of the Redis library means to a component's caller.

use component::{Error, ErrorKind};
use redis::{RedisError, ServerErrorKind};

/// The error of a call to the server at `address`, after the text of what failed.
pub(crate) fn explain(what: &str, address: &str, error: RedisError) -> Error {
    let kind = kind(&error);
    let cause = text(&error);
    let message = match kind {
        ErrorKind::Unavailable => format!("{what}redis at {address} is unavailable: {cause}"),
        _ => format!("{what}{cause}"),
    };
    Error::new(kind, message).with_source(error)
}

/// The decision that a caller can take.
pub(crate) fn kind(error: &RedisError) -> ErrorKind {
    use redis::ErrorKind as Lib;
    match error.kind() {
        Lib::Io
        | Lib::ClusterConnectionNotFound
        | Lib::MasterNameNotFoundBySentinel
        | Lib::NoValidReplicasFoundBySentinel
        | Lib::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::TryAgain,
        ) => ErrorKind::Unavailable,
        Lib::AuthenticationFailed | Lib::Server(ServerErrorKind::NoPerm) => ErrorKind::Unauthorized,
        Lib::InvalidClientConfig => ErrorKind::InvalidConfig,
        _ => match error.code() {
            Some("NOAUTH" | "WRONGPASS") => ErrorKind::Unauthorized,
            _ => ErrorKind::Internal,
        },
    }
}

/// The server's words, or the library's when there was no answer.
pub(crate) fn text(error: &RedisError) -> String {
    if error.kind() == redis::ErrorKind::AuthenticationFailed {
        return "the server refused the password; check redisUsername and redisPassword".into();
    }
    let Some(errors) = error.clone().into_server_errors() else {
        return error.to_string();
    };
    let texts: Vec<_> = errors
        .iter()
        .map(|(_, e)| match e.details() {
            Some(details) => format!("{} {details}", e.code()),
            None => e.code().to_owned(),
        })
        .collect();
    texts.join("; ")
}
