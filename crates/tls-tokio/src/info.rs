//! What is known of an established connection.

use core::ops::Deref;
use core::time::Duration;
use std::sync::Arc;

use tls_core::Negotiated;

/// What a handshake agreed on, and how long it took. Cheap to clone; it outlives the stream.
///
/// It dereferences to [`Negotiated`], which has the version, the suite, the group, the names and the certificates.
///
/// ```
/// use tls_tokio::TlsStream;
/// use tokio::net::TcpStream;
///
/// fn log(stream: &TlsStream<TcpStream>) {
///     let info = stream.info();
///     println!("{} {} in {:?}", info.version(), info.cipher_suite(), info.handshake_time());
/// }
/// ```
#[derive(Clone, Debug)]
pub struct TlsInfo {
    negotiated: Arc<Negotiated>,
    handshake_time: Duration,
}

impl TlsInfo {
    pub(crate) fn new(negotiated: Arc<Negotiated>, handshake_time: Duration) -> Self {
        Self {
            negotiated,
            handshake_time,
        }
    }

    /// From the call of `connect` or `accept` to the established stream.
    #[must_use]
    pub fn handshake_time(&self) -> Duration {
        self.handshake_time
    }
}

impl Deref for TlsInfo {
    type Target = Negotiated;

    fn deref(&self) -> &Negotiated {
        &self.negotiated
    }
}
