//! Headless Chromium as a client.

use std::path::Path;

use tempfile::TempDir;

use crate::process::Process;

/// What it is called: see [`crate::process::require_one_or_skip`].
pub const CHROMIUM: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Has it load a page; gives the page as it has it then.
///
/// # Panics
/// If it fails, or complains of a handshake or of how a connection ended.
pub async fn dump(chromium: &str, url: &str, arguments: &[&str]) -> String {
    let (page, complaints) = dump_and_complaints(chromium, url, arguments).await;
    for sign in ["ssl_client_socket", "ERR_SSL", "ERR_CONNECTION", "net_error"] {
        assert!(!complaints.contains(sign), "{sign}: {complaints}");
    }
    page
}

/// The same, and what it says beside it.
///
/// # Panics
/// If it fails.
pub async fn dump_and_complaints(chromium: &str, url: &str, arguments: &[&str]) -> (String, String) {
    let browser = Browser::open(chromium, url, &[&["--dump-dom"], arguments].concat());
    let finished = browser.process.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    let page = String::from_utf8(finished.stdout).expect("a page");
    (page, String::from_utf8_lossy(&finished.stderr).into_owned())
}

/// A Chromium that shows a page until it is closed, with nothing from before.
#[derive(Debug)]
pub struct Browser {
    process: Process,
    _home: TempDir,
}

impl Browser {
    /// Has it load a page.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn open(chromium: &str, url: &str, arguments: &[&str]) -> Self {
        let home = TempDir::new().expect("a temporary directory");
        let profile = format!("--user-data-dir={}", home.path().display());
        let mut line = vec![
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &profile,
        ];
        line.extend(arguments);
        line.push(url);
        Self {
            process: Process::spawn(chromium, line),
            _home: home,
        }
    }

    /// What it has said so far.
    #[must_use]
    pub fn complaints(&self) -> String {
        self.process.text()
    }

    /// Asks it to end, as a desktop does; gives all that it said.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn close(self) -> String {
        let id = self.process.id().map(|id| id.to_string());
        // It may have ended by itself.
        let _ = Process::spawn("kill", id).finish().await;
        self.process.finish().await.text()
    }
}

/// The SHA-256 of a certificate's public key, base64: how Chromium is told to trust it
/// (`--ignore-certificate-errors-spki-list`). The certificate is a PEM file.
///
/// # Panics
/// If `openssl` cannot read it.
pub async fn key_hash(certificate: &Path) -> String {
    let script = "openssl x509 -in \"$1\" -noout -pubkey | openssl pkey -pubin -outform DER \
                  | openssl dgst -sha256 -binary | openssl base64";
    let certificate = certificate.to_str().expect("a path that is text");
    let finished = Process::spawn("sh", ["-c", script, "sh", certificate])
        .finish()
        .await;
    let hash = finished.text().trim().to_owned();
    assert_eq!(hash.len(), 44, "{hash}");
    hash
}
