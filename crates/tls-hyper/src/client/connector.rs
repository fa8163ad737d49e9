//! From a URI to a connection.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::{Connection, HttpConnector, HttpInfo};
use hyper_util::rt::TokioIo;
use tls_tokio::{ConnectionContext, EofPolicy, ServerName, TlsConnector, TlsInfo};
use tokio::time::timeout;
use tower_service::Service;

use super::builder::HttpsConnectorBuilder;
use super::error::{BoxError, ConnectError};
use super::stream::MaybeHttpsStream;

/// Connects to where a URI says, by TLS: for hyper-util's client and its pool, tonic's `connect_with_connector`, or
/// anything else that takes a `Service<Uri>`. Cheap to clone.
///
/// ```no_run
/// use http_body_util::Empty;
/// use hyper::body::Bytes;
/// use hyper_util::client::legacy::Client;
/// use hyper_util::rt::TokioExecutor;
/// use tls_hyper::{ClientConfig, HttpsConnectorBuilder, RootStore, TlsInfo};
///
/// # async fn example(ca_pem: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let config = ClientConfig::builder().roots(RootStore::from_pem(ca_pem)?).build()?;
/// let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_all_versions().build()?;
/// let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
///
/// let response = client.get("https://localhost:8443/".parse()?).await?;
/// println!("{:?} {:?}", response.version(), response.extensions().get::<TlsInfo>());
/// # Ok(())
/// # }
/// ```
///
/// **Connecting** is the connector's below, hyper-util's [`HttpConnector`] unless another was given, within one time
/// limit; the **handshake** has another one. The server's name is the URI's host: an IP address is checked against the
/// certificate, and not sent (RFC 6066 section 3). Hooks of the configuration see the server's address.
///
/// **Protocols.** What ALPN chose is reported to the pool, which speaks HTTP/2 or HTTP/1.1 accordingly. A client that
/// is told `http2_only` needs a connector that offers HTTP/2 alone; it then refuses servers that do not choose it.
///
/// **Closing.** A pool closes a connection by dropping it: close_notify is sent if that takes no waiting. The end of a
/// connection without the server's close_notify is an error, but only a response of HTTP/1 without a length and without
/// chunks is read up to there: see [`HttpsConnectorBuilder::eof_policy`].
///
/// **Cancelling.** Dropping the future of a call closes what was connected.
#[derive(Clone)]
pub struct HttpsConnector<C = HttpConnector> {
    transport: C,
    settings: Arc<Settings>,
}

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) tls: TlsConnector,
    pub(super) allows_http: bool,
    pub(super) requires_http2: bool,
    pub(super) server_name: Option<ServerName<'static>>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) eof_policy: EofPolicy,
}

impl HttpsConnector {
    /// Starts a connector: the same as [`HttpsConnectorBuilder::new`].
    pub fn builder() -> HttpsConnectorBuilder {
        HttpsConnectorBuilder::new()
    }
}

impl<C> HttpsConnector<C> {
    pub(super) fn new(transport: C, settings: Settings) -> Self {
        Self {
            transport,
            settings: Arc::new(settings),
        }
    }
}

impl<C> Service<Uri> for HttpsConnector<C>
where
    C: Service<Uri>,
    C::Response: Read + Write + Connection + Unpin + Send + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = MaybeHttpsStream<C::Response>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.transport.poll_ready(cx).map_err(transport)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let server = match self.settings.server(&uri) {
            Ok(server) => server,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let connecting = self.transport.call(uri);
        let settings = Arc::clone(&self.settings);
        Box::pin(async move {
            let transport = settings.connect(connecting).await?;
            match server {
                Some(server) => settings.handshake(server, transport).await,
                None => Ok(MaybeHttpsStream::Http(transport)),
            }
        })
    }
}

impl Settings {
    /// Whom to ask for; `None` where there is no TLS.
    fn server(&self, uri: &Uri) -> Result<Option<ServerName<'static>>, ConnectError> {
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if self.allows_http => return Ok(None),
            scheme => return Err(ConnectError::Scheme(scheme.map(str::to_owned))),
        }
        if let Some(name) = &self.server_name {
            return Ok(Some(name.clone()));
        }
        server_name(uri.host().unwrap_or_default()).map(Some)
    }

    async fn connect<T, E: Into<BoxError>>(
        &self,
        connecting: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ConnectError> {
        let Some(limit) = self.connect_timeout else {
            return connecting.await.map_err(transport);
        };
        match timeout(limit, connecting).await {
            Ok(connected) => connected.map_err(transport),
            Err(_) => Err(ConnectError::Timeout(limit)),
        }
    }

    async fn handshake<T>(
        &self,
        server: ServerName<'static>,
        transport: T,
    ) -> Result<MaybeHttpsStream<T>, ConnectError>
    where
        T: Read + Write + Connection + Unpin + Send,
    {
        let mut context = ConnectionContext::new();
        let mut extras = http::Extensions::new();
        transport.connected().get_extras(&mut extras);
        if let Some(info) = extras.get::<HttpInfo>() {
            context = context.with_peer_address(info.remote_addr());
        }
        let connected = self.tls.connect_with(server, TokioIo::new(transport), context);
        let mut stream = connected
            .await
            .map_err(|failure| ConnectError::Handshake(failure.into_error()))?;
        self.check_protocol(&stream.info())?;
        stream.set_eof_policy(self.eof_policy);
        Ok(MaybeHttpsStream::https(stream))
    }

    /// That hyper can speak what was chosen.
    fn check_protocol(&self, info: &TlsInfo) -> Result<(), ConnectError> {
        match info.alpn() {
            Some(b"h2") => Ok(()),
            None | Some(b"http/1.1" | b"http/1.0") if !self.requires_http2 => Ok(()),
            other => Err(ConnectError::Protocol(
                other.map(|name| name.escape_ascii().to_string()),
            )),
        }
    }
}

fn transport(error: impl Into<BoxError>) -> ConnectError {
    ConnectError::Transport(error.into())
}

/// The name in a URI: IPv6 addresses are in brackets there, and a DNS name may end with the dot of the root, which no
/// certificate has and no ServerName (RFC 6066 section 3).
fn server_name(host: &str) -> Result<ServerName<'static>, ConnectError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or_else(|| host.strip_suffix('.').unwrap_or(host));
    ServerName::try_from(bare.to_owned()).map_err(|_| ConnectError::ServerName(host.to_owned()))
}

impl<C> fmt::Debug for HttpsConnector<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsConnector")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_host_without_brackets_and_without_the_root() {
        for (host, name) in [
            ("example.com", "example.com"),
            ("example.com.", "example.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "::1"),
        ] {
            assert_eq!(
                server_name(host).unwrap(),
                ServerName::try_from(name).unwrap(),
                "{host}"
            );
        }
        for wrong in ["", ".", "[example.com", "a..b", "-"] {
            assert!(
                matches!(server_name(wrong), Err(ConnectError::ServerName(host)) if host == wrong),
                "{wrong}"
            );
        }
    }
}
