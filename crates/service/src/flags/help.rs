//! The help text: flags in groups and columns, wrapped to the terminal.

use super::table::{Flag, FlagSet, Kind};

/// Flags whose name and kind are longer get their help on the next line.
const COLUMN: usize = 36;
/// Help is at least this wide, however narrow the terminal.
const NARROWEST: usize = 24;
const DEFAULT_WIDTH: usize = 100;

/// The width of the terminal on standard error, where help goes.
pub(super) fn terminal_width() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0))
}

impl FlagSet {
    /// The help text for a terminal of this width.
    pub fn usage(&self, width: usize) -> String {
        let mut out = format!("{}\n\nUsage:\n  {} [flags]\n", self.about, self.program);
        for group in &self.groups {
            let shown: Vec<_> = group.flags.iter().filter(|flag| flag.is_shown()).collect();
            if shown.is_empty() {
                continue;
            }
            out.push_str(&format!("\n{}:\n", group.title));
            for flag in shown {
                push_flag(&mut out, flag, width);
            }
        }
        if !self.examples.is_empty() {
            out.push_str("\nExamples:\n");
            for (at, (what, command)) in self.examples.iter().enumerate() {
                let gap = if at > 0 { "\n" } else { "" };
                out.push_str(&format!("{gap}  # {what}\n  {command}\n"));
            }
        }
        out
    }

    /// The flag that somebody who got this error may have meant.
    pub(super) fn hint(&self, error: &str) -> Option<&'static str> {
        let unknown = error.strip_prefix("unknown flag: --");
        let unknown = unknown.or_else(|| error.strip_prefix("flag provided but not defined: -"))?;
        // Beyond this length it is no flag, and comparing would cost time.
        if unknown.len() > 64 {
            return None;
        }
        let near = self
            .iter()
            .filter(|flag| flag.is_shown())
            .map(|flag| (distance(unknown, flag.name), flag.name));
        near.filter(|(distance, _)| *distance <= 2)
            .min()
            .map(|(_, name)| name)
    }
}

impl Flag {
    fn is_shown(&self) -> bool {
        !self.hidden && self.deprecated.is_none()
    }

    /// The help with what the table knows about the flag behind it.
    fn details(&self) -> String {
        let mut text = self.help.to_owned();
        if self.ignored {
            text.push_str(" (accepted for compatibility, has no effect)");
        }
        if let Some(env) = self.env {
            text.push_str(&format!(" [${env}]"));
        }
        let nothing = match self.kind {
            Kind::Bool => self.default == "false",
            Kind::Duration => matches!(&*self.default, "" | "0" | "0s"),
            _ => self.default.is_empty(),
        };
        if !nothing {
            text.push_str(&format!(" (default {})", self.default));
        }
        text
    }
}

fn push_flag(out: &mut String, flag: &Flag, width: usize) {
    let kind = if flag.is_switch() {
        String::new()
    } else {
        format!(" {}", flag.type_name())
    };
    let head = format!("  --{}{kind}", flag.name);
    out.push_str(&head);
    let mut used = head.len();
    if used + 2 > COLUMN {
        out.push('\n');
        used = 0;
    }
    for line in wrap(&flag.details(), width.saturating_sub(COLUMN).max(NARROWEST)) {
        out.push_str(&format!("{:gap$}{line}\n", "", gap = COLUMN - used));
        used = 0;
    }
}

/// Lines of at most `width` characters, broken at blanks.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
        }
        used += length;
    }
    lines
}

/// How many letters have to be added, dropped or replaced.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
