//! Compiles `proto/` into Rust, without protoc: what is stored, and etcd's API. Says how the
//! program is linked.

use std::error::Error;
use std::fs;
use std::path::Path;

/// Messages that carry a secret; src/etcd/wire.rs has their `Debug`.
const REDACTED: [&str; 2] = [
    ".etcdserverpb.AuthenticateRequest",
    ".etcdserverpb.AuthenticateResponse",
];

fn main() -> Result<(), Box<dyn Error>> {
    link::startup();
    let folder = Path::new("proto");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    // The output must not depend on the order of the file system.
    files.sort();
    let descriptors = protox::compile(files, [folder])?;
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names().skip_debug(REDACTED);
    // Calls to etcd are made by their paths, so that one function repeats them all.
    tonic_prost_build::configure()
        .build_client(false)
        .bytes(".")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
