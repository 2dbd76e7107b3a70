//! Reads the resource folders.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::document::parse_documents;
use super::problem::go_io_text;
use super::{Cause, FolderError, Loaded, MAX_FILE, Problem};

/// Reads every `.yaml` and `.yml` file directly in the folders, in the order of
/// the folders and of the file names; links are followed, sub-folders are not
/// entered. Other files are reported. A folder that cannot be read is an error.
pub fn read_folders<P: AsRef<Path>>(paths: &[P]) -> Result<Loaded, FolderError> {
    let mut loaded = Loaded::default();
    for path in paths {
        read_folder(path.as_ref(), &mut loaded)?;
    }
    Ok(loaded)
}

fn read_folder(path: &Path, loaded: &mut Loaded) -> Result<(), FolderError> {
    let fault = |e| FolderError::new(path, &e);
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(path).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        // A link to a folder (`..data` of a mounted ConfigMap) is passed over too.
        if !fs::metadata(entry.path()).is_ok_and(|m| m.is_dir()) {
            files.push(entry.path());
        }
    }
    files.sort();
    for file in files {
        if !is_yaml(&file) {
            loaded
                .problems
                .push(Problem::of_file(&file, Cause::NotYaml));
            continue;
        }
        match read_file(&file) {
            Ok(bytes) => {
                let parsed = parse_documents(&bytes, &file);
                loaded.resources.extend(parsed.resources);
                loaded.problems.extend(parsed.problems);
            }
            Err(text) => loaded
                .problems
                .push(Problem::of_file(&file, Cause::Unreadable(text))),
        }
    }
    Ok(())
}

/// Go takes everything after the last dot for the extension, so `.yaml` is a
/// YAML file without a name.
fn is_yaml(file: &Path) -> bool {
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    name.ends_with(".yaml") || name.ends_with(".yml")
}

/// Reads a file of bounded size; the error has upstream's form.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|f| f.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes));
    match read {
        Ok(n) if n > MAX_FILE => Err(format!(
            "it is larger than {} MiB; split it",
            MAX_FILE >> 20
        )),
        Ok(_) => Ok(bytes),
        Err(e) => Err(format!("open {}: {}", path.display(), go_io_text(&e))),
    }
}
