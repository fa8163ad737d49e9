//! Files that are looked at again and again.
//!
//! By their contents, and not by events or times of change: that works for every file system, for a rename over the
//! file, and for directories that are swapped by a symbolic link (as Kubernetes does), and tells whether anything
//! changed at all.

use core::hash::BuildHasher;
use core::time::Duration;
use std::fs::File;
use std::hash::RandomState;
use std::io::{self, Read as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tls_core::{ConfigError, Zeroizing};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::{MIN_INTERVAL, Options, Reload};

/// Bytes of a file that are read at most: the largest revocation lists have some ten million.
const MAX_FILE: u64 = 64 << 20;

/// What changed is read again until it is twice the same: files that are only good together are not written at once,
/// and half a chain may look like a whole one. So often at most, then it is left for the next time.
const MAX_ROUNDS: usize = 5;

/// Time between two of these readings.
const MAX_SETTLE: Duration = Duration::from_millis(200);

type Parse<T> = Arc<dyn Fn(&[Zeroizing<Vec<u8>>]) -> Result<T, ConfigError> + Send + Sync>;

/// Files that are only good together, and what is made of them.
pub(super) struct Source<T> {
    files: Arc<[PathBuf]>,
    parse: Parse<T>,
}

impl<T: Send + 'static> Source<T> {
    /// Of these files, whose contents are parsed in this order. Parsing may block.
    pub(super) fn new(
        files: impl IntoIterator<Item = PathBuf>,
        parse: impl Fn(&[Zeroizing<Vec<u8>>]) -> Result<T, ConfigError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            files: files.into_iter().collect(),
            parse: Arc::new(parse),
        }
    }

    async fn parse(&self, contents: Contents) -> Result<T, ConfigError> {
        let (parse, files) = (Arc::clone(&self.parse), Arc::clone(&self.files));
        let parsed = spawn_blocking(move || {
            let contents = contents.into_iter().collect::<Result<Vec<_>, _>>();
            let contents = contents.map_err(|unreadable| ConfigError::new(unreadable.message))?;
            parse(&contents).map_err(|error| {
                let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                ConfigError::new(format!("{}: {error}", names.join(", ")))
            })
        });
        parsed
            .await
            .unwrap_or_else(|error| Err(ConfigError::new(error.to_string())))
    }
}

type Contents = Vec<Result<Zeroizing<Vec<u8>>, Unreadable>>;

struct Unreadable {
    kind: io::ErrorKind,
    message: String,
}

/// Files as they were found; that they could not be read is part of it.
struct Found {
    contents: Contents,
    fingerprint: u64,
}

/// A source, and what was made of it last.
struct Watched<T> {
    source: Source<T>,
    current: T,
    /// Of what `current` was made of.
    loaded: u64,
    /// Of what was reported as no good.
    failing: Option<u64>,
}

/// Looks at files until it is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    task: JoinHandle<()>,
    wake: Arc<Notify>,
}

impl Watcher {
    /// Reads everything once, hands it to `publish`, and does so again each time when some of it is new.
    pub(super) async fn start<T, P>(
        sources: Vec<Source<T>>,
        options: Options,
        publish: P,
    ) -> Result<Self, ConfigError>
    where
        T: Send + Sync + 'static,
        P: Fn(&mut dyn Iterator<Item = &T>) + Send + Sync + 'static,
    {
        let hasher = RandomState::new();
        let found = read_all(&sources, &hasher).await?;
        let mut items = Vec::with_capacity(sources.len());
        for (source, found) in sources.into_iter().zip(found) {
            items.push(Watched {
                current: source.parse(found.contents).await?,
                loaded: found.fingerprint,
                failing: None,
                source,
            });
        }
        let wake = Arc::new(Notify::new());
        let watch = Watch {
            items,
            hasher,
            settle: (options.interval / 10).min(MAX_SETTLE),
            options,
            publish,
        };
        watch.publish();
        let task = tokio::spawn(watch.run(Arc::clone(&wake)));
        Ok(Self { task, wake })
    }

    /// Has it look now.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Watch<T, P> {
    items: Vec<Watched<T>>,
    hasher: RandomState,
    settle: Duration,
    options: Options,
    publish: P,
}

impl<T, P> Watch<T, P>
where
    T: Send + Sync + 'static,
    P: Fn(&mut dyn Iterator<Item = &T>) + Send + Sync + 'static,
{
    async fn run(mut self, wake: Arc<Notify>) {
        // What changed is used within the interval: reading it twice is part of it.
        let pause = self
            .options
            .interval
            .max(MIN_INTERVAL)
            .saturating_sub(self.settle);
        loop {
            // Either way it is time to look.
            let _ = timeout(pause, wake.notified()).await;
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "files cannot be watched");
            }
        }
    }

    /// Takes what is new and good.
    async fn look(&mut self) -> Result<(), ConfigError> {
        let mut found = self.read().await?;
        let mut is_settled = vec![false; found.len()];
        for _ in 0..MAX_ROUNDS {
            for ((is_settled, item), found) in is_settled.iter_mut().zip(&self.items).zip(&found) {
                *is_settled |= item.loaded == found.fingerprint || item.failing == Some(found.fingerprint);
            }
            if is_settled.iter().all(|is_settled| *is_settled) {
                break;
            }
            sleep(self.settle).await;
            let again = self.read().await?;
            for ((is_settled, before), again) in is_settled.iter_mut().zip(&found).zip(&again) {
                *is_settled = before.fingerprint == again.fingerprint;
            }
            found = again;
        }
        let mut reports = Vec::new();
        for ((item, found), is_settled) in self.items.iter_mut().zip(found).zip(is_settled) {
            if let (true, Some(result)) = (is_settled, item.take_up(found).await) {
                reports.push((Arc::clone(&item.source.files), result));
            }
        }
        if reports.iter().any(|(_, result)| result.is_ok()) {
            self.publish();
        }
        for (files, result) in &reports {
            self.report(files, result.as_ref().map(|_| ()));
        }
        Ok(())
    }

    async fn read(&self) -> Result<Vec<Found>, ConfigError> {
        read_all(self.items.iter().map(|item| &item.source), &self.hasher).await
    }

    fn publish(&self) {
        (self.publish)(&mut self.items.iter().map(|item| &item.current));
    }

    fn report(&self, files: &[PathBuf], result: Result<(), &ConfigError>) {
        match result {
            Ok(()) => tracing::info!(?files, "reloaded"),
            Err(error) => tracing::warn!(%error, "not reloaded, what was good before is used further"),
        }
        if let Some(callback) = &self.options.callback {
            let report = Reload { files, result };
            if catch_unwind(AssertUnwindSafe(|| callback(report))).is_err() {
                tracing::error!("the callback for reloads panicked");
            }
        }
    }
}

impl<T: Send + 'static> Watched<T> {
    /// Makes of it what can be made; what to report, if anything.
    async fn take_up(&mut self, found: Found) -> Option<Result<(), ConfigError>> {
        if found.fingerprint == self.loaded {
            // What was no good is gone.
            self.failing = None;
            return None;
        }
        // What was no good may be by now, since certificates have dates.
        match self.source.parse(found.contents).await {
            Ok(parsed) => {
                self.current = parsed;
                self.loaded = found.fingerprint;
                self.failing = None;
                Some(Ok(()))
            }
            Err(error) => {
                let is_known = self.failing.replace(found.fingerprint) == Some(found.fingerprint);
                (!is_known).then_some(Err(error))
            }
        }
    }
}

/// Reads all files of these sources on a thread that may block.
async fn read_all<'a, T: 'a>(
    sources: impl IntoIterator<Item = &'a Source<T>>,
    hasher: &RandomState,
) -> Result<Vec<Found>, ConfigError> {
    let sources: Vec<_> = sources
        .into_iter()
        .map(|source| Arc::clone(&source.files))
        .collect();
    let hasher = hasher.clone();
    let read = spawn_blocking(move || {
        let found = sources.iter().map(|files| {
            let contents: Contents = files.iter().map(|file| read(file)).collect();
            let fingerprint = hasher.hash_one(
                contents
                    .iter()
                    .map(|content| content.as_deref().map_err(|unreadable| unreadable.kind))
                    .collect::<Vec<_>>(),
            );
            Found {
                contents,
                fingerprint,
            }
        });
        found.collect()
    });
    read.await.map_err(|error| ConfigError::new(error.to_string()))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let read = || {
        let file = File::open(path)?;
        // A vector that grew would have left parts of a key behind.
        let expected = file.metadata()?.len().min(MAX_FILE);
        let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(expected).unwrap_or(0) + 1));
        match file.take(MAX_FILE + 1).read_to_end(&mut content)? as u64 {
            ..=MAX_FILE => Ok(content),
            _ => Err(io::Error::other("the file is too long")),
        }
    };
    read().map_err(|error: io::Error| Unreadable {
        kind: error.kind(),
        message: format!("{}: {error}", path.display()),
    })
}
