//! Trace context, spans and their exporters.
//!
//! The exporters are our own: the OpenTelemetry crates would start a thread
//! per exporter, read the environment by other rules than upstream's, and hide
//! how many spans they drop. What is left without them is small: two headers
//! to parse, one sampler, one bounded queue and four ways to write a span.

pub mod attributes;
pub mod baggage;
pub mod headers;

mod batch;
mod export;
mod queue;
mod sampler;
mod settings;
mod span;
mod trace_context;
mod tracer;
mod tracestate;

pub use sampler::Sampler;
pub use settings::{Otlp, Resource, Settings, Transport};
pub use span::{Kind, Record, Span};
pub use trace_context::TraceContext;
pub use tracer::Tracer;
pub use tracestate::TraceState;
