//! The built tool with real sidecars: what a user types and sees.

mod cluster;
mod invoke;
mod mtls;
mod run;
mod services;
mod tool;
