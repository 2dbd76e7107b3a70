//! One flag's value: what each kind accepts.

use crate::duration;
use crate::quote::quoted;

use super::table::Kind;
use super::{csv, number};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Bool(Option<bool>),
    Int(i64),
    Uint(u64),
    Nanos(i64),
    List(Vec<String>),
}

/// Why a text is not a value; Go's own flag package says less than pflag.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) text: String,
    pub(super) range: bool,
}

impl Error {
    pub(super) fn brief(&self) -> &'static str {
        if self.range {
            "value out of range"
        } else {
            "parse error"
        }
    }
}

pub(super) fn read(kind: Kind, text: &str) -> Result<Value, Error> {
    Ok(match kind {
        Kind::Text => Value::Text(text.to_owned()),
        Kind::Bool | Kind::Tristate => Value::Bool(Some(boolean(text)?)),
        Kind::Int => Value::Int(number::int(text)?),
        Kind::Uint { bits } => Value::Uint(number::uint(text, bits)?),
        Kind::Duration => {
            let nanos = duration::parse_nanos(text);
            Value::Nanos(nanos.map_err(|e| Error {
                text: e.to_string(),
                range: false,
            })?)
        }
        Kind::List => Value::List(csv::record(text)?),
    })
}

/// The value of a default in the table, where empty means none.
pub(super) fn initial(kind: Kind, text: &str) -> Value {
    match (kind, text) {
        (Kind::Tristate, _) => Value::Bool(None),
        (Kind::Duration, "") => Value::Nanos(0),
        (kind, text) => match read(kind, text) {
            Ok(value) => value,
            Err(error) => panic!("bad default in a flag table: {}", error.text),
        },
    }
}

/// The value of an environment variable; switches are lenient there.
pub(super) fn from_env(kind: Kind, text: &str) -> Result<Value, Error> {
    match kind {
        Kind::Bool | Kind::Tristate => Ok(Value::Bool(Some(truthy(text)))),
        kind => read(kind, text),
    }
}

fn boolean(text: &str) -> Result<bool, Error> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => {
            let text = format!(
                "strconv.ParseBool: parsing {}: invalid syntax",
                quoted(text)
            );
            Err(Error { text, range: false })
        }
    }
}

/// Whether an environment variable or annotation means yes: `y`, `yes`,
/// `true`, `t`, `on` or `1` in any case, with blanks around it.
pub fn truthy(text: &str) -> bool {
    let text = text.trim();
    ["y", "yes", "true", "t", "on", "1"]
        .iter()
        .any(|yes| text.eq_ignore_ascii_case(yes))
}
