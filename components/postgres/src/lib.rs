//! PostgreSQL components.
