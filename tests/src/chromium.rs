//! Headless Chromium as a client.

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
        "--dump-dom",
    ];
    line.extend(arguments);
    line.push(url);
    let finished = Process::spawn(chromium, line).finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    let page = String::from_utf8(finished.stdout).expect("a page");
    (page, String::from_utf8_lossy(&finished.stderr).into_owned())
}
