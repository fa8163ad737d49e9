//! A PostgreSQL server of a test's own.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::pki::Identity;
use crate::process::{Process, find, require_or_skip};

/// The user that runs it where we are root, which it does not run as.
const USER: &str = "nobody";

/// How often another port is tried, where somebody else took one first.
const ATTEMPTS: usize = 10;

/// A `postgres` with TLS on a port of 127.0.0.1 that was free. Killed when dropped.
#[derive(Debug)]
pub struct PostgresServer {
    _process: Process,
    port: u16,
    _directory: TempDir,
}

impl PostgresServer {
    /// Starts one with this certificate and waits until it answers. `None`, with a message, where it is not installed.
    ///
    /// # Panics
    ///
    /// If it does not come to listen, or is not installed and [`crate::process::REQUIRE_PEERS`] is set.
    pub async fn start(identity: &Identity) -> Option<Self> {
        let programs = programs()?;
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| owner(&own) == 0);
        // Where the other user can go too.
        let place = if is_root {
            PathBuf::from("/tmp")
        } else {
            std::env::temp_dir()
        };
        let directory = tempfile::tempdir_in(place).unwrap();
        let data = directory.path().join("data");
        let files = identity.write_to(directory.path(), "server");
        if is_root {
            let all = ["-R", USER, directory.path().to_str().unwrap()];
            done(Process::spawn("chown", all)).await;
        }
        let key = files.key.to_str().unwrap();
        done(Process::spawn("chmod", ["600", key])).await;

        let program = |name: &str, arguments: &[&str]| {
            let program = programs.join(name);
            let program = program.to_str().unwrap();
            if !is_root {
                return Process::spawn(program, arguments);
            }
            let mut line = vec!["-u", USER, "--", program];
            line.extend(arguments);
            Process::spawn("runuser", line)
        };
        let data = data.to_str().unwrap();
        let options = ["-D", data, "-U", USER, "--auth=trust", "--no-sync", "--locale=C"];
        done(program("initdb", &options)).await;
        for _ in 0..ATTEMPTS {
            let port = free_port();
            let settings = [
                "listen_addresses=127.0.0.1".to_owned(),
                format!("port={port}"),
                "unix_socket_directories=".to_owned(),
                "fsync=off".to_owned(),
                "ssl=on".to_owned(),
                format!("ssl_cert_file={}", files.chain.display()),
                format!("ssl_key_file={key}"),
            ];
            let mut line = vec!["-D", data];
            line.extend(settings.iter().flat_map(|setting| ["-c", setting]));
            let process = program("postgres", &line);
            let said = |text: &str| process.text().contains(text);
            let (ready, taken) = ("ready to accept connections", "could not bind");
            process
                .wait_until("is ready", |_| said(ready) || said(taken))
                .await;
            if said(ready) {
                return Some(Self {
                    _process: process,
                    port,
                    _directory: directory,
                });
            }
        }
        panic!("no port is free");
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// The directory of `postgres` and `initdb`: Debian does not have it on the `PATH`.
fn programs() -> Option<PathBuf> {
    let here = find("initdb").map(|file| std::fs::canonicalize(file).unwrap());
    let of_debian = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let mut found = versions.filter_map(|version| Some(version.ok()?.path().join("bin/initdb")));
        found.find(|file| file.is_file())
    };
    match here.or_else(of_debian) {
        Some(file) => file.parent().map(Path::to_owned),
        None => {
            let _ = require_or_skip("initdb");
            None
        }
    }
}

async fn done(process: Process) {
    let finished = process.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
}

#[cfg(unix)]
fn owner(file: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(file)
}

#[cfg(not(unix))]
fn owner(_: &std::fs::Metadata) -> u32 {
    1
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
