//! `dapr invoke` against an application.

use std::fs;

use rustix::process::Signal;
use testkit::{App, DEADLINE, Response};

use crate::tool::{dapr, home, id, run, text};

// The application answers while this waits for the tool.
#[tokio::test(flavor = "multi_thread")]
async fn verbs_data_and_answers_pass_unchanged() {
    let Some(home) = home() else { return };
    let home = home.path();
    let answer = |request: &testkit::Recorded| match request.path.as_str() {
        "/bytes" => Response::ok(vec![0xff, 0x00, 0xfe]),
        "/moved" => Response::status(304),
        "/refused" => Response::ok("not today").with_status(409),
        _ => Response::ok(""),
    };
    let app = App::start(answer).await.expect("starts");
    let app_id = id("invoked");
    let port = app.port().to_string();
    let mut run = run(home, &["-a", &app_id, "-p", &port]);
    run.wait_line("You're up and running!", DEADLINE).await;
    let invoke = |args: &[&str]| dapr(home, &[["invoke", "-a", &app_id].as_slice(), args].concat());

    fs::write(home.join("data.json"), "{\"from\": \"file\"}").expect("written");
    let check = |args: &[&str], verb: &str, target: &str, body: &str| {
        let output = invoke(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output));
        assert!(
            text(&output).contains("App invoked successfully"),
            "{}",
            text(&output)
        );
        let seen = app.requests().pop().expect("it was called");
        let query = if seen.query.is_empty() {
            String::new()
        } else {
            format!("?{}", seen.query)
        };
        assert_eq!(
            (
                seen.method.as_str(),
                format!("{}{query}", seen.path).as_str()
            ),
            (verb, target)
        );
        assert_eq!(seen.body, body.as_bytes(), "{args:?}");
        assert_eq!(seen.header("content-type"), "application/json", "{args:?}");
    };
    check(&["-m", "orders"], "POST", "/orders", "");
    check(
        &["-m", "orders", "-d", "{\"a\": 1}"],
        "POST",
        "/orders",
        "{\"a\": 1}",
    );
    check(
        &["-m", "orders", "-f", "data.json", "-v", "put"],
        "PUT",
        "/orders",
        "{\"from\": \"file\"}",
    );
    check(
        &["-m", "a/b?x=1&y=%20", "-v", "GET"],
        "GET",
        "/a/b?x=1&y=%20",
        "",
    );
    check(&["-m", "a b", "-v", "GET"], "GET", "/a%20b", "");
    check(&["-m", "moved", "--verb", "DELETE"], "DELETE", "/moved", "");

    let bytes = invoke(&["-m", "bytes"]);
    assert!(
        bytes.stdout.starts_with(&[0xff, 0x00, 0xfe, b'\n']),
        "{:?}",
        bytes.stdout
    );

    let fails = |args: &[&str], code: i32, part: &str| {
        let output = invoke(args);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}",
            text(&output)
        );
        assert!(text(&output).contains(part), "{args:?}: {}", text(&output));
    };
    fails(&["-m", "refused"], 1, "409 Conflict: not today");
    fails(
        &["-m", "x", "-d", "1", "-f", "data.json"],
        1,
        "only one of --data and --data-file",
    );
    fails(
        &["-m", "x", "-f", "gone.json"],
        1,
        "error reading payload from gone.json",
    );
    fails(&["-m", "x", "-v", "NO VERB"], 1, "is not an HTTP verb");
    fails(&["-d", "1"], 255, "--method");
    run.signal(Signal::TERM);
    run.wait(DEADLINE).await.expect("ends");
}
