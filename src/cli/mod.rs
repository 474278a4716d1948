//! The command line: one file a subcommand. Exit codes: 0 ok, 1 the run failed, 2 wrong usage or configuration.

pub mod bench;
pub mod call;
pub mod config;
pub mod models;
pub mod serve;
pub mod transcribe;
pub mod user;
