//! Certificates, keys and trust from files that are replaced while serving.
//!
//! Real files, on Tokio's paused clock: an interval is exactly one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::large_futures,
    reason = "tests"
)]

mod connections;
mod files;
mod trust;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tls_core::{CertificateDer, ClientConfig, NamedGroup, ServerConfig};
use tls_tests::pair::{NAME, Pair, authority, client};
use tls_tests::pki::{Identity, KeyType};
use tls_tokio::{Reload, ReloadingCertificates, ReloadingCertificatesBuilder};
use tokio::time::sleep;

const INTERVAL: Duration = Duration::from_secs(10);

/// What is reported, one line each: `ok` and the first file's name, or the error.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    fn callback(&self) -> impl Fn(Reload<'_>) + Send + Sync + 'static {
        let reports = Arc::clone(&self.0);
        move |reload| {
            let name = reload.files[0].file_name().unwrap().to_string_lossy();
            let line = match reload.result {
                Ok(()) => format!("ok {name}"),
                Err(error) => error.to_string(),
            };
            reports.lock().unwrap().push(line);
        }
    }

    /// Those since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// That there was one, a failure that says this.
    fn assert_failed(&self, what: &str) {
        let reports = self.take();
        assert!(
            reports.len() == 1 && reports[0].contains(what),
            "{what}: {reports:?}"
        );
    }
}

/// A directory with a pair in it.
struct Files {
    directory: TempDir,
    chain: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new(identity: &Identity) -> Self {
        let directory = TempDir::new().unwrap();
        let it = Self {
            chain: directory.path().join("chain.pem"),
            key: directory.path().join("key.pem"),
            directory,
        };
        it.rename_over(identity);
        it
    }

    /// As careful programs do it: each file at once, one after the other.
    fn rename_over(&self, identity: &Identity) {
        replace(&self.chain, identity.chain_pem());
        replace(&self.key, identity.key_pem());
    }

    fn builder(&self) -> ReloadingCertificatesBuilder {
        ReloadingCertificates::builder()
            .identity(&self.chain, &self.key)
            .interval(INTERVAL)
    }

    async fn load(&self) -> (ServerConfig, Reports) {
        let reports = Reports::default();
        let certificates = self.builder().on_reload(reports.callback()).load().await.unwrap();
        (server(certificates), reports)
    }
}

fn replace(file: &Path, content: impl AsRef<[u8]>) {
    let new = file.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(&new, file).unwrap();
}

fn server(certificates: ReloadingCertificates) -> ServerConfig {
    ServerConfig::builder()
        .certificate_resolver(Arc::new(certificates))
        .build()
        .unwrap()
}

fn identity() -> Identity {
    authority().leaf(KeyType::P256, &[NAME])
}

/// With one small key share: many handshakes are made here.
fn small_client() -> ClientConfig {
    client().groups([NamedGroup::X25519]).build().unwrap()
}

/// The chain that a client of this name is shown now.
fn served(server: &ServerConfig, name: &str) -> Vec<CertificateDer<'static>> {
    let ends = Pair::for_name(&small_client(), server, name).run().established();
    ends.client.negotiated().peer_certificates().to_vec()
}

/// One interval, and a moment for timers, which count whole milliseconds.
async fn an_interval() {
    sleep(INTERVAL + Duration::from_millis(5)).await;
}
