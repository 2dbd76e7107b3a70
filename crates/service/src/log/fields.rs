//! The fields of one line, gathered in buffers that are used again.

use std::fmt::{self, Write};
use std::ops::Range;

use tracing::field::{Field, Visit};

/// Named values of one event, with its message.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    pub(super) message: String,
    text: String,
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
struct Item {
    name: &'static str,
    range: Range<usize>,
    bare: bool,
}

impl Fields {
    pub(super) fn clear(&mut self) {
        self.message.clear();
        self.text.clear();
        self.items.clear();
    }

    /// Adds a field unless one of this name is there already; `bare` values
    /// stand without quotes in JSON.
    pub(super) fn add(&mut self, name: &'static str, bare: bool, write: impl FnOnce(&mut String)) {
        let name = unreserved(name);
        if self.items.iter().any(|item| item.name == name) {
            return;
        }
        self.add_own(name, bare, write);
    }

    /// Adds a text field unless one of this name is there already.
    pub(super) fn add_text(&mut self, name: &'static str, text: &str) {
        self.add(name, false, |out| out.push_str(text));
    }

    /// Adds a field under a name that the line format keeps for itself.
    pub(super) fn add_own(
        &mut self,
        name: &'static str,
        bare: bool,
        write: impl FnOnce(&mut String),
    ) {
        let start = self.text.len();
        write(&mut self.text);
        self.items.push(Item {
            name,
            range: start..self.text.len(),
            bare,
        });
    }

    /// Adds the fields of an enclosing span.
    pub(super) fn add_all(&mut self, outer: &Self) {
        for item in &outer.items {
            self.add(item.name, item.bare, |out| {
                out.push_str(&outer.text[item.range.clone()])
            });
        }
    }

    /// Replaces what an earlier record of the same span said.
    pub(super) fn replace(&mut self, newer: &Self) {
        self.items
            .retain(|old| newer.items.iter().all(|new| new.name != old.name));
        self.add_all(newer);
    }

    pub(super) fn sort(&mut self) {
        self.items.sort_unstable_by_key(|item| item.name);
    }

    /// Name, value, and whether JSON shows the value without quotes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &str, bool)> {
        self.items
            .iter()
            .map(|item| (item.name, &self.text[item.range.clone()], item.bare))
    }
}

/// An event's field must not pose as one that every line begins with.
fn unreserved(name: &'static str) -> &'static str {
    match name {
        "time" => "fields.time",
        "level" => "fields.level",
        "msg" => "fields.msg",
        name => name,
    }
}

/// Writing to a String cannot fail, but a value's own formatting can; what it
/// wrote until then stays.
fn push(out: &mut String, args: fmt::Arguments<'_>) {
    let _ = out.write_fmt(args);
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => push(&mut self.message, format_args!("{value:?}")),
            name => self.add(name, false, |out| push(out, format_args!("{value:?}"))),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            name => self.add_text(name, value),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field.name(), false, |out| {
            push(out, format_args!("{value}"))
        });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), true, |out| push(out, format_args!("{value}")));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), true, |out| push(out, format_args!("{value}")));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value.is_finite(), |out| {
            push(out, format_args!("{value}"))
        });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), true, |out| push(out, format_args!("{value}")));
    }
}
