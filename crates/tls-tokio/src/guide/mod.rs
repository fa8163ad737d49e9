//! Guides: one page per subject, with examples that run.
//!
//! | page | for whom |
//! | --- | --- |
//! | [`server`] | who accepts connections: certificates, names, limits, reloading, looking at a ClientHello first |
//! | [`client`] | who opens connections: trust, names, protocols, what was negotiated |
//! | [`mutual_tls`] | who wants to know the clients by their certificates |
//! | [`resumption`] | who wants cheap reconnections, on one server or a fleet |
//! | [`early_data`] | who thinks of 0-RTT, and should know its dangers |
//! | [`closing`] | who must know whether all data came |
//! | [`timeouts`] | who must know how long anything can take |
//! | [`testing`] | who tests a protocol on TLS, without sockets |
//! | [`from_tokio_rustls`] | who knows `tokio-rustls`, call by call |
//! | [`from_go`] | who knows Go's `crypto/tls`, name by name |
//!
//! The examples make their certificates with [`rcgen`](https://docs.rs/rcgen) and their transports with
//! [`tokio::io::duplex`]; a program reads files and connects sockets instead.

#[doc = include_str!("server.md")]
pub mod server {}

#[doc = include_str!("client.md")]
pub mod client {}

#[doc = include_str!("mutual_tls.md")]
pub mod mutual_tls {}

#[doc = include_str!("resumption.md")]
pub mod resumption {}

#[doc = include_str!("early_data.md")]
pub mod early_data {}

#[doc = include_str!("closing.md")]
pub mod closing {}

#[doc = include_str!("timeouts.md")]
pub mod timeouts {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("from_tokio_rustls.md")]
pub mod from_tokio_rustls {}

#[doc = include_str!("from_go.md")]
pub mod from_go {}
