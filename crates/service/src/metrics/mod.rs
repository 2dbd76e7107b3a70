//! Metrics: families of counters, gauges and histograms under upstream's exact
//! names, and the Prometheus server that shows them.
//!
//! A caller asks its family for a series once (`family.with(&["a", "b"])`) and
//! keeps the handle; recording is then one atomic operation. Text is made at a
//! scrape only.

mod family;
mod memo;
mod number;
mod process;
mod registry;
mod value;

#[cfg(test)]
mod tests;

pub use family::Family;
pub use memo::Memo;
pub use registry::{Options, Registry};
pub use value::{Counter, Gauge, Histogram};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::TcpListener;

use crate::Tasks;
use crate::http::serve_requests;

/// The content type of the text exposition format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bounds of latency histograms, in milliseconds.
pub const LATENCY_BUCKETS: &[f64] = &[
    1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 25.0, 30.0, 40.0, 50.0, 65.0, 80.0,
    100.0, 130.0, 160.0, 200.0, 250.0, 300.0, 400.0, 500.0, 650.0, 800.0, 1000.0, 2000.0, 5000.0,
    10000.0, 20000.0, 50000.0, 100000.0,
];

/// Bounds of the latency histograms that are ours, in milliseconds: a call
/// through a sidecar of this kind takes fractions of one.
pub const FINE_BUCKETS: &[f64] = &[
    0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 25.0, 50.0, 100.0,
    250.0, 500.0, 1000.0, 5000.0, 30000.0,
];

/// Bounds of size histograms, in bytes.
pub const SIZE_BUCKETS: &[f64] = &[
    1024.0,
    2048.0,
    4096.0,
    16384.0,
    65536.0,
    262144.0,
    1048576.0,
    4194304.0,
    16777216.0,
    67108864.0,
    268435456.0,
    1073741824.0,
    4294967296.0,
];

/// Serves the registry and the process's own metrics for any path, until the
/// tasks are asked to end.
pub fn serve(listener: TcpListener, registry: &Registry, tasks: &Tasks) {
    let registry = registry.clone();
    serve_requests(
        "metrics server",
        listener,
        tasks,
        move |_: &Request<Incoming>| {
            let mut text = registry.render();
            process::render(&mut text);
            let mut response = Response::new(Full::new(Bytes::from(text)));
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                header::HeaderValue::from_static(CONTENT_TYPE),
            );
            response
        },
    );
}
