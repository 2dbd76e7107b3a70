//! Compiles what the scheduler stores, and the API to get at it, without protoc.

use std::error::Error;

/// etcd's API, and the scheduler's own files for what it stores.
const FOLDERS: [&str; 2] = ["proto", "../scheduler/proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for folder in FOLDERS {
        println!("cargo:rerun-if-changed={folder}");
    }
    let descriptors = protox::compile(["etcd_rpc.proto", "stored.proto"], FOLDERS)?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
