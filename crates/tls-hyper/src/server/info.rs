//! Who is at the other end of a connection.

use core::ops::Deref;
use std::net::SocketAddr;

use tls_tokio::TlsInfo;

/// The client of a connection: what the handshake agreed on, its certificate among it, and its address. Cheap to clone.
///
/// It is an extension of each request: by [`serve`](crate::serve), by tonic (feature `tonic`), and as
/// `ConnectInfo<TlsConnectInfo>` by axum's own `serve` (feature `axum`). A handler of axum can take it as it is,
/// whichever of the two serves it.
///
/// ```
/// use tls_hyper::TlsConnectInfo;
///
/// fn who_asks<B>(request: &http::Request<B>) -> Option<String> {
///     let client = request.extensions().get::<TlsConnectInfo>()?;
///     client.peer_names()?.common_name
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsConnectInfo<A = SocketAddr> {
    /// What was negotiated. (This dereferences to it.)
    pub tls: TlsInfo,
    /// The address of the client, or of the last proxy before us.
    pub address: A,
}

impl<A> TlsConnectInfo<A> {
    pub(crate) const fn new(tls: TlsInfo, address: A) -> Self {
        Self { tls, address }
    }
}

impl<A> Deref for TlsConnectInfo<A> {
    type Target = TlsInfo;

    fn deref(&self) -> &TlsInfo {
        &self.tls
    }
}
