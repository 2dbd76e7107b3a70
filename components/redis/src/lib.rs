//! Redis components.
