//! HTTPS with hyper, on TLS of our own: a connector for clients, a server that ends well, listeners for axum and tonic.
//!
//! A client, with hyper-util's pool ([`HttpsConnector`]):
//!
//! ```no_run
//! # use http_body_util::Empty;
//! # use hyper::body::Bytes;
//! # use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! # use tls_hyper::{ClientConfig, HttpsConnector, RootStore, TlsInfo};
//! # async fn example(ca: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! let config = ClientConfig::builder().roots(RootStore::from_pem(ca)?).build()?;
//! let connector = HttpsConnector::builder().with_tls_config(config).build()?;
//! let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
//! let response = client.get("https://localhost:8443/".parse()?).await?;
//! println!("{:?}", response.extensions().get::<TlsInfo>());
//! # Ok(())
//! # }
//! ```
//!
//! A server ([`serve`]), here of files:
//!
//! ```no_run
//! # use std::time::Duration;
//! # use tls_hyper::{CertifiedKey, ServerConfig, TlsAcceptor, TlsListener};
//! # async fn stop() {}
//! # async fn example(key: CertifiedKey) -> Result<(), Box<dyn std::error::Error>> {
//! let config = ServerConfig::builder().certificate(key).alpn(["h2", "http/1.1"]).build()?;
//! let tcp = tokio::net::TcpListener::bind("127.0.0.1:8443").await?;
//! let listener = TlsListener::new(tcp, TlsAcceptor::new(config));
//! let files = tower_http::services::ServeDir::new("public");
//! tls_hyper::serve(listener, files).until(stop(), Duration::from_secs(10)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # HTTP/2 and TLS
//!
//! What RFC 9113 section 9.2 asks of TLS, and where it comes from:
//!
//! | | |
//! | --- | --- |
//! | TLS 1.2 or later | nothing else is spoken |
//! | no compression, no renegotiation | neither exists here |
//! | suites of TLS 1.2 that are not on the list of Appendix A | every suite is ECDHE with an AEAD: none of them is on it |
//! | key exchange of 224 bits or more | secp256r1 is the smallest group |
//! | the server's name is sent | a connector does so, where it is a name and no address; a server says so in an event where a client did not, and serves it |
//! | HTTP/2 is spoken if ALPN says so, and only then (section 3.2) | the connector, with [`ConnectError::Protocol`] where it wants nothing else; [`serve`]; tonic by `incoming`. `axum::serve` looks at the first bytes instead |
//! | a server asks for no certificate after the handshake (section 9.2.3) | there is no authentication after the handshake |
//!
//! Early data is allowed to HTTP (RFC 8470), but neither the connector nor the servers here use it.
//!
//! # Copies
//!
//! hyper sees a stream that takes vectored writes, and so hands over head and body in one call without joining them; they
//! are sealed from where they lie. `h2` flushes each frame by itself; a flush with nothing to send costs two loads.
//!
//! # Features
//!
//! - `axum`: `AxumListener` for `axum::serve`, and [`TlsConnectInfo`] as an extractor.
//! - `tonic`: `incoming` for tonic's `serve_with_incoming`.
//! - `native-roots`: `RootStore::native`, the platform's trusted roots.

#[cfg(feature = "axum")]
mod axum;
mod client;
mod server;
#[cfg(feature = "tonic")]
mod tonic;

#[cfg(feature = "axum")]
pub use self::axum::AxumListener;
pub use self::client::{
    BuildError, ConnectError, DEFAULT_CONNECT_TIMEOUT, HttpsConnector, HttpsConnectorBuilder,
    MaybeHttpsStream,
};
pub use self::server::{Serve, ServedStream, TlsConnectInfo, serve, serve_hyper};
#[cfg(feature = "tonic")]
pub use self::tonic::{Incoming, incoming};
pub use tls_tokio;
pub use tls_tokio::{
    CertifiedKey, ClientConfig, Drained, EofPolicy, Listen, ListenerHandle, RootStore, ServerConfig,
    ServerName, TlsAcceptor, TlsInfo, TlsListener,
};
