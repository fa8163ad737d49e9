//! Connections recorded against real peers, as text that people can read, and their replay without a network.
//!
//! - What is in a file, and how it is decoded, is in the crate `tls-transcript`.
//! - [`case`]: what a connection does, and how it is configured; [`cases`]: what is recorded; [`run`]: doing it over a [`wire`], which is a socket
//!   or a recording; [`live`]: the peer that it is recorded against.
//! - [`compare`]: how a replay that differs is shown.
//!
//! `testdata/README.md` says how to add one.

pub mod case;
pub mod cases;
pub mod compare;
pub mod live;
pub mod run;
pub mod store;
pub mod wire;

pub use tls_transcript::{Event, Recording, Secret, Seed, What, decode, direction, fields, hex, keys};
