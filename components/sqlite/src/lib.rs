//! SQLite components.
