//! Errors of the driver and of the pool as decisions.

use component::{Error, ErrorKind};
use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

/// The server's own words, or what happened to the connection.
pub(crate) fn describe(error: &tokio_postgres::Error, address: &str) -> Error {
    let Some(db) = error.as_db_error() else {
        return Error::unavailable(format!(
            "postgresql at {address} is unavailable: {}",
            innermost(error)
        ));
    };
    let kind = match db.code() {
        code if *code == SqlState::INVALID_PASSWORD
            || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
        {
            ErrorKind::Unauthorized
        }
        code if *code == SqlState::INSUFFICIENT_PRIVILEGE => ErrorKind::Unauthorized,
        code if *code == SqlState::INVALID_CATALOG_NAME => ErrorKind::InvalidConfig,
        code if *code == SqlState::T_R_SERIALIZATION_FAILURE
            || *code == SqlState::T_R_DEADLOCK_DETECTED =>
        {
            ErrorKind::Conflict
        }
        code if matches!(&code.code()[..2], "08" | "53" | "57") => ErrorKind::Unavailable,
        code if &code.code()[..2] == "22" => ErrorKind::InvalidRequest,
        _ => ErrorKind::Internal,
    };
    // The detail may hold a value, so only message and code are shown.
    Error::new(
        kind,
        format!(
            "postgresql at {address}: {} (SQLSTATE {})",
            db.message(),
            db.code().code()
        ),
    )
}

pub(crate) fn no_connection(error: &PoolError, address: &str) -> Error {
    match error {
        PoolError::Backend(e) => describe(e, address),
        PoolError::Timeout(_) => Error::unavailable(format!(
            "postgresql at {address} is unavailable: no connection within 10s"
        )),
        other => Error::unavailable(format!("postgresql at {address} is unavailable: {other}")),
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}
