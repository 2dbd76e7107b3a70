//! Where things lie under `~/.dapr`, and which programs are used.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The `.dapr` folder of this machine's user.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// The folder below the given path, else below `DAPR_RUNTIME_PATH`, else below the home folder.
    pub(crate) fn find(flag: Option<PathBuf>) -> Result<Self> {
        let parent = flag
            .or_else(|| non_empty("DAPR_RUNTIME_PATH"))
            .or_else(std::env::home_dir)
            .context("no home folder is known; set HOME or give --runtime-path")?;
        Self::below(&parent)
    }

    /// The `.dapr` folder below `parent`.
    pub(crate) fn below(parent: &Path) -> Result<Self> {
        let parent = std::path::absolute(parent)
            .with_context(|| format!("runtime path {:?} is not usable", parent.display()))?;
        Ok(Self {
            root: parent.join(".dapr"),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    pub(crate) fn components(&self) -> PathBuf {
        self.root.join("components")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.root.join("config.yaml")
    }

    /// Where the default state store keeps its database.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Where the scheduler keeps its jobs.
    pub(crate) fn scheduler_data(&self) -> PathBuf {
        self.data().join("scheduler")
    }

    /// Where the services that run in the background write their logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Where it is noted which processes these services are.
    pub(crate) fn records(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Where the local Sentry's root, issuer and key are.
    pub(crate) fn certs(&self) -> PathBuf {
        self.root.join("certs")
    }

    /// The program that `run` starts: the installed one, else the one beside this tool.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        let installed = self.bin().join(name);
        if installed.is_file() {
            return Ok(installed);
        }
        if let Some(beside) = beside_this_tool(name) {
            return Ok(beside);
        }
        bail!(
            "{name} is neither at {} nor beside this tool; run `dapr init` first",
            installed.display()
        )
    }
}

/// A program in the folder that this tool was started from.
pub(crate) fn beside_this_tool(name: &str) -> Option<PathBuf> {
    let folder = std::env::current_exe().ok()?;
    let program = folder.parent()?.join(name);
    program.is_file().then_some(program)
}

fn non_empty(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
