//! Transactions: `MULTI`/`EXEC` over the scripts of the single writes.
//!
//! The server runs the operations without others in between, but a refused one
//! does not undo the rest: Redis has no rollback. A cluster can do this for the
//! keys of one slot only, so there each slot has a transaction of its own.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use component::state::{Metadata, Operation};
use component::{Error, Result};
use redis::cluster_routing::Slot;
use redis::{Pipeline, Value};

use super::RedisState;
use super::script::Form;
use super::write::{Write, ttl};
use crate::client::{Repeat, explain};

impl RedisState {
    pub(super) async fn execute(&self, ops: Vec<Operation>, metadata: &Metadata) -> Result<()> {
        if ops.is_empty() {
            return Ok(());
        }
        self.warn_once();
        let writes: Vec<Write> = ops
            .into_iter()
            .map(|op| self.planned(op, metadata))
            .collect::<Result<_>>()?;
        let mut refused = None;
        for group in self.groups(&writes) {
            let first = self.execute_group(&group).await?;
            refused = refused.or(first);
        }
        refused.map_or(Ok(()), Err)
    }

    fn planned(&self, op: Operation, metadata: &Metadata) -> Result<Write> {
        let form = |own: &Metadata| match self.form(metadata) {
            Form::Json => Form::Json,
            Form::Hash => self.form(own),
        };
        match op {
            Operation::Set(req) => {
                let (form, ttl) = (form(&req.metadata), ttl(&req.metadata)?.or(self.ttl));
                // Upstream passes no guard in a transaction.
                Write::set(req, form, false, ttl)
            }
            Operation::Delete(req) => {
                let form = form(&req.metadata);
                Write::delete(req, form)
            }
        }
    }

    /// What one server can run together, each part in the given order.
    fn groups<'a>(&self, writes: &'a [Write]) -> Vec<Vec<&'a Write>> {
        if !self.client.is_cluster() {
            return vec![writes.iter().collect()];
        }
        let mut slots: HashMap<Slot, Vec<&Write>> = HashMap::new();
        for write in writes {
            slots
                .entry(Slot::for_key(&write.key))
                .or_default()
                .push(write);
        }
        slots.into_values().collect()
    }

    /// The inner error is that of the first refused write; the others are done.
    async fn execute_group(&self, writes: &[&Write]) -> Result<Option<Error>> {
        let failed = |e| explain("failed to execute transaction: ", self.client.address(), e);
        let repeatable = writes.iter().all(|w| w.repeat() == Repeat::Safe);
        let repeat = if repeatable {
            Repeat::Safe
        } else {
            Repeat::Never
        };
        let answers = self.client.batch(pipe(writes), repeat).await;
        for (write, answer) in writes.iter().zip(answers.map_err(failed)?) {
            match answer {
                Ok(Value::Nil) => return Ok(Some(write.refused())),
                Ok(_) => {}
                Err(e) => return Err(write.failed(self.client.address(), e)),
            }
        }
        Ok(None)
    }

    fn warn_once(&self) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "redis does not roll back a transaction of which an operation is refused; \
                 use another state store for actors in production"
            );
        }
    }
}

/// Each script goes as text the first time, which makes the server know it: an
/// unknown hash would fail alone, in the middle of the others.
fn pipe(writes: &[&Write]) -> Pipeline {
    let mut pipe = Pipeline::with_capacity(writes.len());
    pipe.atomic();
    let mut known = Vec::new();
    for write in writes {
        let script: *const _ = write.script;
        if known.contains(&script) {
            pipe.add_command(write.by_hash());
        } else {
            known.push(script);
            pipe.add_command(write.by_text());
        }
    }
    pipe
}

#[cfg(test)]
mod tests {
    use component::state::{DeleteRequest, SetRequest, Value};

    use super::*;

    #[test]
    fn each_script_goes_as_text_once() {
        let set = |key: &str| {
            let req = SetRequest::new(key, Value::Bytes("v".into()));
            Write::set(req, Form::Hash, false, None).unwrap()
        };
        let delete = DeleteRequest {
            key: "b".into(),
            ..DeleteRequest::default()
        };
        let delete = Write::delete(delete, Form::Hash).unwrap();
        let (first, second) = (set("a"), set("c"));
        let pipe = pipe(&[&first, &delete, &second]);
        let names: Vec<_> = pipe
            .cmd_iter()
            .map(|c| match c.args_iter().next() {
                Some(redis::Arg::Simple(name)) => String::from_utf8_lossy(name).into_owned(),
                _ => String::new(),
            })
            .collect();
        assert_eq!(names, ["EVAL", "EVAL", "EVALSHA"]);
    }
}
