//! `dapr components` and `dapr configurations`: what the running sidecars have loaded.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::Result;
use jiff::Timestamp;
use resources::Configuration;
use serde::Serialize;

use crate::{
    age, command,
    home::Home,
    instances,
    output::{self, Report},
    table::{self, Format},
};

const EXAMPLES: &str = "\
Examples:
  dapr components
  dapr components --name statestore -o json
  dapr configurations -o yaml";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only those with this name
    #[arg(short, long)]
    name: Option<String>,

    /// How to print
    #[arg(short, long, value_enum, default_value = "list")]
    output: Format,

    #[arg(short, long, hide = true)]
    kubernetes: bool,
    #[arg(short = 'A', long, hide = true)]
    all_namespaces: bool,
    #[arg(long, hide = true, value_name = "NAME")]
    namespace: Option<String>,
}

impl Args {
    fn wants(&self, name: &str) -> bool {
        self.name.as_deref().is_none_or(|wanted| wanted == name)
    }

    /// Prints the items, or says that there are none.
    fn print<T: Serialize>(
        &self,
        items: &[T],
        columns: &[&str],
        row: impl Fn(&T) -> Vec<String>,
        report: Report,
    ) -> Result<u8> {
        if items.is_empty() && matches!(self.output, Format::Table) {
            report.info("nothing found; this looks at running sidecars, which `dapr list` shows");
        } else {
            output::print(&table::render(self.output, items, columns, row)?);
        }
        Ok(0)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ComponentRow {
    app_id: String,
    name: String,
    r#type: String,
    version: String,
    capabilities: Vec<String>,
}

/// The components of every running sidecar, as its metadata API tells.
pub(crate) async fn components(args: &Args, report: Report) -> Result<u8> {
    if args.kubernetes {
        return Err(command::no_kubernetes("components"));
    }
    let mut rows = Vec::new();
    for instance in instances::all().await? {
        for loaded in instance
            .components
            .into_iter()
            .filter(|loaded| args.wants(&loaded.name))
        {
            rows.push(ComponentRow {
                app_id: instance.app_id.clone(),
                name: loaded.name,
                r#type: loaded.kind,
                version: loaded.version,
                capabilities: loaded.capabilities,
            });
        }
    }
    let columns = ["APP ID", "NAME", "TYPE", "VERSION", "CAPABILITIES"];
    let row = |item: &ComponentRow| {
        vec![
            item.app_id.clone(),
            item.name.clone(),
            item.r#type.clone(),
            item.version.clone(),
            item.capabilities.join(","),
        ]
    };
    args.print(&rows, &columns, row, report)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigurationRow {
    namespace: String,
    name: String,
    tracing_enabled: bool,
    metrics_enabled: bool,
    age: String,
    created: String,
    path: String,
}

/// The configuration files that running sidecars use, and the default one.
pub(crate) async fn configurations(args: &Args, home: &Home, report: Report) -> Result<u8> {
    if args.kubernetes {
        return Err(command::no_kubernetes("configurations"));
    }
    let mut paths: BTreeSet<PathBuf> = BTreeSet::new();
    paths.extend(Some(home.config()).filter(|path| path.is_file()));
    for instance in instances::all().await? {
        paths.extend(instance.config.iter().map(PathBuf::from));
    }
    let mut rows = Vec::new();
    for path in paths {
        match read(&path) {
            Ok(row) if args.wants(&row.name) => rows.push(row),
            Ok(_) => {}
            Err(error) => report.warning(format_args!("{}: {error:#}", path.display())),
        }
    }
    let columns = [
        "NAMESPACE",
        "NAME",
        "TRACING-ENABLED",
        "METRICS-ENABLED",
        "AGE",
        "CREATED",
        "PATH",
    ];
    let row = |item: &ConfigurationRow| {
        vec![
            item.namespace.clone(),
            item.name.clone(),
            item.tracing_enabled.to_string(),
            item.metrics_enabled.to_string(),
            item.age.clone(),
            item.created.clone(),
            item.path.clone(),
        ]
    };
    args.print(&rows, &columns, row, report)
}

fn read(path: &PathBuf) -> Result<ConfigurationRow> {
    let variable = |name: &str| std::env::var(name).ok();
    let Configuration { metadata, spec, .. } =
        resources::load::read_configurations(&[path], &variable).map_err(anyhow::Error::msg)?;
    let modified = Timestamp::try_from(fs::metadata(path)?.modified()?)?;
    let metrics = spec.effective_metrics();
    let rate = spec
        .tracing
        .map(|tracing| tracing.sampling_rate)
        .unwrap_or_default();
    Ok(ConfigurationRow {
        namespace: metadata.namespace,
        name: metadata.name,
        tracing_enabled: rate.parse::<f64>().is_ok_and(|rate| rate > 0.0),
        metrics_enabled: metrics.enabled.unwrap_or(true),
        age: age::age(modified, Timestamp::now()),
        created: age::created(modified),
        path: path.display().to_string(),
    })
}
