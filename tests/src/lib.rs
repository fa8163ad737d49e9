//! What the tests across crates share: certificates, faulty transports, real peers as processes, and a reader of
//! Rust sources for the structure tests.
//!
//! A helper panics when the world is not as the test needs it: that is how a test fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests: a panic is a failed test, and nothing here is linked into the libraries"
)]

pub mod chromium;
pub mod command;
pub mod counting;
pub mod dial;
pub mod ear;
#[cfg(debug_assertions)]
pub mod fuzz;
pub mod hello;
pub mod openssl;
pub mod pair;
pub mod pki;
pub mod postgres_server;
pub mod process;
pub mod redis_server;
pub mod script;
pub mod session;
pub mod sides;
pub mod sim;
pub mod source;
#[cfg(debug_assertions)]
pub mod transcript;
pub mod versions;

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
