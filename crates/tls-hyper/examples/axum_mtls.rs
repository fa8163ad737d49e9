//! A server with axum whose clients may show a certificate (mutual TLS), and that is replaced while it serves.
//!
//! ```sh
//! cargo run -p tls-hyper --example axum_mtls -- 127.0.0.1:8443 chain.pem key.pem clients-ca.pem
//! curl --cacert ca.pem --cert alice.pem --key alice-key.pem https://localhost:8443/members
//! ```
//!
//! SIGTERM and Ctrl-C end it: requests under way are answered. SIGHUP starts the program anew, with what its files and its
//! executable are then, gives it the listening socket, and ends this one once that one serves. Nobody who connects
//! meanwhile is turned away, since the socket is never closed; if the new one does not come to serve, the old one goes on.

use std::error::Error;
use std::io::{self, Write as _};
use std::net::TcpListener as Socket;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tls_hyper::tls_tokio::{ClientAuth, WebPkiVerifier};
use tls_hyper::{CertifiedKey, RootStore, ServerConfig, TlsAcceptor, TlsConnectInfo, TlsListener};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// In place of an address to listen on: the socket is standard input.
const INHERITED: &str = "-";

/// Until requests under way are cut off.
const DRAIN: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, files @ ..] = arguments.as_slice() else {
        return Err("usage: axum_mtls LISTEN CHAIN.pem KEY.pem CLIENTS_CA.pem".into());
    };
    let config = config(files)?;
    let socket = match listen.as_str() {
        INHERITED => Socket::from(io::stdin().as_fd().try_clone_to_owned()?),
        address => Socket::bind(address)?,
    };
    socket.set_nonblocking(true)?;
    let tcp = TcpListener::from_std(socket.try_clone()?)?;
    let address = tcp.local_addr()?;
    let listener = TlsListener::new(tcp, TlsAcceptor::new(config))
        .on_failure(|address, failure| say(&format!("{address}: {failure}")));

    // From here on a signal does what we say.
    let (terminate, restart) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let stop = stopped(terminate, restart, &socket, files);
    let serving = tls_hyper::serve(listener, app()).until(stop, DRAIN);
    // Tells a predecessor that we are there. Nothing else goes there: nobody may read it any more.
    println!("https://{address}/");
    let drained = serving.await;
    say(&format!("{}: {drained:?}", std::process::id()));
    Ok(())
}

/// In one write, so that the lines of two processes do not mix.
fn say(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

fn config(files: &[String]) -> Result<ServerConfig, Box<dyn Error>> {
    let [chain, key, clients_ca] = files else {
        return Err("needs CHAIN.pem KEY.pem CLIENTS_CA.pem".into());
    };
    let key = CertifiedKey::from_pem(&std::fs::read(chain)?, &std::fs::read(key)?)?;
    let members = WebPkiVerifier::new(RootStore::from_pem(&std::fs::read(clients_ca)?)?);
    // `ClientAuth::required` would let in nobody else.
    Ok(ServerConfig::builder()
        .certificate(key)
        .client_auth(ClientAuth::requested(Arc::new(members)))
        .alpn(["h2", "http/1.1"])
        .build()?)
}

fn app() -> Router {
    Router::new()
        .route("/", get(|| async { "Hello.\n" }))
        .route("/members", get(members))
        .route("/process", get(|| async { std::process::id().to_string() }))
}

/// For those with a certificate.
async fn members(client: TlsConnectInfo) -> (StatusCode, String) {
    let names = client.peer_names();
    match names.and_then(|names| names.dns_names.into_iter().next()) {
        Some(name) => (StatusCode::OK, format!("Hello, {name}.\n")),
        None => (StatusCode::FORBIDDEN, "Members only.\n".to_owned()),
    }
}

/// Until this process shall end.
async fn stopped(mut terminate: Signal, mut restart: Signal, socket: &Socket, files: &[String]) {
    loop {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = tokio::signal::ctrl_c() => return,
            _ = restart.recv() => match start_successor(socket, files).await {
                Ok(()) => return,
                Err(error) => say(&format!("the new one does not serve, so the old one goes on: {error}")),
            },
        }
    }
}

/// Starts the program anew on the same socket, and waits until it serves.
async fn start_successor(socket: &Socket, files: &[String]) -> io::Result<()> {
    let mut successor = Command::new(std::env::current_exe()?)
        .arg(INHERITED)
        .args(files)
        .stdin(Stdio::from(OwnedFd::from(socket.try_clone()?)))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = successor.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).await?;
    }
    if line.is_empty() {
        return Err(io::Error::other("it ended"));
    }
    say(&format!("{} serves now", successor.id().unwrap_or_default()));
    Ok(())
}
