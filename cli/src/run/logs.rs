//! The log files of an application of a template, and where each process's lines go.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use owo_colors::AnsiColors;

use crate::output::Report;

use super::{
    console::{Sink, prefix},
    plan::Plan,
    supervise::Surroundings,
};

/// The log files of an application of a template.
///
/// Empty for an application that was started by flags.
#[derive(Default)]
pub(super) struct Logs {
    app: Option<PathBuf>,
    daprd: Option<PathBuf>,
}

impl Logs {
    pub(super) fn open(plan: &Plan, report: Report) -> Result<Self> {
        let (Some(origin), Some(app_dir)) = (&plan.template, &plan.app_dir) else {
            return Ok(Self::default());
        };
        let folder = app_dir.join(".dapr").join("logs");
        let now = jiff::Zoned::now().strftime("%Y%m%d%H%M%S").to_string();
        let file = |kind: &str| folder.join(format!("{}_{kind}_{now}.log", plan.app_id));
        let has_app = !plan.command.is_empty() && origin.app_log.has_file();
        let logs = Self {
            app: has_app.then(|| file("app")),
            daprd: origin.daprd_log.has_file().then(|| file("daprd")),
        };
        if logs.app.is_some() || logs.daprd.is_some() {
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot create folder {}", folder.display()))?;
            report.info(format_args!(
                "Writing log files to directory : {}",
                folder.display()
            ));
        }
        for path in logs.app.iter().chain(&logs.daprd) {
            append(path)?;
        }
        Ok(logs)
    }

    pub(super) fn app_sink(&self, plan: &Plan, around: &Surroundings) -> Sink {
        let shown = plan
            .template
            .as_ref()
            .is_none_or(|origin| origin.app_log.has_console());
        let id = plan.template.is_some().then_some(plan.app_id.as_str());
        let prefix = prefix("APP", id, around.color);
        sink(self.app.as_deref(), shown.then_some(prefix), around)
    }

    pub(super) fn daprd_sink(&self, plan: &Plan, around: &Surroundings) -> Sink {
        let shown = plan
            .template
            .as_ref()
            .is_none_or(|origin| origin.daprd_log.has_console());
        let id = plan.template.is_some().then_some(plan.app_id.as_str());
        let prefix = if plan.log_json {
            // Whoever asks for JSON wants to parse the lines.
            String::new()
        } else {
            prefix("DAPR", id, around.color.map(|_| AnsiColors::BrightBlack))
        };
        sink(self.daprd.as_deref(), shown.then_some(prefix), around)
    }

    /// What the sidecar is told about the run, by the names that upstream's tool uses.
    pub(super) fn facts(&self, plan: &Plan, app_pid: Option<i32>) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.display().to_string();
        let mut facts = vec![("cliPID", std::process::id().to_string())];
        if let Some(pid) = app_pid {
            facts.push(("appPID", pid.to_string()));
            facts.push(("appCommand", plan.command.join(" ")));
        }
        if let Some(origin) = &plan.template {
            facts.push(("runTemplatePath", path(&origin.path)));
            facts.push(("runTemplateName", origin.name.clone()));
            facts.extend(self.app.as_deref().map(|log| ("appLogPath", path(log))));
            facts.extend(self.daprd.as_deref().map(|log| ("daprdLogPath", path(log))));
        }
        facts
    }
}

fn sink(file: Option<&Path>, prefix: Option<String>, around: &Surroundings) -> Sink {
    let mut sink = Sink::default();
    if let Some(prefix) = prefix {
        sink = sink.on_console(around.lines.clone(), &prefix);
    }
    // The file was just made; if it is gone by now, the console still has the lines.
    if let Some(file) = file.and_then(|path| append(path).ok()) {
        sink = sink.in_file(file);
    }
    sink
}

fn append(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot write the log file {}", path.display()))
}
