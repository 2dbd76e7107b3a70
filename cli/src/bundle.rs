//! Air-gap bundles: a folder with `details.json` and one archive per program.

use std::{
    fs::{self, File},
    io,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The part of `details.json` that matters here; the rest describes container images.
#[derive(Deserialize)]
struct Details {
    #[serde(rename = "daprBinarySubDir")]
    binaries: PathBuf,
}

/// Unpacks those of the named programs that the bundle has into `bin` and returns their names.
pub(crate) fn install(
    bundle: &Path,
    bin: &Path,
    programs: &[&'static str],
) -> Result<Vec<&'static str>> {
    let path = bundle.join("details.json");
    let text = fs::read(&path)
        .with_context(|| format!("cannot read {}; is this a dapr bundle?", path.display()))?;
    let details: Details = serde_json::from_slice(&text)
        .with_context(|| format!("{} is not valid", path.display()))?;
    if details
        .binaries
        .components()
        .any(|part| !matches!(part, Component::Normal(_)))
    {
        bail!(
            "{}: daprBinarySubDir must be a folder inside the bundle",
            path.display()
        );
    }
    let folder = bundle.join(&details.binaries);
    let mut installed = Vec::new();
    for &name in programs {
        let archive = folder.join(format!("{name}_{}_{}.tar.gz", system(), architecture()));
        if archive.is_file() {
            unpack(&archive, name, &bin.join(name))
                .with_context(|| format!("cannot install {}", archive.display()))?;
            installed.push(name);
        }
    }
    if !installed.contains(&"daprd") {
        bail!(
            "the bundle has no daprd for this machine; {} must hold daprd_{}_{}.tar.gz",
            folder.display(),
            system(),
            architecture()
        );
    }
    Ok(installed)
}

/// Takes the file whose name ends with the program's name out of the archive.
fn unpack(archive: &Path, name: &str, target: &Path) -> Result<()> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(archive)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file()
            || !entry.path()?.to_string_lossy().ends_with(name)
        {
            continue;
        }
        // Under another name first: a running program cannot be written to, but replaced.
        let fresh = target.with_file_name(format!(".{name}.new"));
        write_program(&mut entry, &fresh)?;
        fs::rename(&fresh, target)?;
        return Ok(());
    }
    bail!("it holds no file {name}")
}

fn write_program(source: &mut impl io::Read, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut file = File::create(path)?;
    io::copy(source, &mut file)?;
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

/// The operating system as release archives name it.
fn system() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

/// The processor as release archives name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(sub_dir: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("folder");
        let details = serde_json::json!({ "daprd": "1.18.0", "daprBinarySubDir": sub_dir });
        fs::write(folder.path().join("details.json"), details.to_string()).expect("written");
        fs::create_dir_all(folder.path().join("dist")).expect("folder");
        for (program, member) in files {
            let name = format!("dist/{program}_{}_{}.tar.gz", system(), architecture());
            let file = File::create(folder.path().join(name)).expect("created");
            let encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            let mut archive = tar::Builder::new(encoder);
            let mut header = tar::Header::new_gnu();
            header.set_size(program.len() as u64);
            header.set_mode(0o644);
            archive
                .append_data(&mut header, member, program.as_bytes())
                .expect("appended");
            archive
                .into_inner()
                .expect("complete")
                .finish()
                .expect("compressed");
        }
        folder
    }

    #[test]
    fn programs_come_out_of_their_archives() {
        use std::os::unix::fs::PermissionsExt;
        let bundle = bundle("dist", &[("daprd", "release/daprd"), ("sentry", "sentry")]);
        let bin = tempfile::tempdir().expect("folder");
        let names = ["daprd", "placement", "sentry"];
        for _ in 0..2 {
            let installed = install(bundle.path(), bin.path(), &names).expect("installs");
            assert_eq!(installed, ["daprd", "sentry"]);
        }
        let daprd = bin.path().join("daprd");
        assert_eq!(fs::read_to_string(&daprd).expect("readable"), "daprd");
        assert_ne!(
            daprd.metadata().expect("there").permissions().mode() & 0o111,
            0
        );
    }

    #[test]
    fn a_bad_bundle_is_refused_with_the_reason() {
        let check = |sub_dir: &str, files: &[(&str, &str)], expected: &str| {
            let bundle = bundle(sub_dir, files);
            let bin = tempfile::tempdir().expect("folder");
            let error = install(bundle.path(), bin.path(), &["daprd"]).expect_err("refused");
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        };
        check("../elsewhere", &[], "must be a folder inside the bundle");
        check("dist", &[], "has no daprd for this machine");
        check("dist", &[("daprd", "README")], "it holds no file daprd");
    }
}
