//! The command as its users have it: the real binary, its output, and its exit codes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod capture;
mod client_auth;
mod connect;
mod early_data;
mod echo;
mod errors;
mod files;
mod http;
mod lifetime;
mod manual;
mod metrics;
mod peers;
mod protocol;
mod redis;
mod reload;
mod resume;
mod starttls;
mod support;
mod transcript;
