//! etcd's API and the values of jobs, generated from `proto/` and the scheduler's own files.

// Generated code is not ours to tidy.
#![allow(
    clippy::large_enum_variant,
    clippy::doc_markdown,
    clippy::enum_variant_names,
    dead_code,
    unreachable_pub
)]

pub(crate) mod api {
    tonic::include_proto!("api");
}

pub(crate) mod stored {
    tonic::include_proto!("stored");
}

pub(crate) mod mvccpb {
    tonic::include_proto!("mvccpb");
}

pub(crate) mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}
