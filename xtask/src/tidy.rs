//! Rules of the repository that no compiler checks: who may use whom, names,
//! file lengths, and nothing that only exists on one machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

/// Who may use whom, by package name; `crates/*` stands for every crate there.
///
/// A package that is missing here fails the check, so that a new crate takes
/// its place in the table first. ARCHITECTURE.md shows the same table.
const MAY_USE: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("component", &[]),
    ("service", &[]),
    ("resources", &["schedule"]),
    ("k8s", &[]),
    ("link", &[]),
    ("schedule", &[]),
    (
        "actors",
        &[
            "proto",
            "component",
            "resiliency",
            "schedule",
            "security",
            "service",
        ],
    ),
    ("resiliency", &["resources"]),
    ("security", &["proto", "service"]),
    ("telemetry", &["resources", "service"]),
    ("builtin", &["component"]),
    ("sqlite", &["component"]),
    ("redis-components", &["component"]),
    ("postgres", &["component"]),
    ("vault", &["component"]),
    ("consul", &["component"]),
    ("components-all", &["component", "components/*"]),
    ("sidecar", &["crates/*", "components-all"]),
    ("cli", &["k8s", "resources", "proto", "security", "service"]),
    ("operator", &["k8s", "resources", "proto", "service"]),
    ("injector", &["resources", "proto", "service"]),
    (
        "placement",
        &["k8s", "link", "proto", "security", "service"],
    ),
    (
        "sentry",
        &["k8s", "link", "resources", "proto", "security", "service"],
    ),
    (
        "scheduler",
        &["k8s", "link", "proto", "schedule", "security", "service"],
    ),
    ("testkit", &[]),
    ("conformance", &["component"]),
    ("examples", &["proto"]),
    ("e2e", &["proto", "testkit"]),
    // Its entry points call the decoders of whoever has one.
    (
        "fuzz",
        &[
            "actors",
            "component",
            "placement",
            "proto",
            "resiliency",
            "resources",
            "schedule",
            "scheduler",
            "security",
            "sentry",
            "service",
            "sidecar",
            "telemetry",
        ],
    ),
    (
        "xtask",
        &[
            "component",
            "components-all",
            "proto",
            "resources",
            "security",
            "service",
            "testkit",
        ],
    ),
];

/// What only tests may use, whoever they belong to.
const FOR_TESTS: &[&str] = &["testkit", "conformance", "e2e"];

/// Crates that a package must not link, not even through others.
const MUST_NOT_LINK: &[(&str, &[&str])] = &[
    ("sidecar", &["kube", "k8s-openapi"]),
    ("builtin", &["hyper", "axum", "tonic"]),
];

const BANNED: &[&str] = &[
    "chrono",
    "native-tls",
    "openssl",
    "openssl-sys",
    "ring",
    "rsa",
];

/// Names that say nothing about what lives behind them.
const EMPTY_NAMES: &[&str] = &[
    "common", "context", "helper", "helpers", "manager", "types", "util", "utils",
];

const LONGEST_FILE: usize = 800;
const LONGEST_MAIN: usize = 60;

/// Files that may be longer, with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

// Put together here, so that this file does not contain what it looks for.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/fa", "rm/"),
];

/// Checks every rule and lists all violations.
pub(crate) fn run() -> anyhow::Result<()> {
    let metadata = Metadata::load()?;
    let mut faults = Vec::new();
    faults.extend(dependencies(&metadata));
    faults.extend(links()?);
    let root = Path::new(&metadata.workspace_root);
    for file in tracked_files(root)? {
        // A file that was deleted but not yet committed has no text to check.
        if let Ok(text) = std::fs::read_to_string(root.join(&file)) {
            faults.extend(file_faults(&file, &text));
        }
    }
    if !faults.is_empty() {
        bail!("{} faults:\n  {}", faults.len(), faults.join("\n  "));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    workspace_root: String,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

impl Metadata {
    fn load() -> anyhow::Result<Self> {
        let text = cargo(&["metadata", "--format-version", "1", "--no-deps"])?;
        serde_json::from_str(&text).context("cargo metadata printed something new")
    }

    fn members(&self) -> impl Iterator<Item = &Package> {
        let ours = |package: &&Package| self.workspace_members.contains(&package.id);
        self.packages.iter().filter(ours)
    }

    /// A member's folder below the root, for example `crates/proto`.
    fn folder<'a>(&self, package: &'a Package) -> &'a str {
        let path = package.manifest_path.strip_prefix(&self.workspace_root);
        path.unwrap_or(&package.manifest_path)
            .trim_start_matches('/')
            .trim_end_matches("/Cargo.toml")
    }
}

fn dependencies(metadata: &Metadata) -> Vec<String> {
    let folders: BTreeMap<_, _> = metadata
        .members()
        .map(|package| (package.name.as_str(), metadata.folder(package)))
        .collect();
    let mut faults = Vec::new();
    for package in metadata.members() {
        if EMPTY_NAMES.contains(&package.name.as_str()) {
            faults.push(format!(
                "crate {:?}: name it for what it does",
                package.name
            ));
        }
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == package.name) else {
            let name = &package.name;
            faults.push(format!(
                "crate {name:?} is missing in the table of xtask/src/tidy.rs"
            ));
            continue;
        };
        let ours = package.dependencies.iter().filter(|d| d.path.is_some());
        for dependency in ours {
            let name = dependency.name.as_str();
            let for_tests = dependency.kind.as_deref() == Some("dev");
            let folder = folders.get(name).copied().unwrap_or_default();
            if !(may_use(allowed, name, folder) || for_tests && FOR_TESTS.contains(&name)) {
                faults.push(format!("{} may not use {name}", package.name));
            }
        }
    }
    faults
}

fn may_use(allowed: &[&str], name: &str, folder: &str) -> bool {
    // A crate that only tests use is never covered by a whole folder.
    let by_folder = |rule: &str| {
        let parent = rule.strip_suffix('*');
        !FOR_TESTS.contains(&name) && parent.is_some_and(|parent| folder.starts_with(parent))
    };
    allowed.iter().any(|rule| *rule == name || by_folder(rule))
}

fn links() -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    let all = linked(&["--workspace"])?;
    for name in BANNED.iter().filter(|name| all.contains(**name)) {
        faults.push(format!(
            "{name} is linked; `cargo tree --workspace -i {name}` shows why"
        ));
    }
    for (package, crates) in MUST_NOT_LINK {
        let linked = linked(&["--package", package])?;
        for name in crates.iter().filter(|name| linked.contains(**name)) {
            faults.push(format!(
                "{package} links {name}; `cargo tree -p {package} -i {name}` shows why"
            ));
        }
    }
    Ok(faults)
}

/// Everything the selected programs contain: no test and no build dependencies.
///
/// `cargo tree` knows the features that are really on; `cargo metadata` lists
/// optional crates that nobody enables.
fn linked(selection: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let tree = [
        "tree",
        "--all-features",
        "--edges",
        "normal",
        "--target",
        "all",
    ];
    let format = ["--prefix", "none", "--format", "{p}"];
    let list = cargo(&[&tree[..], &format, selection].concat())?;
    let names = list.lines().filter_map(|line| line.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}

/// What cargo prints.
pub(crate) fn cargo(args: &[&str]) -> anyhow::Result<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(args)
        .output()
        .context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "cargo {} failed: {}",
        args[0],
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).context("cargo printed something that is not UTF-8")
}

/// What git knows plus what it would take, so that the check works before a commit.
fn tracked_files(root: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("cannot run git ls-files")?;
    ensure!(output.status.success(), "git ls-files failed");
    let list = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(list.lines().map(str::to_owned).collect())
}

fn file_faults(file: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let path = Path::new(file);
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    if is_rust {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let folder = path
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str());
        if let Some(name) = [stem, folder]
            .into_iter()
            .flatten()
            .find(|n| EMPTY_NAMES.contains(n))
        {
            faults.push(format!(
                "{file}: {name:?} says nothing; name it for what it does"
            ));
        }
        let lines = text.lines().count();
        let excused = LONG_FILES.iter().any(|(name, _)| *name == file);
        if lines > LONGEST_FILE && !excused {
            faults.push(format!(
                "{file}: {lines} lines, at most {LONGEST_FILE}; split it"
            ));
        }
        // A program of the workspace; those that only tests build lie deeper.
        let is_main = path.ends_with("src/main.rs") && path.components().count() == 3;
        if is_main && lines >= LONGEST_MAIN {
            faults.push(format!(
                "{file}: {lines} lines, under {LONGEST_MAIN}; move code to lib.rs"
            ));
        }
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(found) = MACHINE_PATHS.iter().find(|path| has_path(line, path)) {
            let number = number + 1;
            faults.push(format!(
                "{file}:{number}: {found} exists only on some machines"
            ));
        }
    }
    faults
}

/// Whether a line names this absolute path, and not one that only ends like it.
fn has_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}~*/".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_decides_by_name_and_by_folder() {
        #[track_caller]
        fn check(allowed: &[&str], name: &str, folder: &str, expected: bool) {
            assert_eq!(
                may_use(allowed, name, folder),
                expected,
                "{name} in {folder}"
            );
        }
        check(&["component"], "component", "crates/component", true);
        check(&["component"], "proto", "crates/proto", false);
        check(&["crates/*"], "proto", "crates/proto", true);
        check(&["crates/*"], "testkit", "crates/testkit", false);
        check(&["crates/*"], "sqlite", "components/sqlite", false);
    }

    #[test]
    fn faults_of_files_name_the_place() {
        #[track_caller]
        fn check(file: &str, text: &str, expected: Option<&str>) {
            let faults = file_faults(file, text);
            match expected {
                Some(part) => assert!(faults.iter().any(|f| f.contains(part)), "{faults:?}"),
                None => assert!(faults.is_empty(), "{faults:?}"),
            }
        }
        let path = format!("a\nsee {}x\n", MACHINE_PATHS[0]);
        check("README.md", &path, Some("README.md:2"));
        let relative = format!("a{}x", MACHINE_PATHS[0]);
        check("README.md", &relative, None);
        check("a/src/utils.rs", "", Some("utils"));
        check("a/src/types/mod.rs", "", Some("types"));
        check("a/src/lib.rs", &"\n".repeat(801), Some("801 lines"));
        check("a/table.json", &"\n".repeat(801), None);
        check("a/src/main.rs", &"\n".repeat(60), Some("60 lines"));
        check("a/src/main.rs", &"\n".repeat(59), None);
    }
}
