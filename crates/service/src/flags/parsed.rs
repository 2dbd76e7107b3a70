//! The outcome of parsing: a value for every flag of the table.

use std::collections::BTreeMap;
use std::time::Duration;

use super::table::FlagSet;
use super::value::{Value, initial};

/// A value for every flag of a table.
///
/// Asking for a name that the table does not have, or for another kind than
/// the table says, is a programmer's error and panics.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub(super) values: BTreeMap<&'static str, Entry>,
    pub(super) notices: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) given: bool,
}

impl Parsed {
    pub(super) fn defaults(set: &FlagSet) -> Self {
        let entry = |flag: &super::Flag| Entry {
            value: initial(flag.kind, &flag.default),
            given: false,
        };
        Self {
            values: set.iter().map(|flag| (flag.name, entry(flag))).collect(),
            notices: Vec::new(),
        }
    }

    /// The text of a string flag.
    #[track_caller]
    pub fn string(&self, name: &str) -> &str {
        match &self.entry(name).value {
            Value::Text(text) => text,
            _ => wrong_kind(name, "string"),
        }
    }

    /// The state of a switch.
    #[track_caller]
    pub fn boolean(&self, name: &str) -> bool {
        match self.entry(name).value {
            Value::Bool(state) => state.unwrap_or_default(),
            _ => wrong_kind(name, "bool"),
        }
    }

    /// The state of a switch that can be unset.
    #[track_caller]
    pub fn tristate(&self, name: &str) -> Option<bool> {
        match self.entry(name).value {
            Value::Bool(state) => state,
            _ => wrong_kind(name, "tristate"),
        }
    }

    /// The value of a signed number.
    #[track_caller]
    pub fn int(&self, name: &str) -> i64 {
        match self.entry(name).value {
            Value::Int(value) => value,
            _ => wrong_kind(name, "int"),
        }
    }

    /// The value of an unsigned number.
    #[track_caller]
    pub fn uint(&self, name: &str) -> u64 {
        match self.entry(name).value {
            Value::Uint(value) => value,
            _ => wrong_kind(name, "uint"),
        }
    }

    /// A duration; one below zero is answered as zero.
    #[track_caller]
    pub fn duration(&self, name: &str) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanos(name)).unwrap_or_default())
    }

    /// A duration with its sign, in nanoseconds.
    #[track_caller]
    pub fn nanos(&self, name: &str) -> i64 {
        match self.entry(name).value {
            Value::Nanos(nanos) => nanos,
            _ => wrong_kind(name, "duration"),
        }
    }

    /// The items of a list.
    #[track_caller]
    pub fn strings(&self, name: &str) -> &[String] {
        match &self.entry(name).value {
            Value::List(items) => items,
            _ => wrong_kind(name, "strings"),
        }
    }

    /// Whether the flag stood on the command line; a value from the
    /// environment does not count.
    #[track_caller]
    pub fn given(&self, name: &str) -> bool {
        self.entry(name).given
    }

    /// Notices about deprecated flags, for standard error.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    #[track_caller]
    fn entry(&self, name: &str) -> &Entry {
        match self.values.get(name) {
            Some(entry) => entry,
            None => panic!("no flag is called {name}"),
        }
    }
}

#[track_caller]
fn wrong_kind(name: &str, kind: &str) -> ! {
    panic!("flag {name} is not a {kind}")
}
