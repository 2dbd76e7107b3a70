//! Has a program linked so that little of its file is in memory while it idles.
//!
//! The kernel maps 64 KiB around each page that is touched. What runs at start is a tenth of a
//! program, but lies everywhere in it; side by side, far less of the file becomes resident.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The linker script with the order, beside the `Cargo.toml` of the program.
const SCRIPT: &str = "startup.ld";

/// Names a folder for the linker's maps, `<package>.map`; `xtask startup` reads them.
const MAPS: &str = "DAPR_RS_LINK_MAP";

/// The first glibc that knows packed relocations.
const PACKED_SINCE: (u32, u32) = (2, 36);

/// Says to cargo, from a build script, how the programs of its package are linked.
#[expect(clippy::print_stdout, reason = "cargo reads it there")]
pub fn startup() {
    for line in Build::from_env().instructions() {
        println!("cargo:{line}");
    }
}

/// What decides about the link.
struct Build {
    folder: PathBuf,
    package: String,
    has_script: bool,
    /// Optimised, and for a system whose linker and loader are known to take all this.
    ordered: bool,
    /// The glibc that the program will find; unknown when it is built for another machine.
    glibc: Option<(u32, u32)>,
    maps: Option<PathBuf>,
}

impl Build {
    fn from_env() -> Self {
        let is = |name: &str, value: &str| env::var(name).as_deref() == Ok(value);
        let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
        let ordered = is("PROFILE", "release")
            && is("CARGO_CFG_TARGET_OS", "linux")
            && is("CARGO_CFG_TARGET_ENV", "gnu");
        let at_home = env::var_os("HOST") == env::var_os("TARGET");
        Self {
            package: env::var("CARGO_PKG_NAME").unwrap_or_default(),
            has_script: folder.join(SCRIPT).is_file(),
            ordered,
            glibc: if ordered && at_home { glibc() } else { None },
            maps: env::var_os(MAPS).map(PathBuf::from),
            folder,
        }
    }

    fn instructions(&self) -> Vec<String> {
        let mut lines = vec![format!("rerun-if-env-changed={MAPS}")];
        let mut argument = |text: String| lines.push(format!("rustc-link-arg-bins=-Wl,{text}"));
        let path = |folder: &Path, file: &str| folder.join(file).display().to_string();
        // For a map the programs are linked without the order: callgrind takes what lies outside
        // of `.text` for nobody's.
        if self.ordered && self.has_script && self.maps.is_none() {
            argument(format!("-T,{}", path(&self.folder, SCRIPT)));
        }
        // The loader reads all relocations, and packed they are a hundredth as long. An older
        // glibc does not know them and refuses to start the program.
        if self.glibc.is_some_and(|version| version >= PACKED_SINCE) {
            argument("-z,pack-relative-relocs".to_owned());
        }
        if let Some(folder) = &self.maps {
            let file = format!("{}.map", self.package);
            argument(format!("-Map={}", path(folder, &file)));
        }
        // To cargo a missing file has always changed.
        if self.has_script {
            lines.push(format!("rerun-if-changed={SCRIPT}"));
        }
        lines
    }
}

/// The version of this machine's glibc, if it has one.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    version(&String::from_utf8(output.ok()?.stdout).ok()?)
}

/// Reads `glibc 2.36`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Build {
        Build {
            folder: PathBuf::from("/src/sentry"),
            package: "sentry".to_owned(),
            has_script: true,
            ordered: true,
            glibc: Some((2, 36)),
            maps: None,
        }
    }

    #[track_caller]
    fn check(build: &Build, expected: &[&str]) {
        let lines = build.instructions();
        let (first, rest) = lines.split_first().unwrap();
        assert_eq!(first, "rerun-if-env-changed=DAPR_RS_LINK_MAP");
        assert_eq!(rest, expected);
    }

    const ORDER: &str = "rustc-link-arg-bins=-Wl,-T,/src/sentry/startup.ld";
    const PACKED: &str = "rustc-link-arg-bins=-Wl,-z,pack-relative-relocs";
    const WATCHED: &str = "rerun-if-changed=startup.ld";

    #[test]
    fn a_release_is_ordered_and_packed() {
        check(&release(), &[ORDER, PACKED, WATCHED]);
    }

    #[test]
    fn without_an_order_the_linker_has_its_own() {
        let build = Build {
            has_script: false,
            ..release()
        };
        check(&build, &[PACKED]);
    }

    #[test]
    fn other_builds_only_watch_the_order() {
        let build = Build {
            ordered: false,
            glibc: None,
            ..release()
        };
        check(&build, &[WATCHED]);
    }

    #[test]
    fn relocations_are_packed_only_for_a_glibc_that_knows_them() {
        for glibc in [None, Some((2, 9)), Some((2, 35))] {
            let build = Build { glibc, ..release() };
            check(&build, &[ORDER, WATCHED]);
        }
        let build = Build {
            glibc: Some((3, 0)),
            ..release()
        };
        check(&build, &[ORDER, PACKED, WATCHED]);
    }

    #[test]
    fn a_map_is_named_after_the_package_and_shows_the_order_of_the_linker() {
        let build = Build {
            maps: Some(PathBuf::from("/maps")),
            ..release()
        };
        let map = "rustc-link-arg-bins=-Wl,-Map=/maps/sentry.map";
        check(&build, &[PACKED, map, WATCHED]);
    }

    #[test]
    fn the_version_is_read_from_getconf() {
        assert_eq!(version("glibc 2.36\n"), Some((2, 36)));
        assert_eq!(version("glibc 2.4.1"), None);
        assert_eq!(version("other 2.36"), None);
        assert_eq!(version(""), None);
    }
}
