//! A Redis server of a test's own.

use std::net::TcpListener;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::process::{LIMIT, Process, require_or_skip};

/// A `redis-server` on its own port of 127.0.0.1, with nothing on disk. Killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    process: Option<Process>,
    port: u16,
    directory: TempDir,
}

impl RedisServer {
    /// Starts one and waits until it answers. `None`, with a message, where it is not installed.
    ///
    /// # Panics
    ///
    /// If it does not answer, or is not installed and [`crate::process::REQUIRE_PEERS`] is set.
    pub async fn start() -> Option<Self> {
        let mut server = Self::reserve()?;
        server.run().await;
        Some(server)
    }

    /// One that does not run yet: see [`Self::run`].
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    #[must_use]
    pub fn reserve() -> Option<Self> {
        require_or_skip("redis-server").then(|| Self {
            process: None,
            port: free_port(),
            directory: TempDir::new().unwrap(),
        })
    }

    /// Starts it, after [`Self::reserve`] or [`Self::kill`], and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub async fn run(&mut self) {
        let port = self.port.to_string();
        let process = Process::spawn(
            "redis-server",
            [
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                self.directory.path().to_str().unwrap(),
            ],
        );
        process.wait_for("Ready to accept connections").await;
        self.process = Some(process);
        let answered = timeout(LIMIT, async {
            while !self.answers().await {
                sleep(Duration::from_millis(10)).await;
            }
        });
        answered.await.expect("redis-server answers");
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Kills it; what it knew is lost.
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Lets it stand still: connections stay, and nothing is answered.
    pub async fn stop(&self) {
        self.signal("-STOP").await;
    }

    /// Lets it go on after [`Self::stop`].
    pub async fn go_on(&self) {
        self.signal("-CONT").await;
    }

    async fn signal(&self, signal: &str) {
        let id = self.process.as_ref().and_then(Process::id).expect("it runs");
        let done = Process::spawn("kill", [signal, &id.to_string()]).finish().await;
        assert!(done.status.success(), "{}", done.text());
    }

    async fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)).await else {
            return false;
        };
        let mut answer = [0; 7];
        stream.write_all(b"PING\r\n").await.is_ok()
            && stream.read_exact(&mut answer).await.is_ok()
            && answer == *b"+PONG\r\n"
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
