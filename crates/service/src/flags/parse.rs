//! Reading arguments against the table.

use std::ffi::OsString;

use crate::quote::quoted;

use super::exit::Exit;
use super::parsed::Parsed;
use super::table::{Dashes, Flag, FlagSet};
use super::value::{self, Value};

/// Why reading ended early.
enum Stop {
    Help,
    Error(String),
}

impl FlagSet {
    /// Reads the arguments (without the program's name), then the environment
    /// for flags that were not given.
    ///
    /// Arguments that are no flags are passed over. Help, version and errors
    /// come back as [`Exit`]; no input panics.
    pub fn parse(
        &self,
        args: impl Iterator<Item = OsString>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Parsed, Exit> {
        let mut reader = Reader {
            set: self,
            parsed: Parsed::defaults(self),
        };
        let read = texts(args, self.dashes).and_then(|args| reader.read(&args));
        match read.and_then(|()| reader.read_env(env)) {
            Ok(()) => self.answer_version(reader.parsed),
            Err(Stop::Help) => Err(Exit {
                code: 0,
                stdout: String::new(),
                stderr: self.usage(super::help::terminal_width()),
            }),
            Err(Stop::Error(error)) => Err(Exit {
                code: 2,
                stdout: String::new(),
                stderr: self.complaint(&error),
            }),
        }
    }

    /// The error first, where programs look for it, and again below the usage,
    /// where people do.
    fn complaint(&self, error: &str) -> String {
        let usage = self.usage(super::help::terminal_width());
        let again = if self.dashes == Dashes::Go { "" } else { error };
        let hint = self
            .hint(error)
            .map(|name| format!("did you mean --{name}?\n"))
            .unwrap_or_default();
        let gap = if again.is_empty() && hint.is_empty() {
            ""
        } else {
            "\n"
        };
        let end = if again.is_empty() { "" } else { "\n" };
        format!("{error}\n{usage}{gap}{again}{end}{hint}")
    }

    fn answer_version(&self, parsed: Parsed) -> Result<Parsed, Exit> {
        let print = |stdout| {
            Err(Exit {
                code: 0,
                stdout,
                stderr: String::new(),
            })
        };
        if self.versioned && parsed.boolean("version") {
            return print(format!("{}\n", crate::VERSION));
        }
        if self.versioned && parsed.boolean("build-info") {
            return print(crate::build_info());
        }
        Ok(parsed)
    }
}

/// The arguments as text, with the dashes that the rule adds.
fn texts(args: impl Iterator<Item = OsString>, dashes: Dashes) -> Result<Vec<String>, Stop> {
    args.map(|arg| {
        let text = arg.into_string().map_err(|arg| {
            Stop::Error(format!(
                "argument {} is not UTF-8 text",
                quoted(&arg.to_string_lossy())
            ))
        })?;
        let single = text.len() > 2 && text.starts_with('-') && !text.starts_with("--");
        Ok(if dashes == Dashes::Doubling && single {
            format!("-{text}")
        } else {
            text
        })
    })
    .collect()
}

struct Reader<'a> {
    set: &'a FlagSet,
    parsed: Parsed,
}

impl Reader<'_> {
    fn read(&mut self, args: &[String]) -> Result<(), Stop> {
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            match (arg, self.set.dashes) {
                ("--", _) => return Ok(()),
                (arg, Dashes::Go) if arg == "-" || !arg.starts_with('-') => return Ok(()),
                (arg, Dashes::Go) => self.read_go(arg, &mut args)?,
                (arg, _) if arg.starts_with("--") => self.read_long(arg, &mut args)?,
                (arg, _) if arg.len() > 1 && arg.starts_with('-') => return Err(shorthand(arg)),
                _ => {}
            }
        }
        Ok(())
    }

    /// `--name=value`, `--name value` or `--switch`.
    fn read_long<'t>(
        &mut self,
        arg: &'t str,
        more: &mut impl Iterator<Item = &'t str>,
    ) -> Result<(), Stop> {
        let body = &arg[2..];
        if body.is_empty() || body.starts_with(['-', '=']) {
            return Err(Stop::Error(format!("bad flag syntax: {arg}")));
        }
        let (name, text) = split(body);
        let Some(flag) = self.set.find(name) else {
            return Err(if name == "help" {
                Stop::Help
            } else {
                Stop::Error(format!("unknown flag: --{name}"))
            });
        };
        let text = match text {
            Some(text) => text,
            None if flag.is_switch() => "true",
            None => more
                .next()
                .ok_or_else(|| Stop::Error(format!("flag needs an argument: --{name}")))?,
        };
        self.set_flag(flag, text).map_err(|error| {
            Stop::Error(format!(
                "invalid argument {} for \"--{name}\" flag: {}",
                quoted(text),
                error.text
            ))
        })
    }

    /// As above with one dash or two, and the messages of Go's flag package.
    fn read_go<'t>(
        &mut self,
        arg: &'t str,
        more: &mut impl Iterator<Item = &'t str>,
    ) -> Result<(), Stop> {
        let body = arg
            .strip_prefix("--")
            .or_else(|| arg.strip_prefix('-'))
            .unwrap_or(arg);
        if body.is_empty() || body.starts_with(['-', '=']) {
            return Err(Stop::Error(format!("bad flag syntax: {arg}")));
        }
        let (name, text) = split(body);
        let Some(flag) = self.set.find(name) else {
            return Err(match name {
                "help" | "h" => Stop::Help,
                _ => Stop::Error(format!("flag provided but not defined: -{name}")),
            });
        };
        let text = match text {
            Some(text) => text,
            None if flag.is_switch() => "true",
            None => more
                .next()
                .ok_or_else(|| Stop::Error(format!("flag needs an argument: -{name}")))?,
        };
        self.set_flag(flag, text).map_err(|error| {
            let (boolean, link) = if flag.is_switch() {
                ("boolean ", "")
            } else {
                ("", "flag ")
            };
            let text = quoted(text);
            Stop::Error(format!(
                "invalid {boolean}value {text} for {link}-{name}: {}",
                error.brief()
            ))
        })
    }

    fn set_flag(&mut self, flag: &Flag, text: &str) -> Result<(), value::Error> {
        let read = value::read(flag.kind, text)?;
        // Every flag of the table has an entry.
        let Some(entry) = self.parsed.values.get_mut(flag.name) else {
            return Ok(());
        };
        match (&mut entry.value, read) {
            (Value::List(items), Value::List(more)) if entry.given => items.extend(more),
            (value, read) => *value = read,
        }
        if let (Some(message), false) = (flag.deprecated, entry.given) {
            let notice = format!("Flag --{} has been deprecated, {message}", flag.name);
            self.parsed.notices.push(notice);
        }
        entry.given = true;
        Ok(())
    }

    fn read_env(&mut self, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Stop> {
        for flag in self.set.iter() {
            let Some(variable) = flag.env else { continue };
            let Some(entry) = self
                .parsed
                .values
                .get_mut(flag.name)
                .filter(|entry| !entry.given)
            else {
                continue;
            };
            let Some(text) = env(variable).filter(|text| !text.is_empty()) else {
                continue;
            };
            entry.value = value::from_env(flag.kind, &text).map_err(|error| {
                let text = quoted(&text);
                Stop::Error(format!(
                    "invalid value {text} of environment variable {variable}: {}",
                    error.text
                ))
            })?;
        }
        Ok(())
    }
}

fn split(body: &str) -> (&str, Option<&str>) {
    match body.split_once('=') {
        Some((name, text)) => (name, Some(text)),
        None => (body, None),
    }
}

/// No process has one-letter flags, but `-h` asks for help.
fn shorthand(arg: &str) -> Stop {
    let letters = &arg[1..];
    match letters.bytes().next() {
        Some(b'h') => Stop::Help,
        // Go takes a single byte here, whatever character it belongs to.
        first => {
            let letter = first.map(char::from).unwrap_or_default();
            Stop::Error(format!(
                "unknown shorthand flag: {} in -{letters}",
                go_char(letter)
            ))
        }
    }
}

fn go_char(c: char) -> String {
    match c {
        '\'' => r"'\''".into(),
        '"' => "'\"'".into(),
        c => {
            let text = quoted(c.encode_utf8(&mut [0; 4]));
            format!("'{}'", &text[1..text.len() - 1])
        }
    }
}
