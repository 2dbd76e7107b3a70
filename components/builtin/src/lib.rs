//! Components that need no SDK.
