//! What is stored, byte for byte as upstream stores it.

// Generated code is not ours to tidy.
#![allow(clippy::large_enum_variant, clippy::doc_markdown)]

/// A job as whoever scheduled it wrote it: package `api`.
pub mod api {
    tonic::include_proto!("api");
}

/// Jobs and counters: package `stored`.
pub mod stored {
    tonic::include_proto!("stored");
}

/// Schedulers that share the jobs: package `cron.stored`.
pub mod cron {
    pub mod stored {
        tonic::include_proto!("cron.stored");
    }
}
