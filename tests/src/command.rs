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

/// An example of any crate, by its name. Cargo has built it when all packages are tested; if only one test is, it is
/// built here, as those of `--workspace` are.
///
/// # Panics
///
/// If the examples cannot be built.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        // target/PROFILE/deps/http-0123
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).unwrap();
        let release = profile.ends_with("release").then_some("--release");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = std::process::Command::new(cargo)
            .args(["build", "--quiet", "--workspace", "--examples"])
            .args(release)
            .arg("--target-dir")
            .arg(profile.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        profile.join("examples")
    });
    directory.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
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
