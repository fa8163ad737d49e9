//! The README as somebody follows it who has just got this repository: each of its commands, copied from it, in a clean
//! copy, with an empty home and nothing in the environment.
//!
//! Two things are other than there. Ports are free ones, so that nothing that runs beside the tests is in the way, and
//! example.com is a server of ours. And what was downloaded and compiled of other people's crates is shared, which
//! spares a quarter of an hour.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tls_tests::openssl::listening_port;
use tls_tests::process::{Finished, Process, require_or_skip};
use tls_tests::redis_server::RedisServer;
use tls_tests::source::workspace;

const SERVE: &str = "cargo run --release -p tls-cli -- serve";
const CONNECT: &str = "cargo run --release -p tls-cli -- connect example.com:443 --resume 3";
const FLEET: &str = "(umask 077; openssl rand -hex 32 > store.key)\n\
                     cargo run --release -p tls-cli -- serve --redis redis://127.0.0.1/ --store-key store.key";
const FILES: &str = "cargo run --release -p tls-cli -- serve --root . --h2";
const CAPTURE: &str =
    "cargo run --release -p tls-cli -- capture | jq '.client_hello | {server_name, ja4, ja3}'";
const COMPLETIONS: &str = "cargo run --release -p tls-cli -- completions bash";
/// Runs this test, and so is not run by it: `.ci/run` takes it from the README and runs it.
const TESTS: &str = "cargo test --workspace";

#[test]
fn every_command_of_the_readme_has_a_test() {
    let tested = [SERVE, CONNECT, FLEET, FILES, CAPTURE, COMPLETIONS, TESTS];
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    assert_eq!(commands(&readme), tested);
    let gate = std::fs::read_to_string(workspace().join(".ci/run")).unwrap();
    for part in [
        "grep -m1 -E '^cargo test( |$)' README.md",
        "\nrun $test_command\n",
    ] {
        assert!(gate.contains(part), "{part:?} is not in .ci/run");
    }
}

/// What is in its blocks of shell commands.
fn commands(markdown: &str) -> Vec<&str> {
    let blocks = markdown.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split_once("\n```").expect("the block ends").0)
        .collect()
}

#[tokio::test]
async fn serve_prints_the_curl_line_that_shows_the_page() {
    if !require_or_skip("curl") {
        return;
    }
    let server = start(SERVE).await;
    let text = server.wait_for("curl --cacert ").await;
    let line = text.lines().find(|line| line.starts_with("curl ")).unwrap();
    let page = shell(line).finish().await;
    assert!(page.status.success(), "{}", page.text());
    for part in ["This connection", "TLSv1.3"] {
        assert!(page.text().contains(part), "{}", page.text());
    }
    stop(server).await;
}

#[tokio::test]
async fn connect_shows_which_handshakes_were_resumed() {
    let server = start(SERVE).await;
    let (target, ca) = (target(&server).await, ca(&server).await);
    let command = replaced(CONNECT, "example.com:443", &format!("{target} --ca {ca}"));
    let mut client = shell(&command);
    client.close_stdin();
    let finished = client.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    let text = finished.text();
    assert_eq!(text.matches(": resumed ").count(), 3, "{text}");
    assert!(text.contains("3 of 3 reconnections were resumed"), "{text}");
    assert_eq!(text.matches(" ms TLSv1.3").count(), 4, "{text}");
    stop(server).await;
}

#[tokio::test]
async fn servers_with_one_redis_and_one_key_resume_what_any_of_them_made() {
    if !require_or_skip("openssl") {
        return;
    }
    let Some(redis) = RedisServer::start().await else {
        return;
    };
    let command = replaced(FLEET, "redis://127.0.0.1/", &redis.url());
    let server = start(&command).await;
    let (target, ca) = (target(&server).await, ca(&server).await);
    let command = replaced(CONNECT, "example.com:443", &format!("{target} --ca {ca}"));
    let mut client = shell(&command);
    client.close_stdin();
    let text = client.finish().await.text();
    assert!(text.contains("3 of 3 reconnections were resumed"), "{text}");
    let key = copy().join("store.key");
    assert_eq!(std::fs::read_to_string(&key).unwrap().trim().len(), 64);
    let mode = std::os::unix::fs::PermissionsExt::mode(&key.metadata().unwrap().permissions());
    assert_eq!(mode & 0o077, 0);
    stop(server).await;
}

#[tokio::test]
async fn files_are_served_over_http_2() {
    if !require_or_skip("curl") {
        return;
    }
    let server = start(FILES).await;
    let (target, ca) = (target(&server).await, ca(&server).await);
    let show = "--write-out '%{http_version}' --silent --show-error --noproxy '*'";
    let file = shell(&format!("curl {show} --cacert {ca} https://{target}/LICENSE-MIT"));
    let file = file.finish().await;
    assert!(file.status.success(), "{}", file.text());
    let expected = std::fs::read_to_string(copy().join("LICENSE-MIT")).unwrap() + "2";
    assert_eq!(String::from_utf8(file.stdout).unwrap(), expected);
    stop(server).await;
}

#[tokio::test]
async fn capture_writes_down_what_a_client_offers() {
    if !require_or_skip("jq") {
        return;
    }
    let server = start(CAPTURE).await;
    let (target, ca) = (target(&server).await, ca(&server).await);
    let connect = replaced(
        CONNECT,
        "example.com:443 --resume 3",
        &format!("{target} --ca {ca} --json"),
    );
    let client = shell(&connect).finish().await;
    assert!(client.status.success(), "{}", client.text());
    let finished = stop(server).await;
    let json: serde_json::Value = serde_json::from_slice(&finished.stdout).expect("jq's one object");
    assert_eq!(json["server_name"], "localhost");
    assert!(json["ja4"].as_str().unwrap().starts_with("t13d"), "{json}");
    assert_eq!(json["ja3"].as_str().unwrap().len(), 32, "{json}");
}

#[tokio::test]
async fn completions_are_for_bash() {
    let finished = shell(COMPLETIONS).finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    assert!(
        finished.text().contains("complete -F _tls "),
        "{}",
        finished.text()
    );
}

// ---- where they run

/// A clean copy of the workspace, with the command built in it; the first to ask makes both.
fn copy() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
        let _ = std::fs::remove_dir_all(&copy);
        std::fs::create_dir_all(copy.join("home")).unwrap();
        // With the times of the files: what is built of them is still good then.
        let entries = std::fs::read_dir(workspace())
            .unwrap()
            .map(|entry| entry.unwrap());
        let wanted = entries.filter(|entry| entry.file_name() != "target" && entry.file_name() != ".git");
        let copied = Command::new("cp")
            .arg("-a")
            .args(wanted.map(|entry| entry.path()))
            .arg(&copy)
            .status();
        assert!(copied.unwrap().success());
        // What takes its time, and has no limit.
        let built = Command::new("env")
            .args(environment(&copy))
            .args([
                "sh",
                "-c",
                &format!("{} --version", SERVE.trim_end_matches(" serve")),
            ])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        copy
    })
}

/// Arguments of `env` for a shell in the copy that knows nothing of us.
fn environment(copy: &Path) -> Vec<String> {
    let cargo = PathBuf::from(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    let cargo_home =
        std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
    // target/debug/deps/readme-0123
    let this = std::env::current_exe().unwrap();
    let mut target = this.ancestors().nth(3).unwrap().to_owned();
    if !cfg!(debug_assertions) {
        // Others run what is in there.
        target.push("readme");
    }
    vec![
        "-i".to_owned(),
        format!("--chdir={}", copy.display()),
        format!(
            "PATH={}:/usr/local/bin:/usr/bin:/bin",
            cargo.parent().unwrap().display()
        ),
        format!("HOME={}", copy.join("home").display()),
        format!("CARGO_HOME={cargo_home}"),
        format!("CARGO_TARGET_DIR={}", target.display()),
    ]
}

/// A shell that runs these commands there.
fn shell(commands: &str) -> Process {
    let mut line = environment(copy());
    line.extend(["sh".to_owned(), "-c".to_owned(), commands.to_owned()]);
    Process::spawn("env", line)
}

/// A server by these commands, on a free port.
async fn start(commands: &str) -> Process {
    let commands = ["serve", "capture"]
        .iter()
        .fold(commands.to_owned(), |commands, name| {
            commands.replace(&format!("-- {name}"), &format!("-- {name} --listen 127.0.0.1:0"))
        });
    // Blocking here is for the build.
    let server = tokio::task::spawn_blocking(copy)
        .await
        .map(|_| shell(&commands))
        .unwrap();
    server.wait_for("listening on 127.0.0.1:").await;
    server
}

fn replaced(command: &str, part: &str, by: &str) -> String {
    assert!(command.contains(part), "{part:?} is not in {command:?}");
    command.replace(part, by)
}

/// `localhost:PORT`
async fn target(server: &Process) -> String {
    let text = server.wait_for("listening on 127.0.0.1:").await;
    let rest = text.split_once("listening on 127.0.0.1:").unwrap().1;
    format!("localhost:{}", rest.lines().next().unwrap())
}

/// The file of its development CA, as it says for curl.
async fn ca(server: &Process) -> String {
    let text = server.wait_for("curl --cacert ").await;
    let rest = text.split_once("curl --cacert ").unwrap().1;
    rest.split(' ').next().unwrap().to_owned()
}

/// Tells the `tls` that listens to stop (not the shell above it, nor a pipe's other end), and waits for all of them.
async fn stop(server: Process) -> Finished {
    let port = target(&server).await;
    let port = port.trim_start_matches("localhost:");
    let id = listener(port.parse().unwrap())
        .expect("somebody listens")
        .to_string();
    let told = Process::spawn("kill", ["-TERM", &id]).finish().await;
    assert!(told.status.success(), "{}", told.text());
    let finished = server.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    assert!(finished.text().contains("stopped"), "{}", finished.text());
    finished
}

/// Who listens on this port.
fn listener(port: u16) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let mut ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.find(|id| listening_port(*id) == Some(port))
}
