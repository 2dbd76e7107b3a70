//! From tracing's events to lines.
//!
//! The target of an event is its scope. Whether a callsite is enabled is
//! worked out once per level change and cached by tracing, so that a disabled
//! line costs one load and a branch.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fields::Fields;
use super::level::Level;
use super::{Logger, with_buffers};

pub(super) struct Lines {
    pub(super) logger: Arc<ArcSwap<Logger>>,
}

/// Which options a scope follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// All of them.
    Ours,
    /// API logging: at least level info.
    Api,
    /// Upstream creates these loggers before it has read its flags, so they
    /// keep to text on standard output at level info, without an app id.
    Detached,
    /// Other people's crates: a step quieter than ours.
    Foreign,
}

impl Rule {
    fn of(target: &str) -> Self {
        match target {
            "dapr.runtime.http-info" | "dapr.runtime.grpc.api-info" => Self::Api,
            "dapr.api" | "dapr.grpc.api" | "dapr.runtime.trace" => Self::Detached,
            _ if target.starts_with("dapr.operator.informer.") => Self::Detached,
            _ if target.starts_with("dapr") || target.starts_with("pluggable-components") => {
                Self::Ours
            }
            _ => Self::Foreign,
        }
    }

    /// The lowest level that is logged when the flags say `level`.
    fn lowest(self, level: Level) -> Level {
        match self {
            Self::Ours => level,
            Self::Api => level.min(Level::Info),
            Self::Detached => Level::Info,
            Self::Foreign if level == Level::Debug => Level::Info,
            Self::Foreign => level.max(Level::Warn),
        }
    }
}

/// Whether a scope follows none of the flags.
pub(super) fn is_detached(scope: &str) -> bool {
    Rule::of(scope) == Rule::Detached
}

impl Lines {
    fn allows(&self, metadata: &Metadata<'_>) -> bool {
        if *metadata.level() == tracing::Level::TRACE {
            return false;
        }
        let rule = Rule::of(metadata.target());
        if metadata.is_span() {
            // Spans only carry fields; our warnings need them at any level.
            return rule != Rule::Foreign && *metadata.level() <= tracing::Level::INFO;
        }
        Level::of(*metadata.level()) >= rule.lowest(self.logger.load().level())
    }
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.allows(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.allows(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Some scopes log at info whatever the level.
        Some(match self.logger.load().level() {
            Level::Debug => LevelFilter::DEBUG,
            _ => LevelFilter::INFO,
        })
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let mut newer = Fields::default();
        values.record(&mut newer);
        if let Some(span) = ctx.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            fields.replace(&newer);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let metadata = event.metadata();
        with_buffers(|fields, line| {
            event.record(fields);
            for span in ctx.event_scope(event).into_iter().flatten() {
                if let Some(outer) = span.extensions().get::<Fields>() {
                    fields.add_all(outer);
                }
            }
            self.logger.load().write(
                Level::of(*metadata.level()),
                metadata.target(),
                fields,
                line,
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_its_lowest_level() {
        let check = |target: &str, level: Level, expected: Level| {
            assert_eq!(
                Rule::of(target).lowest(level),
                expected,
                "{target} at {level}"
            );
        };
        check("dapr.runtime", Level::Info, Level::Info);
        check("dapr.runtime", Level::Fatal, Level::Fatal);
        check("pluggable-components-discovery", Level::Debug, Level::Debug);
        check("dapr.runtime.http-info", Level::Error, Level::Info);
        check("dapr.runtime.http-info", Level::Debug, Level::Debug);
        check("dapr.api", Level::Debug, Level::Info);
        check(
            "dapr.operator.informer.Component",
            Level::Fatal,
            Level::Info,
        );
        check("hyper::proto", Level::Debug, Level::Info);
        check("hyper::proto", Level::Info, Level::Warn);
        check("hyper::proto", Level::Error, Level::Error);
    }
}
