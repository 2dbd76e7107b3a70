//! Gets the SDKs from their registries and builds the programs of their users.

use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::{Process, program};
use tokio::sync::OnceCell;

use super::Sdk;

/// Downloads and builds take their time on a slow line.
const INSTALL: Duration = Duration::from_secs(900);

/// How to start the program of an SDK, or why it cannot be had here.
pub(super) type Installed = Result<Vec<PathBuf>, String>;

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
    // Without -B it would leave its compiled files among the sources.
    Ok(words(&[&python, &"-B", &sources.join("main.py")]))
}

async fn install_javascript() -> Installed {
    let (sources, folder) = (sources("javascript"), cache("javascript"));
    for file in ["package.json", "main.js", "actors.js"] {
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
    pub(super) async fn install(self) -> &'static Installed {
        static INSTALLED: [OnceCell<Installed>; 4] = [const { OnceCell::const_new() }; 4];
        let cell = &INSTALLED[self as usize];
        match self {
            Sdk::Python => cell.get_or_init(install_python).await,
            Sdk::Go => cell.get_or_init(install_go).await,
            Sdk::JavaScript => cell.get_or_init(install_javascript).await,
            Sdk::Rust => cell.get_or_init(install_rust).await,
        }
    }
}
