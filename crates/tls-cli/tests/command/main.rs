//! The command as its users have it: the real binary, its output, and its exit codes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod capture;
mod connect;
mod echo;
mod errors;
mod http;
mod lifetime;
mod peers;
mod protocol;
mod resume;
mod support;
