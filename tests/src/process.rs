//! Other programs as peers: started, fed, read, and never left behind.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long any wait for another program may last; generous, since a busy machine is no failure.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Set (to anything but nothing) where a missing program is a failure and not a reason to skip: in `.ci/run`.
pub const REQUIRE_PEERS: &str = "TLS_REQUIRE_PEERS";

/// Whether the test can run: the program is installed. If it is not, says so where `cargo test` shows it.
///
/// # Panics
///
/// If the program is missing and [`REQUIRE_PEERS`] is set.
#[must_use]
pub fn require_or_skip(program: &str) -> bool {
    require_one_or_skip(&[program]).is_some()
}

/// Like [`require_or_skip`], where one of several names is enough (`chromium`, `chromium-browser`): which one it is.
///
/// # Panics
///
/// If none is there and [`REQUIRE_PEERS`] is set.
#[must_use]
pub fn require_one_or_skip<'a>(programs: &[&'a str]) -> Option<&'a str> {
    let found = programs.iter().find(|program| find(program).is_some()).copied();
    if found.is_none() {
        let required = std::env::var_os(REQUIRE_PEERS).is_some_and(|value| !value.is_empty());
        assert!(
            !required,
            "{} is not installed, and {REQUIRE_PEERS} is set",
            programs.join(" or ")
        );
        say_skipped(programs);
    }
    found
}

/// Like [`require_or_skip`] for programs that even `.ci/run` does without, for being large: its absence is never a failure.
#[must_use]
pub fn find_or_skip(program: &str) -> bool {
    let is_there = find(program).is_some();
    if !is_there {
        say_skipped(&[program]);
    }
    is_there
}

fn say_skipped(programs: &[&str]) {
    let test = std::thread::current();
    // Not eprintln!, which the test harness hides for tests that pass.
    let _ = writeln!(
        io::stderr(),
        "SKIPPED {}: {} is not installed",
        test.name().unwrap_or("a test"),
        programs.join(" or ")
    );
}

/// Where a program is, by `PATH`.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// A running program. Killed when dropped. Its output is collected all the time, so that it never blocks on us.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
}

/// What a program left behind.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to stdout.
    pub stdout: Vec<u8>,
    /// All it wrote to stderr.
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Stdout and stderr as text, one after the other.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}\n{}",
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr)
        )
    }
}

impl Process {
    /// Starts a program with stdin, stdout and stderr joined to us.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
        Self {
            name: program.to_owned(),
            stdin: child.stdin.take(),
            stdout: Capture::start(child.stdout.take().unwrap()),
            stderr: Capture::start(child.stderr.take().unwrap()),
            child,
        }
    }

    /// The process id; `None` once it has been waited for.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Writes to its stdin.
    ///
    /// # Errors
    ///
    /// If it closed its stdin (it has ended).
    ///
    /// # Panics
    ///
    /// If stdin was closed or taken, or if the program does not read for [`LIMIT`].
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stdin = self.stdin.as_mut().expect("stdin is still ours");
        let sent = timeout(LIMIT, async {
            stdin.write_all(bytes).await?;
            stdin.flush().await
        });
        match sent.await {
            Ok(result) => result,
            Err(_) => panic!("{} does not read its stdin\n{}", self.name, self.transcript()),
        }
    }

    /// Closes its stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Gives its stdin away, to be written to by another task.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// What it wrote to stdout so far.
    #[must_use]
    pub fn stdout(&self) -> Vec<u8> {
        self.stdout.bytes.lock().unwrap().clone()
    }

    /// What it wrote to stdout and stderr so far, as text, one after the other.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}", self.stdout.text(), self.stderr.text())
    }

    /// Waits until stdout or stderr contains this text; gives [`Process::text`] of that moment.
    ///
    /// # Panics
    ///
    /// After [`LIMIT`], or when the program closed both without saying it.
    pub async fn wait_for(&self, text: &str) -> String {
        self.wait_until(&format!("says {text:?}"), |process| process.text().contains(text))
            .await;
        self.text()
    }

    /// Waits until it wrote at least this many bytes to stdout; gives all of them.
    ///
    /// # Panics
    ///
    /// As [`Process::wait_for`].
    pub async fn wait_for_stdout(&self, bytes: usize) -> Vec<u8> {
        let enough = |process: &Self| process.stdout.bytes.lock().unwrap().len() >= bytes;
        self.wait_until(&format!("writes {bytes} bytes"), enough).await;
        self.stdout()
    }

    /// Waits until this is true of it; asked again after each output. `what` completes "waited until openssl ...".
    ///
    /// # Panics
    ///
    /// As [`Process::wait_for`].
    pub async fn wait_until(&self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let (mut stdout, mut stderr) = (self.stdout.changes.clone(), self.stderr.changes.clone());
        let waited = timeout(LIMIT, async {
            let (mut stdout_open, mut stderr_open) = (true, true);
            while !is_true(self) {
                assert!(
                    stdout_open || stderr_open,
                    "{} ended before it {what}\n{}",
                    self.name,
                    self.transcript()
                );
                tokio::select! {
                    changed = stdout.changed(), if stdout_open => stdout_open = changed.is_ok(),
                    changed = stderr.changed(), if stderr_open => stderr_open = changed.is_ok(),
                }
            }
        });
        assert!(
            waited.await.is_ok(),
            "waited in vain until {} {what}\n{}",
            self.name,
            self.transcript()
        );
    }

    /// Waits until it ends by itself. Its stdin stays open until then (close it before, where that is what ends it).
    ///
    /// # Panics
    ///
    /// After [`LIMIT`].
    pub async fn finish(mut self) -> Finished {
        let Ok(status) = timeout(LIMIT, self.child.wait()).await else {
            panic!("{} does not end\n{}", self.name, self.transcript());
        };
        self.stdout.closed().await;
        self.stderr.closed().await;
        Finished {
            status: status.expect("a child can be waited for"),
            stdout: self.stdout(),
            stderr: self.stderr.bytes.lock().unwrap().clone(),
        }
    }

    /// Kills it, and waits until it is gone.
    pub async fn kill(mut self) {
        let _ = self.child.kill().await;
    }

    /// For failures: the last of what it said, made harmless for a terminal.
    fn transcript(&self) -> String {
        let last = |capture: &Capture| {
            let bytes = capture.bytes.lock().unwrap();
            let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(4000)..]);
            text.replace(|c: char| c.is_control() && c != '\n', "?")
        };
        format!(
            "--- stdout\n{}\n--- stderr\n{}\n---",
            last(&self.stdout),
            last(&self.stderr)
        )
    }
}

/// Output of a program, collected by a task.
#[derive(Debug)]
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Changes with each arrival; closed when the program closed its end.
    changes: watch::Receiver<()>,
}

impl Capture {
    fn start(mut source: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (changed, changes) = watch::channel(());
        let collected = Arc::clone(&bytes);
        tokio::spawn(async move {
            let mut space = vec![0; 64 * 1024];
            while let Ok(n @ 1..) = source.read(&mut space).await {
                collected.lock().unwrap().extend_from_slice(&space[..n]);
                changed.send_replace(());
            }
        });
        Self { bytes, changes }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    async fn closed(&mut self) {
        // A grandchild may hold the pipe open; what it says later does not matter.
        let _ = timeout(Duration::from_secs(2), async {
            while self.changes.changed().await.is_ok() {}
        })
        .await;
    }
}
