//! Dapr resources: structs, YAML folders, validation.
