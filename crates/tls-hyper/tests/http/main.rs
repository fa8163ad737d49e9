//! HTTP on our TLS: hyper's client and its pool, our server, axum and tonic, against each other and against others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod browser;
mod connector;
mod draining;
mod examples;
mod http2_rules;
mod identities;
mod late;
mod peers;
mod pool;
mod restart;
mod rpc;
mod silence;
mod support;
