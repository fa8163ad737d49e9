//! The client's side: a connector for hyper-util's client and its pool, and for whatever else takes a `Service<Uri>`.

mod builder;
mod connector;
mod error;
mod stream;

pub use self::builder::{BuildError, DEFAULT_CONNECT_TIMEOUT, HttpsConnectorBuilder};
pub use self::connector::HttpsConnector;
pub use self::error::ConnectError;
pub use self::stream::MaybeHttpsStream;
