//! `tls serve`: accept connections, and show what was negotiated.

mod connection;
mod development_ca;
mod early;
mod echo;
mod http;
mod page;

use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tls_tokio::{ClientAuth, ServerConfig, TlsAcceptor, WebPkiVerifier};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use self::connection::Outcome;
use self::development_ca::DevelopmentCa;
use crate::args::ServeArguments;
use crate::console;
use crate::failure::Failure;
use crate::setup;

/// When accepting fails, mostly for want of file descriptors, some time helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Http,
    Echo,
}

/// How connections are accepted, and what is done with them.
#[derive(Clone, Debug)]
struct Server {
    acceptor: TlsAcceptor,
    mode: Mode,
    takes_early_data: bool,
}

pub(crate) async fn run(arguments: ServeArguments) -> Result<(), Failure> {
    let mode = if arguments.echo { Mode::Echo } else { Mode::Http };
    let stop =
        StopSignal::new().map_err(|error| Failure::new(format!("cannot wait for signals: {error}")))?;
    let given = setup::certificate(arguments.cert.as_deref(), arguments.key.as_deref())?;
    let client_auth = client_auth(&arguments)?;
    let listen = &arguments.listen;
    let listener = TcpListener::bind(listen)
        .await
        .and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) =
        listener.map_err(|error| Failure::new(format!("cannot listen on {listen}: {error}")))?;

    let (certificate, ca) = match given {
        Some(certificate) => (certificate, None),
        None => {
            let ca = DevelopmentCa::make(arguments.ca_out, address.ip(), address.port())?;
            (ca.leaf().clone(), Some(ca))
        }
    };
    let default_alpn: &[&str] = match mode {
        Mode::Http => &["http/1.1"],
        Mode::Echo => &[],
    };
    let mut builder = arguments
        .protocol
        .server(ServerConfig::builder())
        .certificate(certificate)
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
    let server = Server {
        acceptor: TlsAcceptor::new(config).handshake_timeout(arguments.timeout.0),
        mode,
        takes_early_data,
    };

    announce(address, mode, ca.as_ref().map(DevelopmentCa::file));
    tokio::select! {
        result = accept(&listener, &server, arguments.once) => result,
        () = stop.received() => {
            console::say(format_args!("stopped"));
            Ok(())
        }
    }
}

/// Whether clients are asked for a certificate, and may have none.
fn client_auth(arguments: &ServeArguments) -> Result<Option<ClientAuth>, Failure> {
    let Some(path) = &arguments.client_ca else {
        return Ok(None);
    };
    let verifier = Arc::new(WebPkiVerifier::new(setup::roots(path)?));
    Ok(Some(match arguments.require_client_cert {
        true => ClientAuth::required(verifier),
        false => ClientAuth::requested(verifier),
    }))
}

/// Accepts for ever, or once. Each connection has its own task; they end with this future.
async fn accept(listener: &TcpListener, server: &Server, once: bool) -> Result<(), Failure> {
    let mut connections = JoinSet::new();
    loop {
        let (tcp, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                console::say(format_args!("cannot accept: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        connections.spawn(connection::serve(server.clone(), tcp, client));
        if once {
            return match connections.join_next().await {
                Some(Ok(Outcome::Served)) => Ok(()),
                _ => Err(Failure::new("the connection failed")),
            };
        }
        // Those that have ended; otherwise the set would only grow.
        while connections.try_join_next().is_some() {}
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
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_safe = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if path.chars().all(is_safe) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

/// Ctrl-C and, where there is such a thing, SIGTERM.
struct StopSignal {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignal {
    /// Signals count from here on.
    fn new() -> io::Result<Self> {
        #[cfg(unix)]
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn received(#[cfg_attr(not(unix), expect(unused_mut, reason = "no signals"))] mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
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
