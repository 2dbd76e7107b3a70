//! Compiles `proto/` of the repository into Rust, without protoc.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;

/// Messages that carry secrets or what may be one; src/redacted.rs has their `Debug`.
const REDACTED: [&str; 22] = [
    ".dapr.proto.common.v1.StreamPayload",
    ".dapr.proto.components.v1.GetSecretResponse",
    ".dapr.proto.components.v1.MetadataRequest",
    ".dapr.proto.components.v1.SecretResponse",
    ".dapr.proto.internals.v1.ListStringValue",
    ".dapr.proto.operator.v1.ComponentUpdateEvent",
    ".dapr.proto.operator.v1.ConfigurationUpdateEvent",
    ".dapr.proto.operator.v1.GetConfigurationResponse",
    ".dapr.proto.operator.v1.GetHTTPEndpointResponse",
    ".dapr.proto.operator.v1.HTTPEndpointUpdateEvent",
    ".dapr.proto.operator.v1.ListComponentResponse",
    ".dapr.proto.operator.v1.ListHTTPEndpointsResponse",
    ".dapr.proto.operator.v1.ListMCPServersResponse",
    ".dapr.proto.operator.v1.MCPServerUpdateEvent",
    ".dapr.proto.runtime.v1.GetSecretResponse",
    ".dapr.proto.runtime.v1.SecretResponse",
    ".dapr.proto.runtime.v1.SubtleDecryptResponse",
    ".dapr.proto.runtime.v1.SubtleEncryptRequest",
    ".dapr.proto.runtime.v1.SubtleUnwrapKeyResponse",
    ".dapr.proto.runtime.v1.SubtleWrapKeyRequest",
    ".dapr.proto.sentry.v1.SignCertificateRequest",
    ".dapr.proto.sentry.v1.SignCertificateResponse",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("../../proto");
    // The durabletask files import one another by bare name, so that their folder
    // is an include of its own; the longer path must come first to win.
    let includes = [root.join("durabletask"), root.to_path_buf()];
    println!("cargo:rerun-if-changed={}", root.display());

    let mut compiler = protox::Compiler::new(includes)?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(proto_files(root)?)?;
    let mut descriptors = compiler.file_descriptor_set();
    let mut config = tonic_prost_build::Config::new();
    config
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        .skip_debug(REDACTED);
    // Sorted maps make the encoding deterministic, which signed workflow history asks
    // for, and are what the component traits take.
    tonic_prost_build::configure()
        .bytes(".")
        .btree_map(".")
        .compile_fds_with_config(descriptors.clone(), config)?;

    // Comments are for rustdoc; they would only make the embedded set larger.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    let out = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(out, descriptors.encode_to_vec())?;
    Ok(())
}

/// Every .proto file below `folder`, sorted, so that the output does not depend
/// on the file system.
fn proto_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "proto")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
