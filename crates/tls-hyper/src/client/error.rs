//! Why there is no connection.

use core::fmt;
use core::time::Duration;
use std::error::Error;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Why there is no connection. A client of hyper-util has it as the source of its error.
///
/// ```
/// use std::error::Error;
/// use hyper_util::client::legacy;
/// use tls_hyper::ConnectError;
///
/// /// Whether another address, or another time, may do better.
/// fn is_worth_another_try(error: &legacy::Error) -> bool {
///     let cause = error.source().and_then(|source| source.downcast_ref());
///     matches!(cause, Some(ConnectError::Transport(_) | ConnectError::Timeout(_)))
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URI has this scheme, or none, where only others are allowed: with
    /// [`https_only`](super::HttpsConnectorBuilder::https_only) `https` alone.
    Scheme(Option<String>),
    /// The URI has no host, or one that is neither a DNS name nor an IP address.
    ServerName(String),
    /// The connector below failed: no such host, connection refused, no network.
    Transport(BoxError),
    /// There was no connection within [`connect_timeout`](super::HttpsConnectorBuilder::connect_timeout).
    Timeout(Duration),
    /// The handshake failed or took too long.
    Handshake(tls_tokio::Error),
    /// HTTP/2 alone was offered, and the server did not choose it (RFC 9113 section 3.2: without ALPN there is no
    /// HTTP/2); or it chose this protocol, which is no HTTP that is known here.
    Protocol(Option<String>),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme(Some(scheme)) => write!(f, "the scheme {scheme} is not allowed here"),
            Self::Scheme(None) => f.write_str("the URI has no scheme"),
            Self::ServerName(host) if host.is_empty() => f.write_str("the URI has no host"),
            Self::ServerName(host) => write!(f, "{host:?} is neither a DNS name nor an IP address"),
            Self::Transport(_) => f.write_str("the server cannot be reached"),
            Self::Timeout(limit) => write!(f, "the server was not reached within {limit:?}"),
            Self::Handshake(_) => f.write_str("the TLS handshake failed"),
            Self::Protocol(Some(protocol)) => write!(f, "the server chose the protocol {protocol}"),
            Self::Protocol(None) => f.write_str("the server does not speak HTTP/2"),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Transport(error) => Some(&**error),
            Self::Handshake(error) => Some(error),
            _ => None,
        }
    }
}
