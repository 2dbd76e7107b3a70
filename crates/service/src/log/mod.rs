//! Log lines in upstream's formats.
//!
//! Code logs through `tracing` with an explicit target, which becomes the
//! line's `scope`: `tracing::info!(target: "dapr.runtime", "app id: {id}")`.
//! Further fields of the event become fields of the line, as do those of the
//! spans around it (spans need a `dapr` target and level info or above). A
//! field called `scope` replaces the target, for scopes known only at run time.

mod clock;
mod fields;
mod layer;
mod level;
mod line;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use tracing_subscriber::layer::SubscriberExt;

use crate::flags::Parsed;
use crate::{net, quote};
use fields::Fields;
pub use level::Level;
use line::{Format, Origin};

/// What the flags say about logging.
#[derive(Clone, Debug)]
pub struct Options {
    /// The lowest level, as given: debug, info, warn, error or fatal.
    pub level: String,
    /// JSON lines instead of text.
    pub json: bool,
    /// The file to append to; empty means standard output.
    pub file: String,
    /// The app id, of a sidecar that has one.
    pub app_id: Option<String>,
    /// The version in every line.
    pub version: String,
}

impl Default for Options {
    fn default() -> Self {
        let level = "info".into();
        Self {
            level,
            json: false,
            file: String::new(),
            app_id: None,
            version: crate::VERSION.into(),
        }
    }
}

impl Options {
    /// The options in the flags that every process has.
    pub fn from_flags(parsed: &Parsed) -> Self {
        Self {
            level: parsed.string("log-level").into(),
            json: parsed.boolean("log-as-json"),
            file: parsed.string("log-file").into(),
            ..Self::default()
        }
    }
}

/// Changes logging while the process runs.
#[derive(Clone)]
pub struct Handle {
    logger: Arc<ArcSwap<Logger>>,
    /// The level of the flags.
    configured: Level,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("level", &self.level())
            .finish()
    }
}

impl Handle {
    /// The lowest level that is logged.
    pub fn level(&self) -> Level {
        self.logger.load().level()
    }

    /// Switches between debug and the level of the flags (info, when that is
    /// debug), and answers the level that holds now.
    pub fn toggle_debug(&self) -> Level {
        let level = match (self.level(), self.configured) {
            (Level::Debug, Level::Debug) => Level::Info,
            (Level::Debug, configured) => configured,
            _ => Level::Debug,
        };
        self.set_level(level);
        level
    }

    /// Changes the lowest level that is logged.
    pub fn set_level(&self, level: Level) {
        self.logger
            .load()
            .level
            .store(level as u8, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Where lines go until [`init`], and after it.
static LOGGER: LazyLock<Arc<ArcSwap<Logger>>> =
    LazyLock::new(|| Arc::new(ArcSwap::from_pointee(Logger::new(&Options::default()))));
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Starts logging; a later call replaces the options of an earlier one.
///
/// The error is the message of a fatal line: format and app id are in effect
/// when it is answered, so that [`fatal`] writes it the way the flags ask for.
pub fn init(options: &Options) -> Result<Handle, String> {
    LazyLock::force(&START);
    LOGGER.store(Arc::new(Logger::new(options)));
    let subscriber = tracing_subscriber::registry().with(layer::Lines {
        logger: LOGGER.clone(),
    });
    // It fails when an earlier call has set it, which is as well.
    let _ = tracing::subscriber::set_global_default(subscriber);
    let level: Level = options.level.parse()?;
    LOGGER.store(Arc::new(
        Logger::new(options)
            .with_level(level)
            .with_file(&options.file)?,
    ));
    tracing::callsite::rebuild_interest_cache();
    Ok(Handle {
        logger: LOGGER.clone(),
        configured: level,
    })
}

/// Starts logging as the flags say; a fatal line and the exit code when they
/// cannot be followed.
pub fn begin(parsed: &Parsed, scope: &str) -> Result<Handle, ExitCode> {
    init(&Options::from_flags(parsed)).map_err(|e| fatal(scope, &e))
}

/// Logs the reason why the process ends, and answers its exit code.
pub fn fatal(scope: &str, message: &str) -> ExitCode {
    write_now(Level::Fatal, scope, message, &[]);
    ExitCode::from(1)
}

/// The value of a field of [`api_log`].
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A text, quoted where the format asks for it.
    Text(&'a str),
    /// A number, also in JSON.
    Number(i64),
}

/// Logs an API call: level info whatever the level of the flags.
pub fn api_log(scope: &str, message: &str, fields: &[(&'static str, Value<'_>)]) {
    write_now(Level::Info, scope, message, fields);
}

fn write_now(level: Level, scope: &str, message: &str, values: &[(&'static str, Value<'_>)]) {
    with_buffers(|fields, line| {
        fields.message.push_str(message);
        for (name, value) in values {
            match value {
                Value::Text(text) => fields.add_text(name, text),
                Value::Number(number) => fields.add(name, true, |out| {
                    // Writing to a String cannot fail.
                    let _ = std::fmt::Write::write_fmt(out, format_args!("{number}"));
                }),
            }
        }
        LOGGER.load().write(level, scope, fields, line);
    });
}

/// The name of this machine, as the `instance` of every line has it.
pub fn hostname() -> String {
    let read = |path| {
        std::fs::read_to_string(path)
            .ok()
            .map(|text| text.trim().to_owned())
    };
    let found = read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname"));
    found
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_default()
}

fn seconds_since_start() -> u64 {
    START.elapsed().as_secs()
}

/// Runs `work` on this thread's buffers. A value that logs while it is being
/// formatted finds them taken, and gets new ones.
fn with_buffers(work: impl FnOnce(&mut Fields, &mut String)) {
    /// A line that was longer than this does not keep its memory.
    const KEEP: usize = 64 * 1024;
    thread_local! {
        static BUFFERS: Cell<(Fields, String)> = Cell::default();
    }
    // While a thread ends its buffers are gone, and every line gets new ones.
    let (mut fields, mut line) = BUFFERS.try_with(Cell::take).unwrap_or_default();
    work(&mut fields, &mut line);
    if line.capacity() <= KEEP {
        fields.clear();
        line.clear();
        let _ = BUFFERS.try_with(|buffers| buffers.set((fields, line)));
    }
}

struct Logger {
    format: Format,
    origin: Origin,
    level: AtomicU8,
    file: Option<File>,
}

impl Logger {
    /// A logger at level info on standard output.
    fn new(options: &Options) -> Self {
        let text = || {
            let people = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            if people {
                Format::Terminal
            } else {
                Format::Text
            }
        };
        Self {
            format: if options.json { Format::Json } else { text() },
            origin: Origin {
                app_id: options.app_id.clone().filter(|id| !id.is_empty()),
                instance: hostname(),
                version: options.version.clone(),
            },
            level: AtomicU8::new(Level::Info as u8),
            file: None,
        }
    }

    fn with_level(self, level: Level) -> Self {
        Self {
            level: AtomicU8::new(level as u8),
            ..self
        }
    }

    fn with_file(mut self, path: &str) -> Result<Self, String> {
        if path.is_empty() {
            return Ok(self);
        }
        let opened = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .open(path);
        let file = opened.map_err(|error| {
            format!(
                "failed to open log file {}: open {path}: {}",
                quote::quoted(path),
                net::reason(&error)
            )
        })?;
        self.file = Some(file);
        if self.format == Format::Terminal {
            self.format = Format::Text;
        }
        Ok(self)
    }

    fn level(&self) -> Level {
        Level::ALL[usize::from(self.level.load(Ordering::Relaxed))]
    }

    fn write(&self, level: Level, scope: &str, fields: &mut Fields, line: &mut String) {
        let detached = level != Level::Fatal && layer::is_detached(scope);
        if detached {
            let origin = Origin {
                app_id: None,
                ..self.origin.clone()
            };
            line::push(line, Format::Text, level, scope, &origin, fields);
        } else {
            line::push(line, self.format, level, scope, &self.origin, fields);
        }
        // One call per line: lines of several threads do not mix. There is
        // nowhere to report that logging failed.
        let _ = match (&self.file, detached) {
            (Some(file), false) => (&*file).write_all(line.as_bytes()),
            _ => std::io::stdout().lock().write_all(line.as_bytes()),
        };
    }
}
