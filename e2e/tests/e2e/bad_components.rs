//! Components that cannot work: the sidecar says which, why, and where.

use e2e::{Sidecar, SidecarBuilder, component, component_with};
use testkit::{DEADLINE, free_port};

/// The sidecar ends with code 1 and a fatal line that holds all parts.
async fn check_fatal(builder: SidecarBuilder, parts: &[&str]) {
    let mut sidecar = builder.start();
    let code = sidecar.exit_code(DEADLINE).await.unwrap();
    let output = sidecar.output();
    assert_eq!(code, 1, "{output}");
    let fatal = sidecar.lines_with("level=fatal");
    assert_eq!(fatal.len(), 1, "{output}");
    for part in [&["Fatal error from runtime: "], parts].concat() {
        assert!(fatal[0].contains(part), "{part:?} is not in {}", fatal[0]);
    }
}

#[tokio::test]
async fn an_unknown_type_is_named() {
    let builder = Sidecar::builder("badtype").component("mystore", "state.does-not-exist", &[]);
    check_fatal(
        builder,
        &[
            "mystore (state.does-not-exist/v1)",
            "couldn't find state store state.does-not-exist/v1",
        ],
    )
    .await;
}

#[tokio::test]
async fn an_unknown_prefix_is_named() {
    let builder = Sidecar::builder("badprefix").component("thing", "bogus.thing", &[]);
    check_fatal(builder, &["thing", "incorrect type bogus.thing"]).await;
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_named_and_its_password_is_not() {
    let host = format!("127.0.0.1:{}", free_port());
    let builder = Sidecar::builder("noredis").component(
        "statestore",
        "state.redis",
        &[
            ("redisHost", host.as_str()),
            ("redisPassword", "s3cret-word"),
            ("redisMaxRetries", "1"),
        ],
    );
    let mut sidecar = builder.start();
    let code = sidecar.exit_code(2 * DEADLINE).await.unwrap();
    let output = sidecar.output();
    assert_eq!(code, 1, "{output}");
    let fatal = sidecar.lines_with("level=fatal").join("\n");
    assert!(fatal.contains("statestore (state.redis/v1)"), "{output}");
    assert!(!output.contains("s3cret-word"), "the password is logged");
}

#[tokio::test]
async fn a_missing_setting_is_named() {
    let builder = Sidecar::builder("nohost").component("statestore", "state.redis", &[]);
    check_fatal(builder, &["statestore (state.redis/v1)", "redisHost"]).await;
}

#[tokio::test]
async fn a_corrupt_sqlite_file_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let garbage = "this is no database ".repeat(500);
    std::fs::write(&path, &garbage).unwrap();
    let builder = Sidecar::builder("corrupt").component(
        "statestore",
        "state.sqlite",
        &[("connectionString", path.to_str().unwrap())],
    );
    check_fatal(
        builder,
        &["statestore (state.sqlite/v1)", "is not a SQLite database"],
    )
    .await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), garbage);
}

#[tokio::test]
async fn a_missing_secret_is_named() {
    let reference = "  - name: connectionString\n    secretKeyRef:\n      name: no-such\n      key: no-such\n\
                     auth:\n  secretStore: vault\n";
    let builder = Sidecar::builder("nosecret").file("secrets.json", r#"{"other": "value-1"}"#);
    let secrets = builder.folder().join("secrets.json");
    let sidecar = builder
        .component(
            "vault",
            "secretstores.local.file",
            &[("secretsFile", secrets.to_str().unwrap())],
        )
        .file(
            "statestore.yaml",
            component_with("statestore", "state.sqlite", &[], reference),
        )
        .start();
    sidecar
        .wait_line("secret no-such not found", DEADLINE)
        .await;
    assert!(!sidecar.output().contains("value-1"), "a secret is logged");
}

#[tokio::test]
async fn two_components_of_one_name_are_both_shown() {
    let builder = Sidecar::builder("twins")
        .file("a.yaml", component("store", "state.in-memory", &[]))
        .file("b.yaml", component("store", "pubsub.in-memory", &[]));
    check_fatal(
        builder,
        &[
            "failed to load components: ",
            "duplicate definition of Component name store (",
            "state.in-memory/v1",
            "pubsub.in-memory/v1",
        ],
    )
    .await;
}

#[tokio::test]
async fn ignore_errors_keeps_the_sidecar_running() {
    let bad = component("bad", "state.does-not-exist", &[])
        .replace("  version: v1\n", "  version: v1\n  ignoreErrors: true\n");
    let sidecar = Sidecar::builder("ignoring")
        .file("bad.yaml", bad)
        .component("statestore", "state.in-memory", &[])
        .start()
        .ready()
        .await;
    let metadata = sidecar.http().get("/v1.0/metadata").await.unwrap().json();
    assert_eq!(metadata["components"].as_array().unwrap().len(), 1);
    assert!(
        !sidecar
            .lines_with("Ignoring error processing component")
            .is_empty()
    );
}

#[tokio::test]
async fn files_that_are_no_resources_are_named_and_passed_over() {
    let sidecar = Sidecar::builder("badfiles")
        .file("broken.yaml", "apiVersion: dapr.io/v1alpha1\nspec: [1, {\n")
        .file("binary.yaml", [0xff_u8, 0xfe, 0x00, 0x80])
        .file("deep.yaml", format!("a: {}", "[".repeat(100_000)))
        .file("empty.yaml", "")
        .file("notes.txt", "not yaml at all: [")
        .component("statestore", "state.in-memory", &[])
        .start()
        .ready()
        .await;
    let metadata = sidecar.http().get("/v1.0/metadata").await.unwrap().json();
    assert_eq!(metadata["components"].as_array().unwrap().len(), 1);
    for file in ["broken.yaml", "binary.yaml", "deep.yaml"] {
        let lines = sidecar.lines_with(file);
        let warned = lines.iter().any(|line| line.contains("level=warning"));
        assert!(warned, "no warning names {file}:\n{}", sidecar.output());
    }
    let other = "A non-YAML Component file notes.txt was detected, it will not be loaded";
    assert!(
        !sidecar.lines_with(other).is_empty(),
        "{}",
        sidecar.output()
    );
}
