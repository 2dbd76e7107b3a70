//! Writes of single keys: from a request to a script call, and from its answer to a result.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use component::state::{
    Concurrency, Consistency, DeleteRequest, Metadata, SetRequest, TTL_IN_SECONDS, Value,
};
use component::{Error, ErrorKind, Result};
use redis::{Cmd, ErrorKind as LibError, RedisError, RedisResult, ServerErrorKind};

use super::RedisState;
use super::script::{DELETE, Form, SET, Script};
use crate::client::{Repeat, explain, first};

/// Longest time the server waits for its replicas, in milliseconds.
const WAIT: u32 = 1000;

/// One write, ready to be sent.
pub(super) struct Write {
    pub(super) script: &'static Script,
    pub(super) key: String,
    args: Vec<Bytes>,
    /// What a refusal is: of a request with an etag it is a mismatch.
    etag: bool,
    what: &'static str,
    repeat: Repeat,
}

impl Write {
    /// `guard` makes the key take later writes only with its etag.
    pub(super) fn set(req: SetRequest, form: Form, guard: bool, ttl: Option<i64>) -> Result<Self> {
        if req.key.is_empty() {
            return Err(Error::invalid("missing key in set operation"));
        }
        let etag = match &req.etag {
            Some(etag) if req.concurrency != Concurrency::LastWrite => version(etag)?,
            _ => 0,
        };
        let value = match (form, req.value) {
            (Form::Hash, Value::Bytes(value) | Value::Json(value))
            | (Form::Json, Value::Json(value)) => value,
            (Form::Json, Value::Bytes(value)) => format!("\"{}\"", STANDARD.encode(value)).into(),
        };
        let ttl = ttl.map(|ttl| ttl.to_string()).unwrap_or_default();
        let flag = if guard { "0" } else { "1" };
        Ok(Self {
            script: SET.of(form),
            key: req.key,
            args: vec![etag.to_string().into(), value, flag.into(), ttl.into()],
            etag: req.etag.is_some(),
            what: "set key",
            // After a guarded write or one with an etag the same write is refused.
            repeat: if etag == 0 && !guard {
                Repeat::Safe
            } else {
                Repeat::Never
            },
        })
    }

    pub(super) fn delete(req: DeleteRequest, form: Form) -> Result<Self> {
        if req.key.is_empty() {
            return Err(Error::invalid("missing key in delete operation"));
        }
        let etag = req.etag.is_some();
        Ok(Self {
            script: DELETE.of(form),
            key: req.key,
            args: vec![req.etag.map_or(Bytes::from_static(b"0"), Bytes::from)],
            etag,
            what: "delete",
            // With an etag the second deletion could hit a new item of the same version.
            repeat: if etag { Repeat::Never } else { Repeat::Safe },
        })
    }

    pub(super) fn by_hash(&self) -> Cmd {
        self.script.by_hash(&self.key, &self.args)
    }

    pub(super) fn by_text(&self) -> Cmd {
        self.script.by_text(&self.key, &self.args)
    }

    pub(super) fn repeat(&self) -> Repeat {
        self.repeat
    }

    /// The error of a write that the script refused.
    pub(super) fn refused(&self) -> Error {
        let cause = format!("failed to {} {}", self.what, self.key);
        if self.etag {
            Error::etag_mismatch(cause)
        } else {
            Error::new(ErrorKind::Conflict, cause)
        }
    }

    /// The error of a write that failed. Upstream calls it a mismatch when the request
    /// has an etag, even without a connection; the truth serves clients better.
    pub(super) fn failed(&self, address: &str, error: RedisError) -> Error {
        explain(
            &format!("failed to {} {}: ", self.what, self.key),
            address,
            error,
        )
    }
}

impl RedisState {
    /// Sends one write and, when the request asks for it, waits for the replicas.
    pub(super) async fn write(&self, write: &Write, consistency: Consistency) -> Result<()> {
        let wait = consistency == Consistency::Strong && self.replicas > 0;
        let mut answer = self.send(write, write.by_hash(), wait).await;
        if answer.as_ref().is_err_and(is_unknown_script) {
            answer = self.send(write, write.by_text(), wait).await;
        }
        match answer {
            Ok(redis::Value::Nil) => Err(write.refused()),
            Ok(_) => Ok(()),
            Err(error) => Err(write.failed(self.client.address(), error)),
        }
    }

    async fn send(&self, write: &Write, command: Cmd, wait: bool) -> RedisResult<redis::Value> {
        if !wait {
            return self.client.call(command, write.repeat).await;
        }
        let mut pipe = redis::pipe();
        pipe.add_command(command);
        pipe.cmd("WAIT").arg(self.replicas).arg(WAIT);
        let outcomes = self.client.waiting_batch(pipe, write.repeat).await?;
        // The number of replicas that have it is not looked at: it cannot undo the write.
        first(outcomes)
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == LibError::Server(ServerErrorKind::NoScript)
}

fn version(etag: &str) -> Result<i64> {
    etag.parse()
        .map_err(|e| Error::etag_invalid(format!("{etag:?} is not a number: {e}")))
}

/// `ttlInSeconds` of a request: any whole number.
pub(super) fn ttl(metadata: &Metadata) -> Result<Option<i64>> {
    let Some(text) = metadata.get(TTL_IN_SECONDS).filter(|t| !t.is_empty()) else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|e| Error::invalid(format!("failed to parse ttl from metadata: {text:?}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A write's command without the name and text of its script.
    fn args(write: &Write) -> Vec<String> {
        let command = write.by_hash();
        let args = command.args_iter().skip(2).map(|arg| match arg {
            redis::Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        });
        args.collect()
    }

    #[test]
    fn requests_become_script_calls() {
        let check = |value: Value, form, guard: bool, ttl, expected: [&str; 6]| {
            let mut req = SetRequest::new("k", value);
            req.etag = guard.then(|| "07".into());
            let write = Write::set(req, form, guard, ttl).unwrap();
            assert_eq!(args(&write), expected);
        };
        let (bytes, json) = (Value::Bytes("ab".into()), Value::Json("[1]".into()));
        check(
            bytes.clone(),
            Form::Hash,
            false,
            None,
            ["1", "k", "0", "ab", "1", ""],
        );
        check(
            json.clone(),
            Form::Hash,
            true,
            Some(5),
            ["1", "k", "7", "[1]", "0", "5"],
        );
        check(
            json,
            Form::Json,
            false,
            Some(-1),
            ["1", "k", "0", "[1]", "1", "-1"],
        );
        // Bytes have no other form in a document.
        check(
            bytes,
            Form::Json,
            false,
            None,
            ["1", "k", "0", "\"YWI=\"", "1", ""],
        );
    }

    #[test]
    fn each_form_has_its_scripts() {
        let all = [
            SET.of(Form::Hash),
            SET.of(Form::Json),
            DELETE.of(Form::Hash),
            DELETE.of(Form::Json),
        ];
        let hashes: std::collections::BTreeSet<_> = all
            .iter()
            .map(|script| script.by_hash("k", &[]).get_packed_command())
            .collect();
        assert_eq!(hashes.len(), all.len());
    }

    #[test]
    fn only_writes_without_conditions_are_repeated() {
        let check = |etag: Option<&str>, guard, set: Repeat, delete: Repeat| {
            let mut req = SetRequest::new("k", Value::Bytes("v".into()));
            req.etag = etag.map(Into::into);
            let write = Write::set(req, Form::Hash, guard, None).unwrap();
            assert_eq!(write.repeat(), set, "{etag:?} {guard}");
            let req = DeleteRequest {
                key: "k".into(),
                etag: etag.map(Into::into),
                ..DeleteRequest::default()
            };
            assert_eq!(
                Write::delete(req, Form::Hash).unwrap().repeat(),
                delete,
                "{etag:?}"
            );
        };
        check(None, false, Repeat::Safe, Repeat::Safe);
        check(None, true, Repeat::Never, Repeat::Safe);
        check(Some("1"), false, Repeat::Never, Repeat::Never);
    }
}
