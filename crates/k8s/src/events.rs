//! The events of a watch: one line of JSON each.

use std::time::Duration;

use http_body_util::BodyExt;
use kube::client::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Client, Error, Kind};

/// The longest event; an object has at most about two megabytes.
const LONGEST: usize = 16 << 20;

/// What happened, and to what.
#[derive(Deserialize)]
pub(crate) struct Event {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    pub(crate) r#type: String,
    pub(crate) object: Box<RawValue>,
}

/// A watch that is open.
pub(crate) struct Events {
    body: Body,
    /// What came after the last whole line.
    rest: Vec<u8>,
    /// How much of it has no line's end.
    searched: usize,
}

impl Client {
    /// Opens a watch from this version on; without one it begins with what is
    /// there. The server is asked to end it after a while.
    pub(crate) async fn watch(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        version: &str,
        lasting: Duration,
    ) -> Result<Events, Error> {
        let path = kind.path(namespace)?;
        let seconds = lasting.as_secs();
        let mut target =
            format!("{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}");
        if !version.is_empty() {
            target.push_str("&resourceVersion=");
            target.extend(utf8_percent_encode(version, NON_ALPHANUMERIC));
        }
        Ok(Events {
            body: self.stream(&target).await?,
            rest: Vec::new(),
            searched: 0,
        })
    }
}

impl Events {
    /// The next event; `None` when the server ended the watch. Nothing is lost
    /// when the wait is broken off.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let new = &self.rest[self.searched..];
            if let Some(end) = new.iter().position(|byte| *byte == b'\n') {
                let end = self.searched + end;
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                self.searched = 0;
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            self.searched = self.rest.len();
            if self.rest.len() > LONGEST {
                return Err(Error::TooLong(LONGEST));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(e)) => return Err(Error::unreachable(&e)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
