//! What a failed call means, and whether another attempt may help.

use tonic::{Code, Status};

/// Why etcd did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The options cannot work.
    #[error("{0}")]
    Options(String),
    /// No endpoint served the call within its time; it is not known whether a
    /// change was made.
    #[error("etcd cannot be reached: {0}")]
    Unavailable(String),
    /// The store has reached its quota.
    #[error("etcd is full: {0}")]
    Full(String),
    /// The revision that was asked for is gone.
    #[error("etcd has compacted the revision that was asked for")]
    Compacted,
    /// The lease has expired or was revoked.
    #[error("etcd does not know the lease any more")]
    LeaseGone,
    /// The answer is larger than [`super::LARGEST_ANSWER`].
    #[error("etcd's answer is too large: {0}")]
    TooLarge(String),
    /// etcd refuses, and would refuse again.
    #[error("etcd refuses: {0}")]
    Refused(String),
}

/// What to do about a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Another attempt, elsewhere or later.
    Again,
    /// Another attempt with a new token.
    Login,
    /// Nothing: this is the answer.
    Final(Error),
}

/// Judges by code and by etcd's own texts, which tell its errors apart.
pub(super) fn judge(status: &Status) -> Verdict {
    let text = status.message();
    let says = |part: &str| text.contains(part);
    match status.code() {
        Code::Unauthenticated => Verdict::Login,
        Code::InvalidArgument if says("user name is empty") || says("auth store is old") => {
            Verdict::Login
        }
        Code::ResourceExhausted if says("database space exceeded") => {
            Verdict::Final(Error::Full(text.into()))
        }
        // Timeouts, changes of the leader and its absence, and broken connections,
        // which carry their cause; everything else was said by the server.
        Code::Unavailable | Code::DeadlineExceeded => Verdict::Again,
        Code::ResourceExhausted if says("too many requests") => Verdict::Again,
        _ if std::error::Error::source(status).is_some() => Verdict::Again,
        Code::OutOfRange if says("has been compacted") => Verdict::Final(Error::Compacted),
        Code::OutOfRange => Verdict::Final(Error::TooLarge(text.into())),
        Code::NotFound if says("lease not found") => Verdict::Final(Error::LeaseGone),
        code => Verdict::Final(Error::Refused(format!("{text} ({code:?})"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_etcd_has_its_consequence() {
        let refused = |text: &str| Verdict::Final(Error::Refused(text.into()));
        let cases = [
            (
                Code::Unavailable,
                "etcdserver: leader changed",
                Verdict::Again,
            ),
            (Code::Unavailable, "etcdserver: no leader", Verdict::Again),
            (
                Code::Unavailable,
                "etcdserver: request timed out",
                Verdict::Again,
            ),
            (Code::DeadlineExceeded, "", Verdict::Again),
            (
                Code::ResourceExhausted,
                "etcdserver: too many requests",
                Verdict::Again,
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                Verdict::Final(Error::Full(
                    "etcdserver: mvcc: database space exceeded".into(),
                )),
            ),
            (
                Code::Unauthenticated,
                "etcdserver: invalid auth token",
                Verdict::Login,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: user name is empty",
                Verdict::Login,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: revision of auth store is old",
                Verdict::Login,
            ),
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
                Verdict::Final(Error::Compacted),
            ),
            (
                Code::NotFound,
                "etcdserver: requested lease not found",
                Verdict::Final(Error::LeaseGone),
            ),
            (
                Code::PermissionDenied,
                "etcdserver: permission denied",
                refused("etcdserver: permission denied (PermissionDenied)"),
            ),
            (
                Code::InvalidArgument,
                "etcdserver: key is not provided",
                refused("etcdserver: key is not provided (InvalidArgument)"),
            ),
        ];
        for (code, text, verdict) in cases {
            assert_eq!(judge(&Status::new(code, text)), verdict, "{text}");
        }
    }

    #[test]
    fn a_broken_connection_is_told_by_its_cause() {
        let mut status = Status::unknown("transport error");
        assert!(matches!(judge(&status), Verdict::Final(_)));
        status.set_source(std::sync::Arc::new(std::io::Error::other("reset")));
        assert_eq!(judge(&status), Verdict::Again);
    }
}
