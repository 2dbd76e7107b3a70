//! Whole files in, resources and problems out.

use proptest::prelude::*;

use super::*;
use crate::Kind;

const STORE: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: statestore\nspec:\n  \
                     type: state.redis\n  version: v1\n  metadata:\n  - name: redisHost\n    value: localhost:6379\n";

/// Expected: each resource's kind and name, each problem's text.
fn check(text: &str, resources: &[&str], problems: &[&str]) {
    let loaded = parse_documents(text.as_bytes(), "a.yaml");
    let got: Vec<_> = loaded
        .resources
        .iter()
        .map(|r| format!("{} {}", r.resource.kind(), r.resource.meta().name))
        .collect();
    assert_eq!(got, resources, "{:?}", loaded.problems);
    let got: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(got.len(), problems.len(), "{got:?}");
    for (got, part) in got.iter().zip(problems) {
        assert!(got.contains(part), "{got:?} does not contain {part:?}");
    }
}

fn value(text: &str) -> String {
    let file = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: x}}\nspec:\n  metadata:\n  - name: v\n    {text}\n"
    );
    let loaded = parse_documents(file.as_bytes(), "a.yaml");
    match &loaded.resources[0].resource {
        Resource::Component(c) => c.spec.metadata[0].value.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn several_documents_and_foreign_kinds() {
    let text = format!(
        "# first\n---\n{STORE}--- # second\napiVersion: v1\nkind: Secret\n---\n{}",
        STORE.replace("statestore", "b")
    );
    check(&text, &["Component statestore", "Component b"], &[]);
    let loaded = parse_documents(text.as_bytes(), "a.yaml");
    assert_eq!(
        (loaded.resources[0].line, loaded.resources[0].document),
        (3, 0)
    );
    assert_eq!(
        (loaded.resources[1].line, loaded.resources[1].document),
        (17, 2)
    );
}

#[test]
fn a_bad_document_does_not_hide_the_others() {
    let broken =
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: x\nspec: [1, {\n";
    check(
        &format!("{broken}---\n{STORE}"),
        &["Component statestore"],
        &["a.yaml:"],
    );
    check("kind: [\n", &[], &["a.yaml:"]);
    check("just text", &[], &["a.yaml:1: "]);
}

#[test]
fn a_wrong_type_is_named_with_its_line_and_without_the_value() {
    let text = STORE.replace(
        "  version: v1\n",
        "  version: v1\n  ignoreErrors: {a: topsecret}\n",
    );
    check(&text, &[], &["a.yaml:8: Component \"statestore\": "]);
    let list = STORE.replace(
        "  - name: redisHost\n    value: localhost:6379\n",
        "    topsecret\n",
    );
    for text in [text, list] {
        let shown = parse_documents(text.as_bytes(), "a.yaml").problems[0].to_string();
        assert!(!shown.contains("topsecret"), "{shown}");
    }
}

#[test]
fn json_case_nulls_and_numbers_are_taken_as_upstream_takes_them() {
    check(
        r#"{"apiVersion": "dapr.io/v1alpha1", "Kind": "Component", "metadata": {"name": "j"}, "spec": {"type": "state.x"}}"#,
        &["Component j"],
        &[],
    );
    check(
        &STORE.replace(
            "  metadata:\n  - name: redisHost\n    value: localhost:6379\n",
            "  metadata:\n",
        ),
        &["Component statestore"],
        &[],
    );
    check(
        &STORE.replace("name: statestore", "name: 12"),
        &["Component 12"],
        &[],
    );
    check(
        &format!("{STORE}scopes:\nunknown: 1\n"),
        &["Component statestore"],
        &[],
    );
}

#[test]
fn values_become_texts() {
    for (yaml, expected) in [
        ("value: text", "text"),
        ("value: \"5\"", "5"),
        ("value: 5", "5"),
        ("value: 1.5", "1.5"),
        ("value: 2.0", "2"),
        ("value: true", "true"),
        ("value: yes", "true"),
        ("value: 'yes'", "yes"),
        ("value:", ""),
        ("value: null", ""),
        ("value: ''", ""),
        ("value: {b: 1, a: [x, true]}", r#"{"a":["x",true],"b":1}"#),
        ("value: |\n      two\n      lines", "two\nlines\n"),
        ("secretKeyRef: {name: s}", ""),
    ] {
        assert_eq!(value(yaml), expected, "{yaml}");
    }
}

#[test]
fn names_must_fit_into_a_path() {
    for name in ["a/b", "a%b", ".", "..", "''"] {
        check(
            &STORE.replace("statestore", name),
            &[],
            &["invalid metadata.name"],
        );
    }
}

#[test]
fn kinds_with_a_schema_are_held_against_it() {
    let server = |endpoint: &str| {
        format!(
            "apiVersion: dapr.io/v1alpha1\nkind: MCPServer\nmetadata: {{name: m}}\nspec:\n  endpoint: {endpoint}\n"
        )
    };
    check(&server("{stdio: {command: x}}"), &["MCPServer m"], &[]);
    check(
        &server("{}"),
        &[],
        &["exactly one of streamableHTTP, sse, or stdio must be set"],
    );
    check(&server("{sse: {url: ''}}"), &[], &["spec.endpoint.sse.url"]);
    let policy = |rule: &str| {
        format!(
            "apiVersion: dapr.io/v1alpha1\nkind: WorkflowAccessPolicy\nmetadata: {{name: p}}\nspec: {{rules: [{rule}]}}\n"
        )
    };
    check(
        &policy("{callers: [{appID: a}], activities: [{name: '*'}]}"),
        &["WorkflowAccessPolicy p"],
        &[],
    );
    check(
        &policy("{callers: [{appID: a}]}"),
        &[],
        &["at least one of workflows or activities must contain a rule"],
    );
    check(
        &policy("{callers: [{appID: a}], workflows: [{name: w, operations: [run]}]}"),
        &[],
        &["unsupported value \"run\""],
    );
}

#[test]
fn an_old_subscription_becomes_a_new_one() {
    let text = "apiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata: {name: s}\nspec: {topic: t, route: /r, pubsubname: p}\n";
    let loaded = parse_documents(text.as_bytes(), "a.yaml");
    let Resource::Subscription(s) = &loaded.resources[0].resource else {
        panic!()
    };
    assert_eq!(
        (s.spec.routes.default.as_str(), s.api_version.as_str()),
        ("/r", "dapr.io/v2alpha1")
    );
}

#[test]
fn sizes_aliases_depth_and_bytes_are_bounded() {
    let long = format!("{STORE}# {}\n", "x".repeat(MAX_DOCUMENT));
    check(&long, &[], &["larger than 64 KiB"]);
    check(
        &"a: 1\n---\n".repeat(MAX_DOCUMENTS + 1),
        &[],
        &["more than 1000 documents"],
    );
    let mut bomb = String::from("a0: &a0 [x, x]\n");
    for i in 1..40 {
        bomb += &format!("a{i}: &a{i} [*a{}, *a{}]\n", i - 1, i - 1);
    }
    check(&format!("{STORE}{bomb}"), &[], &["a.yaml:"]);
    check(&format!("a: {}", "[".repeat(10_000)), &[], &["a.yaml:"]);
    let loaded = parse_documents(b"kind: \xff", "a.yaml");
    assert_eq!(
        loaded.problems[0].to_string(),
        "a.yaml: byte 7 is not UTF-8; save the file as UTF-8"
    );
}

#[test]
fn folders_are_read_in_order_and_other_files_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    std::fs::create_dir(path.join("sub.yaml")).unwrap();
    for (name, text) in [
        ("b.yml", STORE),
        ("a.yaml", &STORE.replace("statestore", "a")),
        ("notes.txt", "x"),
    ] {
        std::fs::write(path.join(name), text).unwrap();
    }
    let loaded = read_folders(&[path]).unwrap();
    let names: Vec<_> = loaded
        .resources
        .iter()
        .map(|r| r.resource.meta().name.as_str())
        .collect();
    assert_eq!(names, ["a", "statestore"]);
    assert_eq!(loaded.problems.len(), 1);
    assert_eq!(loaded.problems[0].cause, Cause::NotYaml);
    let missing = read_folders(&[path.join("none")]).unwrap_err().to_string();
    assert_eq!(
        missing,
        format!(
            "open {}: no such file or directory",
            path.join("none").display()
        )
    );
}

#[test]
fn configurations_are_merged_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let one = write(
        "1.yaml",
        "spec:\n  tracing:\n    samplingRate: 1\n    otel: {headers: [a=b]}\n  metrics: {enabled: $ON}\n",
    );
    let two = write("2.yaml", "spec:\n  tracing:\n    samplingRate: \"0.5\"\n");
    let env = |name: &str| (name == "ON").then(|| "false".to_owned());
    let merged = read_configurations(&[one, two], &env).unwrap().spec;
    let tracing = merged.tracing.clone().unwrap();
    assert_eq!(tracing.sampling_rate, "0.5");
    assert_eq!(tracing.otel.unwrap().headers.0[0].name, "a");
    assert!(!merged.effective_metrics().is_enabled());
    let bad = write("3.yaml", "spec:\n  features: 5\n");
    let error = read_configurations(&[&bad], &env).unwrap_err();
    assert!(
        error.starts_with(&format!("{}:2: ", bad.display())),
        "{error}"
    );
    let error = read_configurations(&[dir.path().join("none")], &env).unwrap_err();
    assert!(
        error.starts_with("stat ") && error.ends_with(": no such file or directory"),
        "{error}"
    );
}

#[test]
fn debug_shows_no_values() {
    let loaded = parse_documents(STORE.as_bytes(), "a.yaml");
    let shown = format!("{loaded:?}");
    assert!(
        shown.contains("redisHost") && !shown.contains("6379"),
        "{shown}"
    );
}

#[test]
fn schemas_say_what_kubernetes_demands() {
    let schema = schemars::schema_for!(crate::ComponentSpec);
    assert_eq!(
        schema.get("required").unwrap(),
        &serde_json::json!(["metadata", "type", "version"])
    );
    assert_eq!(Kind::of("dapr.io/v1alpha1", "component"), None);
    assert_eq!(
        Kind::of("dapr.io/v2alpha1", "Subscription"),
        Some(Kind::Subscription)
    );
    assert_eq!(Kind::of("dapr.io/v2alpha1", "Component"), None);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        parse_documents(&bytes, "f.yaml");
    }

    #[test]
    fn any_text_is_survived(text in "[a-z:\\-\\[\\]{}&*!|>'\"#% \n\t,?]{0,300}") {
        parse_documents(text.as_bytes(), "f.yaml");
    }

    #[test]
    fn mutated_files_are_survived(edits in proptest::collection::vec((0usize..400, any::<u8>()), 1..8)) {
        let mut bytes = format!("{STORE}---\n{STORE}scopes: [a, b]\nauth:\n  secretStore: s\n").into_bytes();
        for (at, byte) in edits {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        parse_documents(&bytes, "f.yaml");
    }
}
