//! The server's side: HTTP on a [`TlsListener`](tls_tokio::TlsListener), and an end that cuts nobody off.

mod activity;
mod connection;
mod info;
mod request;
mod serve;
mod stream;

pub use self::info::TlsConnectInfo;
pub use self::serve::{Serve, serve, serve_hyper};
pub use self::stream::ServedStream;
