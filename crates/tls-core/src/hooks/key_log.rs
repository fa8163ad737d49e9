//! SSLKEYLOGFILE: traffic secrets for Wireshark and the like (draft-ietf-tls-keylogfile).

use core::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Receives the secrets of each connection. Whoever holds them can read the traffic.
///
/// ```
/// use std::sync::Mutex;
/// use tls_core::KeyLog;
///
/// /// For a test that decrypts what it recorded.
/// #[derive(Debug, Default)]
/// struct Kept(Mutex<Vec<(String, [u8; 32], Vec<u8>)>>);
///
/// impl KeyLog for Kept {
///     fn log(&self, label: &str, client_random: &[u8; 32], secret: &[u8]) {
///         let line = (label.to_owned(), *client_random, secret.to_vec());
///         self.0.lock().unwrap().push(line);
///     }
/// }
/// ```
pub trait KeyLog: fmt::Debug + Send + Sync {
    /// Notes one secret: `label` as in the key log format, for example `CLIENT_TRAFFIC_SECRET_0`.
    fn log(&self, label: &str, client_random: &[u8; 32], secret: &[u8]);
}

/// Appends to a file in the format of NSS.
///
/// ```
/// use std::sync::Arc;
/// use tls_core::{ClientConfig, KeyLogFile};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut builder = ClientConfig::builder();
/// if let Some(file) = KeyLogFile::from_env()? {
///     builder = builder.key_log(Arc::new(file));
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct KeyLogFile {
    file: Mutex<File>,
}

impl KeyLogFile {
    /// Opens a file to append to; it is created, readable by its owner only, if it does not exist.
    ///
    /// # Errors
    /// What opening the file gives.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        Ok(Self {
            file: Mutex::new(options.open(path)?),
        })
    }

    /// The file that the environment variable `SSLKEYLOGFILE` names, or `None` where it is not set.
    ///
    /// # Errors
    /// What opening the file gives.
    pub fn from_env() -> io::Result<Option<Self>> {
        std::env::var_os("SSLKEYLOGFILE")
            .filter(|path| !path.is_empty())
            .map(Self::open)
            .transpose()
    }
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8; 32], secret: &[u8]) {
        let line = format!("{label} {} {}\n", Hex(client_random), Hex(secret));
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "cannot write the key log");
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
