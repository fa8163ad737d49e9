//! `tls serve` with curl and with a real browser: headless Chromium.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod resumption;

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tls_tests::chromium::{self, CHROMIUM, key_hash};
use tls_tests::command::tls_command;
use tls_tests::openssl::curl;
use tls_tests::pki::{Authority, Identity, IdentityFiles, KeyType};
use tls_tests::process::{Process, require_one_or_skip, require_or_skip};

#[tokio::test]
async fn curl_gets_the_page_and_what_was_negotiated_with_every_suite_and_group() {
    if !require_or_skip("curl") {
        return;
    }
    let site = Site::start(KeyType::P256).await;
    let page = site.curl("/", &[]).await;
    assert!(page.contains("<h1>") && page.contains("TLSv1.3"), "{page}");
    for suite in [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ] {
        let json = site.curl("/json", &["--tls13-ciphers", suite]).await;
        assert_says(&json, "version", "TLSv1.3");
        assert_says(&json, "cipher_suite", suite);
        assert_says(&json, "server_name", "localhost");
    }
    for (group, name) in [
        ("X25519", "x25519"),
        ("P-256", "secp256r1"),
        ("P-384", "secp384r1"),
        ("P-521", "secp521r1"),
    ] {
        assert_says(&site.curl("/json", &["--curves", group]).await, "group", name);
    }
}

#[tokio::test]
async fn curl_gets_the_page_by_tls_1_2_with_every_suite_and_group() {
    if !require_or_skip("curl") {
        return;
    }
    for (key_type, key) in [(KeyType::P256, "ECDSA"), (KeyType::Rsa2048, "RSA")] {
        let site = Site::start(key_type).await;
        let page = site.curl12("/", &[]).await;
        assert!(page.contains("<h1>") && page.contains("TLSv1.2"), "{page}");
        for (name, suite) in [
            ("AES128-GCM-SHA256", "AES_128_GCM_SHA256"),
            ("AES256-GCM-SHA384", "AES_256_GCM_SHA384"),
            ("CHACHA20-POLY1305", "CHACHA20_POLY1305_SHA256"),
        ] {
            let limits = ["--ciphers", &format!("ECDHE-{key}-{name}")];
            let json = site.curl12("/json", &limits).await;
            assert_says(&json, "version", "TLSv1.2");
            assert_says(&json, "cipher_suite", &format!("TLS_ECDHE_{key}_WITH_{suite}"));
            assert_says(&json, "alpn", "http/1.1");
        }
        // OpenSSL wants the curve of an ECDSA certificate among its groups: ours decides, as it comes first for us.
        for (groups, name) in [("X25519:P-256", "x25519"), ("P-256", "secp256r1")] {
            assert_says(&site.curl12("/json", &["--curves", groups]).await, "group", name);
        }
    }
}

#[tokio::test]
async fn curl_refuses_a_server_that_it_has_no_root_for() {
    if !require_or_skip("curl") {
        return;
    }
    let site = Site::start(KeyType::P256).await;
    let stranger = Authority::new().write_root(site.directory.path().join("stranger").as_path());
    let refused = curl(&["--tlsv1.3", "--cacert", path(&stranger), &site.url("/")])
        .finish()
        .await;
    assert_eq!(refused.status.code(), Some(60), "{}", refused.text());
    site.server.wait_for("unknown_ca").await;
    // The next client is served all the same.
    assert!(site.curl("/", &[]).await.contains("<h1>"));
}

#[tokio::test]
async fn chromium_loads_the_page_with_x25519mlkem768() {
    let Some(chromium) = require_one_or_skip(&CHROMIUM) else {
        return;
    };
    if !require_or_skip("openssl") {
        return;
    }
    for key_type in [KeyType::P256, KeyType::Rsa2048] {
        let site = Site::start(key_type).await;
        let page = site.browse(chromium, "/").await;
        assert!(
            page.contains("TLSv1.3") && page.contains("X25519MLKEM768"),
            "{page}"
        );
        let json = site.browse(chromium, "/json").await;
        assert_says(&json, "version", "TLSv1.3");
        assert_says(&json, "group", "X25519MLKEM768");
        assert_says(&json, "server_name", "localhost");
        assert_says(&json, "alpn", "http/1.1");
    }
}

#[tokio::test]
async fn chromium_loads_the_page_by_tls_1_2() {
    let Some(chromium) = require_one_or_skip(&CHROMIUM) else {
        return;
    };
    if !require_or_skip("openssl") {
        return;
    }
    // Limited on either side.
    for (key_type, server, browser, suite) in [
        (
            KeyType::P256,
            &[][..],
            &["--ssl-version-max=tls1.2"][..],
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ),
        (
            KeyType::Rsa2048,
            &["--max-version", "1.2"],
            &[],
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ),
    ] {
        let site = Site::start_with(key_type, server).await;
        let json = site.browse_with(chromium, "/json", browser).await;
        assert_says(&json, "version", "TLSv1.2");
        assert_says(&json, "cipher_suite", suite);
        assert_says(&json, "group", "x25519");
        assert_says(&json, "server_name", "localhost");
    }
}

#[tokio::test]
async fn chromium_answers_a_key_update() {
    let Some(chromium) = require_one_or_skip(&CHROMIUM) else {
        return;
    };
    if !require_or_skip("openssl") {
        return;
    }
    let site = Site::start(KeyType::P256).await;
    let page = site.browse(chromium, "/keyupdate").await;
    assert!(
        page.contains("X25519MLKEM768") && page.contains("new key"),
        "{page}"
    );
}

#[tokio::test]
async fn chromium_refuses_a_server_that_it_does_not_trust() {
    let Some(chromium) = require_one_or_skip(&CHROMIUM) else {
        return;
    };
    let site = Site::start(KeyType::P256).await;
    let (page, complaints) = chromium::dump_and_complaints(chromium, &site.url("/"), &[]).await;
    assert!(!page.contains("X25519MLKEM768"), "{page}");
    assert!(complaints.contains("ssl_client_socket"), "{complaints}");
}

/// That this JSON, perhaps inside a page, has this string.
fn assert_says(json: &str, key: &str, value: &str) {
    let pair = format!("\"{key}\": \"{value}\"");
    assert!(json.contains(&pair), "no {pair} in {json}");
}

/// A running `tls serve` with a chain of its own authority.
struct Site {
    server: Process,
    port: u16,
    directory: TempDir,
    root: PathBuf,
    files: IdentityFiles,
}

impl Site {
    async fn start(key_type: KeyType) -> Self {
        Self::start_with(key_type, &[]).await
    }

    async fn start_with(key_type: KeyType, arguments: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        std::fs::create_dir(directory.path().join("stranger")).unwrap();
        let authority = Authority::new();
        let root = authority.write_root(directory.path());
        let identity: Identity = authority.leaf(key_type, &["localhost"]);
        let files = identity.write_to(directory.path(), "site");
        let server = Process::spawn(
            path(tls_command()),
            [
                &[
                    "serve",
                    "--listen",
                    "127.0.0.1:0",
                    "--cert",
                    path(&files.chain),
                    "--key",
                    path(&files.key),
                ],
                arguments,
            ]
            .concat(),
        );
        let text = server.wait_for("listening on ").await;
        let (_, rest) = text.split_once("listening on 127.0.0.1:").unwrap();
        let port = rest.lines().next().unwrap().trim().parse().unwrap();
        Self {
            server,
            port,
            directory,
            root,
            files,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// By TLS 1.3.
    async fn curl(&self, target: &str, arguments: &[&str]) -> String {
        self.curl_with(&["--tlsv1.3"], target, arguments).await
    }

    /// By TLS 1.2.
    async fn curl12(&self, target: &str, arguments: &[&str]) -> String {
        self.curl_with(&["--tls-max", "1.2"], target, arguments).await
    }

    async fn curl_with(&self, version: &[&str], target: &str, arguments: &[&str]) -> String {
        let url = self.url(target);
        let line = [
            version,
            &["--fail", "--cacert", path(&self.root), &url],
            arguments,
        ]
        .concat();
        let finished = curl(&line).finish().await;
        assert!(finished.status.success(), "{}", finished.text());
        String::from_utf8(finished.stdout).unwrap()
    }

    /// The page as Chromium has it, which trusts the key of this site's leaf.
    async fn browse(&self, chromium: &str, target: &str) -> String {
        self.browse_with(chromium, target, &[]).await
    }

    async fn browse_with(&self, chromium: &str, target: &str, arguments: &[&str]) -> String {
        self.browse_from(chromium, &self.url(target), arguments).await
    }

    /// The same, beginning somewhere else.
    async fn browse_from(&self, chromium: &str, url: &str, arguments: &[&str]) -> String {
        let trust = format!(
            "--ignore-certificate-errors-spki-list={}",
            key_hash(&self.files.leaf).await
        );
        chromium::dump(chromium, url, &[&[trust.as_str()], arguments].concat()).await
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
