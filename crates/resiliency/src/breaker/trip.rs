//! The condition that opens a breaker: the built-in one, or a CEL expression.

use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr};
use cel::{Context, Env, Program, Value};

use super::machine::Counts;

/// More consecutive failures than this open a breaker that has no condition.
const FAILURES: u64 = 5;
/// The longest expression that is read, in bytes.
const LONGEST: usize = 1024;
/// How deep brackets may be nested. The parser takes much stack for each, and
/// running out of it would end the process.
const NESTING: usize = 8;
/// How deep the tree of an expression may be, for the same reason.
const DEPTH: usize = 32;

/// Shared by all expressions, and made when the first one is compiled.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

#[derive(Clone, Default)]
pub(crate) enum Trip {
    #[default]
    ConsecutiveFailures,
    Expression(Arc<Program>),
}

impl Trip {
    /// Reads an expression; an empty one is the built-in condition.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > LONGEST {
            return Err(format!("longer than {LONGEST} bytes"));
        }
        if nesting(text) > NESTING {
            return Err(format!("brackets nested deeper than {NESTING}"));
        }
        let program = ENV.compile(text).map_err(|e| e.to_string())?;
        if !is_small(&program.expression().expr, DEPTH, false) {
            return Err("too many operators in a row, or loops in loops".into());
        }
        Ok(Self::Expression(Arc::new(program)))
    }

    /// Whether these counters open it. An expression that fails, or that gives
    /// anything but true, does not.
    pub(crate) fn is_met(&self, counts: &Counts) -> bool {
        match self {
            Self::ConsecutiveFailures => counts.consecutive_failures > FAILURES,
            Self::Expression(program) => {
                let mut context = Context::with_env(ENV.clone());
                for (name, count) in [
                    ("requests", counts.requests),
                    ("totalSuccesses", counts.total_successes),
                    ("totalFailures", counts.total_failures),
                    ("consecutiveSuccesses", counts.consecutive_successes),
                    ("consecutiveFailures", counts.consecutive_failures),
                ] {
                    let count = i64::try_from(count).unwrap_or(i64::MAX);
                    context.add_variable_from_value(name, count);
                }
                matches!(program.execute(&context), Ok(Value::Bool(true)))
            }
        }
    }
}

/// How deep brackets are nested, or more where a quoted text or a comment might
/// hold closing ones.
fn nesting(text: &str) -> usize {
    let all_close = !text.contains(['"', '\'']) && !text.contains("//");
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if all_close => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Whether evaluation takes little stack and, as no loop is in another, little time.
fn is_small(expr: &Expr, depth: usize, in_loop: bool) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    let small = |expr: &Expr| is_small(expr, depth, in_loop);
    let entry = |entry: &EntryExpr| match entry {
        EntryExpr::StructField(field) => small(&field.value.expr),
        EntryExpr::MapEntry(entry) => small(&entry.key.expr) && small(&entry.value.expr),
    };
    match expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => true,
        Expr::Call(call) => call
            .target
            .iter()
            .map(|it| &**it)
            .chain(&call.args)
            .all(|it| small(&it.expr)),
        Expr::List(list) => list.elements.iter().all(|it| small(&it.expr)),
        Expr::Map(map) => map.entries.iter().all(|it| entry(&it.expr)),
        Expr::Struct(it) => it.entries.iter().all(|it| entry(&it.expr)),
        Expr::Select(select) => small(&select.operand.expr),
        Expr::Comprehension(it) => {
            let parts = [
                &it.iter_range,
                &it.accu_init,
                &it.loop_cond,
                &it.loop_step,
                &it.result,
            ];
            !in_loop
                && parts
                    .into_iter()
                    .all(|part| is_small(&part.expr, depth, true))
        }
    }
}

impl fmt::Debug for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConsecutiveFailures => "consecutiveFailures > 5",
            Self::Expression(_) => "a CEL expression",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COUNTS: Counts = Counts {
        requests: 20,
        total_successes: 12,
        total_failures: 8,
        consecutive_successes: 0,
        consecutive_failures: 3,
    };

    #[test]
    fn expressions_see_the_counters() {
        for (text, expected) in [
            ("consecutiveFailures > 2", true),
            ("consecutiveFailures > 3", false),
            (
                "requests >= 20 && totalFailures * 100 / requests >= 40",
                true,
            ),
            ("totalSuccesses == 12 && consecutiveSuccesses == 0", true),
            ("totalFailures > 100 || totalFailures in [7, 8]", true),
            ("double(totalFailures) / double(requests) > 0.39", true),
            ("[totalFailures].exists(n, n > 7)", true),
            // What cannot be evaluated does not open it.
            ("unknown > 2", false),
            ("totalFailures / consecutiveSuccesses > 1", false),
            ("requests + 'a' == 'a'", false),
            ("requests", false),
            ("'true'", false),
            ("true", true),
        ] {
            assert_eq!(
                Trip::parse(text).unwrap().is_met(&COUNTS),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn the_built_in_condition_is_more_than_five_failures_in_a_row() {
        for (consecutive_failures, expected) in [(0, false), (5, false), (6, true), (7, true)] {
            let counts = Counts {
                consecutive_failures,
                ..COUNTS
            };
            assert_eq!(Trip::parse("").unwrap().is_met(&counts), expected);
        }
    }

    #[test]
    fn malformed_expressions_are_refused() {
        let deep = "(".repeat(2_000) + "1" + &")".repeat(2_000);
        let long = "1 + ".repeat(2_000) + "1 > 0";
        for text in [
            "consecutiveFailures >",
            "1 +* 2",
            "(",
            "'",
            " ",
            &deep,
            &long,
        ] {
            assert!(Trip::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC{0,60}|[a-z0-9<>=&|()+*/ .,'\\[\\]?:!-]{0,60}") {
            if let Ok(trip) = Trip::parse(&text) {
                let _ = trip.is_met(&COUNTS);
            }
        }
    }
}
