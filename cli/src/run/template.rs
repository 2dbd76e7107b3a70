//! Template files: several applications, what they share, and what each overrides.

mod keys;
mod merge;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::de::IgnoredAny;

use super::spec::{Destination, Origin, Spec};

use self::{
    keys::{Document, KEYS, Own, Shared},
    merge::merge,
};

/// A template file, read and merged.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) path: PathBuf,
    pub(crate) apps: Vec<Spec>,
    /// Keys that mean nothing here, most likely misspelt.
    pub(crate) unknown_keys: BTreeSet<String>,
}

/// The absolute path of a template file, which is also how running applications name theirs.
pub(crate) fn locate(file: &Path) -> Result<PathBuf> {
    let path = if file.is_dir() {
        file.join("dapr.yaml")
    } else {
        file.to_owned()
    };
    fs::canonicalize(&path).with_context(|| {
        format!(
            "run file {} does not exist; give a file or a folder with dapr.yaml",
            path.display()
        )
    })
}

/// Reads a template file, or stdin for `-`.
pub(crate) fn load(file: &Path) -> Result<Template> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read the template from stdin")?;
        let folder = std::env::current_dir().context("the current folder is gone")?;
        return parse(&text, &folder.join("-"));
    }
    let path = locate(file)?;
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read run file {}", path.display()))?;
    parse(&text, &path)
}

fn parse(text: &str, path: &Path) -> Result<Template> {
    let invalid = || format!("run file {} is not valid", path.display());
    let own: Document<Own> = serde_saphyr::from_str(text).with_context(invalid)?;
    let shared: Document<Shared> = serde_saphyr::from_str(text).with_context(invalid)?;
    let keys: Document<BTreeMap<String, IgnoredAny>> =
        serde_saphyr::from_str(text).with_context(invalid)?;
    if own.version == 0 {
        bail!(
            "required field 'version' not found in the provided run template file; write version: 1"
        );
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut common = shared.common.unwrap_or_default();
    common.resolve(folder)?;
    let mut apps = Vec::new();
    for (own, mut shared) in own.apps.into_iter().zip(shared.apps) {
        let app_dir = own
            .app_dir_path
            .as_ref()
            .context("required field 'appDirPath' not found in the provided app config file")?;
        let app_dir = existing(folder, app_dir)?;
        // What an application names lies beside it; what is common lies beside the template.
        shared.resolve(&app_dir)?;
        let origin = Origin {
            path: path.to_owned(),
            name: keys.name.clone(),
            app_log: shared
                .app_log_destination
                .or(common.app_log_destination)
                .unwrap_or(Destination::FileAndConsole),
            daprd_log: shared
                .daprd_log_destination
                .or(common.daprd_log_destination)
                .unwrap_or(Destination::File),
        };
        apps.push(merge(own, shared, &common, app_dir, origin));
    }
    let unknown_keys = keys
        .apps
        .into_iter()
        .flat_map(BTreeMap::into_keys)
        .filter(|key| !KEYS.contains(&key.as_str()))
        .collect();
    Ok(Template {
        path: path.to_owned(),
        apps,
        unknown_keys,
    })
}

impl Shared {
    /// Makes every path absolute; the resource folders become one list.
    fn resolve(&mut self, base: &Path) -> Result<()> {
        self.resources_paths.extend(self.resources_path.take());
        for path in self
            .resources_paths
            .iter_mut()
            .chain(self.config_file_path.as_mut())
        {
            *path = existing(base, path)?;
        }
        if let Some(path) = &mut self.runtime_path {
            *path = existing(base, path)?;
        }
        Ok(())
    }
}

fn existing(base: &Path, path: &Path) -> Result<PathBuf> {
    let path = base.join(path);
    fs::canonicalize(&path).with_context(|| format!("error in finding path {}", path.display()))
}

#[cfg(test)]
mod tests;
