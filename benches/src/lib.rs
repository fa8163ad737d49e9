//! Us and rustls with tokio-rustls in one process, round-robin, so that the noise of the machine hits both
//! alike. What counts is the median of the ratios of each round; absolute values are information.
//!
//! `cargo run --release -p tls-benches -- [--quick] [--rounds N] [FILTER...]` prints Markdown. A filter keeps
//! the groups of rows whose name contains it: `handshake`, `resumed`, `bulk`, `small`, `loopback`, `allocations`,
//! `idle`.
//!
//! Both stacks get the same work: the same chain (leaf, intermediate; the root is the trust anchor), verified by
//! the client, one version, one cipher suite, the same groups, no resumption, no tickets unless the row says so.
//! (rustls by default prefers AES-256 and sends two tickets.) What a row does not name is TLS 1.3 and ECDSA P-256;
//! with RSA-2048 the whole chain is RSA and handshakes are signed with PSS and SHA-256. In TLS 1.2 both require the
//! extended main secret. Resumed handshakes are checked to be that, on both sides.
//!
//! To measure another stack, implement [`stack::Stack`]; `ours.rs` and `rustls_stack.rs` are the two there are.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the only peer is ourselves, and a benchmark that goes wrong shall stop"
)]

pub mod aead;
pub mod bulk;
pub mod clock;
pub mod floor;
pub mod floor_resumed;
pub mod handshake;
pub mod identity;
pub mod loopback;
pub mod memory;
pub mod memory_child;
pub mod ours;
pub mod resumed;
pub mod rounds;
pub mod rustls_stack;
pub mod stack;
pub mod table;
