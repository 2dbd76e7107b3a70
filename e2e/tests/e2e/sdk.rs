//! The official SDKs, as published: their users' programs print the same line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::Sidecar;
use serde_json::{Value, json};
use testkit::{App, DEADLINE, Process, Response, program};
use tokio::sync::OnceCell;

/// Downloads and builds take their time on a slow line.
const INSTALL: Duration = Duration::from_secs(900);

#[derive(Debug, Clone, Copy)]
enum Sdk {
    Python,
    Go,
    JavaScript,
    Rust,
}

/// How to start the program of an SDK, or why it cannot be had here.
type Installed = Result<Vec<PathBuf>, String>;

fn sources(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk").join(name)
}

/// A folder that outlives the clone: installing takes longer than testing.
fn cache(name: &str) -> PathBuf {
    let root = match std::env::var_os("DAPR_RS_CACHE") {
        Some(root) => PathBuf::from(root),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into()))
            .join(".cache/dapr-rs"),
    };
    let folder = root.join("sdk").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

async fn run(command: &[PathBuf], folder: &Path, env: &[(&str, &Path)]) -> Result<(), String> {
    let mut builder = Process::builder(&command[0])
        .args(&command[1..])
        .inherit_env()
        .current_dir(folder);
    for (name, value) in env {
        builder = builder.env(name, value);
    }
    let mut process = builder.start().map_err(|error| format!("{error:#}"))?;
    let code = process.exit_code(INSTALL).await;
    match code.map_err(|error| format!("{error:#}"))? {
        0 => Ok(()),
        code => Err(format!(
            "{} ended with {code}: {}",
            command[0].display(),
            process.output()
        )),
    }
}

fn words(words: &[&dyn AsRef<Path>]) -> Vec<PathBuf> {
    words.iter().map(|word| word.as_ref().to_owned()).collect()
}

fn need(name: &str) -> Result<PathBuf, String> {
    program(name).ok_or_else(|| format!("{name} is not installed"))
}

async fn install_python() -> Installed {
    let (sources, venv) = (sources("python"), cache("python"));
    let python = venv.join("bin/python");
    if !python.exists() {
        run(
            &words(&[&need("python3")?, &"-m", &"venv", &venv]),
            &sources,
            &[],
        )
        .await?;
    }
    let list = sources.join("requirements.txt");
    let pip = words(&[&python, &"-m", &"pip", &"install", &"-q", &"-r", &list]);
    run(&pip, &sources, &[]).await?;
    Ok(vec![python, sources.join("main.py")])
}

async fn install_javascript() -> Installed {
    let (sources, folder) = (sources("javascript"), cache("javascript"));
    for file in ["package.json", "main.js"] {
        std::fs::copy(sources.join(file), folder.join(file)).unwrap();
    }
    let npm = words(&[&need("npm")?, &"install", &"--no-audit", &"--no-fund"]);
    run(&npm, &folder, &[]).await?;
    Ok(vec![need("node")?, folder.join("main.js")])
}

async fn install_go() -> Installed {
    let (sources, folder) = (sources("go"), cache("go"));
    let output = folder.join("sdk-go");
    // `make test` puts a newer Go here when the machine's own is too old.
    let newer = folder.join("toolchain/bin/go");
    let go = if newer.exists() { newer } else { need("go")? };
    run(
        &words(&[&go, &"build", &"-o", &output, &"."]),
        &sources,
        &[],
    )
    .await?;
    Ok(vec![output])
}

async fn install_rust() -> Installed {
    let (sources, folder) = (sources("rust"), cache("rust"));
    let cargo = words(&[&need("cargo")?, &"build", &"--locked", &"--quiet"]);
    run(&cargo, &sources, &[("CARGO_TARGET_DIR", &folder)]).await?;
    Ok(vec![folder.join("debug/sdk-rust")])
}

impl Sdk {
    async fn install(self) -> &'static Installed {
        static INSTALLED: [OnceCell<Installed>; 4] = [const { OnceCell::const_new() }; 4];
        let cell = &INSTALLED[self as usize];
        match self {
            Sdk::Python => cell.get_or_init(install_python).await,
            Sdk::Go => cell.get_or_init(install_go).await,
            Sdk::JavaScript => cell.get_or_init(install_javascript).await,
            Sdk::Rust => cell.get_or_init(install_rust).await,
        }
    }

    /// Runs the program on one subject and compares the line it prints.
    async fn check(self, subject: &str, expected: &Value) {
        let command = match self.install().await {
            Ok(command) => command,
            Err(reason) => return testkit::skip(format!("{self:?} SDK: {reason}")),
        };
        let app = App::start(|request| match request.path.as_str() {
            "/greet" => Response::ok(format!("hello {}", String::from_utf8_lossy(&request.body))),
            _ => Response::status(404),
        })
        .await
        .unwrap();
        // Names are looked up by multicast, so they are unique per run.
        let callee = format!("callee-{}", app.port());
        let _callee = if subject == "invoke" {
            Some(
                Sidecar::builder(&callee)
                    .app_port(app.port())
                    .start()
                    .ready()
                    .await,
            )
        } else {
            None
        };
        let builder = Sidecar::builder("sdk-app").file(
            "secrets.json",
            r#"{"db-password": "pw-1", "root": {"token": "t-1"}}"#,
        );
        let secrets = builder.folder().join("secrets.json");
        let sidecar = builder
            .component("statestore", "state.in-memory", &[])
            .component(
                "vault",
                "secretstores.local.file",
                &[("secretsFile", secrets.to_str().unwrap())],
            )
            .start()
            .ready()
            .await;
        let mut user = Process::builder(&command[0])
            .args(&command[1..])
            .arg(subject)
            .env("DAPR_HTTP_PORT", sidecar.http.to_string())
            .env("DAPR_GRPC_PORT", sidecar.grpc.to_string())
            .env("CALLEE", &callee)
            .start()
            .unwrap();
        let code = user.exit_code(2 * DEADLINE).await.unwrap();
        let output = user.output();
        assert_eq!(code, 0, "{output}\n{}", sidecar.output());
        let last = output.lines().last().unwrap_or_default();
        let printed: Value = serde_json::from_str(last).expect(&output);
        assert_eq!(printed, *expected, "{output}");
    }
}

fn state() -> Value {
    json!({
        "first": "one",
        "stale": "ABORTED",
        "fresh": "two",
        "bulk": {"a": "1", "b": "2", "none": null},
        "after": ["3", null],
        "deleted": null,
    })
}

fn secrets() -> Value {
    json!({"one": {"db-password": "pw-1"}, "names": ["db-password", "root:token"]})
}

fn metadata() -> Value {
    json!({"id": "sdk-app", "owner": "team a", "components": ["statestore", "vault"]})
}

fn invocation() -> Value {
    json!({"reply": "hello world"})
}

macro_rules! users {
    ($($module:ident: $sdk:ident;)*) => {$(
        mod $module {
            use super::*;

            #[tokio::test]
            async fn state_is_saved_read_in_bulk_in_transactions_and_with_etags() {
                Sdk::$sdk.check("state", &state()).await;
            }

            #[tokio::test]
            async fn secrets_are_read_one_and_all() {
                Sdk::$sdk.check("secrets", &secrets()).await;
            }

            #[tokio::test]
            async fn metadata_is_read_and_extended() {
                Sdk::$sdk.check("metadata", &metadata()).await;
            }

            #[tokio::test]
            async fn another_sidecars_app_is_invoked() {
                Sdk::$sdk.check("invoke", &invocation()).await;
            }
        }
    )*};
}

users! {
    python: Python;
    go: Go;
    javascript: JavaScript;
    rust: Rust;
}
