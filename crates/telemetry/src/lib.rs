//! Trace context, spans and their exporters.
