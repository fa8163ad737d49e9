//! `tls serve`: accept connections, and show what was negotiated.

mod accept;
mod connection;
pub(crate) mod development_ca;
mod early;
mod echo;
mod files;
pub(crate) mod http;
pub(crate) mod metrics;
mod page;
mod stop;

use core::time::Duration;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tls_tokio::tls_core::{CertificateResolver, MemoryCertificates};
use tls_tokio::{ServerConfig, TlsAcceptor};
use tokio::net::TcpListener;

use self::accept::Server;
use self::development_ca::DevelopmentCa;
use self::files::Files;
pub(crate) use self::stop::StopSignal;
use crate::args::ServeArguments;
use crate::console;
use crate::failure::Failure;
use crate::setup;

/// When accepting fails, mostly for want of file descriptors, some time helps.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Http,
    Echo,
}

pub(crate) async fn run(arguments: ServeArguments) -> Result<(), Failure> {
    let mode = if arguments.echo { Mode::Echo } else { Mode::Http };
    let files = arguments.root.map(Files::below).transpose()?;
    let stop =
        StopSignal::new().map_err(|error| Failure::new(format!("cannot wait for signals: {error}")))?;
    let given = arguments.identity.certificates().await?;
    let client_auth = arguments.identity.client_auth().await?;
    let listen = &arguments.listen;
    let listener = TcpListener::bind(listen)
        .await
        .and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) =
        listener.map_err(|error| Failure::new(format!("cannot listen on {listen}: {error}")))?;

    let (certificates, ca) = match given {
        Some(certificates) => (certificates, None),
        None => {
            let ca = DevelopmentCa::make(arguments.identity.ca_out, address.ip(), address.port())?;
            let leaf: Arc<dyn CertificateResolver> = Arc::new(MemoryCertificates::new([ca.leaf().clone()]));
            (leaf, Some(ca))
        }
    };
    let default_alpn: &[&str] = match mode {
        Mode::Http if arguments.h2 => &["h2", "http/1.1"],
        Mode::Http => &["http/1.1"],
        Mode::Echo => &[],
    };
    let mut builder = arguments
        .protocol
        .server(ServerConfig::builder())
        .certificate_resolver(certificates)
        .alpn(setup::protocols(arguments.alpn, default_alpn));
    let takes_early_data = arguments.sessions.early_data > 0;
    builder = arguments.sessions.server(builder)?;
    if let Some(client_auth) = client_auth {
        builder = builder.client_auth(client_auth);
    }
    if let Some(key_log) = setup::key_log()? {
        builder = builder.key_log(key_log);
    }
    let config = builder.build().map_err(|error| Failure::new(error.to_string()))?;
    let acceptor = TlsAcceptor::new(config).handshake_timeout(arguments.timeout.0);
    let server = Server {
        acceptor: arguments.metrics.count(acceptor).await?,
        mode,
        takes_early_data,
        once: arguments.once,
        drain: arguments.drain.0.unwrap_or_default(),
    };

    announce(address, mode, ca.as_ref().map(DevelopmentCa::file));
    match files {
        Some(files) => files.serve(server, listener, stop).await,
        None => server.run(listener, stop).await,
    }
}

/// Says where we listen, and how to get there.
fn announce(address: SocketAddr, mode: Mode, ca: Option<&Path>) {
    console::print(format_args!("listening on {address}"));
    let ip = address.ip();
    let host = match address {
        _ if ip.is_unspecified()
            || ip.is_loopback() && ip.to_canonical() == LOCALHOST
            || ip == LOCALHOST6 =>
        {
            "localhost".to_owned()
        }
        SocketAddr::V4(_) => ip.to_string(),
        SocketAddr::V6(_) => format!("[{ip}]"),
    };
    let port = address.port();
    let ca = ca.map(|ca| {
        console::print(format_args!("the development CA is in {}", ca.display()));
        quoted(ca)
    });
    match (mode, ca) {
        (Mode::Http, Some(ca)) => console::print(format_args!("curl --cacert {ca} https://{host}:{port}/")),
        (Mode::Http, None) => console::print(format_args!("https://{host}:{port}/")),
        (Mode::Echo, Some(ca)) => console::print(format_args!("tls connect --ca {ca} {host}:{port}")),
        (Mode::Echo, None) => console::print(format_args!("tls connect {host}:{port}")),
    }
}

const LOCALHOST: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const LOCALHOST6: std::net::IpAddr = std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

/// A path as a word for a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_safe = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if path.chars().all(is_safe) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::quoted;

    #[test]
    fn a_path_with_blanks_or_quotes_is_quoted() {
        assert_eq!(quoted(Path::new("/a/b-1.pem")), "/a/b-1.pem");
        assert_eq!(quoted(Path::new("/a b")), "'/a b'");
        assert_eq!(quoted(Path::new("/it's")), r"'/it'\''s'");
    }
}
