//! Lines as they come out, with the time cut to a fixed text.

use std::fs;

use expect_test::{Expect, expect};
use tracing_subscriber::registry;

use super::*;

/// A logger into a file, and what it wrote after `work`.
fn logged(level: &str, json: bool, work: impl FnOnce(&Handle)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let options = Options {
        json,
        app_id: Some("myapp".into()),
        ..Options::default()
    };
    let mut logger = Logger::new(&options)
        .with_level(level.parse().unwrap())
        .with_file(path.to_str().unwrap())
        .unwrap();
    logger.origin.instance = "host-1".into();
    let logger = Arc::new(ArcSwap::from_pointee(logger));
    let lines = layer::Lines {
        logger: logger.clone(),
    };
    tracing::subscriber::with_default(registry().with(lines), || {
        tracing::callsite::rebuild_interest_cache();
        work(&Handle {
            logger,
            configured: Level::Info,
        });
    });
    without_time(&fs::read_to_string(path).unwrap())
}

/// Replaces the time of every line, whose form has a test of its own.
fn without_time(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let (mark, rest) = match line.split_once("time=\"") {
            Some((_, rest)) => ("time=\"", rest),
            None => ("\"time\":\"", line.split_once("\"time\":\"").unwrap().1),
        };
        let (before, after) = (&line[..line.len() - rest.len()], rest.split_once('"'));
        assert!(before.ends_with(mark));
        out.push_str(&format!("{before}T\"{}\n", after.unwrap().1));
    }
    out
}

fn check(json: bool, work: impl FnOnce(), expected: &Expect) {
    expected.assert_eq(&logged("debug", json, |_| work()));
}

fn samples() {
    tracing::info!(target: "dapr.runtime", "app id: myapp");
    tracing::warn!(target: "dapr.runtime.http", code = 500, duration = 1.5, ok = false, "said \"no\"\nand left <&>");
    tracing::error!(target: "dapr.runtime", component = "state (state.redis/v1)", empty = "");
    tracing::debug!(target: "dapr.runtime", level = "high", "Loading components…");
    tracing::info!(target: "dapr.operator", scope = %format_args!("dapr.operator.{}", "x"), "named at run time");
}

#[test]
fn text_lines_have_upstreams_shape() {
    check(
        false,
        samples,
        &expect![[r#"
            time="T" level=info msg="app id: myapp" app_id=myapp instance=host-1 scope=dapr.runtime type=log ver=1.18.3
            time="T" level=warning msg="said \"no\"\nand left <&>" app_id=myapp code=500 duration=1.5 instance=host-1 ok=false scope=dapr.runtime.http type=log ver=1.18.3
            time="T" level=error app_id=myapp component="state (state.redis/v1)" empty= instance=host-1 scope=dapr.runtime type=log ver=1.18.3
            time="T" level=debug msg="Loading components…" app_id=myapp fields.level=high instance=host-1 scope=dapr.runtime type=log ver=1.18.3
            time="T" level=info msg="named at run time" app_id=myapp instance=host-1 scope=dapr.operator.x type=log ver=1.18.3
        "#]],
    );
}

#[test]
fn json_lines_have_upstreams_shape() {
    check(
        true,
        samples,
        &expect![[r#"
            {"app_id":"myapp","instance":"host-1","level":"info","msg":"app id: myapp","scope":"dapr.runtime","time":"T","type":"log","ver":"1.18.3"}
            {"app_id":"myapp","code":500,"duration":1.5,"instance":"host-1","level":"warning","msg":"said \"no\"\nand left \u003c\u0026\u003e","ok":false,"scope":"dapr.runtime.http","time":"T","type":"log","ver":"1.18.3"}
            {"app_id":"myapp","component":"state (state.redis/v1)","empty":"","instance":"host-1","level":"error","msg":"","scope":"dapr.runtime","time":"T","type":"log","ver":"1.18.3"}
            {"app_id":"myapp","fields.level":"high","instance":"host-1","level":"debug","msg":"Loading components…","scope":"dapr.runtime","time":"T","type":"log","ver":"1.18.3"}
            {"app_id":"myapp","instance":"host-1","level":"info","msg":"named at run time","scope":"dapr.operator.x","time":"T","type":"log","ver":"1.18.3"}
        "#]],
    );
}

#[test]
fn a_terminal_gets_colours_and_padding() {
    let mut fields = Fields::default();
    fields.message.push_str("app id: myapp");
    let origin = Origin {
        app_id: None,
        instance: "host-1".into(),
        version: "1.18.3".into(),
    };
    let mut out = String::new();
    line::push(
        &mut out,
        Format::Terminal,
        Level::Warn,
        "dapr.runtime",
        &origin,
        &mut fields,
    );
    let seconds = out.find('[').and_then(|_| out.find("m[")).unwrap();
    let (head, rest) = out.split_at(seconds + 2);
    assert_eq!(head, "\x1b[33mWARN\x1b[0m[");
    let (number, rest) = rest.split_once("] ").unwrap();
    assert!(
        number.len() == 4 && number.parse::<u64>().is_ok(),
        "{number}"
    );
    let message = format!("{:<44} ", "app id: myapp");
    let fields = [
        "instance\x1b[0m=host-1",
        "scope\x1b[0m=dapr.runtime",
        "type\x1b[0m=log",
        "ver\x1b[0m=1.18.3",
    ];
    let fields: String = fields.iter().map(|f| format!(" \x1b[33m{f}")).collect();
    assert_eq!(rest, format!("{message}{fields}\n"));
}

#[test]
fn spans_lend_their_fields_at_any_level() {
    let text = logged("error", false, |_| {
        let span = tracing::info_span!(target: "dapr.contrib", "component", component = "a (b/v1)", late = tracing::field::Empty);
        let _entered = span.enter();
        span.record("late", 1);
        tracing::error!(target: "dapr.contrib", "lost");
        tracing::error!(target: "dapr.contrib", component = "own", "lost");
    });
    expect![[r#"
        time="T" level=error msg=lost app_id=myapp component="a (b/v1)" instance=host-1 late=1 scope=dapr.contrib type=log ver=1.18.3
        time="T" level=error msg=lost app_id=myapp component=own instance=host-1 late=1 scope=dapr.contrib type=log ver=1.18.3
    "#]]
    .assert_eq(&text);
}

#[test]
fn levels_decide_what_is_written_and_can_change() {
    let text = logged("warn", false, |handle| {
        let all = || {
            tracing::trace!(target: "dapr.runtime", "t");
            tracing::debug!(target: "dapr.runtime", "d");
            tracing::info!(target: "dapr.runtime", "i");
            tracing::warn!(target: "dapr.runtime", "w");
            tracing::info!(target: "dapr.runtime.http-info", "api");
            tracing::info!(target: "hyper", "foreign");
        };
        all();
        handle.set_level(Level::Debug);
        assert_eq!(handle.level(), Level::Debug);
        all();
    });
    let messages: Vec<_> = text
        .lines()
        .map(|line| {
            line.split_once(" msg=")
                .unwrap()
                .1
                .split(' ')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(messages, ["w", "api", "d", "i", "w", "api", "foreign"]);
}

#[test]
fn a_line_inside_a_line_has_buffers_of_its_own() {
    for _ in 0..2 {
        with_buffers(|fields, line| {
            assert!(fields.message.is_empty() && line.is_empty());
            fields.message.push_str("outer");
            with_buffers(|fields, _| {
                assert!(fields.message.is_empty());
                fields.message.push_str("inner");
            });
            assert_eq!(fields.message, "outer");
        });
    }
}

#[test]
fn options_that_cannot_be_followed_are_named() {
    assert_eq!(
        "loud".parse::<Level>().unwrap_err(),
        "invalid value for --log-level: loud"
    );
    let failed = Logger::new(&Options::default()).with_file("/nonexistent/log");
    assert_eq!(
        failed.err().unwrap(),
        "failed to open log file \"/nonexistent/log\": open /nonexistent/log: no such file or directory"
    );
}
