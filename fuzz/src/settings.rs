//! What a user writes: resource files, metadata of components, flags.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use component::metadata::{Millis, Properties, Seconds};
use schemars::JsonSchema;
use serde::Deserialize;

/// A resources file of a user.
pub fn documents(data: &[u8]) {
    let loaded = resources::load::parse_documents(data, "fuzz.yaml");
    for problem in &loaded.problems {
        // The text is what ends up in a log line.
        let _ = format!("{problem:?}");
    }
}

/// The metadata of a component: alternating lines of names and values.
pub fn metadata(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut properties = Properties::default();
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        properties.0.insert(name.to_owned(), value.to_owned());
    }
    let _ = component::metadata::decode::<Settings>(&properties);
}

/// The arguments of a sidecar, one per line.
pub fn flags(data: &[u8]) {
    let args = data.split(|byte| *byte == b'\n');
    let args = args.map(|arg| OsString::from_vec(arg.to_vec()));
    match sidecar::flags::flags().parse(args, &|_| None) {
        Ok(parsed) => drop(parsed),
        Err(exit) => assert!(exit.code == 0 || exit.code == 2, "exit code {}", exit.code),
    }
}

/// One setting of every shape that components use.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
#[allow(dead_code)] // decoding is the point, not the values
struct Settings {
    host: String,
    enabled: bool,
    timeout: Option<Seconds>,
    pause: Millis,
    size: i64,
    ports: Vec<u16>,
}
