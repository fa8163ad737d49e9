//! What both commands need before they start.

use std::path::Path;
use std::sync::Arc;

use tls_tokio::tls_core::{KeyLog, KeyLogFile};
use tls_tokio::{CertifiedKey, RootStore};
use tracing_subscriber::EnvFilter;

use crate::console;
use crate::failure::Failure;
use crate::transcript::Secrets;

/// What is shown of the libraries' events without `RUST_LOG`: nothing that concerns one connection, but that Redis does
/// not answer, and that it answers again.
const DEFAULT_FILTER: &str = "tls_redis=info";

/// Events of the libraries go to stderr, as far as `RUST_LOG` asks for them.
pub(crate) fn tracing() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Nor would any dependency's features make it otherwise.
        .with_ansi(false)
        .with_writer(std::io::stderr);
    let _ = subscriber.try_init();
}

/// The log of secrets that `SSLKEYLOGFILE` asks for. Says that it is written: whoever has it can read the traffic.
pub(crate) fn key_log() -> Result<Option<Arc<dyn KeyLog>>, Failure> {
    let file = KeyLogFile::from_env()
        .map_err(|error| Failure::new(format!("cannot open the file that SSLKEYLOGFILE names: {error}")))?;
    if file.is_some() {
        console::say(format_args!(
            "secrets are written to the file that SSLKEYLOGFILE names"
        ));
    }
    Ok(match (file, Secrets::wanted()) {
        (file, Some(secrets)) => Some(Arc::new(Both(file, secrets))),
        (Some(file), None) => Some(Arc::new(file)),
        (None, None) => None,
    })
}

/// The secrets for a transcript, and for the file that `SSLKEYLOGFILE` names.
#[derive(Debug)]
struct Both(Option<KeyLogFile>, &'static Secrets);

impl KeyLog for Both {
    fn log(&self, label: &str, client_random: &[u8; 32], secret: &[u8]) {
        if let Some(file) = &self.0 {
            file.log(label, client_random, secret);
        }
        self.1.log(label, client_random, secret);
    }
}

/// The file's bytes, or a failure that names it.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// The chain and the key of `--cert` and `--key`, if they are there.
pub(crate) fn certificate(cert: Option<&Path>, key: Option<&Path>) -> Result<Option<CertifiedKey>, Failure> {
    let (Some(cert), Some(key)) = (cert, key) else {
        return Ok(None);
    };
    let certificate = CertifiedKey::from_pem(&read_file(cert)?, &read_file(key)?);
    certificate
        .map(Some)
        .map_err(|error| Failure::new(format!("{} with {}: {error}", cert.display(), key.display())))
}

/// The roots in this PEM file.
pub(crate) fn roots(path: &Path) -> Result<RootStore, Failure> {
    RootStore::from_pem(&read_file(path)?)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// The protocols of an `--alpn` option: `''` means none.
pub(crate) fn protocols(option: Option<Vec<String>>, default: &[&str]) -> Vec<String> {
    match option {
        Some(names) => names.into_iter().filter(|name| !name.is_empty()).collect(),
        None => default.iter().map(ToString::to_string).collect(),
    }
}
