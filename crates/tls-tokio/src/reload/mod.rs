//! Certificates, keys and trust from files that are replaced while serving.

mod certificates;
mod verifier;
mod watch;

use core::fmt;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use tls_core::ConfigError;

pub use self::certificates::{ReloadingCertificates, ReloadingCertificatesBuilder};
pub use self::verifier::{ReloadingVerifier, ReloadingVerifierBuilder};

/// How often files are looked at unless the caller says otherwise.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// No shorter interval is used: it would only keep a thread busy.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Files that were seen to have changed, and what became of it: for `on_reload` of the builders.
///
/// ```
/// use tls_tokio::{ReloadingCertificates, ReloadingCertificatesBuilder};
///
/// fn builder() -> ReloadingCertificatesBuilder {
///     ReloadingCertificates::builder()
///         .identity("chain.pem", "key.pem")
///         .on_reload(|reload| match reload.result {
///             Ok(()) => println!("{:?} are used from now on", reload.files),
///             Err(error) => eprintln!("{:?} are not used: {error}", reload.files),
///         })
/// }
/// # builder();
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Reload<'a> {
    /// The files that are only good together.
    pub files: &'a [PathBuf],
    /// Whether they are used from now on. If not, what was good before is used further, and they are tried again
    /// each time, without another report until their contents change.
    pub result: Result<(), &'a ConfigError>,
}

type Callback = Arc<dyn Fn(Reload<'_>) + Send + Sync>;

/// What the builders have in common.
#[derive(Clone)]
struct Options {
    interval: Duration,
    callback: Option<Callback>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interval: DEFAULT_INTERVAL,
            callback: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}
