//! The dapr command line tool.
