//! A running `tls serve` or `tls capture`, and a client of ours to talk to it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tls_tests::process::{Finished, Process};
use tls_tokio::{ClientConfig, RootStore, ServerName, TlsConnector, TlsStream};
use tokio::net::TcpStream;

/// The binary under test.
pub(crate) const TLS: &str = env!("CARGO_BIN_EXE_tls");

/// `tls serve` on a free port, with its development CA in a directory of its own.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) port: u16,
    pub(crate) directory: TempDir,
}

impl Server {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_as("serve", arguments).await
    }

    /// The same of another command that has these options.
    pub(crate) async fn start_as(command: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        let mut line = vec![
            command,
            "--listen",
            "127.0.0.1:0",
            "--ca-out",
            ca.to_str().unwrap(),
        ];
        line.extend(arguments);
        let process = Process::spawn(TLS, line);
        let port = port(&process).await;
        Self {
            process,
            port,
            directory,
        }
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// `localhost:PORT`
    pub(crate) fn target(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// `https://localhost:PORT` and this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.target())
    }

    /// `tls connect` to it, trusting its CA.
    pub(crate) fn connect(&self, arguments: &[&str]) -> Process {
        let (ca, target) = (self.ca(), self.target());
        let mut line = vec!["connect", &target, "--ca", ca.to_str().unwrap()];
        line.extend(arguments);
        Process::spawn(TLS, line)
    }

    /// A connection of ours, to send bytes exactly as a test wants them.
    pub(crate) async fn stream(&self) -> TlsStream<TcpStream> {
        let roots = RootStore::from_pem(&std::fs::read(self.ca()).unwrap()).unwrap();
        let config = ClientConfig::builder().roots(roots).build().unwrap();
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        // Boxed: the handshake's future would make that of every test large.
        Box::pin(TlsConnector::new(config).connect(name, tcp))
            .await
            .unwrap()
    }
}

/// The port that a server says it listens on.
pub(crate) async fn port(process: &Process) -> u16 {
    let text = process.wait_for("listening on ").await;
    // The line is written at once, and so it is whole.
    let line = text
        .lines()
        .find(|line| line.starts_with("listening on "))
        .unwrap();
    line.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Runs the command to its end, with nothing on stdin.
pub(crate) async fn run(arguments: &[&str]) -> Finished {
    let mut process = Process::spawn(TLS, arguments);
    process.close_stdin();
    process.finish().await
}

pub(crate) fn stderr(finished: &Finished) -> String {
    String::from_utf8(finished.stderr.clone()).unwrap()
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
