//! One record as a line: logfmt-like text, JSON, or colours on a terminal.

use std::fmt::Write;

use super::clock;
use super::fields::Fields;
use super::level::Level;
use crate::quote;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    /// Text for people, with the seconds since the process started.
    Terminal,
}

/// What every line of a process says about it.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) app_id: Option<String>,
    pub(super) instance: String,
    pub(super) version: String,
}

/// Appends the line with its line break; `fields` is used up.
pub(super) fn push(
    out: &mut String,
    format: Format,
    level: Level,
    scope: &str,
    origin: &Origin,
    fields: &mut Fields,
) {
    if let Some(app_id) = origin.app_id.as_deref() {
        fields.add_text("app_id", app_id);
    }
    fields.add_text("instance", &origin.instance);
    fields.add_text("scope", scope);
    fields.add_text("type", "log");
    fields.add_text("ver", &origin.version);
    match format {
        Format::Text => text(out, level, fields),
        Format::Json => json(out, level, fields),
        Format::Terminal => terminal(out, level, fields),
    }
    out.push('\n');
}

fn text(out: &mut String, level: Level, fields: &mut Fields) {
    out.push_str("time=\"");
    clock::push_now(out);
    out.push_str("\" level=");
    out.push_str(level.word());
    if !fields.message.is_empty() {
        out.push_str(" msg=");
        value(out, &fields.message);
    }
    fields.sort();
    for (name, text, _) in fields.iter() {
        out.push(' ');
        out.push_str(name);
        out.push('=');
        value(out, text);
    }
}

fn terminal(out: &mut String, level: Level, fields: &mut Fields) {
    let (word, colour) = level.paint();
    let message = fields.message.strip_suffix('\n').unwrap_or(&fields.message);
    let seconds = super::seconds_since_start();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "\x1b[{colour}m{word}\x1b[0m[{seconds:04}] {message:<44} "
    );
    fields.sort();
    for (name, text, _) in fields.iter() {
        let _ = write!(out, " \x1b[{colour}m{name}\x1b[0m=");
        value(out, text);
    }
}

fn value(out: &mut String, text: &str) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._/@^+".contains(&b);
    if text.bytes().all(plain) {
        out.push_str(text);
    } else {
        quote::push(out, text);
    }
}

fn json(out: &mut String, level: Level, fields: &mut Fields) {
    fields.add_own("level", false, |out| out.push_str(level.word()));
    let message = std::mem::take(&mut fields.message);
    fields.add_own("msg", false, |out| out.push_str(&message));
    fields.message = message;
    fields.add_own("time", false, clock::push_now);
    fields.sort();
    for (at, (name, text, bare)) in fields.iter().enumerate() {
        out.push(if at == 0 { '{' } else { ',' });
        json_string(out, name);
        out.push(':');
        if bare {
            out.push_str(text);
        } else {
            json_string(out, text);
        }
    }
    out.push('}');
}

/// A JSON string with the escapes of Go's encoder, which also keeps HTML out.
fn json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
