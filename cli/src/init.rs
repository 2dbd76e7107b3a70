//! `dapr init`: the folder, the default resources, the binaries and the services that go on in
//! the background. It may be repeated.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    bundle, command,
    home::{self, Home},
    lock::Lock,
    output::Report,
    services::{self, Choice},
    version,
};

/// What an installation consists of; only the first is required.
const PROGRAMS: [&str; 4] = ["daprd", "placement", "scheduler", "sentry"];

const EXAMPLES: &str = "\
Examples:
  dapr init                          link the binaries beside this tool, write default
                                     resources, start placement and scheduler
  dapr init --slim                   binaries and an empty configuration; nothing is started
  dapr init --port placement=50105   another port for one that is taken
  dapr init --from-dir ./bundle      take the binaries from the archives of a bundle
  dapr init --runtime-path /srv      use /srv/.dapr instead of ~/.dapr

Placement and scheduler go on in the background, as plain processes: `dapr status` shows them,
`dapr uninstall` ends them, and after a restart of the machine `dapr init` starts them again.
Their ports are placement 50005, placement-health 58080, placement-metrics 59090, scheduler
50006, scheduler-health 58081, scheduler-metrics 59091 and scheduler-etcd 2379. No container is
started, and a file that exists is never overwritten.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Binaries only: no default state store, no services in the background
    #[arg(short, long)]
    slim: bool,

    /// Take the binaries from this bundle, for machines without a network
    #[arg(long, value_name = "DIR")]
    from_dir: Option<PathBuf>,

    /// The runtime version that must be installed, or `latest` for whatever is there
    #[arg(long, default_value = "latest", env = "DAPR_RUNTIME_VERSION")]
    runtime_version: String,

    /// Another port for a service, may be repeated; 0 is any free one
    #[arg(long, value_name = "NAME=PORT", value_delimiter = ',')]
    port: Vec<Choice>,

    /// Where sidecars are told to find the scheduler [default: localhost and its port]
    #[arg(long, value_name = "ADDRESS")]
    scheduler_override_broadcast_host_port: Option<String>,

    #[arg(short, long, hide = true)]
    kubernetes: bool,

    // Upstream's flags for the containers that it starts; accepted, without effect.
    #[arg(long, hide = true, value_name = "NAME")]
    network: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    container_runtime: Option<String>,
    #[arg(long, hide = true, value_name = "HOST")]
    image_registry: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    image_variant: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    scheduler_volume: Option<String>,
}

pub(crate) async fn execute(args: &Args, home: &Home, report: Report) -> Result<u8> {
    if args.kubernetes {
        return Err(command::no_kubernetes("init"));
    }
    for flag in args.without_effect() {
        report.warning(format_args!(
            "--{flag} has no effect: dapr init starts no containers"
        ));
    }
    report.pending("Making the jump to hyperspace...");
    let _lock = Lock::take(home.root(), report).await?;
    create_folder(&home.bin())?;
    create_folder(&home.components())?;
    let installed = match &args.from_dir {
        Some(dir) => bundle::install(dir, &home.bin(), &PROGRAMS)?,
        None => link(&home.bin())?,
    };
    report.info(format_args!(
        "Installed in {}: {}",
        home.bin().display(),
        installed.join(", ")
    ));
    check_version(args, home).await?;

    keep_or_write(&home.config(), CONFIG, report)?;
    if !args.slim {
        create_folder(&home.data())?;
        let database = home.data().join("statestore.db");
        keep_or_write(
            &home.components().join("statestore.yaml"),
            &statestore(&database),
            report,
        )?;
        let broadcast = args.scheduler_override_broadcast_host_port.as_deref();
        services::start(home, &args.port, broadcast, report).await?;
    }
    let done = if args.slim {
        "Success! Dapr is installed; nothing runs in the background, as --slim asks."
    } else {
        "Success! Dapr is up and running."
    };
    report.success(format_args!(
        "{done} To get started, go here: https://docs.dapr.io"
    ));
    Ok(0)
}

impl Args {
    fn without_effect(&self) -> impl Iterator<Item = &'static str> {
        [
            ("network", &self.network),
            ("container-runtime", &self.container_runtime),
            ("image-registry", &self.image_registry),
            ("image-variant", &self.image_variant),
            ("scheduler-volume", &self.scheduler_volume),
        ]
        .into_iter()
        .filter_map(|(flag, value)| value.as_ref().map(|_| flag))
    }
}

const CONFIG: &str = "\
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: daprConfig
spec: {}
";

/// A state store that needs no server: one database file below `.dapr`.
fn statestore(database: &Path) -> String {
    // A JSON string is a YAML string, whatever characters the path has.
    let connection = serde_json::Value::from(database.to_string_lossy().into_owned());
    format!(
        "\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: statestore
spec:
  type: state.sqlite
  version: v1
  metadata:
  - name: connectionString
    value: {connection}
  - name: actorStateStore
    value: \"true\"
"
    )
}

fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create folder {}", path.display()))
}

fn keep_or_write(path: &Path, text: &str, report: Report) -> Result<()> {
    use io::Write;
    let created = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    match created {
        Ok(mut file) => file
            .write_all(text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            report.info(format_args!("{} exists and is kept", path.display()));
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot create {}", path.display()));
        }
    }
    Ok(())
}

/// Links the programs that lie beside this tool into `bin` and returns what is there now.
fn link(bin: &Path) -> Result<Vec<&'static str>> {
    let mut installed = Vec::new();
    for name in PROGRAMS {
        let target = bin.join(name);
        if let Some(program) = home::beside_this_tool(name)
            && program != target
        {
            replace_link(&program, &target)?;
        }
        // Also true for what an earlier init, or the user, has put there.
        if target.is_file() {
            installed.push(name);
        }
    }
    if !installed.contains(&"daprd") {
        bail!(
            "daprd is not beside this tool, so there is nothing to install; put it there, or give \
             a bundle with --from-dir"
        );
    }
    Ok(installed)
}

/// Points the link `target` at `program`; a real file there is the user's and stays.
fn replace_link(program: &Path, target: &Path) -> Result<()> {
    match fs::symlink_metadata(target) {
        Ok(found) if !found.is_symlink() => return Ok(()),
        Ok(_) => fs::remove_file(target)
            .with_context(|| format!("cannot replace the link {}", target.display()))?,
        Err(_) => {}
    }
    std::os::unix::fs::symlink(program, target)
        .with_context(|| format!("cannot link {} to {}", target.display(), program.display()))
}

async fn check_version(args: &Args, home: &Home) -> Result<()> {
    let wanted = args.runtime_version.trim_start_matches('v');
    if wanted.is_empty() || wanted == "latest" {
        return Ok(());
    }
    let found = version::runtime(home).await;
    if found.trim_start_matches('v') != wanted {
        bail!(
            "runtime version {wanted} was asked for, but the daprd in {} is {found:?}; \
             leave --runtime-version out or install the other one",
            home.bin().display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("config.yaml");
        keep_or_write(&path, "first", Report::new(false)).expect("written");
        keep_or_write(&path, "second", Report::new(false)).expect("kept");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "first");
    }

    #[test]
    fn a_link_is_renewed_and_a_file_is_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let [old, new, target] = ["old", "new", "target"].map(|name| folder.path().join(name));
        fs::write(&old, "old").expect("written");
        fs::write(&new, "new").expect("written");
        replace_link(&old, &target).expect("linked");
        replace_link(&new, &target).expect("linked again");
        assert_eq!(fs::read_to_string(&target).expect("readable"), "new");
        replace_link(&new, &old).expect("nothing to do");
        assert_eq!(fs::read_to_string(&old).expect("readable"), "old");
    }

    #[test]
    fn the_default_store_is_valid_yaml_for_any_path() {
        let text = statestore(Path::new("/home/o'neil \"x\"/.dapr/data/statestore.db"));
        let value: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
        assert_eq!(
            value["spec"]["metadata"][0]["value"],
            "/home/o'neil \"x\"/.dapr/data/statestore.db"
        );
    }
}
