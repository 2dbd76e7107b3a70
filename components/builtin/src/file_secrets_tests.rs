use serde_json::json;

use super::*;

#[track_caller]
fn check(config: &Config, file: Value, expected: &Value) {
    let found = secrets(file, config).unwrap();
    let found: BTreeMap<_, _> = found
        .into_iter()
        .map(|(name, secret)| (name, secret.0))
        .collect();
    assert_eq!(serde_json::to_value(found).unwrap(), *expected);
}

#[test]
fn nested_names_are_joined() {
    let file = json!({"pw": "1", "root": {"token": "2", "list": ["3", {"x": 4}], "none": null, "on": true}});
    let flat = json!({
        "pw": {"pw": "1"}, "root:token": {"root:token": "2"}, "root:list:0": {"root:list:0": "3"},
        "root:list:1:x": {"root:list:1:x": "4"}, "root:none": {"root:none": "null"}, "root:on": {"root:on": "true"},
    });
    check(&Config::default(), file, &flat);
    let dots = Config {
        nested_separator: ".".into(),
        ..Config::default()
    };
    check(
        &dots,
        json!({"a": {"b": "c"}}),
        &json!({"a.b": {"a.b": "c"}}),
    );
}

#[test]
fn multi_valued_keeps_the_top_level() {
    let config = Config {
        multi_valued: true,
        ..Config::default()
    };
    let file = json!({"pw": "1", "root": {"token": "2", "in": {"x": "3"}}, "list": ["4"], "n": 5, "empty": {}});
    check(
        &config,
        file,
        &json!({"pw": {"pw": "1"}, "root": {"token": "2", "in:x": "3"}, "empty": {}}),
    );
}

struct File {
    dir: tempfile::TempDir,
}

impl File {
    fn with(text: &str) -> Self {
        let file = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        file.write(text);
        file
    }

    fn path(&self) -> String {
        self.dir.path().join("secrets.json").display().to_string()
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }

    async fn open(&self, multi_valued: bool) -> Result<FileSecrets> {
        let config = Config {
            secrets_file: self.path(),
            multi_valued,
            ..Config::default()
        };
        FileSecrets::open(config, Env::named("secrets")).await
    }
}

#[tokio::test]
async fn bad_files_are_named_without_their_text() {
    let refused = async |text: &str| {
        File::with(text)
            .open(false)
            .await
            .err()
            .unwrap()
            .to_string()
    };
    assert!(
        refused(r#""hunter2""#)
            .await
            .ends_with("must hold one JSON object")
    );
    let broken = refused(r#"{"pw": "hunter2""#).await;
    assert!(
        broken.contains("is not JSON: EOF") && !broken.contains("hunter2"),
        "{broken}"
    );
    let unset = FileSecrets::open(Config::default(), Env::named("secrets"))
        .await
        .err()
        .unwrap();
    assert_eq!(unset.to_string(), "missing local secrets file in metadata");
    let file = File::with("{}");
    std::fs::remove_file(file.path()).unwrap();
    let absent = file.open(false).await.err().unwrap().to_string();
    assert!(
        absent.contains("secrets.json\" cannot be read: No such file"),
        "{absent}"
    );
}

#[tokio::test]
async fn a_rotated_secret_is_seen_and_announced() {
    let file = File::with(r#"{"redis": {"password": "first"}}"#);
    let store = file.open(true).await.unwrap();
    let mut changes = store.changes().unwrap();
    let password =
        async || store.get("redis", &BTreeMap::new()).await.unwrap().0["password"].clone();
    assert_eq!(password().await, "first");

    let deadline = Duration::from_secs(20);
    file.write(r#"{"redis": {"password": "#);
    file.write(r#"{"redis": {"password": "second"}}"#);
    tokio::time::timeout(deadline, changes.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(password().await, "second");

    std::fs::remove_file(file.path()).unwrap();
    file.write(r#"{"redis": {"password": "third!"}}"#);
    tokio::time::timeout(deadline, changes.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(password().await, "third!");
}

#[tokio::test]
async fn it_conforms() {
    let file = File::with(r#"{"conf": "abcd", "other": {"a": "1", "b": "2"}}"#);
    let flat = conformance::secrets::Options {
        present: &[
            ("conf", &[("conf", "abcd")]),
            ("other:a", &[("other:a", "1")]),
        ],
        ..Default::default()
    };
    conformance::secrets::check(Arc::new(file.open(false).await.unwrap()), flat).await;
    let multi = conformance::secrets::Options {
        present: &[
            ("conf", &[("conf", "abcd")]),
            ("other", &[("a", "1"), ("b", "2")]),
        ],
        ..Default::default()
    };
    conformance::secrets::check(Arc::new(file.open(true).await.unwrap()), multi).await;
}
