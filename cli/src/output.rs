//! Status lines, plain output, and when to use colour.

use std::{
    fmt::Display,
    io::{IsTerminal, Write},
};

use owo_colors::{AnsiColors, OwoColorize};

/// Says what the tool is doing: for people with a sign and colour, for programs as JSON.
#[derive(Clone, Copy)]
pub(crate) struct Report {
    json: bool,
    color_out: bool,
    color_err: bool,
}

#[derive(Clone, Copy)]
enum Status {
    Info,
    Pending,
    Success,
    Warning,
    Failure,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            json,
            color_out: wanted && std::io::stdout().is_terminal(),
            color_err: wanted && std::io::stderr().is_terminal(),
        }
    }

    /// Whether status lines are JSON, and so the sidecars' logs should be too.
    pub(crate) fn json(self) -> bool {
        self.json
    }

    /// Whether lines on stdout may carry colour.
    pub(crate) fn color(self) -> bool {
        self.color_out
    }

    pub(crate) fn info(self, text: impl Display) {
        self.say(Status::Info, &text);
    }

    pub(crate) fn pending(self, text: impl Display) {
        self.say(Status::Pending, &text);
    }

    pub(crate) fn success(self, text: impl Display) {
        self.say(Status::Success, &text);
    }

    pub(crate) fn warning(self, text: impl Display) {
        self.say(Status::Warning, &text);
    }

    pub(crate) fn failure(self, text: impl Display) {
        self.say(Status::Failure, &text);
    }

    fn say(self, status: Status, text: &dyn Display) {
        // Failures go to stderr, so that stdout holds only what was asked for.
        if matches!(status, Status::Failure) {
            let line = status.line(self.json, self.color_err, text);
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        } else {
            print(&status.line(self.json, self.color_out, text));
        }
    }
}

impl Status {
    fn line(self, json: bool, color: bool, text: &dyn Display) -> String {
        let (name, sign, tint) = match self {
            Self::Info => ("info", "ℹ️  ", AnsiColors::Blue),
            Self::Pending => ("pending", "⌛  ", AnsiColors::Default),
            Self::Success => ("success", "✅  ", AnsiColors::Green),
            Self::Warning => ("warning", "⚠  ", AnsiColors::Yellow),
            Self::Failure => ("failure", "❌  ", AnsiColors::Red),
        };
        let text = text.to_string();
        if json {
            let record = serde_json::json!({
                "time": jiff::Timestamp::now().to_string(),
                "status": name,
                "msg": text,
            });
            format!("{record}\n")
        } else if color {
            format!("{}\n", format_args!("{sign}{text}").color(tint))
        } else {
            format!("{sign}{text}\n")
        }
    }
}

/// Writes to stdout in one piece; a reader that has gone away is no error.
pub(crate) fn print(text: &str) {
    print_bytes(text.as_bytes());
}

/// The same for what may be no text.
pub(crate) fn print_bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_readable_or_json() {
        assert_eq!(Status::Success.line(false, false, &"done"), "✅  done\n");
        assert!(
            Status::Failure
                .line(false, true, &"broken")
                .contains("\u{1b}[31m")
        );
        let line = Status::Info.line(true, true, &"say \"hi\"");
        let record: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(record["status"], "info");
        assert_eq!(record["msg"], "say \"hi\"");
    }
}
