//! The `tls` command as a peer, and the examples.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// The `tls` command of this build. Cargo has built it when all packages are tested; if only this one is, it may be
/// missing or older than its sources, and is built here.
///
/// # Panics
///
/// If it cannot be built.
#[must_use]
pub fn tls_command() -> &'static Path {
    static COMMAND: OnceLock<PathBuf> = OnceLock::new();
    COMMAND.get_or_init(|| {
        // target/PROFILE/deps/browser-0123
        let this = std::env::current_exe().unwrap();
        let directory = this.parent().unwrap().parent().unwrap();
        let command = directory.join(format!("tls{}", std::env::consts::EXE_SUFFIX));
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
        let built = command.metadata().and_then(|file| file.modified());
        if built.is_ok_and(|built| built >= newest(&sources)) {
            return command;
        }
        let profile = match directory.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let built = std::process::Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "tls-cli", "--profile", profile])
            .arg("--target-dir")
            .arg(directory.parent().unwrap())
            .current_dir(&sources)
            .status()
            .unwrap();
        assert!(built.success() && command.is_file(), "tls-cli cannot be built");
        command
    })
}

/// An example of one of the crates, built as these tests are. All of them are built when all packages are tested, but not
/// for a single test.
///
/// # Panics
///
/// If there is none, or it cannot be built.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    // target/PROFILE/deps/examples-0123
    let this = std::env::current_exe().unwrap();
    let directory = this.parent().unwrap().parent().unwrap();
    let release = directory.ends_with("release").then_some("--release");
    let built = std::process::Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--example", name])
        .args(release)
        .arg("--target-dir")
        .arg(directory.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    directory
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// When the newest source file below here was written; tests do not count.
fn newest(directory: &Path) -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let time = if !path.is_dir() {
            path.metadata().unwrap().modified().unwrap()
        } else if path.ends_with("tests") {
            continue;
        } else {
            self::newest(&path)
        };
        newest = newest.max(time);
    }
    newest
}
