//! The loader over real folders and components.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

struct Sidecar {
    folder: TempDir,
    tasks: Tasks,
}

impl Sidecar {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            tasks: Tasks::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaced in one step, as an editor or a mounted volume does.
    fn write(&self, name: &str, text: &str) {
        let new = self.folder.path().join(format!(".{name}.new.yml.tmp"));
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    fn start(&self) -> Result<Loader, String> {
        self.start_with(&[], true)
    }

    fn start_with(&self, denied: &[&str], hot_reload: bool) -> Result<Loader, String> {
        let mut registry = Registry::default();
        components_all::register(&mut registry);
        let options = Options {
            folders: vec![self.folder.path().to_owned()],
            configurations: Vec::new(),
            app_id: "app".into(),
            namespace: String::new(),
            denied: denied.iter().map(|d| (*d).to_owned()).collect(),
            registry: Arc::new(registry),
            pipelines: Vec::new(),
            reconcile: Duration::from_secs(60),
            hot_reload,
            app_concurrency: None,
            env: Arc::new(|_| None),
            counts: None,
        };
        start(options, &self.tasks)
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

fn component(kind: &str, name: &str, rest: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: {kind}\n  version: v1\n{rest}"
    )
}

fn sqlite(path: &Path) -> String {
    let rest = format!(
        "  metadata:\n  - {{name: connectionString, value: {:?}}}\n",
        path.display().to_string()
    );
    component("state.sqlite", "store", &rest)
}

/// A store whose database is named by a secret of a file.
fn sqlite_by_secret() -> String {
    let rest = "  metadata:\n  - name: connectionString\n    secretKeyRef: {name: db, key: db}\nauth:\n  secretStore: file\n";
    component("state.sqlite", "store", rest)
}

fn file_store(path: &Path) -> String {
    let rest = format!(
        "  metadata:\n  - {{name: secretsFile, value: {:?}}}\n",
        path.display().to_string()
    );
    component("secretstores.local.file", "file", &rest)
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + LIMIT;
    while !holds().await {
        assert!(tokio::time::Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn loaded(loader: &Loader) -> Result<(), String> {
    tokio::time::timeout(LIMIT, loader.loaded()).await.unwrap()
}

fn names(loader: &Loader) -> Vec<String> {
    let all = loader.inventory.components();
    all.into_iter().map(|c| c.name).collect()
}

#[tokio::test]
async fn a_call_waits_for_a_store_that_is_opening() {
    let sidecar = Sidecar::new();
    sidecar.write("a.yaml", &component("state.in-memory", "store", ""));
    let loader = sidecar.start().unwrap();
    assert!(!loader.state.is_empty());
    assert!(loader.state.wait("store").await.is_some());
    assert!(loader.state.wait("other").await.is_none());
    loaded(&loader).await.unwrap();
    assert_eq!(names(&loader), ["store"]);
}

#[tokio::test]
async fn a_component_that_fails_ends_the_start_with_upstreams_text() {
    let sidecar = Sidecar::new();
    sidecar.write("a.yaml", &component("state.nothing", "bad", ""));
    let loader = sidecar.start().unwrap();
    let title = "bad (state.nothing/v1)";
    assert_eq!(
        loaded(&loader).await.unwrap_err(),
        format!(
            "process component bad error: [INIT_COMPONENT_FAILURE]: initialization error occurred for {title}: \
             [CREATE_COMPONENT_FAILURE]: initialization error occurred for {title}: \
             couldn't find state store state.nothing/v1"
        )
    );
}

#[tokio::test]
async fn one_that_says_so_is_ignored_and_a_denied_one_left_out() {
    let sidecar = Sidecar::new();
    sidecar.write(
        "a.yaml",
        &component("state.nothing", "bad", "  ignoreErrors: true\n"),
    );
    sidecar.write("b.yaml", &component("state.in-memory", "denied", ""));
    sidecar.write("c.yaml", &component("secretstores.local.env", "env", ""));
    let loader = sidecar.start_with(&["state.in-memory"], true).unwrap();
    loaded(&loader).await.unwrap();
    assert_eq!(names(&loader), ["env"]);
}

#[tokio::test]
async fn stores_that_refer_to_each_other_do_not_hold_up_the_start() {
    let rest = |store: &str| {
        format!(
            "  metadata:\n  - name: prefix\n    secretKeyRef: {{name: x}}\nauth:\n  secretStore: {store}\n"
        )
    };
    let sidecar = Sidecar::new();
    sidecar.write(
        "a.yaml",
        &component("secretstores.local.env", "a", &rest("b")),
    );
    sidecar.write(
        "b.yaml",
        &component("secretstores.local.env", "b", &rest("a")),
    );
    let loader = sidecar.start().unwrap();
    loaded(&loader).await.unwrap();
    assert_eq!(names(&loader), Vec::<String>::new());
}

#[tokio::test]
async fn files_are_added_changed_and_removed_live() {
    let sidecar = Sidecar::new();
    let loader = sidecar.start().unwrap();
    loaded(&loader).await.unwrap();
    sidecar.write("s.yaml", &component("state.in-memory", "store", ""));
    eventually("added", async || loader.state.get("store").is_some()).await;
    let first = loader.state.get("store").unwrap();
    sidecar.write("s.yaml", &sqlite(&sidecar.path("one.db")));
    eventually("swapped", async || {
        loader
            .inventory
            .components()
            .iter()
            .any(|c| c.kind == "state.sqlite")
    })
    .await;
    assert!(!Arc::ptr_eq(&first, &loader.state.get("store").unwrap()));
    fs::remove_file(sidecar.path("s.yaml")).unwrap();
    eventually("removed", async || loader.state.is_empty()).await;
    assert_eq!(names(&loader), Vec::<String>::new());
}

#[tokio::test]
async fn a_change_that_makes_no_difference_opens_nothing_again() {
    let sidecar = Sidecar::new();
    sidecar.write("s.yaml", &component("state.in-memory", "store", ""));
    let loader = sidecar.start().unwrap();
    loaded(&loader).await.unwrap();
    let first = loader.state.get("store").unwrap();
    let labelled = component("state.in-memory", "store", "")
        .replace("  name: store\n", "  name: store\n  labels: {a: b}\n");
    sidecar.write("s.yaml", &labelled);
    sidecar.write("t.yaml", &component("state.in-memory", "other", ""));
    eventually("the other is there", async || {
        loader.state.get("other").is_some()
    })
    .await;
    assert!(Arc::ptr_eq(&first, &loader.state.get("store").unwrap()));
}

#[tokio::test]
async fn a_bad_change_ends_the_sidecar() {
    let sidecar = Sidecar::new();
    let loader = sidecar.start().unwrap();
    loaded(&loader).await.unwrap();
    sidecar.write("s.yaml", &component("nonsense", "x", ""));
    let ended = tokio::time::timeout(LIMIT, loader.ended()).await.unwrap();
    assert_eq!(
        ended.unwrap_err(),
        "process component x error: incorrect type nonsense"
    );
}

#[tokio::test]
async fn what_is_read_at_start_only_asks_for_a_restart() {
    let sidecar = Sidecar::new();
    let loader = sidecar.start().unwrap();
    loaded(&loader).await.unwrap();
    sidecar.write(
        "r.yaml",
        "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: r}\nspec: {policies: {}, targets: {}}\n",
    );
    tokio::time::timeout(LIMIT, loader.ended())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn nothing_is_watched_when_hot_reload_is_off() {
    let sidecar = Sidecar::new();
    let loader = sidecar.start_with(&[], false).unwrap();
    loaded(&loader).await.unwrap();
    eventually("the loader is done", async || {
        sidecar.tasks.running().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_component_follows_its_secret_and_survives_a_bad_one() {
    let sidecar = Sidecar::new();
    let secrets = sidecar.path("secrets.json");
    let secret = |file: &Path| {
        fs::write(
            &secrets,
            format!("{{\"db\": {:?}}}", file.display().to_string()),
        )
        .unwrap()
    };
    let (one, two) = (sidecar.path("one.db"), sidecar.path("two.db"));
    secret(&one);
    sidecar.write("f.yaml", &file_store(&secrets));
    sidecar.write("s.yaml", &sqlite_by_secret());
    let loader = sidecar.start().unwrap();
    loaded(&loader).await.unwrap();
    let first = loader.state.get("store").unwrap();
    let same = || Arc::ptr_eq(&first, &loader.state.get("store").unwrap());
    fs::write(&secrets, "{}").unwrap();
    eventually("the secret is gone", async || {
        let file = loader.secrets.get("file").unwrap();
        file.component().get("db", &BTreeMap::new()).await.is_err()
    })
    .await;
    assert!(one.exists() && same());
    secret(&two);
    eventually("the second database", async || two.exists() && !same()).await;
}

#[tokio::test]
async fn a_store_and_what_refers_to_it_change_together() {
    let sidecar = Sidecar::new();
    let (old, new) = (sidecar.path("old.json"), sidecar.path("new.json"));
    let two = sidecar.path("two.db");
    let text = |file: &Path| format!("{{\"db\": {:?}}}", file.display().to_string());
    fs::write(&old, text(&sidecar.path("one.db"))).unwrap();
    fs::write(&new, text(&two)).unwrap();
    let both = |file: &Path| format!("{}---\n{}", sqlite_by_secret(), file_store(file));
    sidecar.write("all.yaml", &both(&old));
    let loader = sidecar.start().unwrap();
    loaded(&loader).await.unwrap();
    sidecar.write("all.yaml", &both(&new));
    eventually("the second database", async || two.exists()).await;
    assert!(loader.state.get("store").is_some());
}

#[tokio::test]
async fn a_mounted_volume_swaps_all_files_by_one_link() {
    use std::os::unix::fs::symlink;
    let sidecar = Sidecar::new();
    for (version, name) in [("..v1", "first"), ("..v2", "second")] {
        fs::create_dir(sidecar.path(version)).unwrap();
        let text = component("state.in-memory", name, "");
        fs::write(sidecar.path(version).join("s.yaml"), text).unwrap();
    }
    symlink("..v1", sidecar.path("..data")).unwrap();
    symlink("..data/s.yaml", sidecar.path("s.yaml")).unwrap();
    let loader = sidecar.start().unwrap();
    loaded(&loader).await.unwrap();
    assert_eq!(names(&loader), ["first"]);
    symlink("..v2", sidecar.path("..data_tmp")).unwrap();
    fs::rename(sidecar.path("..data_tmp"), sidecar.path("..data")).unwrap();
    eventually("the second", async || names(&loader) == ["second"]).await;
    assert!(loader.state.get("first").is_none());
}

#[tokio::test]
async fn two_components_of_one_name_and_a_missing_folder_end_the_start() {
    let sidecar = Sidecar::new();
    sidecar.write("a.yaml", &component("state.in-memory", "store", ""));
    sidecar.write("b.yaml", &component("state.x", "store", ""));
    assert_eq!(
        sidecar.start().err().unwrap(),
        "failed to load components: duplicate definition of Component name store (state.x/v1) \
         with existing store (state.in-memory/v1)"
    );
    fs::remove_dir_all(sidecar.folder.path()).unwrap();
    assert_eq!(
        sidecar.start().err().unwrap(),
        format!(
            "failed to load components: open {}: no such file or directory",
            sidecar.folder.path().display()
        )
    );
}
